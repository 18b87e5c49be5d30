"""The look of all pictures: style, colours, panels, rows and legends.

No pyplot and no global state: a `Figure` is made, drawn and saved inside one style. The same numbers give the same
bytes. matplotlib is imported when something is drawn.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bench.report.scores import OfMethod
from bench.stats.intervals import SeedSpread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.legend import Legend

ROOM = 6  # methods in a picture that has a panel, a row or a line with a band for each
BESIDE = 0.26  # of a row: from its middle to seeds above and a second interval below
_AIRY = 12  # rows up to which they stand far apart
WIDTH = 7.2  # inches: the text width of a page, so that fonts print as set here
STYLE = {
    "svg.hashsalt": "bench.report.plots",
    "svg.fonttype": "path",
    "font.size": 8.5,
    "axes.titlesize": 8,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4,
    "savefig.dpi": 130,  # of what is rasterised inside an SVG
}
# Okabe & Ito's colours that are legible on white; marker and line style change at another pace, so that methods can be
# told apart without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "d")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
REFERENCE = "#666666"
_T = TypeVar("_T", bound=OfMethod)


def look_of(number: int) -> dict[str, Any]:
    """Colour, line style and marker of the n-th method."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def to_svg(draw: "Callable[[], Figure]") -> bytes:
    """The picture as SVG, without a date."""
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with style.context(["default", STYLE]):
        figure = draw()
        figure.draw_without_rendering()  # the layout of axes with a scale of their own settles in a second pass only
        out = BytesIO()
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(out, metadata={"Date": None, "Creator": None})
    return _smaller(out.getvalue())


_EMPTY = re.compile(rb"<!--.*?-->|<metadata>.*?</metadata>|(?<=>)\s+(?=<)", re.DOTALL)
_PLACES = re.compile(rb' (?:d|x|y)="[^"]*"')  # coordinates in points; glyphs are scaled down, but have whole numbers
_LONG = re.compile(rb"(-?\d+\.\d)\d+")


def _smaller(svg: bytes) -> bytes:
    """Without comments and spaces between tags; a tenth of a point is enough for a coordinate."""
    return _PLACES.sub(lambda found: _LONG.sub(rb"\1", found[0]).replace(b" \n", b" "), _EMPTY.sub(b"", svg))


# ---------------------------------------------------------------------------------------------------- room for methods


def foremost(methods: Sequence[_T], room: int = ROOM) -> list[_T]:
    """Those that a picture has room for, in their order: of methods without changes, then of the rest, the first."""
    kept = sorted(methods, key=lambda one: one.is_changed)[:room]
    return [one for one in methods if one in kept]


def lines_of(methods: Sequence[_T]) -> tuple[_T, ...]:
    """`foremost`; where that leaves any out, with looks that differ from each other, not those of other pictures."""
    shown = foremost(methods)
    return tuple(shown if len(shown) == len(methods) else (replace(one, place=n) for n, one in enumerate(shown)))


def left_out(methods: Sequence[_T], room: int = ROOM) -> str:
    """The end of a caption."""
    kept = foremost(methods, room)
    names = [one.label for one in methods if one not in kept]
    return f" Not shown, but in the CSV: {', '.join(names)}." if names else ""


# -------------------------------------------------------------------------------------------------- panels and legends


def panels(number: int, columns: int, size: tuple[float, float]) -> "tuple[Figure, list[Axes]]":
    """A figure with so many axes, in rows of `columns`; `size` is that of one in inches."""
    from matplotlib.figure import Figure

    rows = -(-number // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, 1 + place) for place in range(number)]


def legend(figure: "FigureBase", *axes: "Axes") -> "Legend":
    """One entry a label, below everything."""
    handles = {label: one for ax in axes for one, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    widest = max(map(len, handles), default=1)
    columns = max(1, min(5, len(handles), 105 // (widest + 6)))
    return figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def band(ax: "Axes", x: np.ndarray, values: np.ndarray, look: Mapping[str, Any], label: str, **more: Any) -> None:
    """The mean of `values` `[n_seed, p]` against `x` `[p]`, and the band between the lowest and the highest seed."""
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        ax.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0, **more)
    ax.plot(x, values.mean(axis=0), **look, label=label)


# ------------------------------------------------------------------------------------------------------- a row a method


def row_a_method(plots: "Sequence[Callable[[Axes], Axes]]", rows: int) -> "Figure":
    """One panel a plot; the rows are named at the left one."""
    from matplotlib.lines import Line2D

    height = 0.42 if rows <= _AIRY else 0.29
    figure, axes = panels(len(plots), len(plots), (WIDTH / len(plots), 1.3 + height * rows))
    for ax, plot in zip(axes, plots, strict=True):
        plot(ax).tick_params(labelleft=ax is axes[0])
        ax.locator_params(axis="x", nbins=9 // len(plots) + 1)
    for handle in legend(figure, axes[0]).legend_handles:
        if isinstance(handle, Line2D):
            handle.set_color("black")  # it stands for all rows
    return figure


def seeds_and_mean(
    ax: "Axes", y: int, place: int, values: Sequence[float], spread: SeedSpread, *, filled: bool = True
) -> None:
    """Seeds as dots above the line `y`; on it the mean with the interval over seeds, in the look of `place`."""
    colour = look_of(place)["color"]
    ax.plot(values, [y - BESIDE] * len(values), ".", color=colour, markersize=5, label="one seed")
    if np.isfinite(spread.ci_low):
        ax.plot([spread.ci_low, spread.ci_high], [y, y], color=colour, linewidth=2.6, label="mean, 95 % over seeds")
    face, edge = (colour, "white") if filled else ("white", colour)
    ax.plot(spread.mean, y, look_of(place)["marker"], color=face, markeredgecolor=edge, markersize=7.5)


def name_rows(ax: "Axes", labels: Sequence[str], ends: np.ndarray) -> "Axes":
    """A named row for each label, and room for the finite ones of `ends` along x."""
    low, high = (np.nanmin(ends), np.nanmax(ends)) if np.isfinite(ends).any() else (-1, 1)
    margin = 0.03 * (high - low) + 0.005
    ax.set(xlim=(low - margin, high + margin), ylim=(len(labels) - 0.4, -0.6))
    dense: dict[str, Any] = {"width": 42, "max_lines": 2, "placeholder": " …"} if len(labels) > _AIRY else {"width": 32}
    ax.set_yticks(range(len(labels)), [fill(label, **dense) for label in labels])
    ax.grid(visible=False, axis="y")
    return ax
