"""A method's scores beside the ground truth: what every topic of a report is computed from.

A `Method` is one ranking of all runs with the same method, changes and preset. Different rankings ("inherited" and
"retrained" scores, say) are different methods here, and nothing joins them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from bench.stats.intervals import Estimate, OverSeeds, bootstrap_means
from bench.stats.metrics import METRICS, InTop, Metric, named
from bench.study.records import Run, RunRecord
from bench.study.scores import Scores as Ranking
from mngnas.ranks import comparable

GENERATOR_SEED = 0  # of every bootstrap in a report
TAU = METRICS["kendall_tau_b"]
CORRELATIONS = named(("kendall_tau_b", "spearman_rho", "kendall_tau_b_top_10_percent", "kendall_tau_b_top_1_percent"))


@dataclass(frozen=True)
class OfMethod:
    """Whose numbers these are: the first fields of all that a report says about a method."""

    label: str  # as shown in tables and pictures
    name: str  # of the method without its changes
    strategy: str  # as given on the command line: "name", or "name[field=value,...]"
    preset: str  # with its changes
    scores: str  # name of the ranking; "" where this is about the runs as such
    place: int  # in the order of the results table: one look in all pictures

    @property
    def is_changed(self) -> bool:
        """Whether some of the method's settings are not its own."""
        return self.strategy != self.name

    @property
    def identity(self) -> tuple[str, str, str, str, str, int]:
        """The fields in order, to begin another `OfMethod` with."""
        return self.label, self.name, self.strategy, self.preset, self.scores, self.place


def ranked(values: np.ndarray) -> np.ndarray:
    """Scores `[n]` as finite numbers of the same order, by the rule of `mngnas.ranks`; all NaN where none is finite.

    Minus infinity and NaN come just below the lowest finite score, infinity just above the highest.
    """
    finite = np.isfinite(values)
    if finite.all():
        return values
    if not finite.any():
        return np.full(len(values), np.nan)
    lowest, highest = float(values[finite].min()), float(values[finite].max())
    below, above = lowest - max(1.0, abs(lowest)), highest + max(1.0, abs(highest))
    return np.where(finite, values, np.where(np.isposinf(values), above, below))


@dataclass(frozen=True, eq=False)
class Known:
    """Architectures that have a ground truth; one object for all runs that scored the same."""

    arch_index: np.ndarray  # int64 [n]
    true: np.ndarray  # [n]

    @cached_property
    def architectures(self) -> bytes:
        """Equal for the same architectures in any order."""
        return np.sort(self.arch_index).tobytes()


@dataclass(frozen=True, eq=False)
class Scored:
    """One ranking of one run, for the n of its architectures that have a ground truth."""

    run: Run
    ranking: str
    known: Known
    columns: Mapping[str, np.ndarray]  # [n] each, as `ranked` makes them; the first is the score
    n_not_finite: int  # architectures with the score NaN or minus infinity, which stand last
    _values: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)

    @property
    def arch_index(self) -> np.ndarray:
        """Official indices, int64 [n]."""
        return self.known.arch_index

    @property
    def true(self) -> np.ndarray:
        """The ground truth, [n]."""
        return self.known.true

    @property
    def architectures(self) -> bytes:
        """Equal for the same architectures in any order."""
        return self.known.architectures

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.run.record.seed

    @property
    def score(self) -> np.ndarray:
        """The first column, [n]."""
        return next(iter(self.columns.values()))

    @property
    def usable(self) -> bool:
        """Whether there are scores, and some are finite."""
        return bool(len(self.true) and np.isfinite(self.score).all())

    @property
    def all_scores(self) -> Ranking:
        """Also of architectures without a ground truth, as they are in the run."""
        return self.run.scores.rankings[self.ranking]

    def part(self, keep: np.ndarray) -> "Scored":
        """The architectures where `keep`, bool `[n]`, holds."""
        columns = {name: values[keep] for name, values in self.columns.items()}
        known = Known(self.arch_index[keep], self.true[keep])
        return Scored(self.run, self.ranking, known, columns, self.n_not_finite)

    def value(self, metric: Metric, column: str = "") -> float:
        """A metric of a column, by default of the score; NaN without architectures or finite scores. Computed once."""
        key = metric.name, column
        if key not in self._values:
            predicted = self.columns[column] if column else self.score
            usable = len(predicted) and np.isfinite(predicted).all()
            self._values[key] = metric.function(predicted, self.true) if usable else math.nan
        return self._values[key]


class GroundTruth:
    """The ground truth `[n_arch]`, NaN where unknown, and the architectures of each set that have it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self._made: dict[bytes, tuple[np.ndarray, Known]] = {}

    def among(self, arch_index: np.ndarray) -> tuple[np.ndarray, Known]:
        """Which of the architectures have it, bool `[n]`, and these."""
        key = arch_index.tobytes()
        if key not in self._made:
            keep = np.isfinite(self.values[arch_index])
            self._made[key] = keep, Known(arch_index[keep], self.values[arch_index[keep]])
        return self._made[key]


def scored_of(run: Run, ranking: str, truth: GroundTruth) -> Scored:
    """A run's ranking beside the ground truth."""
    found = run.scores.rankings[ranking]
    keep, known = truth.among(found.arch_index)
    # Where all are known nothing is copied: a thousand runs have hundreds of megabytes of scores.
    columns = found.columns if keep.all() else {name: values[keep] for name, values in found.columns.items()}
    score = next(iter(columns.values()))
    not_finite = int(np.isneginf(comparable(score)).sum())
    return Scored(run, ranking, known, {name: ranked(values) for name, values in columns.items()}, not_finite)


@dataclass(frozen=True, eq=False)
class Method(OfMethod):
    """All runs of a method, seen through one of their rankings."""

    is_main: bool  # whether the ranking is the first of its runs
    asked: bool  # whether it was allowed to ask the ground truth
    seeds: tuple[Scored, ...]  # in the order of the seeds

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that all seeds have; the first is the score."""
        return tuple(name for name in self.seeds[0].columns if all(name in one.columns for one in self.seeds))

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """The seeds of `seeds`."""
        return tuple(scored.seed for scored in self.seeds)

    @property
    def group(self) -> str:
        """Methods of one group are compared: all main rankings, and further ones of the same name."""
        return "" if self.is_main else self.scores

    def everywhere(self, n_arch: int) -> np.ndarray:
        """The scores of the usable seeds, `[n_seed, n_arch]` by official index, NaN where there is none."""
        rows = [_everywhere(scored.arch_index, scored.score, n_arch) for scored in self.seeds if scored.usable]
        return np.array(rows).reshape(-1, n_arch)

    def values(self, metric: Metric, column: str = "") -> tuple[float, ...]:
        """The metric of each seed."""
        return tuple(scored.value(metric, column) for scored in self.seeds)


@dataclass(frozen=True, eq=False)
class RunGroup(OfMethod):
    """All runs of a method with its changes and one preset, whether it ranks or not."""

    runs: tuple[Run, ...]  # in the order of the seeds

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """Of the runs."""
        return tuple(run.record for run in self.runs)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the runs."""
        return tuple(record.seed for record in self.records)

    @property
    def asked(self) -> bool:
        """Whether it was allowed to ask the ground truth."""
        return any(record.oracle is not None for record in self.records)


def preset_of(record: RunRecord) -> str:
    """The preset with its changes."""
    return " ".join((record.preset, *record.changes))


def group_of(record: RunRecord) -> tuple[str, str, str]:
    """Equal for runs that differ in their seeds only."""
    return record.method.name, json.dumps(record.method.changes, sort_keys=True), preset_of(record)


# ------------------------------------------------------------------------------------------------------------ measured


def measured(seeds: Sequence[Scored], metric: Metric, column: str = "") -> OverSeeds:
    """A metric over the seeds, without an interval over architectures."""
    return OverSeeds.of([one.value(metric, column) for one in seeds], [looked_at(metric, one.true) for one in seeds])


def resampled(seeds: Sequence[Scored], metrics: Sequence[Metric], n_arch: int, resamples: int) -> dict[str, OverSeeds]:
    """Correlations of the scores by name, with the bootstrap interval of their means over architectures as well."""
    together: dict[tuple[bool, ...], list[Metric]] = {}  # by the seeds in which they are defined
    for metric in metrics:
        together.setdefault(tuple(math.isfinite(one.value(metric)) for one in seeds), []).append(metric)
    archs: dict[str, Estimate] = {}
    for defined, some in together.items():
        pairs = [(one, one.score) for one, is_defined in zip(seeds, defined, strict=True) if is_defined]
        archs |= bootstrapped(pairs, some, n_arch, resamples)
    plain = {metric.name: measured(seeds, metric) for metric in metrics}
    return {name: OverSeeds.of(one.values, one.n, archs[name]) for name, one in plain.items()}


def bootstrapped(
    scores: Sequence[tuple[Scored, np.ndarray]], metrics: Sequence[Metric], n_arch: int, resamples: int
) -> dict[str, Estimate]:
    """The mean of each metric over runs and scores `[n]` of their architectures, by the same resamples everywhere."""
    if not scores:
        return {metric.name: Estimate(math.nan, math.nan, math.nan, 0) for metric in metrics}
    pairs = [
        (_everywhere(one.arch_index, values, n_arch), _everywhere(one.arch_index, one.true, n_arch))
        for one, values in scores
    ]
    rng = np.random.default_rng(GENERATOR_SEED)
    return bootstrap_means(pairs, metrics, resamples=resamples, rng=rng)


def looked_at(metric: Metric, true: np.ndarray) -> int:
    """How many architectures a metric looks at."""
    return int(metric.function.members(true).sum()) if isinstance(metric.function, InTop) and len(true) else len(true)


def _everywhere(index: np.ndarray, values: np.ndarray, n_arch: int) -> np.ndarray:
    everywhere = np.full(n_arch, np.nan)
    everywhere[index] = values
    return everywhere
