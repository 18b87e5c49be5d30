"""The numbers of the pictures: methods and results in, frozen dataclasses out; no matplotlib.

Every `*Figure` knows its CSV: `header`, and `rows()` with accuracies as fractions.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from bench.report.results import Results
from bench.report.runs import Scored, StudyRuns
from bench.stats.metrics import kendall_tau_b, precision_at_top_k
from bench.truth.table import Measure
from mngnas.spaces.topology import N_ARCH

CsvRow = tuple[str | int | float, ...]


class FigureNumbers(Protocol):
    """What every figure's numbers can do."""

    header: ClassVar[tuple[str, ...]]

    def rows(self) -> Iterator[CsvRow]:
        """The lines of the CSV; an undefined number is NaN, one that does not apply is ""."""


def _lines(*columns: np.ndarray) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)


@dataclass(frozen=True, eq=False)
class Panel:
    """The first seed of a method, architecture by architecture."""

    label: str
    strategy: str
    seed: int
    tau: float
    arch_index: np.ndarray  # int64 [n]
    predicted: np.ndarray  # [n]
    true: np.ndarray  # [n]
    predicted_rank: np.ndarray  # [n], 1 = best, the mean rank where scores tie
    true_rank: np.ndarray  # [n]


@dataclass(frozen=True, eq=False)
class PanelsFigure:
    """Predicted against true, by value and by rank."""

    target: Measure
    panels: tuple[Panel, ...]
    header: ClassVar[tuple[str, ...]] = (
        "method",
        "strategy",
        "seed",
        "arch_index",
        "predicted",
        "true",
        "predicted_rank",
        "true_rank",
    )

    def rows(self) -> Iterator[CsvRow]:
        """A line for each architecture of each panel."""
        for p in self.panels:
            for values in _lines(p.arch_index, p.predicted, p.true, p.predicted_rank, p.true_rank):
                yield p.label, p.strategy, p.seed, *values


def panels(study: StudyRuns, _results: Results) -> PanelsFigure | None:
    """The first seed of every method: what one run gives."""
    from scipy.stats import rankdata

    found = [
        Panel(
            *(method.label, method.strategy, s.seed, kendall_tau_b(s.accuracy, s.true)),
            *(s.arch_index, s.accuracy, s.true, rankdata(-s.accuracy), rankdata(-s.true)),
        )
        for method in study.methods
        for s in method.seeds[:1]
        if s.usable
    ]
    return PanelsFigure(study.target, tuple(found)) if found else None


@dataclass(frozen=True, eq=False)
class CurveLine:
    """Tau-b at p moments of training."""

    passes: np.ndarray  # [p]
    images: np.ndarray  # [p]
    seconds: np.ndarray  # [p]
    tau: np.ndarray  # [p]


@dataclass(frozen=True, eq=False)
class MethodCurve:
    """The curves of a method's seeds and their mean, up to the last moment that all of them have."""

    label: str
    strategy: str
    place: int  # in `StudyRuns.methods`: one look in all pictures
    seeds: tuple[int, ...]
    lines: tuple[CurveLine, ...]
    mean: CurveLine


@dataclass(frozen=True, eq=False)
class CurvesFigure:
    """Tau-b against training progress, on a sample."""

    methods: tuple[MethodCurve, ...]
    parameters_tau: float  # of the parameter count on the same samples, the mean over them
    n_arch: tuple[int, ...]  # sizes of the samples that differ
    n_samples: int
    header: ClassVar[tuple[str, ...]] = ("method", "strategy", "seed", "passes", "images", "seconds", "tau")

    def rows(self) -> Iterator[CsvRow]:
        """A line for each seed (or "mean") and moment, and one for the parameter count."""
        for m in self.methods:
            names: tuple[int | str, ...] = (*m.seeds, "mean")
            for name, line in zip(names, (*m.lines, m.mean), strict=True):
                for values in _lines(line.passes, line.images, line.seconds, line.tau):
                    yield m.label, m.strategy, name, *values
        yield "parameter count", "", "", "", "", "", self.parameters_tau


def curves(study: StudyRuns, _results: Results) -> CurvesFigure | None:
    """The samples that were scored during training, as far as they have a ground truth."""
    samples: dict[bytes, np.ndarray] = {}
    found = []
    for place, method in enumerate(study.methods):
        if method.score_set != "inherited":
            continue
        lines = {}
        for scored in method.seeds:
            curve = scored.run.scores.curve
            known = np.isfinite(study.truth[curve.arch_index])
            index = curve.arch_index[known]
            if len(index) < 2 or not len(curve.passes):
                continue
            samples[np.sort(index).tobytes()] = index
            tau = [
                kendall_tau_b(accuracy, study.truth[index]) if np.isfinite(accuracy).all() else math.nan
                for accuracy in curve.accuracy[:, known]
            ]
            lines[scored.seed] = CurveLine(
                curve.passes, curve.images.astype(float), curve.seconds.astype(float), np.array(tau)
            )
        if lines:
            mean = _mean_line(lines.values())
            found.append(MethodCurve(method.label, method.strategy, place, tuple(lines), tuple(lines.values()), mean))
    if not found:
        return None
    tau_of = [kendall_tau_b(study.parameters[index], study.truth[index]) for index in samples.values()]
    sizes = sorted({len(index) for index in samples.values()})
    return CurvesFigure(tuple(found), float(np.mean(tau_of)), tuple(sizes), len(samples))


def _mean_line(lines: Iterable[CurveLine]) -> CurveLine:
    lines = list(lines)
    p = min(len(line.tau) for line in lines)
    return CurveLine(
        *(np.mean([getattr(line, name)[:p] for line in lines], axis=0) for name in CurveLine.__dataclass_fields__)
    )


@dataclass(frozen=True, eq=False)
class SearchLine:
    """What training the K best-scored of n architectures gives."""

    label: str
    strategy: str  # "" for a baseline
    place: int  # in `StudyRuns.methods`; behind them for a baseline
    seeds: tuple[int, ...]  # of a baseline: a seed that scored each of the samples
    n_arch: int
    k: np.ndarray  # int64 [p]
    precision: np.ndarray  # [n_seed, p], share of the K that is in the true top K
    regret: np.ndarray  # [n_seed, p], fraction


@dataclass(frozen=True, eq=False)
class SearchGroup:
    """All methods of one score set, and what stands beside them."""

    score_set: str
    methods: tuple[SearchLine, ...]
    baselines: tuple[SearchLine, ...]  # random choice and parameter count, over the samples of the methods


@dataclass(frozen=True, eq=False)
class SearchFigure:
    """Precision and regret against K."""

    groups: tuple[SearchGroup, ...]
    header: ClassVar[tuple[str, ...]] = (
        *("score_set", "method", "strategy", "n_arch", "seed"),
        *("k", "precision", "regret"),
    )

    def rows(self) -> Iterator[CsvRow]:
        """A line for each seed and K."""
        for group in self.groups:
            for line in (*group.methods, *group.baselines):
                for seed, *columns in zip(line.seeds, line.precision, line.regret, strict=True):
                    for values in _lines(line.k, *columns):
                        yield group.score_set, line.label, line.strategy, line.n_arch, seed, *values


def search(study: StudyRuns, _results: Results) -> SearchFigure | None:
    """Precision and regret of the K best-scored; methods of different score sets in different groups."""
    groups = []
    for score_set in dict.fromkeys(method.score_set for method in study.methods):
        lines: list[SearchLine] = []
        samples: dict[bytes, Scored] = {}
        for place, method in enumerate(study.methods):
            usable = [s for s in method.seeds if s.usable]
            if usable and method.score_set == score_set:
                look = method.label, method.strategy, place
                lines.append(_search_line(look, usable, [s.accuracy for s in usable]))
                samples |= {np.sort(s.arch_index).tobytes(): s for s in usable}
        if lines:
            different = list(samples.values())
            baselines = [
                _search_line((label, "", len(study.methods)), different, [column[s.arch_index] for s in different])
                for label, column in (("random choice", np.zeros(N_ARCH)), ("parameter count", study.parameters))
            ]
            groups.append(SearchGroup(score_set, tuple(lines), tuple(baselines)))
    return SearchFigure(tuple(groups)) if groups else None


def _search_line(look: tuple[str, str, int], scored: Sequence[Scored], scores: Sequence[np.ndarray]) -> SearchLine:
    n = min(len(one.true) for one in scored)
    k = np.unique(np.geomspace(1, n, 60).round().astype(int))
    pairs = [(score, one.true) for score, one in zip(scores, scored, strict=True)]
    precision = np.array([[precision_at_top_k(x, y, int(one)) for one in k] for x, y in pairs])
    regret = np.array([regret_at_k(x, y, k) for x, y in pairs])
    return SearchLine(*look, tuple(one.seed for one in scored), n, k, precision, regret)


def regret_at_k(predicted: np.ndarray, true: np.ndarray, k: Iterable[int]) -> np.ndarray:
    """The best true value minus the best among the predicted top K, for each K in 1..n; ties broken at random.

    The expected value over random ties, as everywhere in `bench.stats.metrics`, whose `regret` is K = 1.
    """
    order = np.argsort(-predicted, kind="stable")
    score, true = predicted[order], true[order]
    best_so_far = np.maximum.accumulate(true)
    found = []
    for one in k:
        start, end = (int(np.searchsorted(-score, -score[one - 1], side)) for side in ("left", "right"))
        g, m = end - start, int(one) - start  # m are drawn from the g that tie at the border
        border = np.sort(true[start:end])[::-1][: g - m + 1]
        j = np.arange(g - m)
        probability = m / g * np.cumprod(np.concatenate([[1.0], (g - m - j) / (g - 1 - j)]))  # the j-th is the best
        best = np.maximum(border, best_so_far[start - 1]) if start else border
        found.append(float(probability @ (true.max() - best)))
    return np.array(found)


@dataclass(frozen=True, eq=False)
class TauFigure:
    """Tau-b of every method with both intervals, and the lines that it is compared with."""

    results: Results
    header: ClassVar[tuple[str, ...]] = ("method", "strategy", "what", "seed", "tau", "ci_low", "ci_high", "n")

    def rows(self) -> Iterator[CsvRow]:
        """The seeds, the mean with each interval and the parameter count of each method; then the reference rows."""
        for row in self.results.rows:
            tau, name = row.metrics["kendall_tau_b"], (row.label, row.strategy)
            for seed, value, n in zip(row.seeds, tau.values, tau.n, strict=True):
                yield *name, "seed", seed, value, "", "", n
            s, a, p = tau.spread, tau.architectures, row.tau_of_parameters
            yield *name, "mean, interval over seeds", "", s.mean, s.ci_low, s.ci_high, s.n
            if a is not None:
                yield *name, "mean, interval over architectures", "", a.value, a.ci_low, a.ci_high, a.n
            yield *name, "parameter count, same architectures", "", p.value, p.ci_low, p.ci_high, p.n
        for reference in self.results.references:
            e = reference.estimates["kendall_tau_b"]
            yield reference.label, "", "reference", "", e.value, e.ci_low, e.ci_high, e.n


def taus(_study: StudyRuns, results: Results) -> TauFigure:
    """The first column of the results table."""
    return TauFigure(results)
