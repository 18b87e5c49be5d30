"""What a run leaves behind: one immutable JSON record, and its scores per architecture in an .npz beside it.

A record says what was done and with what; it holds no correlation. Those are computed from the scores and the ground
truth each time a report is made, so a better metric needs no new run. The runs of a finished study may be packed into
one file, `runs.npz`, which is read like the single ones. Records of format 1 are read by
`bench.study.former_records`.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import npz_bytes, write_atomically
from mngnas.errors import UserError
from mngnas.methods.info import Cost, Diary, Trace
from mngnas.spaces import Space, space_named

FORMAT = 2
RECORD, SCORES = "record.json", "scores.npz"
PACKED = "runs.npz"
_RECORDS, _NAMES = "records", "names"  # in it, as JSON: the records by run, and which run's which array is where

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Scores:
    """One ranking of `n` architectures; higher is better in every column.

    The first column is what architectures are ranked by, the others stand beside it.
    """

    arch_index: np.ndarray  # int64 [n], official indices
    columns: Mapping[str, np.ndarray]  # float64 [n] each; "accuracy" is a fraction, "minus_loss" nats

    @property
    def score(self) -> np.ndarray:
        """The first column, [n]."""
        return next(iter(self.columns.values()))


@dataclass(frozen=True, eq=False)
class Curve:
    """The first ranking of the same sample of `m` architectures at `p` moments of a run."""

    arch_index: np.ndarray  # int64 [m]
    passes: np.ndarray  # float64 [p], spent so far, as in `Cost`; the next three likewise
    images: np.ndarray  # int64 [p]
    seconds: np.ndarray  # float64 [p]
    queries: np.ndarray  # int64 [p]
    columns: Mapping[str, np.ndarray]  # float64 [p, m] each


@dataclass(frozen=True, eq=False)
class RunScores:
    """Everything per architecture that a run measured."""

    rankings: Mapping[str, Scores]  # by name, the main one first: "inherited", "retrained", ...; never mixed
    curve: Curve | None = None
    trace: Trace | None = None


@dataclass(frozen=True)
class MethodRef:
    """Which method, with which of its settings changed; enough to show it without its code."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)  # field of its `Config` -> value
    label: str = ""  # of the method without changes
    kind: str = "supernet"
    paper: str = ""

    @property
    def variant(self) -> str:
        """As it is given on the command line: "mngnas", or "mngnas[cap=1.0,pool=2]"."""
        return self.name + self._bracket(",")

    @property
    def full_label(self) -> str:
        """As tables and pictures show it: "MNGNAS", or "MNGNAS [cap=1.0, pool=2]"."""
        return (self.label or self.name) + (" " if self.changes else "") + self._bracket(", ")

    def _bracket(self, between: str) -> str:
        changes = between.join(f"{key}={written(value)}" for key, value in self.changes.items())
        return f"[{changes}]" if changes else ""


def written(value: object) -> str:
    """A setting's value as the command line takes it: TOML without the quotation marks of words."""
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class RunRecord:
    """What was run. All fields are JSON types, or dataclasses, lists and dictionaries of them."""

    method: MethodRef
    seed: int
    benchmark: str  # name of the ground-truth table
    space: str  # name of the search space
    dataset: str
    images: str  # what the pixels were, for example "CIFAR-10 (JPEG)"
    preset: str  # name of the preset as it was asked for
    changes: tuple[str, ...]  # of the preset, "training.passes=1000" for example
    config: Mapping[str, Any]  # the settings themselves, by section
    protocol: int  # bench.study.preset.PROTOCOL
    table_checksum: str
    steps: int  # calls of `Method.advance`
    cost: Cost  # of the method itself: teachers' and search's forwards included
    ranking_costs: Mapping[str, Cost]  # of scoring, by the name of the ranking; on top of `cost`
    proposal: tuple[int, ...]  # official indices of the architectures that the method would take, best first
    oracle: Mapping[str, Any] | None  # what of the ground truth the method was allowed to ask; None: nothing
    diary: Diary
    device: str  # "cpu: <model>, 1 thread" or the GPU's name
    versions: Mapping[str, str]
    commit: str  # when the run began; "unknown" outside a git checkout
    dirty: bool  # whether the checkout differed from that commit then
    started: str  # ISO 8601, UTC
    scores_sha256: str
    format: int = FORMAT

    @property
    def search_space(self) -> Space:
        """The search space itself."""
        return space_named(self.space)

    def to_json(self) -> dict[str, Any]:
        """All fields and, under "sha256", a digest over them."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        content |= {"method": asdict(self.method), "cost": asdict(self.cost), "diary": self.diary.to_json()}
        content["ranking_costs"] = {name: asdict(cost) for name, cost in self.ranking_costs.items()}
        content = dict(json.loads(json.dumps(content)))
        return content | {"sha256": _json_digest(content)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RunRecord":
        """The reverse of `to_json`; raises `UserError` if a field was changed, ValueError and the like for nonsense."""
        fields = dict(content)
        if fields.pop("sha256") != _json_digest(fields):
            raise UserError("its contents are not those that its digest is of: it was changed after it was written")
        fields |= {"method": MethodRef(**fields["method"]), "cost": Cost(**fields["cost"])}
        fields["ranking_costs"] = {name: Cost(**cost) for name, cost in fields["ranking_costs"].items()}
        fields["diary"] = Diary.from_json(fields["diary"])
        fields |= {name: tuple(fields[name]) for name in ("changes", "proposal")}
        return cls(**fields)


@dataclass(frozen=True)
class Run:
    """A finished run with its scores."""

    directory: Path  # in a packed study it need not exist
    record: RunRecord
    scores: RunScores


# -------------------------------------------------------------------------------------------------- scores as arrays


def scores_to_arrays(scores: RunScores, images: int = 0) -> Arrays:
    """The arrays that are stored, in the smallest types: indices and counts as whole numbers, the rest as float32.

    A column whose every value is a whole number of `images` is stored as that number, exactly; other columns are
    rounded to float32.
    """
    arrays: Arrays = {}
    for name, ranking in scores.rankings.items():
        arrays[f"ranking/{name}/arch_index"] = _whole(ranking.arch_index)
        for column, values in ranking.columns.items():
            arrays[f"ranking/{name}/column/{column}"], of = _compact(values, images)
            if of:
                arrays[f"ranking/{name}/of/{column}"] = of
    if (curve := scores.curve) is not None:
        for key in ("arch_index", "images", "queries"):
            arrays[f"curve/{key}"] = _whole(getattr(curve, key))
        arrays |= {f"curve/{key}": getattr(curve, key) for key in ("passes", "seconds")}
        for column, values in curve.columns.items():
            arrays[f"curve/column/{column}"], of = _compact(values, images)
            if of:
                arrays[f"curve/of/{column}"] = of
    if (trace := scores.trace) is not None:
        arrays["trace/arch_index"] = _whole(np.asarray(trace.arch_index, dtype=np.int64))
        arrays |= {f"trace/{key}": np.asarray(getattr(trace, key), np.float64) for key in ("value", "seconds")}
    return arrays


def scores_from_arrays(arrays: Mapping[str, np.ndarray]) -> RunScores:
    """The reverse of `scores_to_arrays`; raises KeyError or ValueError for arrays that are no scores."""
    names = dict.fromkeys(key.split("/")[1] for key in arrays if key.startswith("ranking/"))
    rankings = {}
    for name in names:
        place = f"ranking/{name}/"
        index = arrays[f"{place}arch_index"].astype(np.int64)
        rankings[name] = Scores(index, _columns(arrays, place, index.shape))
    curve = trace = None
    if "curve/arch_index" in arrays:
        index, moments = arrays["curve/arch_index"].astype(np.int64), arrays["curve/passes"]
        whole = {key: arrays[f"curve/{key}"].astype(np.int64) for key in ("images", "queries")}
        columns = _columns(arrays, "curve/", (len(moments), len(index)))
        curve = Curve(index, moments, whole["images"], arrays["curve/seconds"], whole["queries"], columns)
    if "trace/arch_index" in arrays:
        trace = Trace(*(arrays[f"trace/{key}"].tolist() for key in ("arch_index", "value", "seconds")))
    return RunScores(rankings, curve, trace)


def _columns(arrays: Mapping[str, np.ndarray], place: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    columns = {}
    for key, values in arrays.items():
        if key.startswith(f"{place}column/"):
            name = key.removeprefix(f"{place}column/")
            found = values.astype(np.float64)
            if f"{place}of/{name}" in arrays:
                found /= int(arrays[f"{place}of/{name}"])
            if found.shape != shape:
                raise ValueError(f"{key} has the shape {list(found.shape)}, not {list(shape)}")
            columns[name] = found
    if not columns:
        raise ValueError(f"{place} has no column")
    return columns


def _whole(values: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 on in the smallest type."""
    top = int(values.max(initial=0))
    return values.astype(next(t for t in (np.uint8, np.uint16, np.uint32, np.int64) if top <= np.iinfo(t).max))


def _compact(values: np.ndarray, images: int) -> tuple[np.ndarray, np.ndarray | None]:
    if images and np.isfinite(values).all():
        counts = np.round(values * images)
        if (counts >= 0).all() and np.array_equal(counts / images, values):
            return _whole(counts), np.array(images)
    return values.astype(np.float32), None


def scores_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of all names, shapes and numbers, except the curve's seconds: no two runs have those in common."""
    digest = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        if name == "curve/seconds":
            continue
        digest.update(f"{name} {values.dtype.str.lstrip('<>|=')} {values.shape}\n".encode())
        digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def _json_digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------- writing and reading


def save_run(directory: Path, record: RunRecord, scores: RunScores, images: int = 0) -> None:
    """Write the scores, then the record: a directory with a record is a finished run. Never overwrites a record.

    The record's `scores_sha256` is filled in here; `images` as in `scores_to_arrays`.
    """
    if is_finished(directory):
        raise UserError(f"{directory / RECORD} exists; records are not overwritten")
    arrays = scores_to_arrays(scores, images)
    record = replace(record, scores_sha256=scores_digest(arrays))
    write_atomically(directory / SCORES, npz_bytes(arrays, compressed=True))
    write_atomically(directory / RECORD, (json.dumps(record.to_json(), indent=1, sort_keys=True) + "\n").encode())


def is_finished(directory: Path) -> bool:
    """Whether the run in this directory has its record, its own or a packed one."""
    return (directory / RECORD).exists() or directory.name in packed_names(directory.parent)


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
        with np.load(directory / SCORES, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return _run(directory, directory / RECORD, _read_json(directory / RECORD), arrays)
    except _UNREADABLE as error:
        raise UserError(f"{directory} does not hold a readable run ({type(error).__name__}: {error})") from error


_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, zipfile.BadZipFile)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not readable ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no record")
    return content


def _run(directory: Path, origin: Path, content: dict[str, Any], arrays: Arrays) -> Run:
    """Check one record against its arrays."""
    if content.get("format") == 1:
        from bench.study.former_records import read

        return Run(directory, *read(directory, content, arrays))
    if content.get("format") != FORMAT:
        raise UserError(f"{origin} has format {content.get('format')}, not {FORMAT}")
    try:
        record = RunRecord.from_json(content)
    except UserError as error:
        raise UserError(f"{origin}: {error}") from error
    if scores_digest(arrays) != record.scores_sha256:
        raise UserError(f"the scores of {directory} are not those that its record describes")
    scores = scores_from_arrays(arrays)
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
def _packed(study: Path) -> Iterator[Any]:
    """The packed file, open; whatever is wrong with it is a `UserError`."""
    try:
        with np.load(study / PACKED, allow_pickle=False) as file:
            yield file
    except _UNREADABLE as error:
        raise UserError(f"{study / PACKED} does not hold readable runs ({type(error).__name__}: {error})") from error


def _json_in(file: Any, key: str) -> dict[str, Any]:
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
            if place not in stored:
                stored[place] = file[place]
            arrays[name][rest] = stored[place]
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


def pack_runs(study: Path) -> int:
    """Put all finished runs of a study into one file and remove their directories; returns how many there are.

    Weights, logs and checkpoints of these runs are lost; scores and records are checked and kept, bit for bit.
    """
    runs = load_runs(study)
    records, arrays, names = dict[str, Any](), Arrays(), dict[str, str]()
    for run in runs:
        images = int(run.record.config.get("scoring", {}).get("images", 0))
        stored = scores_to_arrays(run.scores, images)
        record = replace(run.record, scores_sha256=scores_digest(stored))
        records[run.directory.name] = record.to_json()
        for key, values in stored.items():  # runs score the same architectures: equal arrays are stored once
            digest = scores_digest({"": values})[:20]
            arrays[digest], names[f"{run.directory.name}//{key}"] = values, digest
    for key, content in ((_RECORDS, records), (_NAMES, names)):
        arrays[key] = np.frombuffer(json.dumps(content, sort_keys=True).encode(), np.uint8)
    write_atomically(study / PACKED, npz_bytes(arrays, compressed=True))
    _load_packed(study)
    for run in runs:
        if run.directory.is_dir():
            shutil.rmtree(run.directory)
    return len(runs)
