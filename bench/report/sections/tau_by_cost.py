"""How well each method ranks for what it cost, and which methods no other beats in both."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from bench.report.look import REFERENCE, WIDTH, legend, look_of, panels
from bench.report.page import Block, Csv, CsvRow, Heading, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import TAU, OfMethod
from bench.report.sections.costs import costs
from bench.report.sections.rankings import rankings
from bench.report.text import number, starred
from bench.stats.intervals import OverSeeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Unit = Literal["passes", "seconds"]
_NAMED = 12  # methods that the legend has room for
_OTHERS = {"color": "#A0A0A0", "marker": "o"}
_EQUAL = 1.05  # passes that differ by less than this factor are the same budget


@dataclass(frozen=True)
class Paid(OfMethod):
    """What one seed cost, with its scoring, and how well it ranks."""

    asked: bool  # whether the method was allowed to ask the ground truth
    tau: OverSeeds
    passes: float  # mean over seeds; NaN where it is not known
    seconds: float

    def cost(self, unit: Unit) -> float:
        """In one of the two units."""
        return self.passes if unit == "passes" else self.seconds


@dataclass(frozen=True)
class TauByCost:
    """Every ranking whose tau-b is defined."""

    rows: tuple[Paid, ...]
    parameters: float  # tau-b of the parameter count
    ceiling: float  # tau-b of one more training; NaN where it is not known


def tau_by_cost(study: StudyRuns) -> TauByCost | None:
    """From the results and the costs, if there are three rankings or more."""
    found = study.once(rankings)
    if found is None:
        return None
    spent = {row.identity: row for row in study.once(costs).rows}
    rows = []
    for row in found.rows:
        cost, tau = spent[row.identity], row.metrics[TAU.name]
        scoring = 0 if cost.adds_ranking else 1  # a further ranking's costs have it already
        passes = cost.passes.spread.mean + scoring * cost.scoring_passes.spread.mean
        seconds = cost.seconds.spread.mean + scoring * cost.scoring_seconds.spread.mean
        if math.isfinite(tau.spread.mean):
            rows.append(Paid(*row.identity, row.asked, tau, passes, seconds))
    parameters, ceiling = (found.references[place].estimates[TAU.name].value for place in (0, -1))
    return TauByCost(tuple(rows), parameters, ceiling) if len(rows) > 2 else None


def pareto(rows: Sequence[Paid], unit: Unit) -> tuple[Paid, ...]:
    """Those that no other beats: for less cost, or as much, none ranks as well; from the cheapest to the dearest."""
    found: list[Paid] = []
    for row in sorted(rows, key=lambda one: (one.cost(unit), -one.tau.spread.mean)):
        known = math.isfinite(row.cost(unit)) and not row.asked
        if known and (not found or row.tau.spread.mean > found[-1].tau.spread.mean):
            found.append(row)
    return tuple(found)


def units(rows: Sequence[Paid]) -> list[Unit]:
    """The panels: passes only where the budgets differ, so that there is something to see."""
    passes = [row.passes for row in rows if math.isfinite(row.passes)]
    same = not passes or max(passes) <= _EQUAL * min(passes)
    return ["seconds"] if same else ["passes", "seconds"]


def named(rows: Sequence[Paid]) -> tuple[Paid, ...]:
    """Those that the legend has room for: all, or of many those that no other beats in some panel."""
    best = [row for unit in units(rows) for row in pareto(rows, unit)]
    return tuple(row for row in rows if len(rows) <= _NAMED or row in best)


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: TauByCost) -> Sequence[Block]:
    """One picture."""
    csv = Csv("tau-by-cost", CSV_HEADER, partial(csv_rows, numbers))
    picture = Picture("tau-by-cost", "Tau-b against cost", partial(draw_costs, numbers), _caption(numbers), csv)
    return [Heading("How well each method ranks for what it cost"), picture]


def _caption(numbers: TauByCost) -> str:
    text = "Upper left is better: a higher tau-b for less. "
    if "passes" in units(numbers.rows):
        text += "Left: forward-backward passes of one seed; right: seconds on the machine of the study. "
    else:
        passes = number(max(row.passes for row in numbers.rows), 0)
        text += f"Seconds of one seed on the machine of the study; all methods had the same budget, {passes} passes. "
    text += (
        "Scoring is part of both, though plain scoring counts no passes. Filled markers on the line: methods that no "
        "other beats in tau-b and cost; open ones cost more for no better ranking. Bars: 95 % interval over seeds. "
        "Dashed: the parameter count, which costs nothing; dotted: one seed of the table against the others."
    )
    if len(named(numbers.rows)) < len(numbers.rows):
        text += " Of so many methods those on a line are named, the others (grey) in the CSV."
    if any(row.asked for row in numbers.rows):
        text += " * was allowed to ask the ground truth and is left out of the line."
    return text


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = (
    *("method", "strategy", "scores", "passes", "seconds"),
    *("tau", "ci_low", "ci_high", "n_seed", "best_for_passes", "best_for_seconds"),
)


def csv_rows(numbers: TauByCost) -> Iterator[CsvRow]:
    """A line a method; whether it is on the line of each panel as 0 or 1."""
    by_passes, by_seconds = pareto(numbers.rows, "passes"), pareto(numbers.rows, "seconds")
    for row in numbers.rows:
        s, whose = row.tau.spread, (row.label, row.strategy, row.scores, row.passes, row.seconds)
        yield *whose, s.mean, s.ci_low, s.ci_high, s.n, int(row in by_passes), int(row in by_seconds)


def draw_costs(numbers: TauByCost) -> "Figure":
    """A panel for each unit of cost that tells methods apart."""
    wanted = units(numbers.rows)
    size = (WIDTH / len(wanted), 2.7 + 0.13 * (3 + len(named(numbers.rows))))
    figure, axes = panels(len(wanted), len(wanted), size)
    for ax, unit in zip(axes, wanted, strict=True):
        plot_costs(ax, numbers, unit)
    axes[0].set_ylabel("Kendall tau-b")
    legend(figure, *axes)
    return figure


def plot_costs(ax: "Axes", numbers: TauByCost, unit: Unit) -> "Axes":
    """Tau-b of every method against its cost, logarithmic; zero, if some cost nothing, at the left end."""
    best, in_legend = pareto(numbers.rows, unit), named(numbers.rows)
    all_named = len(in_legend) == len(numbers.rows)  # then with the looks of other pictures
    looks = {row: look_of(row.place if all_named else place) for place, row in enumerate(in_legend)}
    known = [row for row in numbers.rows if math.isfinite(row.cost(unit))]
    if best:
        end = max(row.cost(unit) for row in known)
        steps = [*((row.cost(unit), row.tau.spread.mean) for row in best), (end, best[-1].tau.spread.mean)]
        x_of, y_of = zip(*steps, strict=True)
        ax.plot(x_of, y_of, color="#999999", linewidth=1.2, drawstyle="steps-post", zorder=1, label="Pareto line")
    for row in known:
        s, x, is_named = row.tau.spread, row.cost(unit), row in looks
        look, label = looks.get(row, _OTHERS), starred(row.label, row.asked) if is_named else "other methods"
        colour = look["color"]
        if math.isfinite(s.ci_low):
            ax.plot([x, x], [s.ci_low, s.ci_high], color=colour, linewidth=1, alpha=0.6)
        face, size = colour if row in best else "white", 6 if is_named else 4
        more: dict[str, Any] = {"label": label, "zorder": 2 + is_named}
        ax.plot(x, s.mean, look["marker"], color=colour, markerfacecolor=face, markersize=size, **more)
    ax.axhline(numbers.parameters, color=REFERENCE, linestyle="--", linewidth=1, label="parameter count", zorder=1)
    if math.isfinite(numbers.ceiling):
        ax.axhline(numbers.ceiling, color=REFERENCE, linestyle=":", linewidth=1.2, label="ceiling", zorder=1)
    _cost_axis(ax, [row.cost(unit) for row in known])
    ax.set_xlabel(f"{unit} of one seed")
    return ax


def _cost_axis(ax: "Axes", values: Sequence[float]) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    positive = [value for value in values if value > 0]
    if not positive:
        return
    if len(positive) == len(values):
        ax.set(xscale="log", xlim=(min(positive) / 1.5, max(positive) * 1.5))
    else:
        low = 10.0 ** math.floor(math.log10(min(positive)))
        ax.set_xscale("symlog", linthresh=low, linscale=0.5)
        ax.set_xlim(-0.2 * low, max(positive) * 1.5)
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    if len(positive) == len(values) and max(positive) < 20 * min(positive):  # no room for two powers of ten
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
        ax.xaxis.set_minor_formatter(NullFormatter())


SECTION = Section("tau_by_cost", tau_by_cost, blocks)
