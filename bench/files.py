"""Writing files that are either whole or not there, and noticing those that were changed since."""

import errno
import hashlib
import io
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

MOST_TEXT = 100_000_000  # bytes of a file of settings or records, by far
_DRAFT = re.compile(r"\.(.+)\.(\d{1,9})")  # of `write_atomically`: name and process
_DRAFT_SECONDS = 1.0  # on a network file system the process may be another machine's: what is this fresh is left


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that appears under its name only when it is complete and on the disk.

    What killed processes left of such files in the same folder is removed.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):  # what is wrong has been told by then
            draft.unlink(missing_ok=True)
    clear_drafts(path.parent)


def clear_drafts(folder: Path) -> None:
    """Remove the drafts of processes of this machine that are no more; nothing else, and no error."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            found = _DRAFT.fullmatch(entry.name)
            if found and not is_alive(int(found[2])):
                with suppress(OSError):
                    if time.time() - entry.stat().st_mtime > _DRAFT_SECONDS:
                        Path(entry.path).unlink()


def is_alive(pid: int) -> bool:
    """Whether this machine has a process of this number."""
    if Path("/proc/self").exists():
        return Path(f"/proc/{pid}").exists()
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def read_bounded(path: Path, most: int = MOST_TEXT) -> bytes:
    """What is in a file that should be small; raises OSError if there is more, as in a device that never ends."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return content


def npz_bytes(arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> bytes:
    """The contents of an .npz file that holds these arrays."""
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------------------------- seals


def seal_path(path: Path) -> Path:
    """The file beside `path` with a line for each content that it ever had: the digest of what counts in it."""
    return path.with_name(f".{path.name}.sha256")


def add_seal(path: Path, *digests: str) -> None:
    """Call this before writing `path`: it says that contents of these digests are meant.

    Lines are added and never taken away, so two processes that write at once, and one that is killed, do no harm.
    """
    seal = seal_path(path)
    known = _sealed(seal)
    if missing := [digest for digest in digests if digest not in known]:
        with seal.open("ab") as out:
            out.write("".join(f"{digest}\n" for digest in missing).encode())
            out.flush()
            os.fsync(out.fileno())


def is_as_sealed(path: Path, digest: str) -> bool:
    """Whether a content of this digest was ever meant; what has no seal, as older files, is taken as it is."""
    seal = seal_path(path)
    return not seal.exists() or digest in _sealed(seal)


def _sealed(seal: Path) -> set[str]:
    return set(seal.read_text(encoding="latin1").split()) if seal.exists() else set()


def digest_of(content: bytes) -> str:
    """SHA-256 in hex digits."""
    return hashlib.sha256(content).hexdigest()
