"""Scores per architecture as a run measured them, and as compact arrays for a file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mngnas.methods.info import Trace
from mngnas.spaces import Space

Arrays = dict[str, np.ndarray]
_PARTS = {"value": 1_000_000, "seconds": 10_000}  # what a trace's numbers are whole parts of where an oracle told them


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


def scores_to_arrays(scores: RunScores, space: Space, images: int = 0) -> Arrays:
    """The arrays that are stored, in the smallest types: indices and counts as whole numbers, the rest as float32.

    A column whose every value is a whole number of `images` is stored as that number, exactly; other columns are
    rounded to float32; a trace's numbers never are. Where a ranking gives all architectures of the same canonical form
    the same scores, these are stored once.
    """
    arrays: Arrays = {}
    for name, ranking in scores.rankings.items():
        arrays[f"ranking/{name}/arch_index"] = _whole(ranking.arch_index)
        first, inverse = _canonical_groups(space, ranking.arch_index)
        once = all(len(v) == len(inverse) and np.array_equal(v[first][inverse], v) for v in ranking.columns.values())
        arrays[f"ranking/{name}/by_canonical"] = np.array(once)
        for column, whole in ranking.columns.items():
            values = whole[first] if once else whole
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
        for key, parts in _PARTS.items():
            values = np.asarray(getattr(trace, key), np.float64)
            whole, of = _compact(values, parts)
            arrays[f"trace/{key}"] = values if of is None else whole
            if of is not None:
                arrays[f"trace/of/{key}"] = of
    return arrays


def scores_from_arrays(arrays: Mapping[str, np.ndarray], space: Space) -> RunScores:
    """The reverse of `scores_to_arrays`; raises KeyError or ValueError for arrays that are no scores."""
    names = dict.fromkeys(key.split("/")[1] for key in arrays if key.startswith("ranking/"))
    rankings = {}
    for name in names:
        place = f"ranking/{name}/"
        index = arrays[f"{place}arch_index"].astype(np.int64)
        if len(index) and not 0 <= index.min() <= index.max() < space.n_arch:
            raise ValueError(f"{name}: an index is outside 0..{space.n_arch - 1}")
        first, inverse = _canonical_groups(space, index)
        if arrays[f"{place}by_canonical"]:
            columns = _columns(arrays, place, first.shape)
            rankings[name] = Scores(index, {column: values[inverse] for column, values in columns.items()})
        else:
            rankings[name] = Scores(index, _columns(arrays, place, index.shape))
    curve = trace = None
    if "curve/arch_index" in arrays:
        index, moments = arrays["curve/arch_index"].astype(np.int64), arrays["curve/passes"]
        whole = {key: arrays[f"curve/{key}"].astype(np.int64) for key in ("images", "queries")}
        columns = _columns(arrays, "curve/", (len(moments), len(index)))
        curve = Curve(index, moments, whole["images"], arrays["curve/seconds"], whole["queries"], columns)
    if "trace/arch_index" in arrays:
        told = [arrays[f"trace/{key}"] / int(arrays.get(f"trace/of/{key}", 1)) for key in _PARTS]
        trace = Trace(arrays["trace/arch_index"].tolist(), *(values.tolist() for values in told))
    return RunScores(rankings, curve, trace)


def _canonical_groups(space: Space, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of architectures `[n]` the first of each canonical form, `[g]`, and which of these each belongs to, `[n]`."""
    return _groups_of(space, index.astype(np.int64, copy=False).tobytes())


@lru_cache(maxsize=4)  # all runs of a study score the same architectures
def _groups_of(space: Space, index: bytes) -> tuple[np.ndarray, np.ndarray]:
    canonical = space.canonical_indices[np.frombuffer(index, np.int64)]
    _, first, inverse = np.unique(canonical, return_index=True, return_inverse=True)
    return first, inverse


def _columns(arrays: Mapping[str, np.ndarray], place: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    columns = {}
    for key, values in arrays.items():
        if key.startswith(f"{place}column/"):
            name = key.removeprefix(f"{place}column/")
            found = values.astype(np.float64)
            if f"{place}of/{name}" in arrays:
                of = int(arrays[f"{place}of/{name}"])
                if of < 1:
                    raise ValueError(f"{key} counts of {of} pictures")
                found /= of
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
