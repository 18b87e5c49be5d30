"""The cell search space of NAS-Bench-201 and of NATS-Bench's topology space; numpy only, no torch.

A cell has four nodes; node 0 is its input and node 3 its output. Each of the six edges carries one of five
operations, so there are 5**6 = 15,625 architectures. An architecture is a tuple of six operation numbers in the
order of `EDGES`; its architecture string is the benchmark's notation

    |nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|

Operation numbers differ between code bases: exchange architecture strings or indices, never keys, with other software.
"""

import random
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from mngnas.errors import unknown
from mngnas.spaces.base import Arch, ArchitectureError, Space
from mngnas.spaces.skeleton import Skeleton

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV_1X1, CONV_3X3, AVG_POOL = range(5)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (source node, target node)
N_NODES = 4

_SHAPE = re.compile(r"\|([^|~]+)~0\|\+\|([^|~]+)~0\|([^|~]+)~1\|\+\|([^|~]+)~0\|([^|~]+)~1\|([^|~]+)~2\|")
_SHUFFLE_SEED = 88  # of the published order


class Topology(Space):
    """5**6 cells; the same networks in NAS-Bench-201 and in NATS-Bench's topology space."""

    name = "nas-bench-201"
    label = "NAS-Bench-201 = NATS-Bench topology"
    positions = tuple(f"{source}->{target}" for source, target in EDGES)
    options = (OPERATIONS,) * len(EDGES)

    def official_ranks(self) -> np.ndarray:
        """Ranks in the benchmark's order `[15625]`.

        Dong & Yang (ICLR 2020) enumerate the space in base-5 order and shuffle that list once with Python's generator
        seeded with 88; the order, and with it every published index, follows from these two facts.
        """
        ranks = list(range(self.n_arch))
        random.Random(_SHUFFLE_SEED).shuffle(ranks)
        return np.array(ranks)

    def parse(self, arch_str: str) -> Arch:
        """Read an architecture string; raises `ArchitectureError` naming the edge or the place that is wrong."""
        text = arch_str.strip()
        match = _SHAPE.fullmatch(text)
        if match is None:
            pattern = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
            raise ArchitectureError(f"architecture string {text!r} departs from {pattern!r} {_first_departure(text)}")
        return tuple(_operation(name, edge) for name, edge in zip(match.groups(), EDGES, strict=True))

    def to_str(self, arch: Arch) -> str:
        """Write the architecture string."""
        nodes = []
        for target in range(1, N_NODES):
            incoming = [(op, source) for op, (source, to) in zip(arch, EDGES, strict=True) if to == target]
            nodes.append("|" + "|".join(f"{OPERATIONS[op]}~{source}" for op, source in incoming) + "|")
        return "+".join(nodes)

    def canonical(self, arch: Arch) -> Arch:
        """The live graph; 9,445 are distinct."""
        return live_graph(arch)

    @cached_property
    def connected(self) -> np.ndarray:
        """Which architectures have a path from input to output: all but 341, bool `[15625]`; read-only."""
        reached = np.zeros((self.n_arch, N_NODES), dtype=bool)
        reached[:, 0] = True
        for edge, (source, target) in enumerate(EDGES):  # EDGES are sorted by target
            reached[:, target] |= reached[:, source] & (self.all_archs[:, edge] != NONE)
        found = reached[:, -1].copy()
        found.flags.writeable = False
        return found

    def parameters(self, archs: np.ndarray, skeleton: Skeleton) -> np.ndarray:
        """Trainable parameters, int64 `[n]`; convolutions have no bias, every BatchNorm has scale and shift.

        Convolutions of dead edges count. For ten classes and the benchmark's own skeleton: 73,306 + 28,000 per 1x1 +
        243,040 per 3x3 convolution. The closed form is also the safer source: 150 architectures carry the parameters of
        another one in published extracts, after a migration of weights (nats_bench repairs the same in its reader).
        """
        widths, (ones, threes) = skeleton.widths, _convolutions(archs)
        per_one = skeleton.cells * sum(w * w + 2 * w for w in widths)
        per_three = skeleton.cells * sum(9 * w * w + 2 * w for w in widths)
        fixed = 9 * skeleton.in_channels * widths[0] + 2 * widths[0]
        for a, b in pairwise(widths):
            fixed += _reduction_weights(a, b, skeleton) + (4 * b if skeleton.residual_reduction else 2 * b)
        fixed += 2 * widths[-1] + (widths[-1] + 1) * skeleton.classes
        return np.asarray(fixed + per_one * ones + per_three * threes)

    def flops(self, archs: np.ndarray, skeleton: Skeleton, side: int) -> np.ndarray:
        """Multiply-adds of one picture, int64 `[n]`, by the benchmark's own rule.

        That rule counts convolutions and the classifier with its bias, and leaves out BatchNorm, ReLU, pooling and
        sums. For ten classes, 32x32 pictures and the benchmark's own skeleton: 7,783,050 + 3,932,160 per 1x1 +
        35,389,440 per 3x3 convolution. `side` must be divisible by 2**(stages - 1).
        """
        widths, (ones, threes) = skeleton.widths, _convolutions(archs)
        pixels = [(side // 2**stage) ** 2 for stage in range(skeleton.stages)]
        per_one = skeleton.cells * sum(w * w * n for w, n in zip(widths, pixels, strict=True))
        fixed = 9 * skeleton.in_channels * widths[0] * pixels[0] + (widths[-1] + 1) * skeleton.classes
        for (a, b), n in zip(pairwise(widths), pixels[1:], strict=True):
            fixed += _reduction_weights(a, b, skeleton) * n
        return np.asarray(fixed + per_one * (ones + 9 * threes))

    def mutant(self, arch: Arch, rng: np.random.Generator) -> Arch:
        """Another operation on one edge: a uniform node is drawn, then one of the edges into it.

        So in NAS-Bench-201's own code: an edge into node 1 changes with probability 1/3, into node 2 1/6, into 3 1/9.
        """
        target = 1 + int(rng.integers(N_NODES - 1))
        edge = EDGES.index((int(rng.integers(target)), target))
        return self._changed(arch, edge, rng)

    def traits(self) -> Mapping[str, np.ndarray]:
        """How many edges of the live graph carry each operation; what cannot reach the output counts as none."""
        live = self.all_archs[self.canonical_indices]
        return {name: (live == op).sum(axis=1) for op, name in enumerate(OPERATIONS)}


TOPOLOGY = Topology()


def _reduction_weights(a: int, b: int, skeleton: Skeleton) -> int:
    """Convolution weights between a stage of `a` channels and the next one of `b`."""
    return 9 * a * b + 9 * b * b + a * b if skeleton.residual_reduction else a * b


def _convolutions(archs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many 1x1 and 3x3 convolutions each architecture's cell has, dead ones included."""
    archs = np.asarray(archs)
    return (archs == CONV_1X1).sum(axis=1).astype(np.int64), (archs == CONV_3X3).sum(axis=1).astype(np.int64)


def _operation(name: str, edge: tuple[int, int]) -> int:
    if name in OPERATIONS:
        return OPERATIONS.index(name)
    raise ArchitectureError(str(unknown(f"operation on edge {edge[0]}->{edge[1]}", name, OPERATIONS)))


def _first_departure(text: str) -> str:
    """Say where `text` stops looking like an architecture string."""
    pieces = ["|", None, "~0|+|", None, "~0|", None, "~1|+|", None, "~0|", None, "~1|", None, "~2|"]
    at = 0
    for piece in pieces:
        if piece is None:
            at = next((i for i in range(at, len(text)) if text[i] in "|~"), len(text))
        elif text.startswith(piece, at):
            at += len(piece)
        else:
            return f"at character {at}: expected {piece!r}, found {text[at : at + len(piece)]!r}"
    return f"at character {at}: {text[at:]!r} follows the end"


def live_graph(arch: Arch) -> Arch:
    """The same network with every dead edge set to `none`.

    An edge is dead if no path of edges other than `none` leads from the cell's input through it to the output. The
    supernet's output, and a stand-alone network's, is the same for both; 9,445 live graphs are distinct.
    """
    reached, needed = {0}, {3}
    for (source, target), op in zip(EDGES, arch, strict=True):  # EDGES are sorted by target
        if op != NONE and source in reached:
            reached.add(target)
    for edge in reversed(range(len(EDGES))):
        if arch[edge] != NONE and EDGES[edge][1] in needed:
            needed.add(EDGES[edge][0])
    alive = [source in reached and target in needed for source, target in EDGES]
    return tuple(op if live else NONE for op, live in zip(arch, alive, strict=True))


def benchmark_canonical(arch: Arch) -> str:
    """The text by which the benchmark itself compares architectures (Dong & Yang 2020, section 2.1).

    It depends on the order in which sums were written and forgets which operations share an input, so it both splits
    and merges a few networks that are the same or different up to the naming of weights. It has 6,466 values.
    """
    nodes = ["0", "", "", ""]
    for target in (1, 2, 3):
        terms = []
        for op, (source, to) in zip(arch, EDGES, strict=True):
            if to != target:
                continue
            if op == NONE or nodes[source] == "#":
                terms.append("#")
            elif op == SKIP:
                terms.append(nodes[source])
            else:
                terms.append(f"({nodes[source]})@{OPERATIONS[op]}")
        nodes[target] = "+".join(sorted(terms))
    return nodes[-1]


@lru_cache(maxsize=1)
def benchmark_classes() -> np.ndarray:
    """For each official index, the smallest official index of its `benchmark_canonical` class, `[15625]`; read-only."""
    first: dict[str, int] = {}
    texts = (benchmark_canonical(TOPOLOGY.from_index(index)) for index in range(TOPOLOGY.n_arch))
    found = np.array([first.setdefault(text, index) for index, text in enumerate(texts)])
    found.flags.writeable = False
    return found
