"""Who does the jobs: processes of this machine, side by side. Another executor is a class of the same shape."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.study.jobs import ERROR, LOG, Job, Status, load_status, read_json
from bench.study.work import PARENT_VARIABLE
from mngnas.errors import UserError

_ROOT = Path(__file__).resolve().parents[2]
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_SECONDS_BETWEEN_LOOKS = 0.2


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
    job: Job
    process: "subprocess.Popen[bytes]"
    began: float


@dataclass(frozen=True)
class LocalExecutor:
    """`parallel` processes of this machine at a time, one thread each; they end with this process."""

    parallel: int

    def run(self, jobs: Sequence[Job], on_progress: Callable[[Progress], None]) -> list[Failure]:
        """Do all jobs, in their order."""
        waiting = [job for job in jobs if not job.is_done]
        done, failures, working = len(jobs) - len(waiting), list[Failure](), list[_Process]()
        durations: list[float] = []
        for folder in {job.directory.parent for job in waiting}:
            _make(folder)
        try:
            while waiting or working:
                while waiting and len(working) < self.parallel:
                    working.append(_start(waiting.pop(0)))
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                for one in [one for one in working if one.process.poll() is not None]:
                    working.remove(one)
                    durations.append(time.monotonic() - one.began)
                    if one.job.is_done:
                        done += 1
                    else:
                        failures.append(Failure(one.job, _reason(one)))
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
        said = [(one.job, load_status(one.job.directory)) for one in working]
        lefts = [status.left for _, status in said]
        whole = [*durations, *(time.monotonic() - one.began + left for one, left in zip(working, lefts, strict=True))]
        seconds = float("nan")
        if whole and all(left == left for left in lefts):
            ends = sorted(lefts) or [0.0]
            for _ in range(waiting):  # each waiting job starts where a process is free first
                mean = sum(whole) / len(whole)
                ends = sorted([*ends[1:], ends[0] + mean] if len(ends) >= self.parallel else [*ends, mean])
            seconds = ends[-1]
        return Progress(total, done, failed, waiting, said, seconds)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error


def _start(job: Job) -> _Process:
    if not job.directory.parent.is_dir():  # made anew it would lack all that its jobs need
        raise UserError(f"{job.directory.parent} is gone: it was moved or deleted while its jobs were at work")
    job.save()
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | _ONE_THREAD | {"PYTHONPATH": path, PARENT_VARIABLE: str(os.getpid())}
    with (job.directory / LOG).open("ab") as log:
        command = [sys.executable, "-m", "bench.study.work", str(job.directory)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    return _Process(job, process, time.monotonic())


def _reason(one: _Process) -> str:
    if not one.job.directory.is_dir():
        return f"{one.job.directory} is gone: it was moved or deleted"
    if reason := read_json(one.job.directory / ERROR).get("reason"):
        if one.process.returncode == 1:
            reason = f"{reason} (all of it: {one.job.directory / LOG})"
        return str(reason)
    try:
        lines = (one.job.directory / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    last = lines[-1] if lines else "it said nothing"
    return f"exit status {one.process.returncode}, {last} (all of it: {one.job.directory / LOG})"


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
