"""Architectures that are trained one by one, in jobs beside a study's runs: what each found, and all of it together.

    STUDY/<job>/scores.part.json   what a job has found so far, written after each architecture
    STUDY/<job>/scores.json        all that it was to find: the job is done
    STUDY/<kind>.json              what was found so far, whole and sealed; the jobs' directories are gone then

Whatever is killed loses one architecture at most: what it left is taken in like what a finished job has found.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.files import add_seal, digest_of, is_as_sealed, read_bounded, seal_path, write_atomically
from bench.study.jobs import ERROR, Job, Lease, Status, read_json
from bench.study.work import Report
from mngnas.errors import UserError

RESULT, PART = "scores.json", "scores.part.json"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Part:
    """What a job has found, in JSON types."""

    about: Mapping[str, Any]  # what all of it has in common, how long was trained for example
    found: Mapping[int, Any]  # by official index


# ------------------------------------------------------------------------------------------------------------- in a job


def one_by_one(job: Job, about: Mapping[str, Any], find: Callable[[int], Any], report: Report) -> None:
    """Find something of each of the job's architectures ("archs" among its arguments), and write it after each one."""
    wanted = [int(index) for index in job.arguments["archs"]]
    earlier = read_part(job.directory / PART)
    found = dict(earlier.found) if earlier is not None and earlier.about == about else {}
    began, had = time.monotonic(), len(found)
    for index in wanted:
        if index in found:
            continue
        found[index] = find(index)
        write_part(job.directory / PART, Part(about, found))
        left = (time.monotonic() - began) / (len(found) - had) * (len(wanted) - len(found))
        report(Status("training", len(found) / len(wanted), left))
    write_part(job.directory / RESULT, Part(about, {index: found[index] for index in wanted}))


def write_part(path: Path, part: Part) -> None:
    """Write it with a digest."""
    content = {"about": dict(part.about), "found": {str(index): one for index, one in part.found.items()}}
    write_atomically(path, json.dumps(content | {"sha256": _digest(content)}).encode())


def read_part(path: Path) -> Part | None:
    """What `write_part` wrote; None if there is nothing, or nothing that is whole: it is done again."""
    content = read_json(path)
    known = content.pop("sha256", None)
    if set(content) != {"about", "found"} or known != _digest(content):
        return None
    return Part(content["about"], {int(index): one for index, one in content["found"].items()})


# -------------------------------------------------------------------------------------------------------- all together


def take_in(study: Path, jobs: str, keep: Callable[[Sequence[Part]], None], *, failed: bool = True) -> None:
    """Hand what the jobs whose directories match `jobs` have found to `keep`, which saves it, and remove them.

    Those that somebody is at work in are left alone, and with `failed=False` those that say why they failed are not
    removed.
    """
    leases = [Lease(path) for path in sorted(study.glob(jobs)) if path.is_dir()]
    ours = [lease for lease in leases if lease.acquire()]
    try:
        found = [read_part(one.directory / RESULT) or read_part(one.directory / PART) for one in ours]
        keep([part for part in found if part is not None])
        for one in ours:
            if failed or not (one.directory / ERROR).exists():
                shutil.rmtree(one.directory, ignore_errors=True)
    finally:
        for one in ours:
            one.release()


def save_sealed(path: Path, content: Mapping[str, Any], indent: int | None = None) -> None:
    """Write JSON, and beside it that this content is meant; raises `UserError`."""
    try:
        add_seal(path, *_earlier(path), _digest(content))
        write_atomically(path, (json.dumps(content, indent=indent) + "\n").encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def load_sealed(path: Path, parse: Callable[[Any], _T]) -> _T:
    """What `parse` makes of a file of JSON; raises `UserError` if that raises, or if the file was changed."""
    try:
        content = json.loads(read_bounded(path).decode("utf-8"))
        if not is_as_sealed(path, _digest(content)):
            raise ValueError("it was changed after it was written")
        return parse(content)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{path} is not readable ({type(error).__name__}: {error}): delete it") from error


def _earlier(path: Path) -> list[str]:
    """The digest of a file that has no seal yet."""
    if not path.exists() or seal_path(path).exists():
        return []
    return [_digest(json.loads(read_bounded(path).decode("utf-8")))]


def _digest(content: object) -> str:
    """Of numbers, however they are written down."""
    return digest_of(json.dumps(content, sort_keys=True).encode())
