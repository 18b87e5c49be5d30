"""Entries against one target, sorted: every metric on all architectures and on those that are their own canonical form.

Networks that differ in dead edges only have the same one-shot score and nearly the same accuracy. Papers compute their
correlations with and without these twins, and the two differ by up to .05, so both stand here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from bench.board.entries import Entry
from bench.stats.bootstrap_kernels import is_correlation
from bench.stats.intervals import Estimate, OverSeeds, bootstrap_means
from bench.stats.metrics import InTop, Metric, named
from bench.truth.target import Target
from mngnas.errors import UserError
from mngnas.ranks import midranks
from mngnas.spaces import Space

GENERATOR_SEED = 0  # of every bootstrap of a board
SHOWN = tuple(
    named(
        (
            "kendall_tau_b",
            "spearman_rho",
            "kendall_tau_b_top_10_percent",
            "precision_at_top_5_percent",
            "regret",
        )
    )
)
TAU = SHOWN[0]


@dataclass(frozen=True, eq=False)
class Part:
    """A predictor on some of the architectures."""

    n: int  # architectures that were compared
    metrics: Mapping[str, OverSeeds]  # by the names of `SHOWN`
    pick: int  # official index of the highest mean score; the truly worst of those that tie for it; -1 without scores


@dataclass(frozen=True, eq=False)
class Standing:
    """A row of the board."""

    entry: Entry
    all: Part
    live: Part  # canonical architectures alone
    is_partial: bool  # whether another row was scored on architectures that this one lacks

    def of(self, live: bool) -> Part:
        """One of the two."""
        return self.live if live else self.all


@dataclass(frozen=True, eq=False)
class Board:
    """Every entry against one target, the highest tau-b on all architectures first."""

    rows: tuple[Standing, ...]
    target: Target
    space: Space
    n_known: int  # architectures with a ground truth
    n_live: int  # of these their own canonical form
    n_common: int  # of these scored by every row
    common: bool  # whether the rows are confined to these
    resamples: int


def standings(
    entries: Sequence[Entry],
    target: Target,
    space: Space,
    *,
    common: bool = False,
    with_archs: Sequence[Metric] = (TAU,),
    resamples: int = 1000,
) -> Board:
    """Measure each entry against the target, by its own architectures or by those that all of them have.

    The mean over seeds comes with the t-interval over seeds; for the metrics `with_archs` also with the bootstrap
    interval of that mean over architectures, the same resamples for all seeds (`bench.stats.intervals`); metrics other
    than correlations have it only where all seeds scored the same architectures. Minus infinity ranks last and infinity
    first. Raises `UserError` for an entry none of whose architectures has a ground truth, and with `common` for entries
    that share fewer than two.
    """
    known = np.isfinite(target.true)
    masks = [_scored(entry, known) for entry in entries]
    for entry, mask in zip(entries, masks, strict=True):
        if not mask.any():
            raise UserError(f"{entry.source}: no architecture scored by {entry.name!r} has a {target.label}")
    shared = np.logical_and.reduce([known, *masks])
    if common and shared.sum() < 2:
        least = entries[int(np.argmin([mask.sum() for mask in masks]))]
        raise UserError(f"the rows share {shared.sum()} architectures; {least.name!r} ({least.source}) has the fewest")
    most = shared if common else np.logical_or.reduce([shared, *masks])
    keep = shared if common else known
    rows = []
    for entry, mask in zip(entries, masks, strict=True):
        everywhere, live = (
            _part(entry, target.true, some, with_archs, resamples) for some in (keep, keep & space.is_canonical)
        )
        rows.append(Standing(entry, everywhere, live, is_partial=bool((most & ~mask).any())))
    n_known, n_live, n_common = (int(one.sum()) for one in (known, known & space.is_canonical, shared))
    return Board(tuple(sorted(rows, key=_best_first)), target, space, n_known, n_live, n_common, common, resamples)


def _scored(entry: Entry, known: np.ndarray) -> np.ndarray:
    """What an entry can be measured on, bool `[n_arch]`; a ceiling takes what there is and hinders no comparison."""
    return known if entry.against is not None else np.asarray(known & entry.scored)


def _best_first(row: Standing) -> tuple[bool, float, str]:
    tau = row.all.metrics[TAU.name].spread.mean
    return not math.isfinite(tau), -tau if math.isfinite(tau) else 0.0, row.entry.label


Pair = tuple[np.ndarray, np.ndarray]  # a seed's scores and what they are to predict, [n_arch], NaN where left out


def _part(entry: Entry, true: np.ndarray, keep: np.ndarray, with_archs: Sequence[Metric], resamples: int) -> Part:
    """The metrics of the architectures where `keep`, bool `[n_arch]`, holds."""
    pairs: list[Pair] = []
    for number, scores in enumerate(entry.scores):
        against = true if entry.against is None else entry.against[number]
        there = keep & ~np.isnan(scores) & np.isfinite(against)
        there &= entry.scored if entry.against is None else True
        pairs.append((_finite(np.where(there, scores, np.nan)), np.where(there, against, np.nan)))
    measured = np.isfinite([x for x, _ in pairs])
    sets = [(x[there], y[there]) for (x, y), there in zip(pairs, measured, strict=True)]
    values = {m: [m.function(x, y) if len(x) else math.nan for x, y in sets] for m in SHOWN}
    archs = _over_architectures(pairs, {m: values[m] for m in with_archs}, resamples)
    metrics = {m.name: _over_seeds(entry, values[m], [_looked_at(m, y) for _, y in sets], archs.get(m)) for m in SHOWN}
    return Part(int(measured.any(axis=0).sum()), metrics, _pick(pairs, true))


def _over_seeds(entry: Entry, values: Sequence[float], n: Sequence[int], archs: Estimate | None) -> OverSeeds:
    """Single trainings of a ceiling are compared with one another, so that no t-interval is theirs."""
    if entry.against is None:
        return OverSeeds.of(values, n, archs)
    return OverSeeds.of([float(np.mean(values))], [max(n)], archs)


def _over_architectures(
    pairs: Sequence[Pair], values: Mapping[Metric, Sequence[float]], resamples: int
) -> dict[Metric, Estimate]:
    """The bootstrap of each metric's mean over the seeds in which it is defined."""
    together: dict[tuple[bool, ...], list[Metric]] = {}
    alike = all(np.array_equal(np.isfinite(pairs[0][0]), np.isfinite(x)) for x, _ in pairs[1:])
    for metric, of_seeds in values.items():
        if alike or is_correlation(metric.function):
            together.setdefault(tuple(map(math.isfinite, of_seeds)), []).append(metric)
    found: dict[Metric, Estimate] = {}
    for defined, metrics in together.items():
        some = list(compress(pairs, defined))
        if some:
            rng = np.random.default_rng(GENERATOR_SEED)
            estimates = bootstrap_means(some, metrics, resamples=resamples, rng=rng)
            found |= {metric: estimates[metric.name] for metric in metrics}
    return found


def _finite(scores: np.ndarray) -> np.ndarray:
    """Scores `[n_arch]`, NaN where there is none, without infinities: midranks where there are some."""
    if not np.isinf(scores).any():
        return scores
    found = scores.copy()
    there = ~np.isnan(scores)
    found[there] = midranks(scores[there])
    return found


def _looked_at(metric: Metric, true: np.ndarray) -> int:
    return int(metric.function.members(true).sum()) if isinstance(metric.function, InTop) else len(true)


def _pick(pairs: Sequence[tuple[np.ndarray, np.ndarray]], true: np.ndarray) -> int:
    """The architecture with the highest score, mean over seeds; of those that tie, the truly worst."""
    mean = np.mean([scores for scores, _ in pairs], axis=0)
    if not np.isfinite(mean).any():
        return -1
    best = np.flatnonzero(mean == np.nanmax(mean))
    return int(best[np.argmin(true[best])])
