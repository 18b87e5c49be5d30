"""What a search that asks the ground truth has found after so many simulated seconds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from bench.report.look import REFERENCE, WIDTH, foremost, left_out, legend, lines_of, look_of, panels
from bench.report.page import Block, Csv, CsvRow, Heading, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import OfMethod
from bench.report.text import percent
from bench.stats.intervals import SeedSpread, seed_spread
from mngnas.methods.info import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 200  # moments of a line


@dataclass(frozen=True, eq=False)
class SearchTrace(OfMethod):
    """The best so far, from where all seeds have one to where the last of them ends; what a seed ends with stays."""

    seeds: tuple[int, ...]
    queries: tuple[int, ...]  # of each seed, to its end
    best_at_end: tuple[float, ...]  # true accuracy of what each seed ends with, fraction
    seconds: np.ndarray  # [p], simulated
    true: np.ndarray  # [n_seed, p], true accuracy of the best that the search was told about so far, fraction

    @cached_property
    def spreads(self) -> tuple[SeedSpread, ...]:
        """Of `true` at each moment, [p]."""
        return tuple(map(seed_spread, self.true.T))


@dataclass(frozen=True)
class Traces:
    """Of every method that searched."""

    target: str
    best: float  # of all architectures, fraction
    asked: tuple[str, ...]  # what the searches were told, and how their clock runs
    methods: tuple[SearchTrace, ...]


def traces(study: StudyRuns) -> Traces | None:
    """From what each run wrote down."""
    found, asked = [], dict[str, None]()
    for group in study.groups:
        steps = {}
        for run in group.runs:
            if run.scores.trace is not None and (one := best_so_far(run.scores.trace, study.truth)):
                steps[run.record.seed] = one
                oracle = run.record.oracle or {}
                asked |= {f"{oracle[key]}": None for key in ("measure", "clock") if oracle.get(key)}
        if steps:
            asks = {run.record.seed: len(run.scores.trace.value) for run in group.runs if run.scores.trace is not None}
            found.append(_joined(group, steps, asks))
    return Traces(str(study.target), float(np.nanmax(study.truth)), tuple(asked), tuple(found)) if found else None


def best_so_far(trace: Trace, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """After each answer the simulated seconds spent `[t]`, and the true accuracy of the best answer so far `[t]`.

    Answers about architectures without a ground truth `[n_arch]` are passed over; None if there is no other.
    """
    true = truth[np.asarray(trace.arch_index, dtype=np.int64)]
    known = np.isfinite(true)
    if not known.any():
        return None
    told, true, seconds = np.asarray(trace.value)[known], true[known], np.cumsum(trace.seconds)[known]
    is_best = np.concatenate([[True], told[1:] > np.maximum.accumulate(told)[:-1]])
    return seconds, true[np.maximum.accumulate(np.where(is_best, np.arange(len(told)), 0))]


def _joined(whose: OfMethod, steps: dict[int, tuple[np.ndarray, np.ndarray]], asks: dict[int, int]) -> SearchTrace:
    start = max(seconds[0] for seconds, _ in steps.values())
    end = max(seconds[-1] for seconds, _ in steps.values())
    moments = np.unique(np.clip(np.geomspace(max(start, 1e-9), max(end, 1e-9), _POINTS), start, end))
    true = [best[np.searchsorted(seconds, moments, "right") - 1] for seconds, best in steps.values()]
    return SearchTrace(
        *whose.identity,
        seeds=tuple(steps),
        queries=tuple(asks[seed] for seed in steps),
        best_at_end=tuple(float(best[-1]) for _, best in steps.values()),
        seconds=moments,
        true=np.array(true),
    )


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Traces) -> Sequence[Block]:
    """One picture."""
    title = "True accuracy of the best answer so far"
    csv = Csv("trace", CSV_HEADER, partial(csv_rows, numbers))
    return [
        Heading("What searches of the ground truth have found"),
        Picture("trace", title, partial(draw_traces, numbers), _caption(numbers), csv),
    ]


def _caption(numbers: Traces) -> str:
    asked = f" ({'; '.join(numbers.asked)})" if numbers.asked else ""
    ends = ", ".join(map(_end, foremost(numbers.methods)))
    return (
        f"The true accuracy ({numbers.target}) of the architecture with the best answer so far, against the simulated "
        f"seconds that the answers took{asked}. Lines: mean over seeds; bands: 95 % t-interval of that mean. A search "
        f"that has ended keeps what it has found. At the end: {ends}. Dashed: the best architecture of all, "
        f"{percent(numbers.best)} %. These methods asked the ground truth, so they stand beside the rankings and not "
        f"among them.{left_out(numbers.methods)}"
    )


def _end(line: SearchTrace) -> str:
    return f"{line.label} {found_at_end(line)}"


def found_at_end(line: SearchTrace) -> str:
    """The true accuracy of what its seeds end with, in percent with its interval."""
    spread = seed_spread(line.best_at_end)
    if spread.n == 1:
        return f"{percent(spread.mean)} % (1 seed)"
    low_to_high = f"{percent(spread.ci_low)} to {percent(spread.ci_high)}"
    return f"{percent(spread.mean)} % ({low_to_high}; sd {percent(spread.sd)}, {spread.n} seeds)"


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = ("method", "strategy", "seeds", "seconds", "mean", "sd", "ci_low", "ci_high")


def csv_rows(numbers: Traces) -> Iterator[CsvRow]:
    """A line for each moment, over seeds; accuracies as fractions."""
    for m in numbers.methods:
        for seconds, one in zip(m.seconds.tolist(), m.spreads, strict=True):
            yield m.label, m.strategy, one.n, seconds, one.mean, one.sd, one.ci_low, one.ci_high


def draw_traces(numbers: Traces) -> "Figure":
    """One panel."""
    figure, (ax,) = panels(1, 1, (0.75 * WIDTH, 3.4))
    plot_traces(ax, replace(numbers, methods=lines_of(numbers.methods)))
    legend(figure, ax)
    return figure


def plot_traces(ax: "Axes", numbers: Traces) -> "Axes":
    """True accuracy in percent against simulated seconds; the mean over seeds and its 95 % t-interval."""
    from matplotlib.ticker import EngFormatter

    for m in numbers.methods:
        look = look_of(m.place) | {"markevery": (m.place % 8 * 3, 24), "drawstyle": "steps-post"}
        mean, low, high = (
            100 * np.array([getattr(s, name) for s in m.spreads]) for name in ("mean", "ci_low", "ci_high")
        )
        ax.fill_between(m.seconds, low, high, color=look["color"], alpha=0.2, linewidth=0, step="post")
        ax.plot(m.seconds, mean, **look, label=m.label)
    ax.axhline(100 * numbers.best, color=REFERENCE, linestyle="--", linewidth=1, label="best of all", zorder=1)
    ax.set(xscale="log", xlabel="simulated seconds", ylabel=f"{numbers.target}, %")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    return ax


SECTION = Section("trace", traces, blocks)
