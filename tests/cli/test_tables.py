"""`run_bench.py tables` from a committed study to files, and what a user may get wrong."""

from pathlib import Path

import pytest

from bench.cli import main

STUDY = str(Path(__file__).resolve().parents[2] / "reports" / "digits201")
pytestmark = pytest.mark.usefixtures("empty_cache")


def test_tables_of_a_committed_study(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["tables", STUDY, "--out", str(out), "--resamples", "5"]) == 0
    said = capsys.readouterr().out
    assert "left out: ours in the table of NAS-Bench-201: no study fits" in said
    assert "left out: transfer from digits201, digits: nothing ranks, or the table knows one data set only" in said
    assert "left out: ablations of digits201: no two variants of a method" in said
    names = ("search-nas-bench-201", "search-nats-bench", "ranking-digits201-digits")
    for name in names:
        for ending in ("md", "csv", "tex"):
            assert (out / f"{name}.{ending}").stat().st_size > 300
    text = (out / "ranking-digits201-digits.md").read_text(encoding="utf-8")
    assert "MNGNAS<br>digits201; inherited; 3 seeds" in text
    assert [line for line in (out / "tables.tex").read_text().splitlines() if "input" in line] == [
        f"\\input{{{name}}}" for name in names
    ]


def test_without_studies_published_figures_stand_alone(tmp_path, capsys):
    assert main(["tables", "--out", str(tmp_path / "out")]) == 0
    assert "2 tables in 7 files" in capsys.readouterr().out


def test_check_writes_nothing_and_is_no_failure(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["tables", STUDY, "--check", "--resamples", "5"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "0 of 0 cells of ours leave the published spread (2 sd, at least 0.15 point)"
    ]
    assert not (tmp_path / "tables").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no study directory nowhere"),
        (["--scores", "x.json"], "--scores: they are ranked on the ground truth of the studies, which have 0, not one"),
        ([STUDY, "--scores", "nowhere.json"], "nowhere.json"),
        ([STUDY, "--out", "/dev/null"], "cannot write tables to /dev/null"),
        ([STUDY, "--resamples", "0"], "'0' is not a positive whole number"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["tables", *arguments]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("run_bench.py"))
    assert message in line
