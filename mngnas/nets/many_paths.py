"""Several paths of a supernet at once: the same network as `CellSupernet.forward` path by path, in few large
operations.

Each edge gathers the paths that share an operation there, runs the operation on them together, and hands the results
back; which paths those are is data. Two uses:

- a strictly fair set: every operation of every edge has exactly one of five paths, so the computation has the same
  shapes in every step. `FairSetStep` runs it forward and backward, on a GPU as one recorded CUDA graph.
- many architectures without their dead edges, for scoring on a device that small operations leave idle.

BatchNorm always uses the statistics of each path alone. `CellSupernet.forward` is the readable twin:
tests/nets/test_many_paths.py holds outputs, gradients and trained weights against it. On a CPU the twin is faster
(docs/performance.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.data.images import to_device
from mngnas.nets.cell import Cell, CellWeights
from mngnas.nets.layers import average_pool_3x3
from mngnas.nets.norms import batch_norm
from mngnas.nets.supernet import Output
from mngnas.nets.walk import walk
from mngnas.spaces import Arch
from mngnas.spaces.topology import (
    AVG_POOL,
    CONV_1X1,
    CONV_3X3,
    EDGES,
    NONE,
    OPERATIONS,
    SKIP,
    live_graph,
)

_CPU = torch.device("cpu")
_OPERATIONS = (SKIP, CONV_1X1, CONV_3X3, AVG_POOL)  # in the order in which an edge's inputs are gathered


@dataclass(frozen=True)
class Route:
    """Which of P paths run through which operation of each edge."""

    counts: tuple[tuple[int, ...], ...]  # [6][4]: paths of each of `_OPERATIONS` on each edge
    order: Tensor  # int64, for each edge and operation the paths whose input it gets; flat
    where: Tensor  # int64 [6, P]: for each edge and path, 0 for nothing, or 1 + the place of its operation in `order`


def route(archs: Sequence[Arch], device: torch.device = _CPU) -> Route:
    """The route of any P architectures; dead edges are left out."""
    return _route([live_graph(arch) for arch in archs], archs, device)


def fair_route(archs: Sequence[Arch], device: torch.device = _CPU) -> Route:
    """The route of strictly fair sets, five architectures each: dead edges run as well, so that all shapes are fixed.

    What a dead edge computes is not handed on, so it changes neither outputs nor gradients.
    """
    options = list(range(len(OPERATIONS)))
    sets = len(archs) // len(options)
    assert all(sorted(column) == sorted(options * sets) for column in zip(*archs, strict=True)), "not fair"
    return _route(archs, archs, device)


def _route(run: Sequence[Arch], archs: Sequence[Arch], device: torch.device) -> Route:
    counts, order, where = [], [], []
    lives = [live_graph(arch) for arch in archs]
    for edge in range(len(EDGES)):
        paths = [[p for p, arch in enumerate(run) if arch[edge] == op] for op in _OPERATIONS]
        counts.append(tuple(map(len, paths)))
        flat = [p for group in paths for p in group]
        order += flat
        place = {p: 1 + i for i, p in enumerate(flat)}
        where.append([place[p] if live[edge] != NONE else 0 for p, live in enumerate(lives)])
    numbers = (to_device(np.array(values, dtype=np.int64), device) for values in (order, where))
    return Route(tuple(counts), *numbers)


def forward_paths(supernet: CellWeights, images: Tensor, paths: Route) -> Output:
    """Run P paths on the same images `[b, in_channels, h, w]`; features and logits get a first dimension P."""
    n = paths.where.shape[1]
    norm = _PathNorm(n)
    x = _split(supernet.stem(images, batch_norm), 1)  # the same for all paths
    features = []
    skeleton = supernet.skeleton
    for number, (cell, stage) in enumerate(zip(supernet.cells, skeleton.stage_of_cell, strict=True)):
        if number and number % skeleton.cells == 0:
            x = _split(supernet.reductions[stage - 1](_join(x), norm), n)
        assert isinstance(cell, Cell)
        x = _cell(cell, x, paths)
        if (number + 1) % skeleton.cells == 0:
            features.append(x.movedim(-1, 2))
    x = F.relu(norm(_join(x), supernet.last_scale, supernet.last_shift)).mean((2, 3)).to(supernet.head_weight.dtype)
    logits = F.linear(x, supernet.head_weight, supernet.head_bias)
    return Output(tuple(features), logits.unflatten(0, (n, -1)))


def _cell(cell: Cell, x: Tensor, paths: Route) -> Tensor:
    """`[P, b, h, w, c]` in and out; x may be `[1, b, h, w, c]` where all paths have the same input."""
    n = paths.where.shape[1]
    orders = paths.order.split([sum(counts) for counts in paths.counts])

    def through(edge: int, value: Tensor | None) -> Tensor | None:
        counts, order = paths.counts[edge], orders[edge]
        if value is None or not sum(counts):
            return None
        shared = len(value) == 1 < n
        inputs = value.expand(4, *value.shape[1:]) if shared else value.index_select(0, order)
        results = [torch.zeros_like(value[:1])]
        for op, count, part in zip(_OPERATIONS, counts, inputs.split([1] * 4 if shared else counts), strict=True):
            if count:
                results.append(_operate(cell, edge, op, part).expand(count, *value.shape[1:]))
        return torch.cat(results).index_select(0, paths.where[edge])

    out = walk(x, through)
    return torch.zeros_like(x).expand(n, *x.shape[1:]) if out is None else out


def _operate(cell: Cell, edge: int, op: int, x: Tensor) -> Tensor:
    if op == SKIP:
        return x
    if op == AVG_POOL:
        return _split(average_pool_3x3(_join(x)), len(x))
    convs = cell.conv1x1 if op == CONV_1X1 else cell.conv3x3
    return _split(convs(F.relu(_join(x)), edge, _PathNorm(len(x))), len(x))


def _join(x: Tensor) -> Tensor:
    """`[n, b, h, w, c]` to `[n * b, c, h, w]`, channels-last: a view."""
    return x.flatten(0, 1).movedim(-1, 1)


def _split(x: Tensor, n: int) -> Tensor:
    """The reverse of `_join`."""
    found: Tensor = x.movedim(1, -1).contiguous().unflatten(0, (n, -1))
    return found


class _PathNorm:
    """BatchNorm of n paths `[n * b, c, h, w]`, each by its own statistics: as n * c channels of b pictures."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        if self.n == 1:
            return batch_norm(x, scale, shift)
        n, (_, c, h, w) = self.n, x.shape
        wide = x.movedim(1, -1).unflatten(0, (n, -1)).movedim(0, 3).flatten(3).movedim(-1, 1)  # [b, n * c, h, w]
        scales, shifts = (None if one is None else one.repeat(n) for one in (scale, shift))
        y = batch_norm(wide, scales, shifts).movedim(1, -1).unflatten(3, (n, c)).movedim(3, 0)
        found: Tensor = y.reshape(-1, h, w, c).movedim(-1, 1)
        return found


class FairSetStep:
    """Forward and backward of one strictly fair set; on a GPU recorded once and replayed as a CUDA graph."""

    def __init__(self, supernet: CellWeights) -> None:
        """Batches must always have the same size."""
        self.supernet = supernet
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, images: Tensor, labels: Tensor, archs: Sequence[Arch]) -> Tensor:
        """Leave the summed gradients of the five paths' cross-entropies; returns their mean loss, detached."""
        paths = fair_route(archs, images.device)
        if images.device.type != "cuda":
            return self._backward(images, labels, paths)
        if self._graph is None:
            self._record(images, labels, paths)
        assert self._graph is not None
        for static, new in zip(self._inputs, (images, labels, paths.order, paths.where), strict=True):
            static.copy_(new)
        self._graph.replay()
        for parameter, gradient in zip(self.supernet.parameters(), self._gradients, strict=True):
            parameter.grad = gradient
        return self._loss.clone()

    def outputs(self, images: Tensor, archs: Sequence[Arch]) -> list[Output]:
        """What each path of a strictly fair set computes, in one graph of fixed shapes, for a loss of one's own."""
        found = forward_paths(self.supernet, images, fair_route(archs, images.device))
        return [Output(tuple(f), logits) for *f, logits in zip(*found.features, found.logits, strict=True)]

    def _backward(self, images: Tensor, labels: Tensor, paths: Route) -> Tensor:
        logits = forward_paths(self.supernet, images, paths).logits
        n = len(logits)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.repeat(n))
        (loss * n).backward()
        return loss.detach()

    def _record(self, images: Tensor, labels: Tensor, paths: Route) -> None:
        self._inputs = [t.clone() for t in (images, labels, paths.order, paths.where)]
        images, labels, order, where = self._inputs
        static = Route(paths.counts, order, where)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # lets libraries choose and allocate before the recording
            for _ in range(3):
                self._backward(images, labels, static)
        torch.cuda.current_stream().wait_stream(aside)
        self.supernet.zero_grad(set_to_none=True)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = self._backward(images, labels, static)
        self._gradients = [parameter.grad for parameter in self.supernet.parameters()]
