"""Work as files: a job is a directory, and its state is what lies in it, so any executor and any machine can go on.

    job.json       what is to be done; the same command, `python -m bench.study.work DIRECTORY`, does it anywhere
    lease          who is at it, while somebody is
    status.json    how far it is, renewed every few seconds: the heartbeat
    log.txt        what the process said besides
    error.json     why it failed, if it did; gone with the next try
    <result>       the job is done: named in job.json, for example record.json

Leases need no lock of the operating system and no common clock, so they hold on a network file system: one is a file
that only one process can create, and it counts as left behind when its owner is dead or has not renewed the heartbeat
for `STALE_SECONDS` by the clock of the file server.
"""

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.files import clear_drafts, digest_of, read_bounded, write_atomically
from mngnas.errors import UserError
from mngnas.settings import HUGE

JOB, LEASE, STATUS, LOG, ERROR = "job.json", "lease", "status.json", "log.txt", "error.json"
STALE_SECONDS = 120.0
HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True)
class Job:
    """Something to be done in a directory of its own."""

    directory: Path
    work: str  # the kind of work, see `bench.study.work.KINDS`
    result: str  # the file whose presence says that it is done
    arguments: Mapping[str, Any] = field(default_factory=dict)  # JSON types

    @property
    def name(self) -> str:
        """As shown to people."""
        return self.directory.name

    @property
    def is_done(self) -> bool:
        """Whether its result is there."""
        return (self.directory / self.result).exists()

    def save(self) -> None:
        """Write job.json, and forget an earlier failure; raises `UserError`."""
        content: dict[str, Any] = {"work": self.work, "result": self.result, "arguments": dict(self.arguments)}
        content |= {"sha256": _digest(content)}
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_atomically(self.directory / JOB, (json.dumps(content, indent=1) + "\n").encode())
            (self.directory / ERROR).unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {self.directory / JOB}: {error.strerror or error}") from error


def load_job(directory: Path) -> Job:
    """Read job.json; raises `UserError`, also if it was changed after it was written."""
    content = read_json(directory / JOB)
    try:
        known = content.pop("sha256", None)
        if set(content) != {"work", "result", "arguments"} or known not in (None, _digest(content)):
            raise TypeError
        return Job(directory, content["work"], content["result"], content["arguments"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{directory} is not a job: {JOB} is missing or damaged") from error


def _digest(content: Mapping[str, Any]) -> str:
    return digest_of(json.dumps(content, sort_keys=True).encode())


@dataclass(frozen=True)
class Status:
    """How far a job is."""

    phase: str = "starting"
    share: float = 0.0  # done, 0..1
    left: float = float("nan")  # estimated seconds


def save_status(directory: Path, status: Status) -> None:
    """Renew the heartbeat."""
    content = {
        "phase": status.phase,
        "share": status.share,
        "left": status.left if status.left == status.left else None,
    }
    write_atomically(directory / STATUS, json.dumps(content).encode())


def load_status(directory: Path) -> Status:
    """How far the job is, as it last said."""
    content = read_json(directory / STATUS)
    numbers = [content.get(name) for name in ("share", "left")]
    share, left = (float(n) if isinstance(n, int | float) and abs(n) < HUGE else float("nan") for n in numbers)
    return Status(str(content.get("phase", "starting"))[:100], share if share == share else 0.0, left)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a small state file; empty where there is none, or where it is being written or damaged."""
    try:
        content = json.loads(read_bounded(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


# --------------------------------------------------------------------------------------------------------------- leases


class Lease:
    """The right to work in a directory; one process has it at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.token = uuid.uuid4().hex

    def acquire(self) -> bool:
        """Whether this process has the right now; takes over what a dead process left behind."""
        if self._create(self.directory / LEASE) or self._take_over():
            self._clear()
            return True
        return False

    def _take_over(self) -> bool:
        held = read_json(self.directory / LEASE)
        if not _is_left_behind(self.directory, held):
            return False
        # Only one of several processes that see the same dead owner may replace its lease: the one that creates this.
        token = re.sub(r"\W", "", str(held.get("token")))[:64]
        claim = self.directory / f".{LEASE}.after-{token}"
        if not self._create(claim):
            if age_of(self.directory, claim) > STALE_SECONDS:  # died between the two steps
                claim.unlink(missing_ok=True)
            return False
        if read_json(self.directory / LEASE) == held:  # nobody has replaced it since it was read
            self._draft().replace(self.directory / LEASE)
        claim.unlink(missing_ok=True)
        return self.is_mine

    @property
    def is_mine(self) -> bool:
        """Whether nobody has taken it over meanwhile."""
        return read_json(self.directory / LEASE).get("token") == self.token

    def release(self) -> None:
        """Give it back, if it is still ours."""
        if self.is_mine:
            (self.directory / LEASE).unlink(missing_ok=True)

    def _clear(self) -> None:
        """Remove what killed processes left here: drafts of files and of leases, and what clocks were read by."""
        clear_drafts(self.directory)
        with suppress(OSError):
            for path in self.directory.glob(".clock.*"):
                path.unlink(missing_ok=True)  # whoever reads it has it open
            for path in self.directory.glob(f".{LEASE}.*"):
                owner = read_json(path)
                here = owner.get("host") == socket.gethostname()
                if not _is_alive(owner) if here else age_of(self.directory, path) > STALE_SECONDS:
                    path.unlink(missing_ok=True)

    def _draft(self) -> Path:
        draft = self.directory / f".{LEASE}.{self.token}"
        owner = {"token": self.token, "host": socket.gethostname(), "pid": os.getpid(), "began": _began(os.getpid())}
        draft.write_text(json.dumps(owner))
        return draft

    def _create(self, path: Path) -> bool:
        """Make a file that must not be there yet, whole: linking is atomic on every file system that has links."""
        draft = self._draft()
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True


def _is_left_behind(directory: Path, held: Mapping[str, Any]) -> bool:
    """Whether its owner is no more; a lease that cannot be read has none that can be asked."""
    if held.get("host") == socket.gethostname():
        return not _is_alive(held)
    silence = age_of(directory, directory / STATUS)
    return silence > STALE_SECONDS and STALE_SECONDS < age_of(directory, directory / LEASE) < float("inf")


def _is_alive(owner: Mapping[str, Any]) -> bool:
    """Whether a process of this machine is still the one that it was."""
    pid = owner.get("pid")
    return isinstance(pid, int) and owner.get("began") == _began(pid) != ""


def age_of(directory: Path, path: Path) -> float:
    """Seconds since a file was written, both times by the file server's clock; endless if there is none."""
    probe = directory / f".clock.{uuid.uuid4().hex}"
    try:
        with probe.open("wb") as clock:  # once it is open, anybody may clear it away
            probe.unlink(missing_ok=True)
            return os.fstat(clock.fileno()).st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _began(pid: int) -> str:
    """When a process of this machine began; "" if there is none. A number that was given again is another process."""
    try:
        about = Path(f"/proc/{pid}/stat").read_bytes()  # with the name of the program, which may be any bytes
        return about.rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError, ValueError):
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)  # no /proc: whether it lives must do
    except (OSError, OverflowError, ValueError):
        return ""
    return "alive"


def wait_for(lease: Lease, job: Job, seconds: float = 0.5, check: Callable[[], None] = lambda: None) -> bool:
    """Wait until the lease is ours, or until somebody else has done the job; returns whether it is ours.

    `check` is called between two tries, and may raise or end the process.
    """
    while not job.is_done:
        check()
        if lease.acquire():
            return True
        time.sleep(seconds)
    return False


def wait_until_free(lease: Lease, seconds: float = 0.5) -> None:
    """Wait until the lease is ours."""
    while not lease.acquire():
        time.sleep(seconds)
