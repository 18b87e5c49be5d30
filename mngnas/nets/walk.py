"""The way through a cell, for networks that differ in what an edge does."""

from collections.abc import Callable

from torch import Tensor

from mngnas.spaces.topology import EDGES, N_NODES


def walk(x: Tensor, through: Callable[[int, Tensor | None], Tensor | None]) -> Tensor | None:
    """The output node of a cell with the input `x`: each node is the sum of what its edges bring.

    `through(edge, value)` is what an edge, by its number, makes of its source node. None stands for zeros: of a node
    that nothing has come to, and of an edge that brings nothing.
    """
    nodes: list[Tensor | None] = [x, *[None] * (N_NODES - 1)]
    for edge, (source, target) in enumerate(EDGES):
        y, so_far = through(edge, nodes[source]), nodes[target]
        if y is not None:
            nodes[target] = y if so_far is None else so_far + y
    return nodes[-1]
