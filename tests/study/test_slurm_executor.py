"""The executor of clusters on a queue that is made up: what is submitted, what is told, and what it costs."""

import json
import sys
import time

import pytest

from bench.study import slurm
from bench.study.executor import bundles
from bench.study.jobs import Job, Lease
from bench.study.slurm import SlurmConfig, SlurmExecutor, slurm_config
from mngnas.errors import UserError


@pytest.fixture
def queue(monkeypatch):
    """A queue whose elements are done, fail, or stay when they are submitted, as their names say."""
    submitted, inside = [], {}

    def array(_self, groups, _folder):
        names = [f"{len(submitted) + 1}_{place}" for place in range(len(groups))]
        for name, group in zip(names, groups, strict=True):
            for job in group:
                if "stays" in job.name:
                    inside[name] = "RUNNING"
                elif "fails" in job.name:
                    (job.directory / "error.json").write_text('{"reason": "it cannot", "status": 2}')
                elif "dies" not in job.name:
                    (job.directory / "result").touch()
        submitted.append([[job.name for job in group] for group in groups])
        return names

    monkeypatch.setattr(SlurmExecutor, "_array", array)
    monkeypatch.setattr(slurm, "states", lambda: dict(inside))
    monkeypatch.setattr(slurm, "_require_slurm", lambda: None)
    monkeypatch.setattr(slurm, "_SECONDS_BETWEEN_LOOKS", 0.0)
    return submitted, inside


def jobs(folder, *names, work="run"):
    return [Job(folder / name, work, "result") for name in names]


def test_every_job_is_submitted_once(queue, tmp_path):
    submitted, inside = queue
    executor, told = SlurmExecutor(SlurmConfig(), wait=False), []
    some = jobs(tmp_path, "a", "b-stays", "c")
    assert executor.run(some, told.append) == []
    assert submitted == [[["a"], ["b-stays"], ["c"]]]
    assert executor.run(some, told.append) == []
    assert len(submitted) == 1  # done, and in the queue
    assert (told[-1].done, told[-1].waiting, len(told[-1].working)) == (2, 0, 1)
    inside.clear()  # killed
    executor.run([*some, *jobs(tmp_path, "d")], told.append)
    assert submitted[1:] == [[["b-stays"], ["d"]]]
    assert json.loads((tmp_path / "slurm" / "queue.json").read_text())["b-stays"] == "2_0"


def test_failures_are_told_and_do_not_stop_the_others(queue, tmp_path):
    failures = SlurmExecutor(SlurmConfig()).run(jobs(tmp_path, "a", "b-fails", "c-dies"), lambda _: None)
    reasons = {one.job.name: one.reason for one in failures}
    assert reasons["b-fails"] == "it cannot"
    assert reasons["c-dies"].startswith("its element 1_2 left the queue without a result; the same command")
    assert len(queue[0]) == 1


def test_light_jobs_share_an_element_and_arrays_have_a_limit(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "_MOST_IN_AN_ARRAY", 2)
    light = jobs(tmp_path, *(f"s{n}" for n in range(40)), work="search")
    SlurmExecutor(SlurmConfig(at_once=2)).run([*jobs(tmp_path, "a", "b"), *light], lambda _: None)
    assert [name for array in queue[0] for group in array for name in group] == [
        "a",
        "b",
        *(f"s{n}" for n in range(40)),
    ]
    assert all(len(array) <= 2 for array in queue[0])
    assert sum(map(len, queue[0])) == 2 + len(bundles(light, 2)) < 12


def test_two_commands_at_once_do_not_submit_the_same(queue, tmp_path):
    (tmp_path / "slurm").mkdir()
    held = Lease(tmp_path / "slurm")
    assert held.acquire()
    waited = []

    def give_back(*_arguments):
        waited.append(True)
        held.release()

    import bench.study.jobs as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.time, "sleep", give_back)
        SlurmExecutor(SlurmConfig(), wait=False).run(jobs(tmp_path, "a"), lambda _: None)
    assert waited
    assert queue[0] == [[["a"]]]


def test_the_parents_cost_grows_as_the_number_of_runs(queue, tmp_path):
    """Fake work: submitting, waiting for and looking at n runs takes below a second a hundred of them."""
    seconds = {}
    for n in (100, 1000):
        some = jobs(tmp_path / str(n), *(f"run{i}" for i in range(n)))
        began = time.process_time()
        assert SlurmExecutor(SlurmConfig()).run(some, lambda _: None) == []
        seconds[n] = time.process_time() - began
    assert seconds[1000] < 10
    assert seconds[1000] < 30 * max(seconds[100], 0.02)
    assert len(queue[0]) == 2


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ("minuts = 3", {}, "unknown entry of slurm 'minuts'; did you mean 'minutes'"),
        ("minutes = 0", {}, "slurm.minutes = 0 must be at least 1"),
        ("minutes = 1.5", {}, "slurm.minutes = 1.5 is no whole number"),
        ("partition = 7", {}, "slurm.partition = 7 is no text"),
        ("minutes", {}, "is not TOML"),
        ("", {"gpus": 65}, "slurm.gpus = 65 must be at least 0 and at most 64"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path, content, changes, message):
    path = tmp_path / "slurm.toml"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as raised:
        slurm_config(path, changes)
    assert "\n" not in str(raised.value)


def test_a_file_and_options_together(tmp_path):
    path = tmp_path / "slurm.toml"
    path.write_text('partition = "long"\nmemory_gb = 8\nsetup = "module load cuda"')
    found = slurm_config(path, {"partition": "short"})
    assert (found.partition, found.memory_gb, found.setup, found.minutes) == ("short", 8, "module load cuda", 240)
    parameters = SlurmExecutor(found)._parameters("study")
    assert parameters["slurm_additional_parameters"] == {"requeue": True, "partition": "short"}
    assert parameters["slurm_setup"][-1] == "module load cuda"
    assert "gpus_per_node" not in parameters
    assert SlurmExecutor(SlurmConfig(gpus=2))._parameters("s")["gpus_per_node"] == 2


def test_without_slurm_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.shutil, "which", lambda _name: None)
    with pytest.raises(UserError, match="this machine has no sbatch and squeue; the default executor is local"):
        SlurmExecutor(SlurmConfig()).run(jobs(tmp_path, "a"), lambda _: None)


def test_without_submitit_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install 'mngnas-bench\[slurm\]'"):
        slurm._submitit()
