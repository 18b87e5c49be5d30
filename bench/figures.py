"""The numbers of a report: runs and ground truth in, frozen dataclasses out; no matplotlib.

Every `*Figure` knows its CSV: `header`, and `rows()` with accuracies as fractions. One score set of one strategy is a
`Method`; "inherited" and "retrained" scores are different methods and nothing here joins them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Protocol

import numpy as np

from bench.evaluation import ReferenceRow, disconnected, reference_rows
from bench.intervals import Estimate, SeedSpread, bootstrap_mean, paired_difference, seed_spread
from bench.metrics import METRICS, InTop, Metric, kendall_tau_b, named, precision_at_top_k
from bench.records import Run, load_runs
from bench.tables.table import Measure, Table
from mngnas.errors import UserError, unknown
from mngnas.space import N_ARCH

GENERATOR_SEED = 0  # of every bootstrap in a report
SHOWN = named(
    (
        *("kendall_tau_b", "spearman_rho", "kendall_tau_b_top_10_percent", "kendall_tau_b_top_1_percent"),
        *("precision_at_top_5_percent", "best_rank_at_10", "regret", "accuracy_of_best"),
    )
)
_RESAMPLED = SHOWN[:4]  # those that the bootstrap has from counts; the others would take minutes
_TAU = METRICS["kendall_tau_b"]
_ONE_OF_EACH = ("benchmark", "dataset", "images", "protocol", "table_checksum")  # in a study

CsvRow = tuple[str | int | float, ...]


class FigureNumbers(Protocol):
    """What every figure's numbers can do."""

    header: ClassVar[tuple[str, ...]]

    def rows(self) -> Iterator[CsvRow]:
        """The lines of the CSV; an undefined number is NaN, one that does not apply is ""."""


# ------------------------------------------------------------------------------------------------------------- study


@dataclass(frozen=True, eq=False)
class Scored:
    """One score set of one run, for the n of its architectures that have a ground truth."""

    run: Run
    arch_index: np.ndarray  # int64 [n]
    accuracy: np.ndarray  # [n]
    loss: np.ndarray  # [n]
    true: np.ndarray  # [n]

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.run.record.seed

    def part(self, keep: np.ndarray) -> "Scored":
        """The architectures where `keep`, bool `[n]`, holds."""
        return Scored(self.run, self.arch_index[keep], self.accuracy[keep], self.loss[keep], self.true[keep])


@dataclass(frozen=True, eq=False)
class Method:
    """All runs of a strategy, seen through one of their score sets."""

    label: str
    strategy: str
    preset: str
    score_set: str  # "inherited" or "retrained"
    seeds: tuple[Scored, ...]  # in the order of the seeds


@dataclass(frozen=True, eq=False)
class StudyRuns:
    """The runs of a study beside their ground truth."""

    directory: Path
    runs: tuple[Run, ...]
    table: Table
    target: Measure
    truth: np.ndarray  # [15625], NaN where unknown
    methods: tuple[Method, ...]  # inherited scores first, then the highest tau-b first
    parameters: np.ndarray  # [15625]
    flops: np.ndarray  # [15625]


def read_runs(directory: Path, table: Table, target: Measure) -> StudyRuns:
    """Load the finished runs below `directory`; raises `UserError` for runs that do not belong into one table."""
    runs = load_runs(directory)
    for name in _ONE_OF_EACH:
        values = sorted({str(getattr(run.record, name)) for run in runs})
        if len(values) > 1:
            raise UserError(f"{directory} mixes runs of {len(values)} {name} values ({', '.join(values)}): one only")
    first = runs[0].record
    if first.table_checksum != table.checksum:
        raise UserError(
            f"the runs in {directory} were made with a table {first.benchmark!r} of checksum "
            f"{first.table_checksum[:12]}, and this table {table.name!r} has {table.checksum[:12]}"
        )
    if target.kind != "accuracy" or target.dataset != first.dataset:
        raise UserError(f"target '{target}' is not an accuracy on {first.dataset}, where the runs were trained")
    for name, column in (("parameters", table.parameters), ("flops", table.flops)):
        if first.dataset not in column:
            raise UserError(f"table {table.name!r}, {name}: {unknown('data set', first.dataset, column)}")
    truth = table.mean(target)
    methods = _methods(directory, runs, truth)
    if not any(len(scored.true) for method in methods for scored in method.seeds):
        raise UserError(f"no architecture scored in {directory} has a {target}")
    costs = table.parameters[first.dataset], table.flops[first.dataset]
    return StudyRuns(directory, tuple(runs), table, target, truth, methods, *costs)


def _methods(directory: Path, runs: Sequence[Run], truth: np.ndarray) -> tuple[Method, ...]:
    groups: dict[tuple[str, str, str], dict[int, Scored]] = {}
    configs: dict[tuple[str, str], Run] = {}
    presets = {run.record.preset for run in runs}
    for run in runs:
        record = run.record
        other = configs.setdefault((record.strategy, record.preset), run).record
        if changed := [k for k in other.config | record.config if other.config.get(k) != record.config.get(k)]:
            raise UserError(
                f"{directory}: seeds {other.seed} and {record.seed} of {record.strategy!r} differ in {changed[0]!r}"
            )
        for name, found in run.scores.sets.items():
            seeds = groups.setdefault((name, record.strategy, record.preset), {})
            if record.seed in seeds:
                raise UserError(f"{directory} holds seed {record.seed} of {record.strategy!r} twice")
            scored = Scored(run, found.arch_index, found.accuracy, found.loss, truth[found.arch_index])
            seeds[record.seed] = scored.part(np.isfinite(scored.true))
    methods = []
    for (name, strategy, preset), seeds in groups.items():
        label = strategy + (f" ({preset})" if len(presets) > 1 else "") + (f", {name}" if name != "inherited" else "")
        methods.append(Method(label, strategy, preset, name, tuple(seeds[seed] for seed in sorted(seeds))))

    def place(method: Method) -> tuple[bool, str, float, str]:
        tau = over_seeds([value_of(kendall_tau_b, one, one.accuracy) for one in method.seeds]).spread.mean
        return method.score_set != "inherited", method.score_set, -tau if math.isfinite(tau) else 2.0, method.label

    return tuple(sorted(methods, key=place))


# ----------------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True)
class OverSeeds:
    """One number per seed and what they say together."""

    values: tuple[float, ...]  # in the order of the seeds, NaN where undefined
    spread: SeedSpread  # over the seeds where it is defined
    n: tuple[int, ...] = ()  # how many architectures each value looks at
    architectures: Estimate | None = None  # bootstrap of the mean over seeds


@dataclass(frozen=True)
class ResultRow:
    """How well a method ranks, and what it cost."""

    label: str
    strategy: str
    preset: str
    score_set: str
    seeds: tuple[int, ...]
    is_sample: bool  # whether some architecture with a ground truth has no score
    metrics: Mapping[str, OverSeeds]  # by the names in bench.metrics
    tau_connected: OverSeeds  # without the architectures that join input and output nowhere
    tau_by_loss: OverSeeds  # minus the loss as the score
    tau_of_parameters: Estimate  # of the parameter count, over the same architectures
    passes: OverSeeds
    images_seen: OverSeeds
    train_seconds: OverSeeds
    score_seconds: OverSeeds
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Tau-b of method a minus that of method b on the seeds that both have."""

    a: str
    b: str
    seeds: tuple[int, ...]
    difference: Estimate | None
    reason: str = ""  # why there is no difference


@dataclass(frozen=True)
class Results:
    """Every number in the tables of a report."""

    rows: tuple[ResultRow, ...]
    references: tuple[ReferenceRow, ...]
    differences: tuple[Difference, ...]
    resamples: int


def evaluate_study(study: StudyRuns, resamples: int = 1000) -> Results:
    """All results; the reference rows are over the architectures that every run scored with inherited weights."""
    common = np.isfinite(study.truth)
    for method in study.methods:
        for scored in method.seeds if method.score_set == "inherited" else ():
            common &= np.isin(np.arange(N_ARCH), scored.arch_index)
    if common.sum() < 2:  # different samples
        common = np.isfinite(study.truth)
    true = np.where(common, study.truth, np.nan)
    of_seeds = np.where(common[:, None], study.table.values(study.target), np.nan)
    rng = np.random.default_rng(GENERATOR_SEED)
    references = reference_rows(true, study.parameters, study.flops, of_seeds, resamples=resamples, rng=rng)
    rows = tuple(_result_row(study, method, resamples, common, references[0]) for method in study.methods)
    pairs = combinations(zip(study.methods, rows, strict=True), 2)
    differences = [_difference(*a, *b) for a, b in pairs if a[0].score_set == b[0].score_set]
    return Results(rows, references, tuple(differences), resamples)


def value_of(function: Callable[[np.ndarray, np.ndarray], float], scored: Scored, predicted: np.ndarray) -> float:
    """The metric; NaN for no architectures, or for scores that are not finite: a run that diverged is not left out."""
    return function(predicted, scored.true) if len(predicted) and np.isfinite(predicted).all() else math.nan


def over_seeds(values: Sequence[float], n: Iterable[int] = (), architectures: Estimate | None = None) -> OverSeeds:
    """Spread over the values that are defined."""
    defined = [value for value in values if math.isfinite(value)]
    undefined = SeedSpread(math.nan, math.nan, math.nan, math.nan, 0)
    return OverSeeds(tuple(values), seed_spread(defined) if defined else undefined, tuple(n), architectures)


def _result_row(
    study: StudyRuns, method: Method, resamples: int, common: np.ndarray, parameter_count: ReferenceRow
) -> ResultRow:
    seeds = method.seeds
    connected = [scored.part(~disconnected()[scored.arch_index]) for scored in seeds]
    if all(np.array_equal(np.sort(scored.arch_index), np.flatnonzero(common)) for scored in seeds):
        of_parameters = parameter_count.estimates[_TAU.name]
    else:
        costs = [study.parameters[scored.arch_index].astype(float) for scored in seeds]
        of_parameters = _bootstrap_mean(seeds, costs, study.truth, _TAU, resamples)
    records = [scored.run.record for scored in seeds]
    return ResultRow(
        *(method.label, method.strategy, method.preset, method.score_set),
        seeds=tuple(scored.seed for scored in seeds),
        is_sample=any(len(scored.true) < np.isfinite(study.truth).sum() for scored in seeds),
        metrics=MappingProxyType({m.name: _measured(study, seeds, m, resamples) for m in SHOWN}),
        tau_connected=over_seeds(
            [value_of(kendall_tau_b, s, s.accuracy) for s in connected], [len(s.true) for s in connected]
        ),
        tau_by_loss=over_seeds([value_of(kendall_tau_b, s, -s.loss) for s in seeds], [len(s.true) for s in seeds]),
        tau_of_parameters=of_parameters,
        passes=over_seeds([record.passes for record in records]),
        images_seen=over_seeds([float(record.images_seen) for record in records]),
        train_seconds=over_seeds([record.train_seconds for record in records]),
        score_seconds=over_seeds([record.score_seconds for record in records]),
        devices=tuple(dict.fromkeys(record.device for record in records)),
    )


def _measured(study: StudyRuns, seeds: Sequence[Scored], metric: Metric, resamples: int) -> OverSeeds:
    scores = [scored.accuracy for scored in seeds]
    values = [value_of(metric.function, scored, scored.accuracy) for scored in seeds]
    n = [_looked_at(metric, scored.true) for scored in seeds]
    if metric not in _RESAMPLED:
        return over_seeds(values, n)
    return over_seeds(values, n, _bootstrap_mean(seeds, scores, study.truth, metric, resamples))


def _looked_at(metric: Metric, true: np.ndarray) -> int:
    return int(metric.function.members(true).sum()) if isinstance(metric.function, InTop) and len(true) else len(true)


def _bootstrap_mean(
    seeds: Sequence[Scored], scores: Sequence[np.ndarray], truth: np.ndarray, metric: Metric, resamples: int
) -> Estimate:
    """Of the mean over the seeds where the metric is defined, by the same resamples for all methods."""
    pairs = []
    for scored, values in zip(seeds, scores, strict=True):
        if math.isfinite(value_of(metric.function, scored, values)):
            everywhere = np.full(N_ARCH, np.nan)
            everywhere[scored.arch_index] = values
            pairs.append((everywhere, truth))
    if not pairs:
        return Estimate(math.nan, math.nan, math.nan, 0)
    return bootstrap_mean(pairs, metric, resamples=resamples, rng=np.random.default_rng(GENERATOR_SEED))


def _difference(method_a: Method, row_a: ResultRow, method_b: Method, row_b: ResultRow) -> Difference:
    a, b = (
        {s.seed: (s, tau) for s, tau in zip(method.seeds, row.metrics[_TAU.name].values, strict=True)}
        for method, row in ((method_a, row_a), (method_b, row_b))
    )
    common = tuple(seed for seed in a if seed in b)
    found = partial(Difference, row_a.label, row_b.label)
    if len(common) < 2:
        return found(common, None, f"{len(common) or 'no'} common seed{'' if common else 's'}: two are needed")
    if not all(np.array_equal(np.sort(a[s][0].arch_index), np.sort(b[s][0].arch_index)) for s in common):
        return found(common, None, "they scored different architectures")
    defined = tuple(seed for seed in common if math.isfinite(a[seed][1] - b[seed][1]))
    if len(defined) < 2:
        return found(defined, None, "tau is undefined for a constant score")
    return found(defined, paired_difference([a[s][1] for s in defined], [b[s][1] for s in defined]))


# ----------------------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True, eq=False)
class Panel:
    """The first seed of a method, architecture by architecture."""

    label: str
    seed: int
    n_seed: int
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
            columns = (p.arch_index, p.predicted, p.true, p.predicted_rank, p.true_rank)
            for values in zip(*(column.tolist() for column in columns), strict=True):
                yield p.label, p.seed, *values


def panels(study: StudyRuns, _results: Results) -> PanelsFigure | None:
    """The first seed of every method: what one run gives."""
    from scipy.stats import rankdata

    found = [
        Panel(
            *(method.label, s.seed, len(method.seeds), value_of(kendall_tau_b, s, s.accuracy)),
            *(s.arch_index, s.accuracy, s.true, rankdata(-s.accuracy), rankdata(-s.true)),
        )
        for method in study.methods
        for s in method.seeds[:1]
        if len(s.true) and np.isfinite(s.accuracy).all()
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
    header: ClassVar[tuple[str, ...]] = ("method", "seed", "passes", "images", "seconds", "tau")

    def rows(self) -> Iterator[CsvRow]:
        """A line for each seed (or "mean") and moment, and one for the parameter count."""
        for m in self.methods:
            names: tuple[int | str, ...] = (*m.seeds, "mean")
            for name, line in zip(names, (*m.lines, m.mean), strict=True):
                columns = (line.passes, line.images, line.seconds, line.tau)
                for values in zip(*(column.tolist() for column in columns), strict=True):
                    yield m.label, name, *values
        yield "parameter count", "", "", "", "", self.parameters_tau


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
            found.append(MethodCurve(method.label, place, tuple(lines), tuple(lines.values()), mean))
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
    header: ClassVar[tuple[str, ...]] = ("score_set", "method", "n_arch", "seed", "k", "precision", "regret")

    def rows(self) -> Iterator[CsvRow]:
        """A line for each seed and K."""
        for group in self.groups:
            for line in (*group.methods, *group.baselines):
                for seed, *columns in zip(line.seeds, line.precision, line.regret, strict=True):
                    for values in zip(*(column.tolist() for column in (line.k, *columns)), strict=True):
                        yield group.score_set, line.label, line.n_arch, seed, *values


def search(study: StudyRuns, _results: Results) -> SearchFigure | None:
    """Precision and regret of the K best-scored; methods of different score sets in different groups."""
    groups = []
    for score_set in dict.fromkeys(method.score_set for method in study.methods):
        lines: list[SearchLine] = []
        samples: dict[bytes, Scored] = {}
        for place, method in enumerate(study.methods):
            usable = [s for s in method.seeds if len(s.true) and np.isfinite(s.accuracy).all()]
            if usable and method.score_set == score_set:
                lines.append(_search_line(method.label, place, usable, [s.accuracy for s in usable]))
                samples |= {np.sort(s.arch_index).tobytes(): s for s in usable}
        if lines:
            different = list(samples.values())
            baselines = [
                _search_line(label, len(study.methods), different, [column[s.arch_index] for s in different])
                for label, column in (("random choice", np.zeros(N_ARCH)), ("parameter count", study.parameters))
            ]
            groups.append(SearchGroup(score_set, tuple(lines), tuple(baselines)))
    return SearchFigure(tuple(groups)) if groups else None


def _search_line(label: str, place: int, scored: Sequence[Scored], scores: Sequence[np.ndarray]) -> SearchLine:
    n = min(len(one.true) for one in scored)
    k = np.unique(np.geomspace(1, n, 60).round().astype(int))
    pairs = [(score, one.true) for score, one in zip(scores, scored, strict=True)]
    precision = np.array([[precision_at_top_k(x, y, int(one)) for one in k] for x, y in pairs])
    regret = np.array([regret_at_k(x, y, k) for x, y in pairs])
    return SearchLine(label, place, tuple(one.seed for one in scored), n, k, precision, regret)


def regret_at_k(predicted: np.ndarray, true: np.ndarray, k: Iterable[int]) -> np.ndarray:
    """The best true value minus the best among the predicted top K, for each K in 1..n; ties broken at random.

    The expected value over random ties, as everywhere in `bench.metrics`, whose `regret` is K = 1.
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
    header: ClassVar[tuple[str, ...]] = ("method", "what", "seed", "tau", "ci_low", "ci_high", "n")

    def rows(self) -> Iterator[CsvRow]:
        """The seeds, the mean with each interval and the parameter count of each method; then the reference rows."""
        for row in self.results.rows:
            tau = row.metrics[_TAU.name]
            for seed, value, n in zip(row.seeds, tau.values, tau.n, strict=True):
                yield row.label, "seed", seed, value, "", "", n
            s, a, p = tau.spread, tau.architectures, row.tau_of_parameters
            yield row.label, "mean, interval over seeds", "", s.mean, s.ci_low, s.ci_high, s.n
            if a is not None:
                yield row.label, "mean, interval over architectures", "", a.value, a.ci_low, a.ci_high, a.n
            yield row.label, "parameter count, same architectures", "", p.value, p.ci_low, p.ci_high, p.n
        for reference in self.results.references:
            e = reference.estimates[_TAU.name]
            yield reference.label, "reference", "", e.value, e.ci_low, e.ci_high, e.n


def taus(_study: StudyRuns, results: Results) -> TauFigure:
    """The first column of the results table."""
    return TauFigure(results)
