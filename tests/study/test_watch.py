"""What a run says while it goes on, and how a study goes, from files alone."""

import io
import json
import os
import time

import pytest

from bench.cli import main
from bench.study import watch
from bench.study.begin import job_of
from bench.study.events import EVENTS, Events, last_events, read_events
from bench.study.jobs import STATUS, Lease, Status, save_status
from bench.study.spec import PlannedRun
from bench.study.work import do
from mngnas.errors import UserError
from tests.tiny import FAIRNAS, SPOS, opened


@pytest.fixture
def study(tmp_path):
    more = [PlannedRun("spos", {}, seed) for seed in (7, 8, 9)]
    return opened(tmp_path / "study", SPOS, FAIRNAS, *more)


def run(study):
    job = job_of(study, SPOS)
    job.save()
    do(job)


def test_a_run_says_what_happens(study, monkeypatch):
    monkeypatch.setattr("bench.study.run._SECONDS_BETWEEN_EVENTS", 0.0)
    monkeypatch.setattr("bench.study.run._SECONDS_BETWEEN_REPORTS", 0.0)
    run(study)
    found, _ = read_events(study / "spos-seed0")
    kinds = [one["event"] for one in found]
    assert kinds[0] == "began"
    assert kinds[-1] == "done"
    assert kinds.count("point") == 4
    phases = [one["phase"] for one in found if one["event"] == "phase"]
    assert phases == ["training", "scoring, inherited", "scoring, retrained"]
    training = [one for one in found if one["event"] == "training"]
    assert [one["steps"] for one in training] == sorted({one["steps"] for one in training} | {0})[-len(training) :]
    last = training[-1]
    assert last["loss"] > 0
    assert 0 <= last["learning_rate"] <= 0.1
    assert last["passes"] == last["steps"]
    points = [one for one in found if one["event"] == "point"]
    assert points[-1]["spent"] == 1
    assert 0 <= points[-1]["mean accuracy"] <= 1
    assert [one for one in found if one["event"] == "scoring"][-1]["scored"] > 0


def test_a_line_in_the_making_is_left_and_a_broken_one_is_no_harm(tmp_path):
    events = Events(tmp_path)
    events.write("began", steps=0, spent=0.0)
    with events.path.open("a") as file:
        file.write('{"broken\n[1]\n{"time": "now", "event": "trai')
    found, offset = read_events(tmp_path)
    assert [one["event"] for one in found] == ["began"]
    with events.path.open("a") as file:
        file.write('ning"}\n')
    assert [one["event"] for one in read_events(tmp_path, offset)[0]] == ["training"]
    assert set(last_events(tmp_path)) == {"began", "training"}
    assert read_events(tmp_path / "nowhere") == ([], 0)
    assert last_events(tmp_path / "nowhere") == {}


def test_states_of_runs(study):
    run(study)
    working, failed, silent = (study / name for name in ("fairnas-seed1", "spos-seed7", "spos-seed8"))
    for folder in (working, failed, silent):
        folder.mkdir()
    assert Lease(working).acquire()
    save_status(working, Status("training", 0.25, 40.0))
    Events(working).write("training", steps=3, spent=0.2, passes=3.0, seconds=1.0, loss=2.5, learning_rate=0.1)
    (failed / "error.json").write_text(json.dumps({"reason": "it diverged"}))
    assert Lease(silent).acquire()
    save_status(silent, Status("training", 0.5, 10.0))
    before = time.time() - 1000
    os.utime(silent / STATUS, (before, before))
    found = {one.name: one for one in watch.run_states(study)}
    assert [found[run.name].state for run in (SPOS, FAIRNAS)] == ["done", "working"]
    assert [found[f"spos-seed{seed}"].state for seed in (7, 8, 9)] == ["failed", "silent", "waiting"]
    assert found["fairnas-seed1"].watched == {"loss": 2.5, "learning_rate": 0.1}
    assert (found["fairnas-seed1"].share, found["fairnas-seed1"].left) == (0.25, 40.0)
    assert found["spos-seed7"].note == "it diverged"
    assert found["spos-seed8"].silence == pytest.approx(1000, abs=5)
    assert watch.summary(list(found.values())) == "5 runs: 1 done, 1 waiting, 1 working, 1 silent, 1 failed"


def test_the_command_shows_them_in_plain_lines(study, capsys):
    run(study)
    (study / "spos-seed7").mkdir()
    (study / "spos-seed7" / "error.json").write_text(json.dumps({"reason": "it diverged"}))
    assert main(["status", str(study)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "spos-seed7  failed  it diverged"
    assert lines[-1] == "5 runs: 1 done, 3 waiting, 1 failed"
    assert main(["status", str(study / "spos-seed0")]) == 2
    assert "is not a study" in capsys.readouterr().err


def test_following_ends_when_all_is_over(tmp_path, capsys):
    opened(tmp_path / "one", SPOS)
    run(tmp_path / "one")
    assert main(["status", str(tmp_path / "one"), "--follow"]) == 0
    assert capsys.readouterr().out == "1 runs: 1 done\n"


def test_on_a_terminal_it_is_a_table(study):
    from rich.console import Console

    from bench.cli.status import _table

    run(study)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(_table(watch.run_states(study)))
    text = console.export_text()
    assert "5 runs: 1 done, 4 waiting" in text
    assert "spos-seed0" in text


def test_for_tensorboard(study, tmp_path):
    pytest.importorskip("tensorboard", reason="needs tensorboard, of the extra [tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(study)
    with (study / "spos-seed0" / EVENTS).open("a") as file:
        file.write('{"time": "now", "event": "training", "steps": 9, "spent": 0.5, "loss": 1.5}\n')
    board = watch.Board(study, tmp_path / "board")
    assert board.update() > 0
    assert board.update() == 0
    found = EventAccumulator(str(tmp_path / "board" / "spos-seed0"))
    found.Reload()
    assert found.Scalars("training/loss")[-1].value == 1.5
    assert found.Scalars("training/loss")[-1].step == 9
    assert len(found.Scalars("point/mean accuracy")) == 4
    with pytest.raises(UserError, match="is not empty: remove it"):
        watch.Board(study, tmp_path / "board")
