"""The numbers of the README are those of the committed studies, to the digit."""

import json
import re
from pathlib import Path

import pytest

from bench.records import load_runs

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
    return [f"{number:.3f}".replace("0.", ".").replace("-", "−") for number in numbers]


def test_there_are_studies():
    assert STUDIES


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_the_readme_says_what_the_study_says(study):
    results = json.loads((study / "report" / "results.json").read_text())
    rows = shown((ROOT / "README.md").read_text())
    for result in results["rows"]:
        assert rows[study.name, result["label"]] == expected(result)
    for reference in results["references"]:
        if reference["name"] == "parameters":
            tau = f"{reference['estimates']['kendall_tau_b']['value']:.3f}".replace("0.", ".")
            assert rows[study.name, reference["label"]][0] == tau


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_committed_records_are_whole(study):
    """Every record's scores are the ones it describes, made by one protocol and one preset, from clean sources."""
    runs = load_runs(study)
    assert len({json.dumps(run.record.config, sort_keys=True) for run in runs}) == 1
    assert not any(run.record.dirty for run in runs)
