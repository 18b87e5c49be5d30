"""Brief stand-alone training: which architectures, resumed after a kill, the same whatever the number of processes."""

import json
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.study.brief import BRIEF, brief_archs, load_brief, train_briefly
from bench.study.executor import Failure, LocalExecutor
from bench.study.jobs import Job, Lease
from bench.study.parts import PART, RESULT, Part, read_part, write_part
from bench.study.work import do
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY
from tests.study.in_this_process import InThisProcess, quiet
from tests.tiny import opened, tiny_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(tmp_path):
    return opened(tmp_path / "study")


def test_the_architectures_are_connected_scored_and_nested(study):
    few, many = brief_archs(study, 5), brief_archs(study, 50)
    assert many[:5] == few
    assert len(set(many)) == 50
    assert TOPOLOGY.connected[many].all()
    assert len(brief_archs(study, 10_000)) < tiny_study().preset.sample + 1


def test_trainings_are_kept_and_go_on(study):
    with pytest.raises(KeyboardInterrupt):
        train_briefly(study, 15, 3, InThisProcess(at_most=1), quiet)
    assert len(load_brief(study).by_index) == 10
    executor = InThisProcess()
    found = train_briefly(study, 15, 3, executor, quiet)
    assert [len(job.arguments["archs"]) for job in executor.done] == [5]
    assert sorted(found.by_index) == sorted(brief_archs(study, 15))
    assert load_brief(study) == found
    assert train_briefly(study, 12, 3, InThisProcess(at_most=0), quiet) == found
    assert not list(study.glob("brief-*"))


def test_a_job_that_was_killed_goes_on_where_it_was(study):
    archs = brief_archs(study, 3)
    whole = train_briefly(study, 3, 3, InThisProcess(), quiet)
    job = Job(study / "brief-x", "brief training", "scores.json", {"archs": archs, "steps": 3})
    job.save()
    write_part(job.directory / PART, Part({"steps": 3}, {archs[0]: [0.25, 9.0]}))
    do(job)
    found = read_part(job.directory / RESULT).found
    assert found[archs[0]] == [0.25, 9.0]  # not trained again
    assert [tuple(found[i]) for i in archs[1:]] == [whole.by_index[i] for i in archs[1:]]


def test_processes_find_the_same(study, tmp_path):
    other = opened(tmp_path / "other")
    assert train_briefly(study, 3, 3, LocalExecutor(2), quiet) == train_briefly(other, 3, 3, InThisProcess(), quiet)


def test_longer_training_lowers_the_loss(study, tmp_path):
    other = opened(tmp_path / "other")
    few = train_briefly(study, 6, 2, InThisProcess(), quiet).scores
    more = train_briefly(other, 6, 60, InThisProcess(), quiet).scores
    assert more.columns["minus_loss"].mean() > few.columns["minus_loss"].mean() + 0.3
    np.testing.assert_array_equal(few.arch_index, more.arch_index)


def test_lengths_are_not_mixed(study):
    train_briefly(study, 2, 3, InThisProcess(), quiet)
    with pytest.raises(UserError, match=r"has brief trainings of 3 steps at 0\.1, not 4 at 0\.1: delete its brief"):
        train_briefly(study, 2, 4, InThisProcess(), quiet)


def test_a_failure_is_told(study):
    class Failing:
        def run(self, jobs, _on_progress):
            return [Failure(jobs[0], "no memory")]

    with pytest.raises(UserError, match=r"brief training failed: no memory; the same command goes on"):
        train_briefly(study, 2, 3, Failing(), quiet)


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", '{"steps": 3}'),
        '{"steps": 3, "learning_rate": 0.1, "scores": {"-1": [0.5, 1]}}',
        '{"steps": 3, "learning_rate": 0.1, "scores": {"1": [1.5, 1]}}',
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(study, content):
    (study / BRIEF).write_text(content)
    with pytest.raises(UserError, match=r"brief\.json is not readable .*: delete it"):
        load_brief(study)


def test_the_former_name_is_read(study):
    found = train_briefly(study, 2, 3, InThisProcess(), quiet)
    (study / BRIEF).rename(study / "short.json")
    assert load_brief(study) == found
    assert load_brief(study.parent) is None
    assert replace(found, by_index={}).scores.arch_index.shape == (0,)


def test_killed_while_it_starts_it_leaves_no_process(tmp_path, start):
    """The parent is killed at ten random moments of its first seconds; whatever it had started ends by itself."""
    directory = opened(tmp_path / "study")
    draw = random.Random(0)
    command = [
        sys.executable,
        "run_bench.py",
        "brief",
        str(directory),
        "--archs",
        "20",
        "--steps",
        "100000",
        "--jobs",
        "2",
    ]
    for _ in range(10):
        process = start(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.3, 3.0))
        process.kill()
        process.wait()
        deadline = time.monotonic() + 20
        while at_work(directory) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not at_work(directory)


def at_work(directory) -> list[str]:
    """The processes of this machine whose command names the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(directory) in text and "bench.study.work" in text:
            found.append(text)
    return found


def test_a_changed_file_is_refused_and_a_broken_part_is_done_again(study):
    found = train_briefly(study, 3, 3, InThisProcess(), quiet)
    path = study / BRIEF
    content = json.loads(path.read_text())
    first = next(iter(content["scores"]))
    content["scores"][first][0] += 0.01
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"was changed after it was written"):
        load_brief(study)
    path.unlink()
    (study / f".{BRIEF}.sha256").unlink()
    job = Job(study / "brief-x", "brief training", "scores.json", {"archs": sorted(found.by_index), "steps": 3})
    job.save()
    (job.directory / PART).write_text('{"about": {"steps": 3}, "found": {"5": [0.5, NaN]}}')
    do(job)
    assert set(read_part(job.directory / RESULT).found) == set(found.by_index)


def test_what_a_killed_job_left_is_taken_in(study):
    """Also where the next command asks for others, and so makes other jobs."""
    archs = brief_archs(study, 5)
    write_part(left(study, "brief-x") / PART, Part({"steps": 3}, {archs[3]: [0.25, 9.0]}))
    write_part(left(study, "brief-y") / PART, Part({"steps": 4}, {archs[2]: [0.25, 9.0]}))  # of another length
    at_work = left(study, "brief-z")
    write_part(at_work / PART, Part({"steps": 3}, {archs[1]: [0.25, 9.0]}))
    assert Lease(at_work).acquire()
    executor = InThisProcess()
    found = train_briefly(study, 5, 3, executor, quiet)
    assert [job.arguments["archs"] for job in executor.done] == [[one for one in archs if one != archs[3]]]
    assert found.by_index[archs[3]] == (0.25, 9.0)
    assert [path.name for path in study.glob("brief-*/")] == ["brief-z"]


def left(study, name):
    """The directory of a job whose process is no more."""
    job = Job(study / name, "brief training", RESULT, {"archs": [], "steps": 3})
    job.save()
    return job.directory
