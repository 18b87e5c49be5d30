"""The numbers of the README are those of the committed studies, to the digit."""

import json
import re
from pathlib import Path

import pytest

from bench.study.preset import preset_from_dict
from bench.study.store import load_runs

ROOT = Path(__file__).resolve().parent.parent
STUDIES = sorted(path.parent.parent for path in ROOT.glob("reports/*/report/results.json"))


def shown(text: str) -> dict[tuple[str, str], list[str]]:
    """Rows of the README's table: (study, method) -> the three numbers of "tau", "seeds" and "architectures"."""
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        link = re.match(r"\[.*\]\(reports/([^/)]+)/", cells[0])
        if link and len(cells) >= 3:
            rows[link[1], cells[1]] = re.findall(r"[-−]?\d?\.\d+", " ".join(cells[2:5]))
    return rows


def expected(result) -> list[str]:
    tau = result["metrics"]["kendall_tau_b"]
    spread, over_archs = tau["spread"], tau["architectures"]
    numbers = [spread["mean"], spread["ci_low"], spread["ci_high"], over_archs["ci_low"], over_archs["ci_high"]]
    return [as_shown(number) for number in numbers]


def as_shown(number: float) -> str:
    return f"{number:.3f}".replace("0.", ".").replace("-", "−")


def test_there_are_studies():
    assert STUDIES


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_the_readme_says_what_the_study_says(study):
    """Every study is listed in reports/README.md; those in the README's table have their main rows there, all right."""
    assert f"({study.name}/report/report.md)" in (ROOT / "reports" / "README.md").read_text()
    results = json.loads((study / "report" / "results.json").read_text())
    rows = {
        label: numbers
        for (name, label), numbers in shown((ROOT / "README.md").read_text()).items()
        if name == study.name
    }
    if not rows:
        return
    known = {result["label"]: expected(result) for result in results["rows"]}
    for reference in results["references"]:
        tau = reference["estimates"]["kendall_tau_b"]
        known[reference["label"]] = [as_shown(tau[name]) for name in ("value", "ci_low", "ci_high")]
    assert {label: known[label] for label in rows} == rows
    assert {"MNGNAS", "FairNAS", "SPOS", "parameter count"} & set(known) <= set(rows)


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_committed_records_are_whole(study):
    """Every record's scores are the ones it describes, made by one protocol and one preset, from clean sources."""
    records = [run.record for run in load_runs(study)]
    assert len({(record.protocol, preset_from_dict(record.preset, record.config)) for record in records}) == 1
    assert not any(record.dirty for record in records)
