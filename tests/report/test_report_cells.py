"""Architectures as small pictures."""

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bench.report.cells import SIZE, cell_svg, draw_cell, short
from mngnas.spaces.topology import EDGES, NONE, OPERATIONS, TOPOLOGY, live_graph
from tests.spaces.bare import Bare

SOME = [(3, 3, 3, 3, 3, 3), (2, 1, 2, 3, 0, 4), (0, 1, 1, 4, 2, 0), (4, 3, 2, 1, 0, 3), (0, 0, 0, 0, 0, 0)]


class Widths(Bare):
    name, label = "widths", "Widths"
    positions, options = ("first", "second", "third"), (("8", "16", "24"),) * 3


def drawn(space, arch):
    figure = Figure(figsize=SIZE)
    ax = draw_cell(figure.add_axes((0, 0, 1, 1)), space, arch)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return ax, canvas.get_renderer()


@pytest.mark.parametrize("arch", SOME)
def test_every_operation_is_written_at_its_edge(arch):
    ax, _ = drawn(TOPOLOGY, arch)
    nodes, names = {"in", "1", "2", "out"}, [text.get_text() for text in ax.texts]
    assert names[-4:] == ["in", "1", "2", "out"]
    middles = {edge: (edge[0] + edge[1]) / 2 for edge in EDGES}
    written = sorted((text.get_position()[0], text.get_text()) for text in ax.texts if text.get_text() not in nodes)
    wanted = [(middles[edge], short(OPERATIONS[op])) for edge, op in zip(EDGES, arch, strict=True) if op != NONE]
    assert written == sorted(wanted)
    assert len(ax.patches) == len(EDGES)


def test_what_reaches_no_output_is_grey():
    arch = SOME[2]
    ax, _ = drawn(TOPOLOGY, arch)
    colours = [to_hex(patch.get_edgecolor()) for patch in ax.patches]
    live = live_graph(arch)
    dead = [op != NONE and alive == NONE for op, alive in zip(arch, live, strict=True)]
    assert dead == [False, True, True, False, True, False]
    greys = [len(set(colour[1:3] + colour[3:5] + colour[5:7])) <= 2 for colour in colours]
    assert greys == [True, True, True, False, True, True]
    assert len({colours[place] for place in range(6) if dead[place]}) == 1


@pytest.mark.parametrize(("space", "arch"), [*((TOPOLOGY, arch) for arch in SOME), (Widths(), (0, 2, 1))])
def test_nothing_leaves_the_picture_and_no_words_meet(space, arch):
    ax, renderer = drawn(space, arch)
    canvas = ax.figure.bbox
    boxes = [text.get_window_extent(renderer) for text in ax.texts]
    for box in boxes:
        assert canvas.x0 <= box.x0 < box.x1 <= canvas.x1
        assert canvas.y0 <= box.y0 < box.y1 <= canvas.y1
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    for patch in ax.patches:
        inside = patch.get_window_extent(renderer)
        assert canvas.y0 <= inside.y0 <= inside.y1 <= canvas.y1


def test_another_space_is_a_row_of_its_choices():
    ax, _ = drawn(Widths(), (0, 2, 1))
    assert {text.get_text() for text in ax.texts} == {"first", "second", "third", "8", "24", "16"}


def test_svg_has_the_same_bytes_each_time_and_others_for_another_cell():
    svgs = [cell_svg(TOPOLOGY, arch) for arch in SOME]
    assert len(set(svgs)) == len(SOME)
    assert cell_svg(TOPOLOGY, SOME[0]) == svgs[0]
    assert ElementTree.fromstring(svgs[0]).tag.endswith("svg")
    assert np.mean([len(svg) for svg in svgs]) < 12_000
