"""The cell search space of NAS-Bench-201 and of NATS-Bench's topology space; numpy only, no torch.

A cell has four nodes; node 0 is its input and node 3 its output. Each of the six edges carries one of five
operations, so there are 5**6 = 15,625 architectures. An architecture is a tuple of six operation numbers in the
order of `EDGES`. Its *key* is the same six digits written as a string ("012340"), its *rank* is the key read in
base 5, its *architecture string* is the benchmark's notation

    |nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|

and its *index* is its place in the published benchmark. Operation numbers differ between code bases: exchange
architecture strings or indices, never keys, with other software.
"""

import random
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import permutations, product

import numpy as np

from mngnas.errors import UserError, unknown

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV_1X1, CONV_3X3, AVG_POOL = range(5)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # (source node, target node)
N_ARCH = len(OPERATIONS) ** len(EDGES)

Arch = tuple[int, ...]

_SHAPE = re.compile(r"\|([^|~]+)~0\|\+\|([^|~]+)~0\|([^|~]+)~1\|\+\|([^|~]+)~0\|([^|~]+)~1\|([^|~]+)~2\|")


class ArchitectureError(UserError):
    """Text or numbers that do not name an architecture of the search space."""


def parse(arch_str: str) -> Arch:
    """Read an architecture string; raises `ArchitectureError` naming the edge or the place that is wrong."""
    text = arch_str.strip()
    match = _SHAPE.fullmatch(text)
    if match is None:
        pattern = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
        raise ArchitectureError(f"architecture string {text!r} departs from {pattern!r} {_first_departure(text)}")
    return tuple(_operation(name, edge) for name, edge in zip(match.groups(), EDGES, strict=True))


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


def to_str(arch: Arch) -> str:
    """Write the architecture string."""
    nodes = []
    for target in (1, 2, 3):
        incoming = [(op, source) for op, (source, to) in zip(arch, EDGES, strict=True) if to == target]
        nodes.append("|" + "|".join(f"{OPERATIONS[op]}~{source}" for op, source in incoming) + "|")
    return "+".join(nodes)


def to_key(arch: Arch) -> str:
    """Write the six digits."""
    return "".join(map(str, arch))


def from_key(key: str) -> Arch:
    """Read six digits, each 0..4; raises `ArchitectureError`."""
    if len(key) != len(EDGES):
        raise ArchitectureError(f"key {key!r} has {len(key)} digits, not {len(EDGES)}")
    for place, digit in enumerate(key):
        if digit not in "01234":
            raise ArchitectureError(f"key {key!r} has {digit!r} at character {place}; each digit is 0 to 4")
    return tuple(map(int, key))


def to_rank(arch: Arch) -> int:
    """The key read as a number in base 5, 0..15624."""
    rank = 0
    for op in arch:
        rank = rank * len(OPERATIONS) + op
    return rank


@lru_cache(maxsize=1)
def _official_ranks() -> np.ndarray:
    """Ranks in the benchmark's order `[n_arch]`.

    Dong & Yang (ICLR 2020) enumerate the space in base-5 order and shuffle that list once with Python's generator
    seeded with 88; the order, and with it every published index, follows from these two facts.
    """
    ranks = list(range(N_ARCH))
    random.Random(88).shuffle(ranks)
    return np.array(ranks)


@lru_cache(maxsize=1)
def _index_of_rank() -> np.ndarray:
    return np.argsort(_official_ranks())


@lru_cache(maxsize=1)
def all_archs() -> np.ndarray:
    """Every architecture in the order of the official index, `[15625, 6]` int8; read-only."""
    powers = len(OPERATIONS) ** np.arange(len(EDGES) - 1, -1, -1)
    archs = (_official_ranks()[:, None] // powers % len(OPERATIONS)).astype(np.int8)
    archs.flags.writeable = False
    return archs


def to_index(arch: Arch) -> int:
    """The official index, 0..15624."""
    return int(_index_of_rank()[to_rank(arch)])


def from_index(index: int) -> Arch:
    """The architecture at an official index; raises `ArchitectureError` outside 0..15624."""
    if not 0 <= index < N_ARCH:
        raise ArchitectureError(f"architecture index {index} is outside 0..{N_ARCH - 1}")
    return tuple(map(int, all_archs()[index]))


def neighbours(arch: Arch) -> list[Arch]:
    """The 24 architectures that differ from `arch` in the operation of exactly one edge."""
    others = []
    for edge, op in enumerate(arch):
        others += [(*arch[:edge], new, *arch[edge + 1 :]) for new in range(len(OPERATIONS)) if new != op]
    return others


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


@lru_cache(maxsize=1)
def live_indices() -> np.ndarray:
    """For each official index, the official index of its live graph, `[15625]`; read-only."""
    found = np.array([to_index(live_graph(from_index(i))) for i in range(N_ARCH)])
    found.flags.writeable = False
    return found


def benchmark_canonical(arch: Arch) -> str:
    """The text by which the benchmark itself compares architectures (Dong & Yang 2020, section 2.1).

    It depends on the order in which sums were written and forgets which operations share an input, so it both
    splits and merges a few networks that `network_canonical` does not. It has 6,466 values.
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


def network_canonical(arch: Arch) -> str:
    """A text that two architectures share exactly if they are the same network up to the naming of its weights.

    Dead edges vanish, `skip_connect` is the identity, a node's inputs are a multiset, and two convolutions are told
    apart only by their place in the graph. There are 5,260 classes; the 341 disconnected architectures share the
    empty text.
    """
    live = live_graph(arch)
    ones = [edge for edge, op in enumerate(live) if op == CONV_1X1]
    threes = [edge for edge, op in enumerate(live) if op == CONV_3X3]
    texts = []
    for order in product(permutations(range(len(ones))), permutations(range(len(threes)))):
        names = {edge: f"conv1x1_{n}" for edge, n in zip(ones, order[0], strict=True)}
        names |= {edge: f"conv3x3_{n}" for edge, n in zip(threes, order[1], strict=True)}
        terms: list[tuple[str, ...]] = [("x",), (), (), ()]
        for edge, ((source, target), op) in enumerate(zip(EDGES, live, strict=True)):
            if op == SKIP:
                terms[target] += terms[source]
            elif op != NONE:
                terms[target] += (f"{names.get(edge, 'pool')}({'+'.join(sorted(terms[source]))})",)
        texts.append("+".join(sorted(terms[3])))
    return min(texts)


def _first_of_class(canonical: Callable[[Arch], str]) -> np.ndarray:
    first: dict[str, int] = {}
    found = np.array([first.setdefault(canonical(from_index(i)), i) for i in range(N_ARCH)])
    found.flags.writeable = False
    return found


@lru_cache(maxsize=1)
def benchmark_classes() -> np.ndarray:
    """For each official index, the smallest official index of its `benchmark_canonical` class, `[15625]`; read-only."""
    return _first_of_class(benchmark_canonical)


@lru_cache(maxsize=1)
def network_classes() -> np.ndarray:
    """For each official index, the smallest official index of its `network_canonical` class, `[15625]`; read-only."""
    return _first_of_class(network_canonical)
