"""How well architectures rank after short trainings of their own, against the length of these."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.report.look import REFERENCE, WIDTH, foremost, left_out, legend, look_of, panels
from bench.report.page import Block, Csv, CsvRow, Heading, Paragraph, Picture, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import CORRELATIONS, GENERATOR_SEED, TAU, Method, OfMethod
from bench.report.text import count, estimate, interval, listed, number, over_seeds
from bench.stats.evaluation import reference_rows
from bench.stats.intervals import Estimate, OverSeeds, bootstrap_difference, bootstrap_means, paired_difference
from bench.stats.metrics import Metric
from bench.truth.target import validation_of
from mngnas.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.study.retrain import Found, Line, Retrained

_BESIDE = 0.07  # of the distance between two lengths: from one way to the next
RHO = next(metric for metric in CORRELATIONS if metric.name == "spearman_rho")
WAYS = {
    "guided": "the supernet’s weights, guided",
    "unguided": "the supernet’s weights, cross-entropy",
    "scratch": "from scratch, cross-entropy",
}


@dataclass(frozen=True)
class Point:
    """One length of training."""

    passes: int  # of an architecture
    seeds: tuple[int, ...]
    steps: tuple[int, ...]  # batches that these pay for, of each seed
    seconds: float  # of an architecture with its scoring: the median, mean over seeds
    tau: OverSeeds
    rho: OverSeeds
    tau_by_loss: OverSeeds


@dataclass(frozen=True)
class Way:
    """One way of training, at all lengths."""

    way: str  # a key of `WAYS`
    seeds: tuple[int, ...]
    price: tuple[float, ...]  # passes of a step, of each seed
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Difference:
    """Tau-b of way a minus that of way b at equal passes, on the seeds that both have."""

    passes: int
    a: str
    b: str
    values: tuple[float, ...]
    over_seeds: Estimate
    over_archs: Estimate | None  # of a single seed


@dataclass(frozen=True)
class OfSupernet(OfMethod):
    """What became of a method's supernets."""

    ways: tuple[Way, ...]
    differences: tuple[Difference, ...]
    passes: float  # of the supernet's own training, mean over seeds; the next likewise
    seconds: float
    n_same: int  # architectures whose inherited accuracy, found anew, is that of the study's run
    n_compared: int


@dataclass(frozen=True)
class Retraining:
    """All of it, over the same architectures everywhere."""

    methods: tuple[OfSupernet, ...]
    scratch: Way | None
    n_arch: int
    parameters: Mapping[str, Estimate]  # kendall_tau_b and spearman_rho; the next likewise
    ceiling: Mapping[str, Estimate]
    name_of_ceiling: str
    devices: tuple[str, ...]  # on which the architectures were trained
    unfinished: int  # lines and lengths that are left out, since fewer than half of the architectures have them


@dataclass(frozen=True, eq=False)
class _Same:
    """The architectures that everything is about."""

    archs: tuple[int, ...]
    true: np.ndarray  # [n]
    resamples: int

    def score(self, found: "Found", passes: int, column: int = 0) -> np.ndarray:
        """Accuracies `[n]`, or losses of column 1, seconds of column 2."""
        measured = found.by_passes[passes]
        return np.array([measured[index][column] for index in self.archs])

    def correlation(self, metric: Metric, rows: Sequence[np.ndarray]) -> OverSeeds:
        """Of scores `[n]` of each seed, with both intervals."""
        values = [float(metric.function(row, self.true)) for row in rows]
        pairs = [(row, self.true) for row, value in zip(rows, values, strict=True) if math.isfinite(value)]
        archs = None
        if pairs:
            rng = np.random.default_rng(GENERATOR_SEED)
            archs = bootstrap_means(pairs, [metric], resamples=self.resamples, rng=rng)[metric.name]
        return OverSeeds.of(values, [len(self.true)] * len(values), archs)


def retraining(study: StudyRuns) -> Retraining | None:
    """What `run_bench.py retrain` found (`bench.study.retrain`), if it did; raises `UserError`."""
    from bench.study.retrain import SCRATCH, load_retrained

    retrained = load_retrained(study.directory)
    if not retrained:
        return None
    retrained, archs, unfinished = _finished(retrained)
    if archs and max(archs) >= study.space.n_arch:
        raise UserError(f"{study.directory}: its retraining has an index outside 0..{study.space.n_arch - 1}")
    archs = tuple(index for index in archs if np.isfinite(study.truth[index]))
    if len(archs) < 2:
        return None
    same = _Same(archs, study.truth[list(archs)], study.resamples)
    scratch = {line.seed: found for line, found in retrained.items() if line.way == SCRATCH}
    methods = [_of_supernet(same, method, retrained, scratch) for method in study.methods if method.is_main]
    rows = reference_rows(
        *(study.truth, study.parameters, study.flops, study.table.values(study.target)),
        valid=validation_of(study.table, study.target),
        rows=archs,
        resamples=study.resamples,
        rng=np.random.default_rng(GENERATOR_SEED),
    )
    parameters, ceiling = (next(row for row in rows if row.name == name) for name in ("parameters", "ceiling"))
    return Retraining(
        tuple(method for method in methods if method is not None),
        _way(same, SCRATCH, scratch) if scratch else None,
        len(archs),
        parameters.estimates,
        ceiling.estimates,
        ceiling.label,
        tuple(sorted({found.device for found in retrained.values() if found.device})),
        unfinished,
    )


def _finished(retrained: "Retrained") -> "tuple[Retrained, tuple[int, ...], int]":
    """Without what was cut short, the architectures that all the rest has, and how many lengths were left out."""
    most = max((len(one) for found in retrained.values() for one in found.by_passes.values()), default=0)
    kept: Retrained = {}
    archs: set[int] | None = None
    left = 0
    for line, found in retrained.items():
        whole = {passes: one for passes, one in found.by_passes.items() if 2 * len(one) >= most}
        left += len(found.by_passes) - len(whole)
        for one in whole.values():
            archs = set(one) if archs is None else archs & set(one)
        if whole:
            kept[line] = replace(found, by_passes=whole)
    return kept, tuple(sorted(archs or ())), left


def _of_supernet(
    same: _Same, method: Method, retrained: "Retrained", scratch: "Mapping[int, Found]"
) -> OfSupernet | None:
    found: dict[str, dict[int, Found]] = {}
    runs = {scored.run.directory.name: scored.run for scored in method.seeds}
    lines: list[Line] = [line for line in retrained if line.run in runs]
    if not lines:
        return None
    for line in sorted(lines, key=lambda line: (list(WAYS).index(line.way), line.seed)):
        found.setdefault(line.way, {})[line.seed] = retrained[line]
    pairs = list(combinations({**found, "scratch": scratch}.items(), 2))
    costs = [runs[name].record.cost for name in dict.fromkeys(line.run for line in lines)]
    same_as_run = [_is_same(same, runs[line.run], retrained[line]) for line in lines]
    return OfSupernet(
        *method.identity,
        ways=tuple(_way(same, way, of_seeds) for way, of_seeds in found.items()),
        differences=tuple(one for a, b in pairs for one in _differences(same, a, b)),
        passes=float(np.mean([cost.passes for cost in costs])),
        seconds=float(np.mean([cost.seconds for cost in costs])),
        n_same=sum(int(one.sum()) for one in same_as_run),
        n_compared=sum(len(one) for one in same_as_run),
    )


def _is_same(same: _Same, run: Any, found: "Found") -> np.ndarray:
    """Whether each inherited accuracy is that of the run, bool `[m]`, as far as both have it."""
    inherited = run.scores.rankings.get("inherited")
    if inherited is None or "accuracy" not in inherited.columns or 0 not in found.by_passes:
        return np.zeros(0, bool)
    known = dict(zip(inherited.arch_index.tolist(), inherited.columns["accuracy"].tolist(), strict=True))
    pairs = [(found.by_passes[0][index][0], known[index]) for index in same.archs if index in known]
    return np.array([abs(a - b) < 2e-6 for a, b in pairs], dtype=bool)


def _way(same: _Same, way: str, of_seeds: "Mapping[int, Found]") -> Way:
    lengths = sorted({passes for found in of_seeds.values() for passes in found.by_passes})
    points = []
    for passes in lengths:
        seeds = tuple(seed for seed, found in of_seeds.items() if passes in found.by_passes)
        those = [of_seeds[seed] for seed in seeds]
        accuracy, loss, seconds = ([same.score(found, passes, column) for found in those] for column in range(3))
        points.append(
            Point(
                passes,
                seeds,
                tuple(found.steps(passes) for found in those),
                float(np.mean(np.median(seconds, axis=1))),
                same.correlation(TAU, accuracy),
                same.correlation(RHO, accuracy),
                same.correlation(TAU, [-row for row in loss]),
            )
        )
    return Way(way, tuple(of_seeds), tuple(found.price for found in of_seeds.values()), tuple(points))


def _differences(
    same: _Same, a: "tuple[str, Mapping[int, Found]]", b: "tuple[str, Mapping[int, Found]]"
) -> Iterator[Difference]:
    """At every length that both have, but for no training from the same weights."""
    (name_a, of_a), (name_b, of_b) = a, b
    seeds = [seed for seed in of_a if seed in of_b]
    for passes in sorted({passes for seed in seeds for passes in of_a[seed].by_passes}):
        those = [(of_a[s], of_b[s]) for s in seeds if passes in of_a[s].by_passes and passes in of_b[s].by_passes]
        pairs = [(same.score(x, passes), same.score(y, passes)) for x, y in those]
        taus = [(TAU.function(x, same.true), TAU.function(y, same.true)) for x, y in pairs]
        if not taus or not np.isfinite(taus).all() or (passes == 0 and name_b != "scratch"):
            continue
        first, second = np.array(taus).T
        archs = None
        if len(pairs) == 1:
            rng = np.random.default_rng(GENERATOR_SEED)
            archs = bootstrap_difference(*pairs[0], same.true, TAU, resamples=same.resamples, rng=rng)
        values = tuple((first - second).tolist())
        yield Difference(passes, name_a, name_b, values, paired_difference(first, second), archs)


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Retraining) -> Sequence[Block]:
    """A picture and two tables."""
    csv = Csv("retraining", CSV_HEADER, partial(csv_rows, numbers))
    title = "Rank correlation against the length of retraining"
    head = (
        "supernet",
        "first weights, loss",
        "passes",
        "steps",
        "seconds",
        "passes in all",
        "tau-b",
        "rho",
        "tau-b by loss",
    )
    return [
        Heading("After a little training of their own"),
        Picture("retraining", title, partial(draw_retraining, numbers), _caption(numbers), csv),
        TextTable(head, tuple(_rows(numbers))),
        Paragraph(_about_costs(numbers)),
        *_about_differences(numbers),
    ]


def _caption(numbers: Retraining) -> str:
    seeds = sorted({seed for method in numbers.methods for way in method.ways for seed in way.seeds})
    several = " Bars: 95 % over seeds, cut at the edges; thin: each seed." if len(seeds) > 1 else ""
    ceiling = numbers.ceiling[TAU.name].value
    return (
        f"Tau-b of the validation accuracy of {numbers.n_arch:,} random architectures with the ground truth, after "
        "each was trained alone for so many forward-backward passes: from the weights of a supernet, with the method’s "
        "guidance or by the cross-entropy alone, and from scratch. Each length is a training of its own with a "
        f"learning rate that falls to zero; 0 are the first weights as they are. Lengths stand at equal "
        f"distances.{several} Over the same architectures: dashed, the parameter count, "
        f"{number(numbers.parameters[TAU.name].value)}; dotted, "
        f"{numbers.name_of_ceiling}, {number(ceiling)}." + left_out(numbers.methods)
    )


def _rows(numbers: Retraining) -> Iterator[tuple[str, ...]]:
    for method in numbers.methods:
        for way in method.ways:
            for point in way.points:
                yield _row(method.label, way, point, method.passes + numbers.n_arch * point.passes)
    if numbers.scratch:
        for point in numbers.scratch.points:
            yield _row("none", numbers.scratch, point, numbers.n_arch * point.passes)
    for label, estimates in (("parameter count", numbers.parameters), (numbers.name_of_ceiling, numbers.ceiling)):
        yield label, "", "", "", "", "", estimate(estimates[TAU.name]), estimate(estimates[RHO.name]), ""


def _row(label: str, way: Way, point: Point, in_all: float) -> tuple[str, ...]:
    taus = (over_seeds(one) for one in (point.tau, point.rho, point.tau_by_loss))
    spent = f"{point.passes:,}", count(point.steps), number(point.seconds, 2), number(in_all, 0)
    return label, WAYS[way.way], *spent, *taus


def _about_costs(numbers: Retraining) -> str:
    text = (
        "Passes, steps and seconds (median, with scoring) are those of one architecture. Ways are compared at equal "
        "passes: where teachers guide, their forward passes are paid for, so there are fewer steps. “In all” counts "
        f"all {numbers.n_arch:,} architectures and the supernet’s own training once."
    )
    for method in numbers.methods:
        prices = [price for way in method.ways if way.way == "guided" for price in way.price]
        guided = f", a guided step {number(float(np.mean(prices)), 2)}" if prices else ""
        text += (
            f" {method.label}: the supernet took {number(method.passes, 0)} passes and {number(method.seconds, 0)} s"
            f"{guided}; trained again for this, {method.n_same:,} of {method.n_compared:,} inherited accuracies are "
            "those of the study’s runs."
        )
    if numbers.devices:
        text += f" Seconds are those of {listed(numbers.devices)}."
    if numbers.unfinished:
        text += f" {numbers.unfinished} lengths of single seeds are unfinished and left out."
    return text


def _about_differences(numbers: Retraining) -> Iterator[Block]:
    found = [(method, one) for method in numbers.methods for one in method.differences]
    if not found:
        return
    columns = list(dict.fromkeys((one.a, one.b) for _, one in found))
    rows = sorted({(method.place, method.label, one.passes) for method, one in found})
    cells = {(method.label, one.passes, (one.a, one.b)): one for method, one in found}
    yield TextTable(
        ("supernet", "passes", "seeds", *(f"{a} minus {b}" for a, b in columns)),
        tuple(
            _differing(label, passes, [cells.get((label, passes, one)) for one in columns]) for _, label, passes in rows
        ),
    )
    yield Paragraph(
        "Differences of tau-b at equal passes, paired by seed, with the 95 % t-interval of their mean, which is about "
        "further seeds on these architectures; of a single seed the interval is over architectures."
    )


def _differing(label: str, passes: int, found: Sequence[Difference | None]) -> tuple[str, ...]:
    seeds = {len(one.values) for one in found if one}
    return label, f"{passes:,}", count(seeds), *map(_cell, found)


def _cell(one: Difference | None) -> str:
    if one is None:
        return ""
    of, which = (one.over_archs, "archs") if one.over_archs else (one.over_seeds, "seeds")
    return f"{number(of.value)}\n{which} {interval(of.ci_low, of.ci_high)}"


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = (
    *("method", "strategy", "way", "seed", "passes", "steps", "seconds"),
    *("tau", "ci_low", "ci_high", "rho", "tau_by_loss", "n_arch"),
)


def csv_rows(numbers: Retraining) -> Iterator[CsvRow]:
    """A line for each seed (or "mean", with its interval over seeds) and length, and one for each reference."""
    lines = [(method.label, method.strategy, way) for method in numbers.methods for way in method.ways]
    for label, strategy, way in [*lines, *([("none", "", numbers.scratch)] if numbers.scratch else [])]:
        for point in way.points:
            about = label, strategy, way.way
            columns = (point.steps, point.tau.values, point.rho.values, point.tau_by_loss.values)
            for seed, steps, tau, rho, by_loss in zip(point.seeds, *columns, strict=True):
                yield *about, seed, point.passes, steps, "", tau, "", "", rho, by_loss, numbers.n_arch
            s, means = point.tau.spread, (point.rho.spread.mean, point.tau_by_loss.spread.mean)
            spent = point.passes, float(np.mean(point.steps)), point.seconds
            yield *about, "mean", *spent, s.mean, s.ci_low, s.ci_high, *means, numbers.n_arch
    for label, estimates in (("parameter count", numbers.parameters), (numbers.name_of_ceiling, numbers.ceiling)):
        t, r = estimates[TAU.name], estimates[RHO.name].value
        yield label, "", "", "", "", "", "", t.value, t.ci_low, t.ci_high, r, "", numbers.n_arch


def draw_retraining(numbers: Retraining) -> "Figure":
    """A panel a method."""
    shown = foremost(numbers.methods)
    columns = min(3, max(1, len(shown)))
    width = WIDTH / columns if columns > 1 else 0.75 * WIDTH
    figure, axes = panels(max(1, len(shown)), columns, (width, 3.4))
    for place, ax in enumerate(axes):
        plot_retraining(ax, numbers, shown[place] if shown else None)
        ax.sharey(axes[0])
        ax.tick_params(labelleft=place % columns == 0)
        ax.set_title(shown[place].label if shown else "")
        ax.set_xlabel("passes of an architecture")
    axes[0].set_ylabel("Kendall tau-b")
    axes[0].set_ylim(*_ends(numbers))
    legend(figure, *axes)
    return figure


def _ends(numbers: Retraining) -> tuple[float, float]:
    """Room for every seed and both references; intervals of few seeds may be far wider."""
    ways = [way for method in numbers.methods for way in method.ways] + ([numbers.scratch] if numbers.scratch else [])
    values = [value for way in ways for point in way.points for value in point.tau.values]
    values += [one[TAU.name].value for one in (numbers.parameters, numbers.ceiling)]
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    return min(known) - 0.05, max(known) + 0.05


def plot_retraining(ax: "Axes", numbers: Retraining, method: OfSupernet | None) -> "Axes":
    """Tau-b of each way against the passes of an architecture, which stand at equal distances."""
    ways = [*(method.ways if method else ()), *([numbers.scratch] if numbers.scratch else [])]
    lengths = sorted({point.passes for way in ways for point in way.points})
    for way in ways:
        number = list(WAYS).index(way.way)
        look = look_of(number)
        x = np.array([lengths.index(point.passes) for point in way.points]) + _BESIDE * (number - 1)
        spreads = [point.tau.spread for point in way.points]
        for seed in way.seeds if len(way.seeds) > 1 else ():
            y = [dict(zip(point.seeds, point.tau.values, strict=True)).get(seed, math.nan) for point in way.points]
            ax.plot(x, y, color=look["color"], linewidth=0.5, alpha=0.35)
        half = [one.ci_high - one.mean for one in spreads]
        ax.errorbar(x, [one.mean for one in spreads], half, **look, elinewidth=1, capsize=2, label=WAYS[way.way])
    for estimates, style, label in (
        (numbers.parameters, "--", "parameter count"),
        (numbers.ceiling, ":", numbers.name_of_ceiling),
    ):
        tau = estimates[TAU.name].value
        if math.isfinite(tau):
            ax.axhline(tau, color=REFERENCE, linestyle=style, linewidth=1.2, label=label, zorder=1)
    ax.set_xticks(range(len(lengths)), [f"{passes:,}" for passes in lengths])
    ax.grid(visible=False, axis="x")
    return ax


SECTION = Section("retraining", retraining, blocks)
