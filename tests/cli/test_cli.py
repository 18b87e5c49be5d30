"""The command line: what it prints, what it writes, and one line with exit status 2 for every mistake."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

import bench.cli
from bench.cli import main
from bench.cli.run import _rows
from bench.study.executor import Failure
from bench.study.spec import PlannedRun, load_study
from bench.study.store import RECORD
from bench.truth import load_table
from mngnas.errors import UserError
from mngnas.methods.registry import methods, select
from tests.report.made_up import made_up_table, write_run
from tests.tiny import SPOS, opened

pytestmark = pytest.mark.usefixtures("own_cache")


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in ("nb201", "nats", "nasbench201", "digits201", "cifar10", "cifar100", "imagenet16-120", "digits"):
        assert name in text
    for name in (
        "spos",
        "fairnas",
        "mngnas",
        "digits",
        "cpu",
        "gpu",
        "paper",
        "kendall_tau_b",
        "regret",
    ):
        assert f"  {name} " in text
    assert "nats         [cached]" in text
    assert "nb201        [not cached]" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("evalute x.json", "unknown command 'evalute'; did you mean 'evaluate'? available: list, data, "),
        ("run --strategy spos,fairnass", "unknown strategy 'fairnass'; did you mean 'fairnas'?"),
        ("run --strategy spos,mgnas*", "unknown strategy 'mgnas*'; did you mean 'mngnas'?"),
        ("run --strategy spos,!sps", "unknown strategy 'sps'; did you mean 'spos'?"),
        ("run --strategy spos,!*", "strategy 'spos,!*' leaves none"),
        ("ablate --strategy mngnas-none", "unknown strategy 'mngnas-none'"),
        (
            "run --benchmark digits201 --strategy mngnas[pol=2] --out OUT",
            "mngnas: unknown entry 'pol'; did you mean 'pool'?",
        ),
        ("run --strategy mngnas[pool", "has a bracket that does not close: name[field=value,...]"),
        (
            "run --benchmark digits201 --strategy mngnas[pool=9] --out OUT",
            "mngnas.pool = 9 must be at least 1 and at most 8",
        ),
        ("run --benchmark digits201 --strategy spos[x=1] --out OUT", "strategy 'spos' has no settings to change"),
        ("run --methods-from /nowhere", "there is no folder of methods /nowhere"),
        ("run --like NOWHERE", "is not a study: it has no study.json"),
        ("run --like NOWHERE --seeds 3 --preset cpu", "--like says what --seeds, --preset would say"),
        ("ablate --rows /nowhere", "cannot read /nowhere"),
        ("run --seeds 1000000000", "'1000000000' are 1,000,000,000 seeds; 100,000 at most"),
        (f"run --seeds {'9' * 5000}", "(5000 characters)' is not a positive whole number"),
        ("pack NOWHERE", "there is no study directory"),
        ("brief NOWHERE", "is not a study: it has no study.json"),
        ("retrain NOWHERE", "is not a study: it has no study.json"),
        ("retrain NOWHERE --passes 5,many", "'many' is not a positive whole number"),
        ("run --benchmark digits201 --preset cpus", "unknown preset 'cpus'; did you mean 'cpu'?"),
        ("run --seeds many", "'many' is not a positive whole number"),
        ("run --seeds 5-", "'5-' is neither a number of seeds nor a range such as 5-14"),
        ("run --seeds 7-5", "'7-5' is neither a number of seeds nor a range such as 5-14"),
        ("run --benchmark digits201 --set training.pass=3", "unknown entry 'pass'"),
        ("run --device tpu", "unknown device 'tpu'"),
        ("run --benchmark nats --out OUT", "cannot get cifar-10-python.tar.gz"),
        ("report NOWHERE", "there is no study directory"),
        ("data fetch cifar11", "unknown table or data set 'cifar11'; did you mean 'cifar10'?"),
        ("data build digits20", "unknown table 'digits20'; did you mean 'digits201'?"),
        ("data verify --archs 0", "'0' is not a positive whole number"),
        ("data fech", "unknown action 'fech'; did you mean 'fetch'?"),
        ("run --no-such-option", "unrecognized arguments: --no-such-option"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(arguments, message, tmp_path, capsys):
    named = {"OUT": str(tmp_path / "out"), "NOWHERE": str(tmp_path / "nowhere")}
    assert main([named.get(word, word) for word in arguments.split()]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("fairnas,spos", ["fairnas", "spos"]),
        ("*gnas,fair*,spos,fairnas", ["mngnas", "fairnas", "spos"]),
        ("fairnas,mngnas,spos,!mngnas", ["fairnas", "spos"]),
        ("!spos,spo*", ["spos"]),
    ],
)
def test_patterns_stand_for_methods(patterns, names):
    assert [name for name, _ in select(patterns)] == names


class Nothing:
    """An executor that does nothing, and remembers what it was asked for."""

    asked: ClassVar[list] = []

    def __init__(self, parallel):
        pass

    def run(self, jobs, _on_progress):
        type(self).asked += jobs
        return []


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The jobs that would be done, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.study.executor.LocalExecutor", Nothing)
    monkeypatch.setattr("bench.cli.run.write_report", lambda *_: None)
    monkeypatch.setattr(Nothing, "asked", [])
    return Nothing.asked


def ablation_rows():
    return select(_rows(Path(bench.cli.__file__).parent / "ablations.txt"))


def test_ablate_runs_the_rows_of_its_file(asked):
    assert main(["ablate", "--benchmark", "digits201"]) == 0
    rows = [(job.arguments["method"], job.arguments["changes"], job.arguments["seed"]) for job in asked]
    assert rows == [(name, changes, seed) for seed in range(5) for name, changes in ablation_rows()]
    assert {job.directory.parent.as_posix() for job in asked} == {"runs/digits201-digits-digits-ablations"}
    assert len(ablation_rows()) > 12


def test_ablate_takes_other_rows(asked, tmp_path):
    (tmp_path / "mine.txt").write_text("# mine\n\nspos  # plain\nmngnas[pool=2,cap=0.9]\n")
    assert main(["ablate", "--benchmark", "digits201", "--rows", "mine.txt", "--seeds", "1"]) == 0
    assert [job.name for job in asked] == ["spos-seed0", "mngnas_pool=2_cap=0.9-seed0"] or len(asked) == 2


def test_what_ablate_is_told_it_does(asked):
    chosen = ["--strategy", "mngnas[weight=0.0],spos", "--seeds", "2", "--out", "elsewhere"]
    assert main(["ablate", "--benchmark", "digits201", *chosen]) == 0
    assert main(["run", "--benchmark", "digits201", *chosen]) == 0
    assert asked[:4] == asked[4:]
    assert [(job.arguments["method"], job.arguments["seed"]) for job in asked[:4]] == [
        *(("mngnas", 0), ("spos", 0)),
        *(("mngnas", 1), ("spos", 1)),
    ]


def test_run_keeps_its_defaults(asked):
    assert main(["run", "--benchmark", "digits201"]) == 0
    assert {job.directory.parent.as_posix() for job in asked} == {"runs/digits201-digits-digits"}
    names = ("spos", "fairnas", "mngnas")
    assert [job.name for job in asked] == [f"{name}-seed{seed}" for seed in range(3) for name in names]


def test_settings_that_differ_are_different_studies(asked):
    for change in ("training.passes=50", "training.passes=60"):
        assert main(["run", "--benchmark", "digits201", "--set", change, "--seeds", "1"]) == 0
    assert len({job.directory.parent for job in asked}) == 2


def test_like_a_study_of_a_smaller_table(asked, tmp_path, capsys):
    """Scores that ask no table are made again beside the table of today; a search was told others."""
    opened(tmp_path / "scores", SPOS, table_checksum="x")
    opened(tmp_path / "search", PlannedRun("rea", {}, 0), table_checksum="x")
    assert main(["run", "--like", "scores", "--out", "again"]) == 0
    assert [job.name for job in asked] == ["spos-seed0"]
    assert load_study(tmp_path / "again").table_checksum == load_table("digits201").checksum
    assert main(["run", "--like", "search", "--out", "other"]) == 2
    assert "search was made with another table 'digits201'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["brief", "retrain"])
def test_more_work_on_a_study_takes_its_pictures_from_the_mirror_given(command, tmp_path, monkeypatch, capsys):
    """Before it starts, and in its jobs, which know no more than the study does."""
    directory, places = opened(tmp_path / "study", SPOS), []
    (directory / SPOS.name).mkdir()
    (directory / SPOS.name / RECORD).touch()  # it is finished

    def load_images(_name, mirror):
        places.append(mirror)
        raise UserError("these are none")

    monkeypatch.setattr("mngnas.data.datasets.load_images", load_images)
    assert main([command, str(directory), "--mirror", str(tmp_path)]) == 2
    assert "these are none" in capsys.readouterr().err
    assert places == [str(tmp_path)]
    assert load_study(directory).mirror == str(tmp_path)
    assert main([command, str(directory)]) == 2
    assert places[1:] == [str(tmp_path)]


def test_what_is_packed_names_no_folder_of_this_machine(tmp_path, capsys):
    directory = opened(tmp_path / "study", SPOS, mirror="/some/where", archive="/else/where")
    study = load_study(directory)
    write_run(directory, made_up_table())
    assert main(["pack", str(directory)]) == 0
    assert "1 runs in " in capsys.readouterr().out
    assert load_study(directory) == replace(study, mirror=None, archive=None)


def test_all_failures_are_told_at_the_end(monkeypatch, tmp_path, capsys):
    class Failing:
        def __init__(self, parallel):
            pass

        def run(self, jobs, _on_progress):
            return [Failure(job, f"reason of {job.name}") for job in jobs]

    monkeypatch.setattr("bench.study.executor.LocalExecutor", Failing)
    assert main(["run", "--benchmark", "digits201", "--seeds", "1", "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    for name in ("spos", "fairnas", "mngnas"):
        assert f"run {name}-seed0 failed: reason of {name}-seed0" in lines
    assert lines[-1] == "run_bench.py: 3 of 3 runs failed; the same command tries them again"


def test_a_polite_kill_ends_like_ctrl_c(monkeypatch, capsys):
    monkeypatch.setattr("bench.cli.listing.command", lambda _options: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["list"]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "interrupted; the same command goes on from the last checkpoint" in capsys.readouterr().err


def test_list_shows_a_users_methods(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(
        "from mngnas.methods.info import MethodInfo\n"
        "class Mine:\n"
        "    info = MethodInfo('mine', 'Mine', 'You 2026', 'does nothing', 'training-free')\n"
    )
    assert main(["list", "--methods-from", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "does nothing (You 2026)" in text.partition("strategies, training-free\n  ")[2]
    assert "mine" not in methods()
