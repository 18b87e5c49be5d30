"""Records and scores as files.

A finished run is a directory with `record.json` and `scores.npz`. The runs of a finished study may be packed into one
file, `runs.npz`, which is read like the single ones. Records of format 1 are read by `bench.study.former_records`.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import npz_bytes, read_bounded, write_atomically
from bench.study.former_records import read
from bench.study.records import FORMAT, Run, RunRecord
from bench.study.scores import Arrays, RunScores, scores_digest, scores_from_arrays, scores_to_arrays
from mngnas.data.npz import read_npz
from mngnas.errors import UserError
from mngnas.spaces import Space

RECORD, SCORES = "record.json", "scores.npz"
PACKED = "runs.npz"
_RECORDS, _NAMES = "records", "names"  # in it, as JSON: the records by run, and which run's which array is where
_SHORT = 4096  # arrays of one dimension and fewer numbers are joined to one of each type, and have a place in it


def save_run(directory: Path, record: RunRecord, scores: RunScores, images: int = 0) -> None:
    """Write the scores, then the record: a directory with a record is a finished run. Never overwrites a record.

    The record's `scores_sha256` is filled in here; `images` as in `scores_to_arrays`.
    """
    if is_finished(directory):
        raise UserError(f"{directory / RECORD} exists; records are not overwritten")
    arrays = scores_to_arrays(scores, record.search_space, images)
    record = replace(record, scores_sha256=scores_digest(arrays))
    write_atomically(directory / SCORES, npz_bytes(arrays, compressed=True))
    write_atomically(directory / RECORD, (json.dumps(record.to_json(), indent=1) + "\n").encode())


def is_finished(directory: Path) -> bool:
    """Whether the run in this directory has its record, its own or a packed one."""
    return (directory / RECORD).exists() or directory.name in packed_names(directory.parent)


def is_study(directory: Path) -> bool:
    """Whether a directory holds finished runs."""
    return (directory / PACKED).exists() or any(directory.glob(f"*/{RECORD}"))


def packed_names(study: Path) -> frozenset[str]:
    """The names of the runs that are packed in a study; raises `UserError` for a file that cannot be read."""
    if not (study / PACKED).exists():
        return frozenset()
    with _packed(study) as file:
        return frozenset(_json_in(file, _RECORDS))


def load_run(directory: Path) -> Run:
    """Read a finished run; raises `UserError` if it is incomplete, of another format, or if anything was changed."""
    if not (directory / RECORD).exists() and directory.name in packed_names(directory.parent):
        return next(run for run in _load_packed(directory.parent) if run.directory == directory)
    try:
        arrays = read_npz(directory / SCORES)
        return _run(directory, directory / RECORD, _read_json(directory / RECORD), arrays)
    except _UNREADABLE as error:
        raise UserError(f"{directory} does not hold a readable run ({type(error).__name__}: {error})") from error


_UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_bounded(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no record")
    return content


def _run(directory: Path, origin: Path, content: dict[str, Any], arrays: Arrays) -> Run:
    """Check one record against its arrays."""
    if content.get("format") == 1:
        return Run(directory, *read(directory, content, arrays))
    if content.get("format") != FORMAT:
        raise UserError(f"{origin} has format {content.get('format')}, not {FORMAT}")
    try:
        record = RunRecord.from_json(content)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from error
    if scores_digest(arrays) != record.scores_sha256:
        raise UserError(f"the scores of {directory} are not those that its record describes")
    scores = scores_from_arrays(arrays, record.search_space)
    check_scores(directory, record.search_space, scores)
    return Run(directory, record, scores)


def check_scores(directory: Path, space: Space, scores: RunScores) -> None:
    """Raise `UserError` for indices outside the space or given twice, and for accuracies that are no fractions."""
    for name, ranking in scores.rankings.items():
        index = ranking.arch_index
        if len(index) and not (index.min() >= 0 and index.max() < space.n_arch and len(np.unique(index)) == len(index)):
            raise UserError(f"{directory}, {name}: indices are not different ones of 0..{space.n_arch - 1}")
        accuracy = ranking.columns.get("accuracy", np.zeros(0))
        if ((accuracy < 0) | (accuracy > 1)).any():
            raise UserError(f"{directory}, {name}: an accuracy is outside 0..1")


@contextmanager
def _packed(study: Path) -> Iterator[Arrays]:
    """The arrays of the packed file; whatever is wrong with them is a `UserError`."""
    try:
        yield read_npz(study / PACKED)
    except _UNREADABLE as error:
        raise UserError(f"{study / PACKED} does not hold readable runs ({type(error).__name__}: {error})") from error


def _json_in(file: Arrays, key: str) -> dict[str, Any]:
    content = json.loads(file[key].tobytes())
    if not isinstance(content, dict):
        raise ValueError(f"{key} is no object")
    return content


def _load_packed(study: Path) -> list[Run]:
    with _packed(study) as file:
        records = _json_in(file, _RECORDS)
        arrays: dict[str, Arrays] = {name: {} for name in records}
        stored: Arrays = {}
        for key, place in _json_in(file, _NAMES).items():
            name, _, rest = key.partition("//")
            member, *span = place if isinstance(place, list) else (place,)
            if member not in stored:
                stored[member] = file[member]
            arrays[name][rest] = stored[member][slice(*span)] if span else stored[member]
        return [_run(study / name, study / PACKED, content, arrays[name]) for name, content in sorted(records.items())]


def load_runs(study: Path) -> list[Run]:
    """Every finished run of a study, in the order of their names; raises `UserError` if there is none."""
    if not study.is_dir():
        raise UserError(f"there is no study directory {study}")
    runs = _load_packed(study) if (study / PACKED).exists() else []
    known = {run.directory for run in runs}
    runs += [load_run(path.parent) for path in study.glob(f"*/{RECORD}") if path.parent not in known]
    if not runs:
        raise UserError(f"{study} holds no finished run (no */{RECORD})")
    return sorted(runs, key=lambda run: run.directory.name)


def first_record(study: Path) -> RunRecord:
    """That of the first run by name, without reading the others where it can be; errors as in `load_runs`."""
    directories = sorted(path.parent for path in study.glob(f"*/{RECORD}"))
    if directories and not (study / PACKED).exists():
        return load_run(directories[0]).record
    return load_runs(study)[0].record


def _joined(arrays: Arrays) -> tuple[Arrays, dict[str, list[str | int]]]:
    """The arrays with short ones joined, and where each of these is then: name, start and end."""
    found, places = Arrays(), dict[str, list[str | int]]()
    short, ends = dict[str, list[np.ndarray]](), dict[str, int]()
    for name, values in arrays.items():
        if values.ndim != 1 or len(values) >= _SHORT:
            found[name] = values
            continue
        member = f"joined {values.dtype.str.lstrip('<>|=')}"
        start = ends.get(member, 0)
        short.setdefault(member, []).append(values)
        ends[member] = start + len(values)
        places[name] = [member, start, ends[member]]
    return found | {member: np.concatenate(parts) for member, parts in short.items()}, places


def pack_runs(study: Path) -> int:
    """Put all finished runs of a study into one file and remove their directories; returns how many there are.

    Weights, logs and checkpoints of these runs are lost; scores and records are checked and kept, bit for bit.
    """
    runs = load_runs(study)
    records, arrays, places = dict[str, Any](), Arrays(), dict[str, str]()
    for run in runs:
        images = int(run.record.config.get("scoring", {}).get("images", 0))
        stored = scores_to_arrays(run.scores, run.record.search_space, images)
        record = replace(run.record, scores_sha256=scores_digest(stored))
        records[run.directory.name] = record.to_json()
        for key, values in stored.items():  # runs score the same architectures: equal arrays are stored once
            digest = scores_digest({"": values})[:20]
            arrays[digest], places[f"{run.directory.name}//{key}"] = values, digest
    arrays, joined = _joined(arrays)
    names = {key: joined.get(digest, digest) for key, digest in places.items()}
    for key, content in ((_RECORDS, records), (_NAMES, names)):
        arrays[key] = np.frombuffer(json.dumps(content).encode(), np.uint8)
    write_atomically(study / PACKED, npz_bytes(arrays, compressed=True))
    _load_packed(study)
    for run in runs:
        if run.directory.is_dir():
            shutil.rmtree(run.directory)
    return len(runs)
