"""Entries against one target, sorted: every metric on all architectures and on those that are their own canonical form.

Networks that differ in dead edges only have the same one-shot score and nearly the same accuracy. Papers compute their
correlations with and without these twins, and the two differ by up to .05, so both stand here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.board.entries import Entry
from bench.stats.correlations import midranks
from bench.stats.intervals import Estimate, OverSeeds, bootstrap_means
from bench.stats.metrics import InTop, Metric, named
from bench.truth.target import Target
from mngnas.errors import UserError
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

    n: int  # of those with a ground truth, how many at least one seed scored
    metrics: Mapping[str, OverSeeds]  # by the names of `SHOWN`; tau-b alone has an interval over architectures
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
    n_common: int  # of these scored by every row
    common: bool  # whether the rows are confined to these
    resamples: int


def standings(
    entries: Sequence[Entry],
    target: Target,
    space: Space,
    *,
    common: bool = False,
    resamples: int = 1000,
    with_architectures: Sequence[Metric] = (TAU,),
) -> Board:
    """Measure each entry against the target, by its own architectures or by those that all of them have.

    The mean over seeds comes with the t-interval over seeds; that of metrics `with_architectures` also with its
    bootstrap interval over architectures, the same resamples for all seeds (`bench.stats.intervals`); of a ceiling,
    whose single trainings differ in their architectures, tau-b alone. Minus infinity ranks last and
    infinity first. Entries none of whose architectures has a ground truth are refused, and with `common` entries that
    share fewer than two.
    """
    known = np.isfinite(target.true)
    masks = [_scored(entry, known) for entry in entries]
    for entry, mask in zip(entries, masks, strict=True):
        if not mask.any():
            raise UserError(f"{entry.source}: no architecture scored by {entry.name!r} has a {target.label}")
    shared = np.logical_and.reduce(masks) if masks else known
    if common and shared.sum() < 2:
        fewest = entries[int(np.argmin([mask.sum() for mask in masks]))]
        raise UserError(
            f"the rows share {shared.sum()} architectures; {fewest.name!r} ({fewest.source}) has the fewest"
        )
    any_row = np.logical_or.reduce(masks) if masks else known
    keep = shared if common else known
    rows = []
    for entry, mask in zip(entries, masks, strict=True):
        chosen = with_architectures if entry.against is None else [one for one in with_architectures if one is TAU]
        parts = [_part(entry, target.true, keep & some, chosen, resamples) for some in (known, space.is_canonical)]
        rows.append(Standing(entry, parts[0], parts[1], not common and bool((any_row & ~mask).any())))
    rows.sort(key=_best_first)
    return Board(tuple(rows), target, space, int(known.sum()), int(shared.sum()), common, resamples)


def _scored(entry: Entry, known: np.ndarray) -> np.ndarray:
    """What an entry can be measured on; a ceiling's single trainings differ in what they have."""
    having = ~np.isnan(entry.scores)
    return np.asarray(known & (having.any(axis=0) if entry.against is not None else having.all(axis=0)))


def _best_first(row: Standing) -> tuple[bool, float, str]:
    tau = row.all.metrics[TAU.name].spread.mean
    return not math.isfinite(tau), -tau if math.isfinite(tau) else 0.0, row.entry.label


def _part(
    entry: Entry, true: np.ndarray, keep: np.ndarray, with_architectures: Sequence[Metric], resamples: int
) -> Part:
    """The metrics of the architectures where `keep`, bool `[n_arch]`, holds."""
    keep = keep if entry.against is not None else keep & entry.scored
    pairs = []
    for number, scores in enumerate(entry.scores):
        against = true if entry.against is None else entry.against[number]
        there = keep & ~np.isnan(scores) & np.isfinite(against)
        pairs.append((_finite(np.where(there, scores, np.nan)), np.where(there, against, np.nan)))
    sets = [(x[there], y[there]) for x, y in pairs if len(there := np.flatnonzero(np.isfinite(x)))]
    values = {metric: [metric.function(x, y) for x, y in sets] or [math.nan] for metric in SHOWN}
    archs = _over_architectures(pairs, {metric: values[metric] for metric in with_architectures}, resamples)
    metrics = {}
    for metric in SHOWN:
        looked_at = [_looked_at(metric, y) for _, y in sets]
        metrics[metric.name] = _over_seeds(entry, values[metric], looked_at, archs.get(metric.name))
    n = int(np.isfinite([x for x, _ in pairs]).any(axis=0).sum())
    return Part(n, metrics, _pick(pairs, true))


def _over_seeds(entry: Entry, values: list[float], n: list[int], archs: Estimate | None) -> OverSeeds:
    """Single trainings of a ceiling are compared with one another, so that no t-interval is theirs."""
    if entry.seeds or len(values) == 1:
        return OverSeeds.of(values, n, archs)
    return OverSeeds.of([float(np.mean(values))], [max(n)], archs)


def _over_architectures(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], values: Mapping[Metric, Sequence[float]], resamples: int
) -> dict[str, Estimate]:
    """The bootstrap of the mean of each metric over the seeds in which it is defined, by name."""
    having = [pair for pair in pairs if np.isfinite(pair[0]).any()]
    together: dict[tuple[bool, ...], list[Metric]] = {}
    for metric, of_seeds in values.items():
        together.setdefault(tuple(map(math.isfinite, of_seeds)), []).append(metric)
    found: dict[str, Estimate] = {}
    for defined, metrics in together.items():
        if chosen := [pair for pair, is_defined in zip(having, defined, strict=False) if is_defined]:
            rng = np.random.default_rng(GENERATOR_SEED)
            found |= bootstrap_means(chosen, metrics, resamples=resamples, rng=rng)
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
