"""The command that does a job, the same on a laptop and on a cluster: `python -m bench.study.work DIRECTORY...`.

It holds the job's lease, renews its heartbeat, and leaves its result or an error.json. Where MNGNAS_BENCH_PARENT names
the process that started it, it ends with that process. Several jobs are done one after the other, each as if it were
alone. Exit status: 0 done, 2 a user's mistake, 1 anything else; of several jobs the highest.
"""

import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from bench.files import write_atomically
from bench.study.jobs import ERROR, HEARTBEAT_SECONDS, LOG, STATUS, Job, Lease, Status, load_job, save_status, wait_for
from mngnas.errors import UserError
from mngnas.settings import HUGE

PARENT_VARIABLE = "MNGNAS_BENCH_PARENT"
CORES_VARIABLE = "MNGNAS_BENCH_CORES"  # how many this process may use; set by who starts it
CHECKPOINT_VARIABLE = "MNGNAS_BENCH_CHECKPOINT_SECONDS"
_SECONDS_BETWEEN_CHECKPOINTS = 20.0

Report = Callable[[Status], None]


class Work(Protocol):
    """What does jobs of one kind: goes on from what is in the directory, and leaves the job's result."""

    def __call__(self, job: Job, report: Report) -> None:
        """Do it; `report` may be called as often as one likes."""


KINDS = {  # module and function, imported when a job of the kind comes
    "run": ("bench.study.run", "execute"),
    "search": ("bench.study.search", "execute"),
    "brief training": ("bench.study.brief_work", "execute"),
    "supernet": ("bench.study.retrain_work", "train_supernet"),
    "retraining": ("bench.study.retrain_work", "execute"),
    "digits201": ("bench.digits201.job", "execute"),
}
LIGHT = {"search"}  # kinds of which one process had better do many: starting one takes longer than the job


def checkpoint_seconds() -> float:
    """Seconds between two checkpoints."""
    said = os.environ.get(CHECKPOINT_VARIABLE, str(_SECONDS_BETWEEN_CHECKPOINTS))
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < HUGE:
        raise UserError(f"{CHECKPOINT_VARIABLE} = {said[:40]!r} is no number of seconds")
    return seconds


def do(job: Job, report: Report = lambda _status: None) -> None:
    """Do a job in this process, without a lease: for tests, and for `main`."""
    if not job.is_done:
        module, function = KINDS[job.work]
        work: Work = getattr(importlib.import_module(module), function)
        work(job, report)


def cores() -> int:
    """How many cores the work of this process may use."""
    said = os.environ.get(CORES_VARIABLE, "1")
    return min(int(said), 256) if said.isascii() and said.isdecimal() and int(said) else 1


class _Heart:
    """Renews the heartbeat from a thread of its own, and ends the process when it should not go on."""

    def __init__(self, directory: Path, lease: Lease) -> None:
        self.directory, self.lease, self.status = directory, lease, Status()
        watched = os.environ.get(PARENT_VARIABLE)  # by a process of this machine, which shows it at once
        self.patience = 1.0 if watched else HEARTBEAT_SECONDS  # elsewhere a file server is spared
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """No more beats."""
        self.stopped.set()
        self.thread.join()

    def report(self, status: Status) -> None:
        """Called by the work, as often as it likes."""
        self.status = status

    def _beat(self) -> None:
        written, at = self.status, 0.0
        while not self.stopped.is_set():
            _end_with_the_parent()
            now = time.monotonic()
            if now - at >= HEARTBEAT_SECONDS or (now - at >= self.patience and self.status is not written):
                if at and not self.lease.is_mine:
                    os._exit(1 if self.directory.is_dir() else 2)  # somebody else is at it, or it is gone
                written, at = self.status, now
                with suppress(OSError):  # a full disk is told by the work itself; a heartbeat may come late
                    save_status(self.directory, written)
            self.stopped.wait(0.5)


def _end_with_the_parent() -> None:
    """End the process at once if the one that started it is no more."""
    parent = os.environ.get(PARENT_VARIABLE, "")
    if parent.isdecimal() and int(parent) and os.getppid() != int(parent):
        os._exit(1)


def main(*directories: Path) -> int:
    """Do the jobs in these directories as a process of its own; of several each has what is said in its own log."""
    worst = 0
    for directory in directories:
        status = _one(directory, own_log=len(directories) > 1)
        if status == 130:
            return status
        worst = max(worst, status)
    return worst


def _one(directory: Path, own_log: bool) -> int:
    try:
        if own_log:
            _speak_into(directory / LOG)
        _end_with_the_parent()
        job = load_job(directory)
        lease = Lease(directory)
        if not wait_for(lease, job, check=_end_with_the_parent):
            return 0
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    heart = _Heart(directory, lease)
    try:
        do(job, heart.report)
        heart.stop()
        _tidy(directory)
        return 0
    except UserError as error:
        return _failed(directory, str(error), 2)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _failed(directory, f"{error.filename or directory}: {error.strerror or error}", 2)
    except MemoryError:
        return _failed(directory, "there is not enough memory for these settings", 2)
    except Exception as error:
        traceback.print_exc()
        last = (str(error).splitlines() or [""])[0]
        return _failed(directory, f"{type(error).__name__}: {last}", 1)
    finally:
        with suppress(OSError):
            lease.release()


def _speak_into(path: Path) -> None:
    """What this process says from now on is added to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)


def _tidy(directory: Path) -> None:
    """Once the result is there nobody needs to know how it came about, unless something was said."""
    with suppress(OSError):
        (directory / STATUS).unlink(missing_ok=True)
        if (directory / LOG).exists() and not (directory / LOG).stat().st_size:
            (directory / LOG).unlink()


def _failed(directory: Path, reason: str, status: int) -> int:
    if not directory.is_dir():
        print(f"{directory} is gone: it was moved or deleted", file=sys.stderr)
        return 2
    try:
        write_atomically(directory / ERROR, json.dumps({"reason": reason[:1000], "status": status}).encode())
    except OSError:
        print(reason, file=sys.stderr)
    return status


if __name__ == "__main__":
    from bench.study import work  # not this second copy of the module

    sys.exit(work.main(*map(Path, sys.argv[1:])))
