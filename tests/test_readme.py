"""The README's numbers are those of the committed studies, and these are whole."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from scipy.stats import kendalltau

from bench.study.jobs import read_json
from bench.study.preset import PROTOCOL
from bench.study.store import load_runs
from bench.truth import Measure, load_table

ROOT = Path(__file__).resolve().parents[1]
STUDIES = sorted(path.parent.parent for path in ROOT.glob("reports/*/report/results.json"))


def results_table():
    """scripts/results_table.py as a module."""
    spec = importlib.util.spec_from_file_location("results_table", ROOT / "scripts" / "results_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_says_what_the_studies_say():
    assert results_table().page() == (ROOT / "README.md").read_text(encoding="utf-8"), "run scripts/results_table.py"


def test_the_readmes_code_runs(capsys):
    """It scores all architectures; its tau is SciPy's."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] in code
    assert "15,625" in lines[4]
    table = load_table("digits201")
    tau = kendalltau(table.parameters["digits"], table.mean(Measure("digits", "test", 8))).statistic
    assert float(re.search(r"value=([\d.]+)", lines[-1])[1]) == pytest.approx(tau, abs=1e-9)


def test_the_table_says_what_is_of_an_older_protocol():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for study in results_table().STUDIES:
        (protocol,) = {run.record.protocol for run in load_runs(ROOT / "reports" / study)}
        assert (f"(reports/{study}/report/report.md), protocol {protocol} |" in page) == (protocol != PROTOCOL)


def test_there_are_studies():
    assert STUDIES


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_committed_studies_are_whole(study):
    """Listed, of one protocol and one preset, from clean sources; what `report` makes again is not kept."""
    assert f"({study.name}/report/report.md)" in (ROOT / "reports" / "README.md").read_text(encoding="utf-8")
    records = [run.record for run in load_runs(study)]
    assert len({(record.protocol, record.preset, record.changes) for record in records}) == 1
    assert not any(record.dirty for record in records)
    rows = json.loads((study / "report" / "results.json").read_text(encoding="utf-8"))["rankings"]["rows"]
    assert {label.split(",")[0] for label in (row["label"] for row in rows)} <= {
        part for record in records for part in (record.method.full_label, record.method.full_label.split(",")[0])
    }


def test_committed_studies_are_small():
    kept = [path for study in STUDIES for path in study.rglob("*") if path.suffix not in (".csv", ".html")]
    assert sum(path.stat().st_size for path in kept if path.is_file()) < 24_000_000


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_the_command_to_make_it_again_is_there(study):
    """A study of today is replayed from its own file; one of an older version says which commit and which commands."""
    page = (study / "report" / "report.md").read_text(encoding="utf-8")
    about = read_json(study / "study.json")
    older, where = about.get("made_by"), f"reports/{study.name}"
    if older or about["protocol"] != PROTOCOL:
        commands = older or [f"cp -r {where} ../{study.name}", f"python run_bench.py run --like ../{study.name} "]
        assert all(command in page for command in commands)
        assert "git checkout" in page
    else:
        assert f"python run_bench.py run --like {where} --out {where}-again" in page
