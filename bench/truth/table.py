"""A ground-truth table: what stand-alone training of every architecture gave, as columns in one small file.

Names that trip everybody up. A `Measure` says what was measured: the data set, the split, the epochs of the whole
training schedule (not a point of a longer run, unless the table says so) and accuracy or loss.

    data set, split             trained on             measured on             name in the benchmark
    cifar10, valid              half the train set     its other half          cifar10-valid, x-valid
    cifar10, test               whole train set        official test set       cifar10, ori-test
    any, train                  whole train set        the same, as it trains  train (the user's own archives have it)
    cifar100, valid or test     whole train set        halves of the test set  cifar100, x-valid or x-test
    imagenet16-120, the same    whole train set        halves of the test set  ImageNet16-120, x-valid or x-test

So `cifar10` has two training runs, and `train_seconds` is keyed by the run: "cifar10-valid", "cifar10", "cifar100",
"imagenet16-120". Accuracies are fractions; losses are mean cross-entropies in nats.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bench.files import npz_bytes, write_atomically
from mngnas.data.npz import read_npz
from mngnas.errors import UserError, unknown
from mngnas.spaces import Space, space_named

FORMAT = 1  # of the file; a file of another format is refused

_PARTS = (("dataset", "data set"), ("split", "split"), ("kind", "kind"), ("epochs", "number of epochs"))


@dataclass(frozen=True, order=True)
class Measure:
    """What a column of the table holds."""

    dataset: str  # "cifar10", "cifar100", "imagenet16-120", "digits"
    split: str  # "valid", "test" or "train"
    epochs: int  # length of the training schedule
    kind: str = "accuracy"  # "accuracy" (0..1) or "loss" (nats)

    def __str__(self) -> str:
        return f"{self.dataset} {self.split} {self.kind} after {self.epochs} epochs"


@dataclass(frozen=True)
class Source:
    """A file from which a table was made."""

    name: str
    url: str
    sha256: str  # "" where the file is the user's own and too large to hash at every start
    licence: str
    note: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """Measurements of all architectures in the official index order; an unknown value is NaN.

    `measures` and `train_seconds` hold float32 `[n_arch, n_seed]`, `parameters` (a count) and `flops` (multiply-adds of
    one picture, as the benchmark counts them) int64 `[n_arch]` by data set. `seeds` names the columns of a measure
    where the seeds are known. The arrays become read-only. Raises `UserError` for a search space that is not known and
    for arrays of another shape.
    """

    name: str
    search_space: str  # the name of one of `mngnas.spaces.SPACES`
    measures: Mapping[Measure, np.ndarray]
    train_seconds: Mapping[str, np.ndarray] = field(default_factory=dict)  # by training run, the whole longest schedule
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    flops: Mapping[str, np.ndarray] = field(default_factory=dict)
    seeds: Mapping[Measure, tuple[int, ...]] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        n_arch = self.space.n_arch
        for columns, dtype, dimensions in (
            (self.measures, np.float32, 2),
            (self.train_seconds, np.float32, 2),
            (self.parameters, np.int64, 1),
            (self.flops, np.int64, 1),
        ):
            for key, values in columns.items():
                if values.dtype != dtype or values.ndim != dimensions or len(values) != n_arch:
                    raise UserError(f"table {self.name!r}: {key} is {values.dtype} {values.shape}, not {n_arch} rows")
                values.flags.writeable = False
        for name in ("measures", "train_seconds", "parameters", "flops", "seeds"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def space(self) -> Space:
        """The search space whose official index orders the rows."""
        return space_named(self.search_space)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of names, keys and numbers; the same on every machine, whatever the sources are called."""
        digest = hashlib.sha256(f"{self.name}\n{self.search_space}\n".encode())
        for label, values in _columns(self):
            digest.update(f"{label} {values.dtype} {values.shape}\n".encode())
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            if values.dtype.kind == "f":
                little = np.where(np.isnan(little), np.float32(np.nan), little)  # NaNs may differ in unused bits
            digest.update(little.tobytes())
        return digest.hexdigest()

    def values(self, measure: Measure) -> np.ndarray:
        """Every seed's value `[n_arch, n_seed]`; raises `UserError` naming what the table has."""
        if measure in self.measures:
            return self.measures[measure]
        left, context = sorted(self.measures), f"table {self.name!r}"
        for part, kind in _PARTS:
            wanted = str(getattr(measure, part))
            names = dict.fromkeys(str(getattr(m, part)) for m in left)
            if wanted not in names:
                raise UserError(f"{context}: {unknown(kind, wanted, names)}")
            left = [m for m in left if str(getattr(m, part)) == wanted]
            context += f", {wanted}"
        raise AssertionError("a measure of which all parts are known is in the table")

    def longest(self, dataset: str, split: str, kind: str = "accuracy") -> Measure:
        """The measure after the longest training schedule; raises `UserError` naming what the table has."""
        return max(self._schedules(dataset, split, kind))

    def shortest(self, dataset: str, split: str, kind: str = "accuracy") -> Measure:
        """The measure after the shortest training schedule; raises `UserError` naming what the table has."""
        return min(self._schedules(dataset, split, kind))

    def _schedules(self, dataset: str, split: str, kind: str) -> list[Measure]:
        found = [m for m in self.measures if (m.dataset, m.split, m.kind) == (dataset, split, kind)]
        if not found:
            self.values(Measure(dataset, split, 0, kind))  # raises the error for the part that is unknown
        return found

    def mean(self, measure: Measure) -> np.ndarray:
        """Mean over the seeds that are known `[n_arch]` float64, NaN where none is.

        Accuracies are rounded to 1e-6, far below one picture, so that architectures with the same number of right
        answers are tied and rank statistics do not see the last bit of a float.
        """
        values = self.values(measure)
        counts = np.isfinite(values).sum(axis=1)
        total = np.nansum(values, axis=1, dtype=np.float64)
        means = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
        return np.round(means, 6) if measure.kind == "accuracy" else means

    def accuracy(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """Accuracy of every seed, a fraction `[n_arch, n_seed]`."""
        return self.values(Measure(dataset, split, epochs))

    def mean_accuracy(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """Mean accuracy over seeds, a fraction `[n_arch]`; see `mean`."""
        return self.mean(Measure(dataset, split, epochs))

    def loss(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """Cross-entropy of every seed in nats `[n_arch, n_seed]`."""
        return self.values(Measure(dataset, split, epochs, "loss"))

    def mean_loss(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """Mean cross-entropy over seeds in nats `[n_arch]`."""
        return self.mean(Measure(dataset, split, epochs, "loss"))

    def seed_counts(self, dataset: str, split: str, epochs: int, kind: str = "accuracy") -> np.ndarray:
        """How many seeds are known `[n_arch]`."""
        return np.asarray(np.isfinite(self.values(Measure(dataset, split, epochs, kind))).sum(axis=1))

    def mean_train_seconds(self, run: str) -> np.ndarray:
        """Mean seconds of one whole training of the longest schedule `[n_arch]`; `run` is a key of `train_seconds`."""
        if run not in self.train_seconds:
            raise UserError(f"table {self.name!r}: {unknown('training run', run, self.train_seconds)}")
        values = self.train_seconds[run]
        counts = np.isfinite(values).sum(axis=1)
        return np.where(counts > 0, np.nansum(values, axis=1, dtype=np.float64) / np.maximum(counts, 1), np.nan)

    def save(self, path: Path) -> None:
        """Write one uncompressed .npz with its own checksums; it appears under its name only when it is complete."""
        columns = dict(_columns(self))
        about = {
            "format": FORMAT,
            "name": self.name,
            "search_space": self.search_space,
            "seeds": [[asdict(measure), list(seeds)] for measure, seeds in sorted(self.seeds.items())],
            "sources": [asdict(source) for source in self.sources],
            "columns": list(columns),
            "checksum": self.checksum,
        }
        text = json.dumps(about, sort_keys=True)
        arrays = {f"column{i}": values for i, values in enumerate(columns.values())}
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"about": np.array(text), "digest": np.array(_digest(text)), **arrays}
        write_atomically(path, npz_bytes(content))

    @staticmethod
    def load(path: Path) -> "Table":
        """Read a file that `save` wrote, a few milliseconds.

        Raises `UserError` if it is missing, something else or damaged: it must have the checksums stored in it. Files
        of earlier versions, without checksums, are taken as they are.
        """
        try:
            file = read_npz(path)
            text = str(file["about"])
            if "digest" in file and str(file["digest"]) != _digest(text):
                raise _damaged(path)
            about = json.loads(text)
            if about["format"] != FORMAT:
                raise UserError(
                    f"table file {path} has format {about['format']}, not {FORMAT}: delete it and build it again"
                )
            table = _table(about, {label: file[f"column{i}"] for i, label in enumerate(about["columns"])})
        except FileNotFoundError as error:
            raise UserError(f"there is no table file {path}") from error
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{path} is not a table file ({type(error).__name__}); delete it and build it again"
            ) from error
        if about.get("checksum", table.checksum) != table.checksum:
            raise _damaged(path)
        return table


def _table(about: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> Table:
    groups: dict[str, dict[Any, np.ndarray]] = {"measures": {}, "train_seconds": {}, "parameters": {}, "flops": {}}
    for label, values in columns.items():
        group, _, key = label.partition(" ")
        groups[group][_measure(key) if group == "measures" else key] = values
    return Table(
        name=about["name"],
        search_space=about["search_space"],
        seeds={Measure(**measure): tuple(seeds) for measure, seeds in about["seeds"]},
        sources=tuple(Source(**source) for source in about["sources"]),
        **groups,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _damaged(path: Path) -> UserError:
    return UserError(
        f"table file {path} is damaged, it does not have the checksum stored in it: delete it and build it again"
    )


def _columns(table: Table) -> list[tuple[str, np.ndarray]]:
    """Every array with its label, in a fixed order."""
    columns = [(f"measures {m.dataset} {m.split} {m.epochs} {m.kind}", v) for m, v in sorted(table.measures.items())]
    for group in ("train_seconds", "parameters", "flops"):
        columns += [(f"{group} {key}", values) for key, values in sorted(getattr(table, group).items())]
    return columns


def _measure(text: str) -> Measure:
    dataset, split, epochs, kind = text.split()
    return Measure(dataset, split, int(epochs), kind)


def default_target(table: Table, dataset: str, split: str | None = None, epochs: int | None = None) -> Measure:
    """The accuracy that predictions are compared with: by default on the test set after the longest training.

    Where the table has no test accuracies of the data set, the default is the validation set. Raises `UserError`
    naming what the table has.
    """
    if split is None:
        has_test = any((m.dataset, m.split, m.kind) == (dataset, "test", "accuracy") for m in table.measures)
        split = "test" if has_test else "valid"
    if epochs is None:
        return table.longest(dataset, split)
    measure = Measure(dataset, split, epochs)
    table.values(measure)
    return measure


def load_or_build(path: Path, build: Callable[[], Table]) -> Table:
    """Load the table kept at `path`, or build it and keep it there."""
    if path.exists():
        return Table.load(path)
    table = build()
    table.save(path)
    return table
