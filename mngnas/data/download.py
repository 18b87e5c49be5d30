"""Published files, fetched once into a cache: checked by their checksum, resumable, and possible without a network.

Environment variables: MNGNAS_BENCH_CACHE (the cache folder), MNGNAS_BENCH_MIRROR (a folder or an http(s) address that
is asked first; a file lies there at GROUP/NAME or at NAME) and MNGNAS_BENCH_OFFLINE=1 (never touch the network).

pooch gives the platform's cache folder and the hashes. The transfer is here, because pooch starts an interrupted
download again from its first byte and CIFAR-10 is 163 MiB.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mngnas.errors import UserError

CACHE_VARIABLE = "MNGNAS_BENCH_CACHE"
MIRROR_VARIABLE = "MNGNAS_BENCH_MIRROR"
OFFLINE_VARIABLE = "MNGNAS_BENCH_OFFLINE"

_ATTEMPTS = 3  # per address; a further attempt is made only if the one before it brought bytes
_CHUNK = 1 << 16
_TIMEOUT = 30.0  # seconds without a single byte


@dataclass(frozen=True)
class RemoteFile:
    """A published file, exactly one version of it."""

    name: str
    group: str  # the folder in the cache and in a mirror, for example "nb201"
    url: str
    checksum: str  # "sha256:<hex>" or "md5:<hex>"
    size: int  # bytes
    licence: str
    source: str  # who made it, as shown to people


class _TransferError(Exception):
    """A reason, as a short text, for which an address did not give the file."""


def github_raw(repository: str, commit: str, path: str) -> str:
    """The address of one file of a GitHub repository at a pinned commit."""
    return f"https://raw.githubusercontent.com/{repository}/{commit}/{path}"


def cache_dir() -> Path:
    """The cache folder: $MNGNAS_BENCH_CACHE, or else the platform's user cache; it need not exist yet."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return _expanded(chosen)
    import pooch

    return Path(pooch.os_cache("mngnas-bench"))


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~somebody
        raise UserError(f"{text!r} begins with a home folder that is not known") from error


def cached_path(file: RemoteFile, cache: Path | None = None) -> Path:
    """Where `fetch` puts the file, whether it is there yet or not."""
    return (cache or cache_dir()) / file.group / file.name


def fetch(file: RemoteFile, *, cache: Path | None = None, mirror: str | None = None) -> Path:
    """Give the path of a checked copy of `file`, fetching it only if the cache has none.

    `mirror` (or $MNGNAS_BENCH_MIRROR) is a folder or an address that is asked before the official address. The file
    appears under its final name only once it is complete and checked. Several processes may ask at once: one fetches.
    Raises `UserError` saying what to do if no source gives the file, or if one gives a wrong one.
    """
    target = cached_path(file, cache)
    try:
        if _is_checked(target, file):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(beside(target, "lock")):
            if not _is_checked(target, file):  # another process may have fetched it while this one waited
                _obtain(file, target, mirror or os.environ.get(MIRROR_VARIABLE))
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror or error}; choose a cache with {CACHE_VARIABLE}"
        ) from error
    return target


def check_mirror(mirror: str) -> None:
    """Raise `UserError` for a mirror that is neither a folder nor an address; nothing is asked for."""
    if not _is_address(mirror):
        _in_folder(mirror, "", "")


def in_mirror_folder(group: str, name: str, mirror: str | None = None) -> Path | None:
    """The file as it lies in the mirror, unchecked; None if the mirror is not a folder or does not hold it."""
    mirror = mirror or os.environ.get(MIRROR_VARIABLE)
    if not mirror or _is_address(mirror):
        return None
    return next((path for path in _in_folder(mirror, group, name) if path.is_file()), None)


def mirror_subfolder(group: str, name: str, mirror: str | None = None) -> Path | None:
    """The folder `name` in the mirror, or the mirror itself if that is its name; None if there is none."""
    mirror = mirror or os.environ.get(MIRROR_VARIABLE)
    if not mirror or _is_address(mirror):
        return None
    places = _in_folder(mirror, group, name)
    own = places[1].parent.resolve()
    return next((path for path in (*places, *([own] if own.name == name else [])) if path.is_dir()), None)


def beside(target: Path, suffix: str) -> Path:
    """A hidden helper file in the folder of `target`."""
    return target.with_name(f".{target.name}.{suffix}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock, which the system drops if the process dies; no lock where the system has none."""
    with path.open("w") as handle:
        try:
            import fcntl
        except ImportError:  # Windows
            pass
        else:
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_checked(target: Path, file: RemoteFile) -> bool:
    """Whether the cached file is the right one; a stamp of size and time spares hashing it at every start."""
    try:
        facts = target.stat()
    except FileNotFoundError:
        return False
    stamp = beside(target, "checked")
    expected = f"{facts.st_size} {facts.st_mtime_ns} {file.checksum}"
    if stamp.exists() and stamp.read_bytes() == expected.encode():
        return True
    if _checksum(target, file) != file.checksum:
        return False
    if os.access(target.parent, os.W_OK):  # a read-only cache works too; it is hashed each time
        stamp.write_text(expected)
    return True


def _checksum(path: Path, file: RemoteFile) -> str:
    import pooch

    algorithm = file.checksum.partition(":")[0]
    return f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"


def _obtain(file: RemoteFile, target: Path, mirror: str | None) -> None:
    """Try the mirror, then the official address; put the checked file at `target`."""
    folders, addresses = _places(file, mirror)
    part = beside(target, "part")
    for candidate in folders:
        if candidate.is_file():
            shutil.copyfile(candidate, part)
            return _install(file, part, target, str(candidate))
    if os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0"):
        raise _missing(file, target, f"it is not in the cache and {OFFLINE_VARIABLE} is set")
    reasons = []
    for address in addresses:
        try:
            resumed = _download(address, part, file)
        except _TransferError as error:
            reasons.append(f"{address}: {error}")
            continue
        if resumed and _checksum(part, file) != file.checksum:  # the earlier part may have been of another file
            part.unlink()
            try:
                _download(address, part, file)
            except _TransferError as error:
                reasons.append(f"{address}: {error}")
                continue
        return _install(file, part, target, address)
    raise _missing(file, target, "; ".join(dict.fromkeys(reasons)))


def _missing(file: RemoteFile, target: Path, reason: str) -> UserError:
    if target.exists():
        reason += f"; the copy at {target} is not the published file"
    return UserError(
        f"cannot get {file.name} ({reason}): download {file.url} yourself to {target}, or give --mirror DIR_OR_URL"
    )


def _install(file: RemoteFile, part: Path, target: Path, origin: str) -> None:
    """Check the complete `part` and rename it, which is atomic; a wrong one is deleted."""
    found = _checksum(part, file)
    if found != file.checksum:
        part.unlink()
        target.unlink(missing_ok=True)
        raise UserError(f"{file.name} from {origin} is not the published file: expected {file.checksum}, found {found}")
    part.replace(target)
    _is_checked(target, file)  # leaves the stamp


def _places(file: RemoteFile, mirror: str | None) -> tuple[list[Path], list[str]]:
    """Local files and addresses to try, in order."""
    if not mirror:
        return [], [file.url]
    if _is_address(mirror):
        base = mirror.rstrip("/")
        return [], [f"{base}/{file.group}/{file.name}", f"{base}/{file.name}", file.url]
    return _in_folder(mirror, file.group, file.name), [file.url]


def _is_address(mirror: str) -> bool:
    try:
        parts = urlsplit(mirror)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _in_folder(mirror: str, group: str, name: str) -> list[Path]:
    """Where a file may lie in a mirror that is a folder, in order."""
    try:
        parts = urlsplit(mirror)
    except ValueError:  # no address
        parts = urlsplit("")
    here = parts.scheme == "file" and parts.netloc in ("", "localhost")
    folder = _expanded(url2pathname(parts.path) if here else mirror)
    if not folder.is_dir():
        raise UserError(f"mirror {mirror!r} is neither a folder nor an http(s) address")
    return [folder / group / name, folder / name]


def _download(address: str, part: Path, file: RemoteFile) -> bool:
    """Bring `part` to the full size, going on from what is there; returns whether it went on from earlier bytes.

    Raises `_TransferError`; what has arrived stays in `part` for the next run.
    """
    had = _size(part)
    for attempt in range(1, _ATTEMPTS + 1):
        before = _size(part)
        reason = _transfer(address, part, file)
        if not reason:
            return had > 0
        if attempt == _ATTEMPTS or _size(part) <= before:
            raise _TransferError(reason)
    raise AssertionError("unreachable")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(address: str, part: Path, file: RemoteFile) -> str:
    """One request, with an HTTP Range if there are bytes already; returns "" or the reason why it is not complete."""
    import requests
    from tqdm import tqdm

    if _size(part) > file.size:
        part.unlink()
    have = _size(part)
    if have == file.size:
        return ""
    headers = {"Accept-Encoding": "identity"}  # a range of compressed bytes would be of no use
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code >= 400:
                if response.status_code == 416:  # the server's file is shorter than what we hold
                    part.unlink()
                return f"HTTP status {response.status_code}"
            goes_on = response.status_code == 206
            if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                return "the server answered with another range than asked for"
            with (
                part.open("ab" if goes_on else "wb") as out,
                tqdm(
                    total=file.size, initial=have * goes_on, unit="B", unit_scale=True, desc=file.name, disable=None
                ) as bar,
            ):
                for chunk in response.iter_content(_CHUNK):
                    bar.update(out.write(chunk))
                    if out.tell() > file.size:
                        return f"more than the expected {file.size:,} bytes"
    except (requests.RequestException, ValueError) as error:  # ValueError: a redirect to what is no address
        return _short(error, part, file)
    have = _size(part)
    return "" if have == file.size else f"ended after {have:,} of {file.size:,} bytes"


def _short(error: Exception, part: Path, file: RemoteFile) -> str:
    """The reason in a few words: requests' own texts run over several lines of nested exceptions."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer for {_TIMEOUT:.0f} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"ended after {_size(part):,} of {file.size:,} bytes"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
