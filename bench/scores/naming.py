"""How other code bases name and number the operations and edges of the topology space.

Names: NAS-Bench-201, NATS-Bench, XAutoDL and aw_nas write `nor_conv_3x3`; nni writes `conv_3x3`; NASLib writes the
names of its classes. All of them are told apart without a doubt, so they are always read. Numbers are not: the same
digits mean another network in another code base, so an order of digits has a name, see `DIGITS_ORDERS`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from mngnas.errors import unknown
from mngnas.spaces.topology import AVG_POOL, CONV_1X1, CONV_3X3, EDGES, N_NODES, NONE, OPERATIONS, SKIP

OFFICIAL = "official"

_NAMES = {
    NONE: ("none", "zero", "zeroize", "zeroise"),
    SKIP: ("skipconnect", "skipconnection", "skip", "identity"),
    CONV_1X1: ("norconv1x1", "conv1x1", "reluconvbn1x1", "conv1x1bnrelu", "convbnrelu1x1"),
    CONV_3X3: ("norconv3x3", "conv3x3", "reluconvbn3x3", "conv3x3bnrelu", "convbnrelu3x3"),
    AVG_POOL: ("avgpool3x3", "avgpool1x1", "avgpool", "averagepool3x3", "avgpooling3x3"),  # NASLib's AvgPool1x1 is 3x3
}
_NUMBER_OF = {name: number for number, names in _NAMES.items() for name in names}


@dataclass(frozen=True)
class DigitsOrder:
    """What the numbers of six digits mean."""

    name: str
    label: str  # as shown to people
    operations: tuple[int, ...]  # their operation 0, 1, ... in our numbers
    edges: tuple[tuple[int, int], ...]  # (source, target) of their digit 0, 1, ...

    def arch(self, digits: tuple[int, ...]) -> tuple[int, ...]:
        """Six of their numbers as an architecture of ours."""
        found = {edge: self.operations[digit] for edge, digit in zip(self.edges, digits, strict=True)}
        return tuple(found[edge] for edge in EDGES)


DIGITS_ORDERS = {
    order.name: order
    for order in (
        DigitsOrder(OFFICIAL, "NAS-Bench-201's order of operations and edges", tuple(range(len(OPERATIONS))), EDGES),
        DigitsOrder("naslib", "NASLib's order", (SKIP, NONE, CONV_3X3, CONV_1X1, AVG_POOL), tuple(sorted(EDGES))),
    )
}


def digits_order(name: str) -> DigitsOrder:
    """The order of this name; raises `UserError` for an unknown one."""
    if name not in DIGITS_ORDERS:
        raise unknown("order of digits", name, DIGITS_ORDERS)
    return DIGITS_ORDERS[name]


@lru_cache(maxsize=1000)
def operation(name: str) -> int | None:
    """The number of an operation by any of its names, None for an unknown one."""
    return _NUMBER_OF.get(re.sub(r"[\s_\-.()]", "", name).lower())


_EDGE = re.compile(r"\W*(?:edge|op|e)?[\s_]*([0-9])\s*(?:_|,|-|->|<-|:|~|to)\s*([0-9])\W*", re.IGNORECASE)


@lru_cache(maxsize=1000)
def edge(name: str) -> tuple[int, int] | None:
    """The two nodes that a name such as "0_1", "(0, 1)", "1<-0" or "edge_1_2" joins, the smaller first."""
    match = _EDGE.fullmatch(name)
    if match is None or match[1] == match[2]:
        return None
    one, other = int(match[1]), int(match[2])
    return min(one, other), max(one, other)


def edges_of(names: tuple[str, ...]) -> tuple[int, ...] | None:
    """For six names of edges the place of each in our order, None if they are not the six; nodes count from 0 or 1."""
    found = [edge(name) for name in names]
    for start in (0, 1):
        moved = [None if e is None else (e[0] - start, e[1] - start) for e in found]
        if sorted(e for e in moved if e is not None) == sorted(EDGES) and len(moved) == len(EDGES):
            return tuple(EDGES.index(e) for e in moved if e is not None)
    return None


assert sorted({node for pair in EDGES for node in pair}) == list(range(N_NODES))
