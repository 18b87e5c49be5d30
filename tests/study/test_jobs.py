"""Jobs as files: one owner at a time, dead owners are replaced, failures are told, others go on."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.study import jobs as jobs_module
from bench.study import work
from bench.study.executor import LocalExecutor, Progress, _Process, duration, progress_line
from bench.study.jobs import LEASE, STATUS, Job, Lease, Status, load_job, load_status, save_status, wait_for
from bench.study.work import KINDS
from mngnas.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Work that does what its arguments say, in this process and in others."""
    (tmp_path / "toy_work.py").write_text(
        "import os, time\n"
        "from bench.files import write_atomically\n"
        "from bench.study.jobs import Status\n"
        "from mngnas.errors import UserError\n"
        "def execute(job, report):\n"
        "    with (job.directory / 'began').open('a') as out:\n"
        "        out.write('x')\n"
        "    (job.directory / 'process').write_text(str(os.getpid()))\n"
        "    report(Status('working', 0.5, 1.0))\n"
        "    time.sleep(job.arguments.get('sleep', 0))\n"
        "    kind = job.arguments.get('fail')\n"
        "    if kind == 'user':\n"
        "        raise UserError('a mistake of yours')\n"
        "    if kind == 'bug':\n"
        "        raise RuntimeError('ours\\nsecond line')\n"
        "    if kind == 'die':\n"
        "        os._exit(9)\n"
        "    if kind == 'disk':\n"
        "        raise OSError(28, 'No space left on device', 'some/file')\n"
        "    write_atomically(job.directory / job.result, b'done')\n"
    )
    (tmp_path / "sitecustomize.py").write_text(
        "import bench.study.work as w\nw.KINDS['toy'] = ('toy_work', 'execute')\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(KINDS, "toy", ("toy_work", "execute"))

    def make(name, **arguments):
        return Job(tmp_path / "study" / name, "toy", "result", arguments)

    return make


def quiet(_progress):
    pass


def test_a_job_is_read_back(toy):
    job = toy("one", sleep=0)
    job.save()
    assert load_job(job.directory) == job
    (job.directory / "job.json").write_text("{")
    with pytest.raises(UserError, match=r"is not a job: job\.json is missing or damaged"):
        load_job(job.directory)


def test_jobs_are_done_and_failures_do_not_stop_the_others(toy):
    wanted = [toy("a"), toy("b", fail="user"), toy("c", fail="bug"), toy("d", fail="die"), toy("e", fail="disk")]
    wanted.append(toy("f"))
    lines = []
    failures = LocalExecutor(2).run(wanted, lambda progress: lines.append(progress_line(progress)))
    assert [job.is_done for job in wanted] == [True, False, False, False, False, True]
    reasons = {failure.job.name: failure.reason for failure in failures}
    assert set(reasons) == {"b", "c", "d", "e"}
    assert reasons["b"] == "a mistake of yours"
    assert reasons["c"].startswith("RuntimeError: ours (all of it: ")
    assert reasons["d"].startswith("exit status 9, ")
    assert reasons["e"] == "some/file: No space left on device"
    assert "Traceback" in (wanted[2].directory / "log.txt").read_text()
    assert lines[-1] == "2 of 6 done, 4 failed; none at work; time left: 0 s"
    assert all("\n" not in line for line in [*lines, *reasons.values()])
    assert not (wanted[0].directory / LEASE).exists()
    assert not (wanted[1].directory / LEASE).exists()


def test_what_is_done_is_left_alone_and_a_failure_is_forgotten_with_the_next_try(toy):
    first, second = toy("a"), toy("b", fail="user")
    assert len(LocalExecutor(1).run([first, second], quiet)) == 1
    again = toy("b")
    assert LocalExecutor(1).run([first, again], quiet) == []
    assert (first.directory / "began").read_text() == "x"
    assert not (again.directory / "error.json").exists()


@pytest.fixture
def light(toy, monkeypatch):
    """The same work, of which a process does many."""
    monkeypatch.setattr("bench.study.executor.LIGHT", {"toy"})
    return toy


def began_in(jobs):
    """The process of each job, in their order."""
    return [(job.directory / "process").read_text() if (job.directory / "process").exists() else "" for job in jobs]


def test_a_process_does_many_light_jobs(light):
    jobs = [light(f"j{i}") for i in range(24)]
    seen = []
    assert LocalExecutor(2).run(jobs, seen.append) == []
    assert all(job.is_done for job in jobs)
    assert [began_in(jobs).count(one) for one in dict.fromkeys(began_in(jobs))] == [12, 10, 2]
    for job in jobs:
        left = {path.name for path in job.directory.iterdir()} - {"log.txt"}  # of the toy's import
        assert left == {"job.json", "result", "began", "process"}
    assert (seen[-1].done, seen[-1].failed, seen[-1].waiting) == (24, 0, 0)
    for one in seen:
        assert 0 <= 24 - one.done - one.failed - one.waiting <= len(one.working)


def test_light_jobs_fail_alone(light):
    """Each has its own reason and log; one that ends its process takes no other with it."""
    kinds = {1: "user", 3: "bug", 5: "die", 6: "disk"}
    jobs = [light(f"j{i}", fail=kinds.get(i)) for i in range(9)]
    failures = {one.job.name: one.reason for one in LocalExecutor(1).run(jobs, quiet)}
    assert [job.is_done for job in jobs] == [i not in kinds for i in range(9)]
    assert set(failures) == {f"j{i}" for i in kinds}
    assert failures["j1"] == "a mistake of yours"
    assert failures["j3"] == f"RuntimeError: ours (all of it: {jobs[3].directory / 'log.txt'})"
    assert failures["j5"].startswith("exit status 9, it said nothing")
    assert failures["j6"] == "some/file: No space left on device"
    assert "Traceback" in (jobs[3].directory / "log.txt").read_text()
    assert not (jobs[2].directory / "log.txt").exists()
    assert all((job.directory / "began").read_text() == "x" for job in jobs)  # none was done twice
    assert not any((job.directory / LEASE).exists() for job in jobs if job.name != "j5")
    processes = began_in(jobs)
    assert len(set(processes[:6])) == 1
    assert len(set(processes[6:])) == 1
    assert processes[0] != processes[8]


def test_heavy_jobs_have_a_process_each(toy):
    jobs = [toy(f"j{i}") for i in range(3)]
    assert LocalExecutor(2).run(jobs, quiet) == []
    assert len(set(began_in(jobs))) == 3


def test_jobs_that_do_not_say_how_long_they_take_are_like_those_before(toy):
    seen = []
    assert LocalExecutor(1).run([toy(f"j{i}") for i in range(3)], seen.append) == []
    assert all(one.seconds_left == one.seconds_left for one in seen if one.done)
    assert seen[-1].seconds_left == 0


@pytest.mark.parametrize(
    ("share", "left", "usual", "seconds"),
    [(0.5, 7.0, 99.0, 7), (0.25, None, 99.0, 60), (0.0, None, 99.0, 79), (0.0, None, 5.0, 0), (0.0, None, None, None)],
)
def test_what_is_left_of_a_job(toy, share, left, usual, seconds):
    """As it says; by its share, after 20 seconds; as long as others took; unknown."""
    job, nan = toy("j"), float("nan")
    job.save()
    save_status(job.directory, Status("working", share, nan if left is None else left))
    *_, found = _Process([job], None, time.monotonic() - 20).said(nan if usual is None else usual)
    assert found == pytest.approx(nan if seconds is None else seconds, abs=1, nan_ok=True)


def test_two_processes_never_do_the_same_job(toy, start):
    job = toy("slow", sleep=1.5)
    job.save()
    command = [sys.executable, "-m", "bench.study.work", str(job.directory)]
    both = [start(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(timeout=60) for process in both] == [0, 0, 0]
    assert (job.directory / "began").read_text() == "x"


def test_many_threads_want_one_lease(tmp_path):
    leases = [Lease(tmp_path) for _ in range(20)]
    got = []
    threads = [threading.Thread(target=lambda lease=lease, got=got: got.append(lease.acquire())) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == 1
    owner = leases[[lease.is_mine for lease in leases].index(True)]
    leases[0 if owner is not leases[0] else 1].release()  # not theirs to give
    assert owner.is_mine
    owner.release()
    assert Lease(tmp_path).acquire()
    assert {path.name for path in tmp_path.iterdir()} == {LEASE}


def abandoned(directory, **owner):
    content = {"token": "dead", "host": socket.gethostname(), "pid": 2**22 + 5, "began": "1"} | owner
    (directory / LEASE).write_text(json.dumps(content))


def test_a_dead_owner_on_this_machine_is_replaced_at_once(tmp_path):
    abandoned(tmp_path)
    assert Lease(tmp_path).acquire()


def test_a_number_that_another_process_has_now_is_a_dead_owner(tmp_path):
    abandoned(tmp_path, pid=os.getpid())  # lives, but began at another time
    assert Lease(tmp_path).acquire()


def test_only_one_replaces_a_dead_owner(tmp_path):
    for _ in range(20):
        abandoned(tmp_path)
        leases, got = [Lease(tmp_path) for _ in range(8)], []
        threads = [
            threading.Thread(target=lambda lease=lease, got=got: got.append(lease.acquire())) for lease in leases
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(got) == sum(lease.is_mine for lease in leases) == 1


def test_an_owner_elsewhere_is_replaced_only_after_a_long_silence(tmp_path, monkeypatch):
    abandoned(tmp_path, host="another machine")
    save_status(tmp_path, Status("training", 0.5))
    assert not Lease(tmp_path).acquire()
    old = time.time() - 1000
    os.utime(tmp_path / LEASE, (old, old))
    assert not Lease(tmp_path).acquire()  # its heart beats
    os.utime(tmp_path / STATUS, (old, old))
    assert Lease(tmp_path).acquire()
    monkeypatch.setattr(jobs_module, "STALE_SECONDS", 0.0)


def test_an_owner_that_lost_its_lease_ends(toy, start):
    job = toy("slow", sleep=60)
    job.save()
    process = start([sys.executable, "-m", "bench.study.work", str(job.directory)], cwd=ROOT)
    while not (job.directory / "began").exists():
        time.sleep(0.05)
    (job.directory / LEASE).write_text(json.dumps({"token": "another"}))
    assert process.wait(timeout=30) == 1


def test_it_ends_with_the_process_that_started_it(toy, start):
    job = toy("orphan", sleep=60)
    code = (
        "import sys, time; from pathlib import Path; from bench.study.executor import LocalExecutor;"
        "from bench.study.jobs import Job;"
        f"LocalExecutor(1).run([Job(Path({str(job.directory)!r}), 'toy', 'result', {{'sleep': 60}})], lambda p: None)"
    )
    parent = start([sys.executable, "-c", code], cwd=ROOT)
    while not (job.directory / "began").exists():
        assert parent.poll() is None
        time.sleep(0.05)
    owner = json.loads((job.directory / LEASE).read_text())["pid"]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{owner}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{owner}").exists()
    assert Lease(job.directory).acquire()


def test_an_interrupted_executor_stops_its_processes(toy):
    job = toy("slow", sleep=60)

    def interrupt(_progress: Progress):
        if (job.directory / "began").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalExecutor(1).run([job], interrupt)
    assert Lease(job.directory).acquire()


def test_waiting_ends_when_somebody_else_has_done_it(toy):
    job = toy("one")
    job.save()
    (job.directory / "result").write_text("done")
    assert not wait_for(Lease(job.directory), job)


def test_a_status_is_read_back_and_damage_is_no_error(tmp_path):
    save_status(tmp_path, Status("training", 0.25, 10.0))
    assert load_status(tmp_path) == Status("training", 0.25, 10.0)
    (tmp_path / STATUS).write_text("{")
    assert load_status(tmp_path).phase == "starting"


def test_every_kind_of_work_is_there():
    import importlib

    for module, function in work.KINDS.values():
        assert callable(getattr(importlib.import_module(module), function))


def test_durations_for_people():
    assert [duration(s) for s in (0.4, 89, 100, 3600 * 2 + 300)] == ["0 s", "89 s", "2 min", "2 h 05 min"]


def test_a_folder_that_goes_while_its_jobs_are_at_work_is_one_line(toy, tmp_path):
    jobs = [toy("one", sleep=60), toy("two", sleep=60)]

    def remove(_progress: Progress):
        if (jobs[0].directory / "began").exists():
            (tmp_path / "study").rename(tmp_path / "renamed")

    with pytest.raises(UserError, match=r"study is gone: it was moved or deleted while its jobs were at work"):
        LocalExecutor(1).run(jobs, remove)
    assert not (tmp_path / "study").exists()  # nothing was made anew


def test_a_process_whose_folder_goes_ends_without_a_traceback(toy, tmp_path, start):
    job = toy("one", sleep=60)
    job.save()
    command = [sys.executable, "-m", "bench.study.work", str(job.directory)]
    process = start(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (job.directory / "began").exists():
        time.sleep(0.05)
    (tmp_path / "study").rename(tmp_path / "renamed")
    assert process.wait(timeout=30) == 2
    assert "Traceback" not in process.stderr.read()


def test_a_folder_that_becomes_read_only_is_one_line(toy, monkeypatch, capsys):
    job = toy("one")
    job.save()

    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied", "some/file")

    monkeypatch.setattr(work, "write_atomically", refuse)
    monkeypatch.setattr(work, "do", refuse)
    monkeypatch.setattr(Lease, "release", refuse)
    assert work.main(job.directory) == 2
    assert capsys.readouterr().err == "some/file: Permission denied\n"


def test_a_changed_job_is_refused(toy):
    job = toy("one", seed=0)
    job.save()
    path = job.directory / "job.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(UserError, match=r"is missing or damaged"):
        load_job(job.directory)


def test_a_damaged_lease_is_replaced_after_a_long_silence(tmp_path):
    (tmp_path / LEASE).write_text("{")
    assert not Lease(tmp_path).acquire()
    old = time.time() - 1000
    os.utime(tmp_path / LEASE, (old, old))
    assert Lease(tmp_path).acquire()


def test_a_waiting_process_ends_with_its_parent(toy):
    """Even before it has its lease."""
    job = toy("one", sleep=60)
    job.save()
    assert Lease(job.directory).acquire()
    environment = os.environ | {work.PARENT_VARIABLE: "1" if os.getpid() != 1 else "2"}
    command = [sys.executable, "-m", "bench.study.work", str(job.directory)]
    assert subprocess.run(command, cwd=ROOT, env=environment, timeout=30, check=False).returncode == 1


@pytest.mark.parametrize("said", ["soon", "-1", "nan", "inf"])
def test_a_senseless_time_between_checkpoints_is_one_line(monkeypatch, said):
    monkeypatch.setenv(work.CHECKPOINT_VARIABLE, said)
    with pytest.raises(UserError, match=r"is no number of seconds"):
        work.checkpoint_seconds()
