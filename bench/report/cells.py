"""An architecture as a small picture: a cell as the graph it is, anything else as a row of its choices.

Legible at 3 cm width. The operation is written at each edge; colour, width and dashes repeat it.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.report.look import COLOURS, REFERENCE, to_svg
from mngnas.spaces import Space
from mngnas.spaces.base import Arch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (1.42, 1.02)  # inches
_EDGE = re.compile(r"(\d+)->(\d+)")
_SHORT = {"skip_connect": "skip", "nor_conv_1x1": "1×1", "nor_conv_3x3": "3×3", "avg_pool_3x3": "pool"}
_LOOKS: tuple[Mapping[str, Any], ...] = (  # of the options that a position has; "none" has a look of its own
    {"color": COLOURS[0], "linestyle": "-", "linewidth": 1.1},
    {"color": COLOURS[1], "linestyle": (0, (4, 1)), "linewidth": 1.1},
    {"color": COLOURS[2], "linestyle": "-", "linewidth": 1.5},
    {"color": COLOURS[4], "linestyle": "-", "linewidth": 2.2},
    {"color": COLOURS[3], "linestyle": (0, (1, 0.7)), "linewidth": 1.6},
)
_ABSENT: Mapping[str, Any] = {"color": "#D5D5D5", "linestyle": (0, (1, 2)), "linewidth": 0.7}
_PALE = "#B5B5B5"  # what does not reach the output
_FONT = 6.5


def cell_svg(space: Space, arch: Arch) -> bytes:
    """The architecture as SVG, the same bytes each time; about 3.6 cm wide."""
    return to_svg(partial(_figure, space, arch))


def _figure(space: Space, arch: Arch) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE)
    draw_cell(figure.add_axes((0, 0, 1, 1)), space, arch)
    return figure


def draw_cell(ax: "Axes", space: Space, arch: Arch) -> "Axes":
    """Draw the architecture into axes, which lose their frame, of about `SIZE`: what is written has a fixed size."""
    ax.set_axis_off()
    edges = [_EDGE.fullmatch(position) for position in space.positions]
    if all(edges):
        _draw_graph(ax, space, arch, [(int(edge[1]), int(edge[2])) for edge in edges if edge])
    else:
        _draw_row(ax, space, arch)
    return ax


def short(option: str) -> str:
    """What is written for an option where there is little room."""
    return _SHORT.get(option, option)


def _draw_graph(ax: "Axes", space: Space, arch: Arch, edges: list[tuple[int, int]]) -> None:
    """Nodes from left to right; edges that jump over nodes bow upwards from the input, downwards from the others."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    last = max(target for _, target in edges)
    live = space.canonical(arch)
    heights = [0.0]
    for place, (source, target) in enumerate(edges):
        option = space.options[place][arch[place]]
        height = 0.0 if target - source == 1 else 0.62 * (target - source - 0.7) * (-1 if source else 1)
        look = dict(_ABSENT if option == "none" else _LOOKS[arch[place] % len(_LOOKS)])
        if option != "none" and live[place] != arch[place]:
            look["color"] = _PALE
        middle = (source + target) / 2
        curve = Path([(source, 0), (middle, 2 * height), (target, 0)], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        ax.add_patch(PathPatch(curve, fill=False, capstyle="butt", zorder=1 if option == "none" else 2, **look))
        heights.append(height)
        if option != "none":
            beside = {"va": "center", "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.6}}
            above = {"va": "bottom"}
            _write(ax, middle, height or 0.09, short(option), look["color"], beside if height else above)
    names = ["in", *map(str, range(1, last)), "out"]
    ax.scatter(range(last + 1), [0] * (last + 1), s=115, color="white", edgecolors="black", linewidths=0.7, zorder=4)
    for node, name in enumerate(names):
        ax.text(node, -0.01, name, ha="center", va="center_baseline", fontsize=5.5, zorder=5)
    ax.set(xlim=(-0.24, last + 0.24), ylim=(min(heights) - 0.26, max(heights) + 0.26))


def _write(ax: "Axes", x: float, y: float, text: str, colour: str, how: dict[str, Any]) -> None:
    colour = REFERENCE if colour == _PALE else colour
    ax.text(x, y, text, color=colour, ha="center", fontsize=_FONT, zorder=3, **how)


def _draw_row(ax: "Axes", space: Space, arch: Arch) -> None:
    """A box a position with its name above and what is chosen inside."""
    from matplotlib.patches import Rectangle

    for place, (position, option) in enumerate(zip(space.positions, arch, strict=True)):
        look = _LOOKS[option % len(_LOOKS)]
        ax.add_patch(Rectangle((place + 0.04, 0), 0.92, 1, fill=False, edgecolor=look["color"], linewidth=1.1))
        chosen = short(space.options[place][option])
        ax.text(place + 0.5, 1.12, position, ha="center", va="bottom", fontsize=5, color=REFERENCE)
        ax.text(place + 0.5, 0.5, chosen, ha="center", va="center", fontsize=_FONT, color=look["color"])
    ax.set(xlim=(0, len(arch)), ylim=(-0.6, 2.2))
