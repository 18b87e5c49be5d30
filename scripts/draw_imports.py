"""Draw who imports whom, folder by folder, as docs/imports.svg: `.venv/bin/python scripts/draw_imports.py`.

Imports are read from the code's text, those inside functions too. An arrow points from the importing folder down to the
imported one; where a longer way says the same, the direct arrow is left out. Measurement stands above all science. A
circle cannot be drawn: tests/test_imports.py fails.
"""

import ast
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mngnas", "bench")

Graph = dict[str, set[str]]  # who -> whom it imports


def module_graph() -> Graph:
    """Every module and the modules of the project that it imports."""
    paths = {path: module_name(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
    known = set(paths.values())
    graph: Graph = {}
    for path, name in paths.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {one if one in known else node.module for one in whole}
        graph[name] = (found & known) - {name}
    return graph


def module_name(path: Path) -> str:
    """As it is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """The folder right below a package that a module lies in; the package itself for its loose modules."""
    parts = module.split(".")
    folder = len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir()
    return "/".join(parts[:2]) if folder else parts[0]


def room_graph() -> Graph:
    """Every folder and the folders that it imports from."""
    graph: Graph = defaultdict(set)
    for module, others in module_graph().items():
        graph[room(module)] |= {room(other) for other in others} - {room(module)}
    return dict(graph)


def floors(graph: Graph) -> dict[str, int]:
    """How high a folder stands: above all that it imports from. Raises graphlib.CycleError for a circle."""
    height: dict[str, int] = {}
    for one in TopologicalSorter(graph).static_order():
        height[one] = 1 + max((height[other] for other in graph[one]), default=-1)
    return height


def drawn_arrows(graph: Graph) -> Graph:
    """Without the arrows that longer ways imply."""

    def reached(start: str) -> set[str]:
        found = set(graph[start])
        for other in graph[start]:
            found |= reached(other)
        return found

    return {one: {o for o in others if not any(o in reached(via) for via in others)} for one, others in graph.items()}


def drawn_floors(graph: Graph) -> dict[str, int]:
    """As `floors`, the science first."""
    height = floors(graph)
    science = 1 + max(height[one] for one in height if one.startswith(PACKAGES[0]))
    measurement = floors({one: {o for o in graph[one] if o in graph and is_bench(o)} for one in graph if is_bench(one)})
    return {one: science + measurement[one] if one in measurement else height[one] for one in height}


def is_bench(name: str) -> bool:
    """Whether a room is of the measurement."""
    return name.startswith(PACKAGES[1])


def svg() -> bytes:
    """The picture."""
    from io import BytesIO

    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    graph = room_graph()
    height = drawn_floors(graph)
    rows = defaultdict(list)
    for one in sorted(height):
        rows[height[one]].append(one)
    widest = max(map(len, rows.values()))
    place = {
        one: ((number + 0.5) * widest / len(row), float(floor))
        for floor, row in rows.items()
        for number, one in enumerate(row)
    }
    with style.context(["default", {"svg.hashsalt": "imports", "font.size": 9}]):
        figure = Figure(figsize=(2.1 * widest + 0.6, 0.72 * len(rows) + 0.4), layout="constrained")
        axes = figure.add_subplot()
        axes.axis("off")
        axes.set(xlim=(0, widest), ylim=(-0.5, max(rows) + 0.5))
        for one, others in drawn_arrows(graph).items():
            for other in sorted(others):
                arrow = {"arrowstyle": "-|>", "color": "#777777", "shrinkA": 11, "shrinkB": 11, "linewidth": 0.8}
                axes.annotate("", place[other], place[one], arrowprops=arrow)
        for one, (x, y) in place.items():
            colour = "#CFE3F3" if one.startswith("mngnas") else "#F7E1CF"
            box = {"boxstyle": "round,pad=0.45", "facecolor": colour, "edgecolor": "#444444", "linewidth": 0.8}
            axes.text(x, y, one, ha="center", va="center", bbox=box)
        out = BytesIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    return out.getvalue()


if __name__ == "__main__":
    (ROOT / "docs" / "imports.svg").write_bytes(svg())
    print(f"floors: {max(floors(room_graph()).values()) + 1}", file=sys.stderr)
