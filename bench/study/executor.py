"""Who does the jobs: processes of this machine, side by side. Another executor is a class of the same shape."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.provenance import core_count
from bench.study.jobs import ERROR, LOG, Job, Status, load_status, read_json
from bench.study.work import CORES_VARIABLE, LIGHT, PARENT_VARIABLE
from mngnas.errors import UserError

_ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_SECONDS_BETWEEN_LOOKS = 0.2
_LEAST_LIGHT, _MOST_LIGHT = 10, 100  # jobs of one process, while there are so many


@dataclass(frozen=True)
class Failure:
    """A job that did not end well."""

    job: Job
    reason: str  # one line


@dataclass(frozen=True)
class Progress:
    """Where all jobs are."""

    total: int
    done: int  # with those that were done before
    failed: int
    waiting: int
    working: Sequence[tuple[Job, Status]]
    seconds_left: float  # NaN while unknown


class Executor(Protocol):
    """Does jobs and says how it goes; those that are done already are left alone."""

    def run(self, jobs: Sequence[Job], on_progress: Callable[[Progress], None]) -> list[Failure]:
        """Do all jobs; one that fails does not stop the others."""


@dataclass
class _Process:
    jobs: Sequence[Job]  # one, or light ones, which it does in this order
    process: "subprocess.Popen[bytes]"
    began: float
    settled: int = 0  # of `jobs` the first so many are done or have failed

    def look(self) -> None:
        """See how far it is."""
        while self.settled < len(self.jobs) and _is_settled(self.jobs[self.settled]):
            self.settled += 1

    def said(self, usual: float) -> tuple[Job, Status, float]:
        """The job at work, what it says, and the estimated seconds until all are done: as it says itself, else by the
        share that is done, else as long as a job took before (`usual`, NaN while unknown).
        """
        job = self.jobs[min(self.settled, len(self.jobs) - 1)]
        status = load_status(job.directory)
        share, left = self.settled / len(self.jobs), float("nan")
        if len(self.jobs) == 1 and not self.settled:
            share, left = status.share, status.left
        if left != left:
            left = self.seconds * (1 / share - 1) if share > 0 else usual * len(self.jobs) - self.seconds
        return job, status, max(left, 0.0)  # NaN stays NaN

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.began


@dataclass(frozen=True)
class LocalExecutor:
    """`parallel` processes of this machine at a time, one thread each; they end with this process.

    A process does one job, or many of a light kind.
    """

    parallel: int

    def run(self, jobs: Sequence[Job], on_progress: Callable[[Progress], None]) -> list[Failure]:
        """Do all jobs, in their order."""
        waiting = [job for job in jobs if not job.is_done]
        done, failures, working = len(jobs) - len(waiting), list[Failure](), list[_Process]()
        durations: list[float] = []  # of single jobs
        for folder in {job.directory.parent for job in waiting}:
            _make(folder)
        try:
            while waiting or working:
                while waiting and len(working) < self.parallel:
                    working.append(_start(_take(waiting, self.parallel), max(1, core_count() // self.parallel)))
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                for one in [one for one in working if one.process.poll() is not None]:
                    working.remove(one)
                    failed, left = _end(one)
                    durations += [one.seconds / len(one.jobs)] * (len(one.jobs) - len(left))
                    done += len(one.jobs) - len(failed) - len(left)
                    failures += failed
                    waiting[:0] = left
                for one in working:
                    one.look()
                on_progress(self._progress(len(jobs), done, len(failures), len(waiting), working, durations))
        finally:
            for one in working:
                one.process.terminate()
            for one in working:
                one.process.wait()
        return failures

    def _progress(
        self, total: int, done: int, failed: int, waiting: int, working: Sequence[_Process], durations: Sequence[float]
    ) -> Progress:
        usual = sum(durations) / len(durations) if durations else float("nan")
        said = [one.said(usual) for one in working]
        lefts = [left for *_, left in said]
        each = [(one.seconds + left) / len(one.jobs) for one, left in zip(working, lefts, strict=True)]
        whole = [*durations, *each]
        seconds = float("nan")
        if whole and all(left == left for left in lefts):
            ends = sorted(lefts) or [0.0]
            for _ in range(waiting):  # each waiting job starts where a process is free first
                mean = sum(whole) / len(whole)
                ends = sorted([*ends[1:], ends[0] + mean] if len(ends) >= self.parallel else [*ends, mean])
            seconds = ends[-1]
        failures = [job for one in working for job in one.jobs[: one.settled] if not job.is_done]
        done += sum(one.settled for one in working) - len(failures)
        return Progress(
            *(total, done, failed + len(failures)),
            waiting + sum(len(one.jobs) - one.settled - 1 for one in working if one.settled < len(one.jobs)),
            [(job, status) for job, status, _ in said],
            seconds,
        )


def _take(waiting: list[Job], parallel: int) -> list[Job]:
    """Take the first job, or as many light ones as are a fair share."""
    n = 1
    if waiting[0].work in LIGHT:
        light = next((i for i, job in enumerate(waiting) if job.work not in LIGHT), len(waiting))
        n = min(light, _MOST_LIGHT, max(_LEAST_LIGHT, -(-light // parallel)))
    taken = waiting[:n]
    del waiting[:n]
    return taken


def bundles(jobs: Sequence[Job], parallel: int) -> list[list[Job]]:
    """The jobs in their order, light ones together: what each process does."""
    waiting, found = list(jobs), []
    while waiting:
        found.append(_take(waiting, parallel))
    return found


def python_path() -> str:
    """PYTHONPATH for a process that does jobs: this package comes first."""
    return os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))


def _is_settled(job: Job) -> bool:
    return job.is_done or (job.directory / ERROR).exists()


def _end(one: _Process) -> tuple[list[Failure], list[Job]]:
    """Of a process that has ended the jobs that failed, and those that it did not come to.

    A process that dies does so in the first job that neither is done nor says why not: that one has failed.
    """
    open_jobs = [job for job in one.jobs if not _is_settled(job)]
    failed = [job for job in one.jobs if not job.is_done and job not in open_jobs[1:]]
    return [Failure(job, reason_of(job, f"exit status {one.process.returncode}")) for job in failed], open_jobs[1:]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error


def _start(jobs: Sequence[Job], cores: int) -> _Process:
    for job in jobs:
        if not job.directory.parent.is_dir():  # made anew it would lack all that its jobs need
            raise UserError(f"{job.directory.parent} is gone: it was moved or deleted while its jobs were at work")
        job.save()
    own = {"PYTHONPATH": python_path(), PARENT_VARIABLE: str(os.getpid()), CORES_VARIABLE: str(cores)}
    environment = os.environ | ONE_THREAD | own
    with (jobs[0].directory / LOG).open("ab") as log:
        command = [sys.executable, "-m", "bench.study.work", *(str(job.directory) for job in jobs)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    return _Process(jobs, process, time.monotonic())


def reason_of(job: Job, ended: str) -> str:
    """Why a job has failed, in one line; `ended` is how its process did, for one that said nothing itself."""
    if not job.directory.is_dir():
        return f"{job.directory} is gone: it was moved or deleted"
    error = read_json(job.directory / ERROR)
    if reason := error.get("reason"):
        return f"{reason} (all of it: {job.directory / LOG})" if error.get("status") == 1 else str(reason)
    try:
        lines = (job.directory / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    last = lines[-1] if lines else "it said nothing"
    return f"{ended}, {last} (all of it: {job.directory / LOG})"


def progress_line(progress: Progress) -> str:
    """One line: how many are done, how far the working ones are, and about how long it will take."""
    parts = [f"{job.name} {status.phase} {100 * status.share:.0f} %" for job, status in progress.working]
    left = "unknown" if progress.seconds_left != progress.seconds_left else duration(progress.seconds_left)
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"{progress.done} of {progress.total} done{failed}; {', '.join(parts) or 'none at work'}; time left: {left}"


def duration(seconds: float) -> str:
    """A duration for people: "40 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
