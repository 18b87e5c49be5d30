"""How ranking gets better, or worse, while a method goes on."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bench.report.look import REFERENCE, WIDTH, foremost, left_out, legend, lines_of, look_of, panels
from bench.report.page import Block, Csv, CsvRow, Heading, Picture, Section
from bench.report.runs import StudyRuns
from bench.report.scores import OfMethod, Scored, ranked
from bench.report.text import number
from bench.stats.metrics import kendall_tau_b

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class CurveLine:
    """Tau-b at p moments of a run."""

    passes: np.ndarray  # [p]
    images: np.ndarray  # [p]
    seconds: np.ndarray  # [p]
    tau: np.ndarray  # [p]


@dataclass(frozen=True, eq=False)
class MethodCurve(OfMethod):
    """The curves of a method's seeds and their mean, up to the last moment that all of them have."""

    seeds: tuple[int, ...]
    lines: tuple[CurveLine, ...]
    mean: CurveLine


@dataclass(frozen=True)
class Curves:
    """Tau-b against progress, on a sample."""

    methods: tuple[MethodCurve, ...]
    parameters_tau: float  # of the parameter count on the same samples, the mean over them
    n_arch: tuple[int, ...]  # sizes of the samples that differ
    n_samples: int


def curves(study: StudyRuns) -> Curves | None:
    """The samples that were scored on the way, as far as they have a ground truth."""
    samples: dict[bytes, np.ndarray] = {}
    found = []
    for method in study.methods:
        lines = {}
        for scored in method.seeds if method.is_main else ():
            curve = scored.run.scores.curve
            index = np.empty(0, int) if curve is None else curve.arch_index
            index = index[np.isfinite(study.truth[index])]
            if len(index) >= 2 and (line := _line(study, scored)) is not None:
                samples[np.sort(index).tobytes()] = index
                lines[scored.seed] = line
        if lines:
            of_seeds = tuple(lines.values())
            found.append(MethodCurve(*method.identity, tuple(lines), of_seeds, _mean(of_seeds)))
    if not found:
        return None
    tau_of = [kendall_tau_b(study.parameters[index], study.truth[index]) for index in samples.values()]
    sizes = sorted({len(index) for index in samples.values()})
    return Curves(tuple(found), float(np.mean(tau_of)), tuple(sizes), len(samples))


def _line(study: StudyRuns, scored: Scored) -> CurveLine | None:
    curve = scored.run.scores.curve
    if curve is None or len(curve.passes) < 2:
        return None
    true = study.truth[curve.arch_index]
    known = np.isfinite(true)
    rows = (ranked(row) for row in next(iter(curve.columns.values()))[:, known])
    tau = [kendall_tau_b(row, true[known]) if np.isfinite(row).all() else math.nan for row in rows]
    passes, images, seconds = (values.astype(float) for values in (curve.passes, curve.images, curve.seconds))
    return CurveLine(passes, images, seconds, np.array(tau))


def _mean(lines: Sequence[CurveLine]) -> CurveLine:
    p = min(len(line.tau) for line in lines)
    return CurveLine(*(np.mean([getattr(line, f.name)[:p] for line in lines], axis=0) for f in fields(CurveLine)))


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Curves) -> Sequence[Block]:
    """One picture."""
    csv = Csv("curves", CSV_HEADER, partial(csv_rows, numbers))
    title = "Rank correlation during training"
    return [Heading("On the way"), Picture("curves", title, partial(draw_curves, numbers), _caption(numbers), csv)]


def _caption(numbers: Curves) -> str:
    n = " or ".join(f"{size:,}" for size in numbers.n_arch)
    sample = "the same sample" if numbers.n_samples == 1 else f"one of {numbers.n_samples} samples"
    seeds = ", ".join(f"{method.label} {len(method.seeds)}" for method in foremost(numbers.methods))
    return (
        f"Tau-b on {sample} of n = {n} architectures that is scored while a method trains, so it differs a little "
        f"from the tables. Thick: mean over seeds; thin: each seed (seeds: {seeds}). Dashed: the parameter count's "
        f"tau-b on the sample, {number(numbers.parameters_tau)}. Passes are forward-backward passes of one batch, "
        "forwards counted as a third; seconds compare only runs on the same device." + left_out(numbers.methods)
    )


# ------------------------------------------------------------------------------------------------------------- picture

CSV_HEADER = ("method", "strategy", "seed", "passes", "images", "seconds", "tau")


def csv_rows(numbers: Curves) -> Iterator[CsvRow]:
    """A line for each seed (or "mean") and moment, and one for the parameter count."""
    for m in numbers.methods:
        names: tuple[int | str, ...] = (*m.seeds, "mean")
        for name, line in zip(names, (*m.lines, m.mean), strict=True):
            columns = (line.passes.tolist(), line.images.tolist(), line.seconds.tolist(), line.tau.tolist())
            for values in zip(*columns, strict=True):
                yield m.label, m.strategy, name, *values
    yield "parameter count", "", "", "", "", "", numbers.parameters_tau


def draw_curves(numbers: Curves) -> "Figure":
    """The same curves against three measures of effort."""
    figure, axes = panels(3, 3, (WIDTH / 3, 2.9))
    labels = {"passes": "forward-backward passes", "images": "training images", "seconds": "seconds of training"}
    shown = replace(numbers, methods=lines_of(numbers.methods))
    for ax, (progress, label) in zip(axes, labels.items(), strict=True):
        plot_curves(ax, shown, progress)
        ax.set_xlabel(label)
        ax.sharey(axes[0])
        ax.tick_params(labelleft=ax is axes[0])
    axes[0].set_ylabel("Kendall tau-b")
    legend(figure, axes[0])
    return figure


def plot_curves(ax: "Axes", numbers: Curves, progress: str) -> "Axes":
    """Tau-b against `progress`, a column of `CurveLine`: "passes", "images" or "seconds"."""
    from matplotlib.ticker import EngFormatter

    for method in numbers.methods:
        look = look_of(method.place)
        for line in method.lines if len(method.lines) > 1 else ():
            ax.plot(getattr(line, progress), line.tau, color=look["color"], linewidth=0.6, alpha=0.5)
        ax.plot(getattr(method.mean, progress), method.mean.tau, **look, label=method.label)
    ax.axhline(numbers.parameters_tau, color=REFERENCE, linestyle="--", linewidth=1, label="parameter count", zorder=1)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.locator_params(axis="x", nbins=5)
    return ax


SECTION = Section("curves", curves, blocks)
