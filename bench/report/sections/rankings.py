"""How well each method ranks: the main table, and its first column as the main picture."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bench.report.look import BESIDE, REFERENCE, look_of, name_rows, row_a_method, seeds_and_mean
from bench.report.page import Block, Csv, CsvRow, Heading, Paragraph, Picture, Section, TextTable
from bench.report.runs import StudyRuns, correlations
from bench.report.scores import CORRELATIONS, GENERATOR_SEED, TAU, Method, OfMethod, bootstrapped, measured
from bench.report.sections.references import references
from bench.report.text import STAR, by_column, count, estimate, listed, over_seeds, starred
from bench.stats.evaluation import ReferenceRow
from bench.stats.intervals import MANY_PAIRS, Estimate, OverSeeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = CORRELATIONS[:2]

_WORTH_A_COLUMN = 0.25  # of the rows; what few have, the parts of a score for example, is in results.json


@dataclass(frozen=True)
class ResultRow(OfMethod):
    """How well a method ranks."""

    is_main: bool  # whether it is its method's main ranking
    asked: bool  # whether the method was allowed to ask the ground truth
    queries: tuple[int, ...]  # accuracies of the ground truth that it read; of each seed
    seeds: tuple[int, ...]
    is_sample: bool  # whether some architecture with a ground truth has no score
    n_not_finite: tuple[int, ...]  # architectures without a finite score, which stand last; of each seed
    score: str  # name of the column that it ranks by
    metrics: Mapping[str, OverSeeds]  # by the names in bench.stats.metrics
    tau_connected: OverSeeds  # without the architectures that join input and output nowhere
    tau_live: OverSeeds  # of the canonical architectures alone: no two that differ in dead edges only
    tau_by_column: Mapping[str, OverSeeds]  # ranked by each of the other columns
    tau_of_parameters: Estimate  # of the parameter count, over the same architectures


@dataclass(frozen=True)
class Bar(OfMethod):
    """A row of the picture, of a study's method or of anything else that ranks."""

    tau: OverSeeds
    is_main: bool = True  # a filled marker
    parameters: float = math.nan  # tau-b of the parameter count on the same architectures


@dataclass(frozen=True)
class Rankings:
    """Every ranking of the study, and the lines that the picture compares them with."""

    rows: tuple[ResultRow, ...]
    references: tuple[ReferenceRow, ...]
    resamples: int
    generator_seed: int = GENERATOR_SEED


def rankings(study: StudyRuns) -> Rankings | None:
    """Of every method that ranks."""
    if not study.methods:
        return None
    rows = tuple(_measured(study, method) for method in study.methods)
    return Rankings(rows, study.once(references).rows, study.resamples)


def _measured(study: StudyRuns, method: Method) -> ResultRow:
    seeds, n_known = method.seeds, np.isfinite(study.truth).sum()
    joined, live = (
        [scored.part(some[scored.arch_index]) for scored in seeds]
        for some in (study.space.connected, study.space.is_canonical)
    )
    return ResultRow(
        *method.identity,
        is_main=method.is_main,
        asked=method.asked,
        queries=tuple(scored.run.record.cost.queries for scored in seeds),
        seeds=method.seed_numbers,
        is_sample=any(len(scored.true) < n_known for scored in seeds),
        n_not_finite=tuple(scored.n_not_finite for scored in seeds),
        score=method.columns[0],
        metrics={metric.name: study.once(correlations)[method.place][metric.name] for metric in SHOWN},
        tau_connected=measured(joined, TAU),
        tau_live=measured(live, TAU),
        tau_by_column={name: measured(seeds, TAU, name) for name in method.columns[1:]},
        tau_of_parameters=_of_parameters(study, method),
    )


def _of_parameters(study: StudyRuns, method: Method) -> Estimate:
    common = np.flatnonzero(study.common).tobytes()
    if all(scored.architectures == common for scored in method.seeds):
        return study.once(references).rows[0].estimates[TAU.name]
    costs = [
        (scored, study.parameters[scored.arch_index].astype(float))
        for scored in method.seeds
        if np.isfinite(study.tau_of_parameters(scored))
    ]
    return bootstrapped(costs, [TAU], study.space.n_arch, study.resamples)[TAU.name]


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Rankings) -> Sequence[Block]:
    """The table and the picture."""
    counts = Counter(name for row in numbers.rows for name in row.tau_by_column)
    columns = tuple(name for name, n in counts.items() if n >= _WORTH_A_COLUMN * len(numbers.rows))
    head = ("method", "scores", "seeds", "Kendall tau-b", "Spearman rho", "tau-b, connected only", "tau-b, live only")
    table = TextTable(
        (*head, *(f"tau-b {by_column(name)}" for name in columns), "parameter count’s tau-b here"),
        tuple(_row(row, columns) for row in numbers.rows),
    )
    csv = Csv("tau", CSV_HEADER, partial(csv_rows, numbers))
    title = "Rank correlation of every method"
    return [
        Heading("How well each method ranks"),
        table,
        Paragraph(_note(numbers, columns)),
        Picture("tau", title, partial(draw_taus, numbers), _caption(numbers), csv),
    ]


def _row(row: ResultRow, columns: Sequence[str]) -> tuple[str, ...]:
    n_seed = len(row.seeds)
    seeds = f"{n_seed}\n{'seed' if n_seed == 1 else 'seeds'} {', '.join(map(str, row.seeds))}"
    return (
        *(starred(row.label, row.asked), scores_cell(row), seeds),
        *(over_seeds(row.metrics[metric.name]) for metric in SHOWN),
        over_seeds(row.tau_connected, show_n=True),
        over_seeds(row.tau_live, show_n=True),
        *(over_seeds(row.tau_by_column[name]) if name in row.tau_by_column else "" for name in columns),
        estimate(row.tau_of_parameters),
    )


def scores_cell(row: ResultRow) -> str:
    """The ranking, of how many architectures it is, and what it read of the ground truth."""
    n = count(row.metrics[TAU.name].n)
    lines = [row.scores, f"a sample, n = {n}" if row.is_sample else f"all, n = {n}"]
    if any(row.n_not_finite):
        lines.append(f"{count(row.n_not_finite)} not finite")
    if row.asked:
        lines.append(f"supervised: reads {count(row.queries)} accuracies")
    return "\n".join(lines)


def _note(numbers: Rankings, columns: Sequence[str]) -> str:
    whose: dict[str, list[str]] = {}
    for row in numbers.rows:
        whose.setdefault(row.score, []).append(row.label)
    each = "; ".join(f"{score} ({', '.join(labels)})" for score, labels in whose.items())
    text = (
        "Means over seeds. “seeds”: 95 % t-interval of the mean over seeds; “archs”: 95 % bootstrap "
        f"interval of the same mean over architectures ({numbers.resamples:,} resamples, generator seed "
        f"{GENERATOR_SEED}). The score is the {each if len(whose) > 1 else next(iter(whose))}"
    )
    for name in columns:
        text += f"; “{by_column(name)}” takes " + ("minus the loss, which ties less" if name == "minus_loss" else name)
    text += "."
    text += (
        " “connected only” leaves out architectures that join input and output nowhere; “live only” takes one of all"
    )
    text += " that differ in dead edges only, which no supernet can tell apart."
    text += " The last column is the parameter count’s tau-b over the very architectures of the row."
    if any(len(row.seeds) > MANY_PAIRS for row in numbers.rows):
        text += f" Of more than {MANY_PAIRS} seeds the bootstrap is to first order (docs/protocol.md)."
    if any(any(row.n_not_finite) for row in numbers.rows):
        text += " Scores that are NaN or minus infinity share the last place; infinity is the first."
    return text + (f" {STAR}" if any(row.asked for row in numbers.rows) else "")


def _caption(numbers: Rankings) -> str:
    ceiling = numbers.references[-1].estimates[TAU.name]
    others = dict.fromkeys(row.scores for row in numbers.rows if not row.is_main)
    same = numbers.references[0].estimates[TAU.name].value == numbers.references[1].estimates[TAU.name].value
    flops = " FLOPs rank as the parameter count does." if same else " Dash-dotted: FLOPs."
    markers = f" Filled markers are main rankings, open ones {listed(list(others))} scores." if others else ""
    return (
        "Small dots: one seed each. Large marker and thick bar: their mean and its 95 % interval over seeds (none for "
        "one seed). Thin bar below: 95 % interval of the same mean over architectures. Dashed: the parameter count on "
        "the same architectures; a method left of it tells less than counting does. Dotted: one seed of the "
        f"table against the mean of its others (n = {ceiling.n:,}).{flops}" + markers
    )


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = ("method", "strategy", "scores", "what", "seed", "tau", "ci_low", "ci_high", "n")


def csv_rows(numbers: Rankings) -> Iterator[CsvRow]:
    """The seeds, the mean with each interval and the parameter count of each method; then the reference rows."""
    for row in numbers.rows:
        tau, name = row.metrics[TAU.name], (row.label, row.strategy, row.scores)
        for seed, value, n in zip(row.seeds, tau.values, tau.n, strict=True):
            yield *name, "seed", seed, value, "", "", n
        s, a, p = tau.spread, tau.architectures, row.tau_of_parameters
        yield *name, "mean, interval over seeds", "", s.mean, s.ci_low, s.ci_high, s.n
        if a is not None:
            yield *name, "mean, interval over architectures", "", a.value, a.ci_low, a.ci_high, a.n
        yield *name, "parameter count, same architectures", "", p.value, p.ci_low, p.ci_high, p.n
    for reference in numbers.references:
        e = reference.estimates[TAU.name]
        yield reference.label, "", "", "reference", "", e.value, e.ci_low, e.ci_high, e.n


def draw_taus(numbers: Rankings) -> "Figure":
    """A row a method."""
    return row_a_method([partial(plot_taus, numbers=numbers)], len(numbers.rows))


def plot_taus(ax: "Axes", numbers: Rankings) -> "Axes":
    """A row a method, in the order of the table."""
    bars = [Bar(*row.identity, row.metrics[TAU.name], row.is_main, row.tau_of_parameters.value) for row in numbers.rows]
    parameters, flops, ceiling = (row.estimates[TAU.name].value for row in numbers.references)
    return plot_bars(ax, bars, ceiling, math.nan if flops == parameters else flops)


def plot_bars(ax: "Axes", bars: Sequence[Bar], ceiling: float, flops: float = math.nan) -> "Axes":
    """A row a bar: its seeds as dots, the mean with both intervals, and the parameter count on the same scores.

    `ceiling` and `flops` are lines beside the main rows, left out where they are NaN.
    """
    ends: list[float] = []
    for y, bar in enumerate(bars):
        spread, over_archs = bar.tau.spread, bar.tau.architectures
        seeds_and_mean(ax, y, bar.place, bar.tau.values, spread, filled=bar.is_main)
        if over_archs is not None:
            interval, colour = [over_archs.ci_low, over_archs.ci_high], look_of(bar.place)["color"]
            ax.plot(interval, [y + BESIDE] * 2, "|-", color=colour, linewidth=1, label="95 % over architectures")
            ends += interval
        beside = [y - 0.5, y + 0.5]
        ax.plot([bar.parameters] * 2, beside, color=REFERENCE, linestyle="--", label="parameter count")
        ends += [*bar.tau.values, spread.ci_low, spread.ci_high, bar.parameters]
    main = [y for y, bar in enumerate(bars) if bar.is_main]
    for name, value, style in (("FLOPs", flops, "-."), ("ceiling", ceiling, ":")):
        if main and np.isfinite(value):
            ax.plot([value] * 2, [-0.5, max(main) + 0.5], color=REFERENCE, linestyle=style, label=name)
            ends.append(value)
    ax.set_xlabel("Kendall tau-b")
    return name_rows(ax, [bar.label for bar in bars], np.clip(ends, -1, 1))


SECTION = Section("rankings", rankings, blocks)
