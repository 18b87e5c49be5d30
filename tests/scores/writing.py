"""Score files as people write them, made from a right answer: for the tests of reading them."""

import json

import numpy as np

from bench.scores.naming import DIGITS_ORDERS
from mngnas.spaces.topology import EDGES, OPERATIONS, TOPOLOGY

SPACED = {"|": " | ", "+": " + "}
NNI = {"nor_conv_1x1": "conv_1x1", "nor_conv_3x3": "conv_3x3"}
NASLIB = dict(zip(OPERATIONS, ("Zero", "Identity", "ReLUConvBN1x1", "ReLUConvBN3x3", "AvgPool1x1"), strict=True))


def names(index):
    return [OPERATIONS[op] for op in TOPOLOGY.from_index(index)]


def string(index):
    return TOPOLOGY.to_str(TOPOLOGY.from_index(index))


def renamed(text, others):
    for ours, theirs in others.items():
        text = text.replace(ours, theirs)
    return text


def nested(index):
    pairs = [[(n, s) for n, (s, t) in zip(names(index), EDGES, strict=True) if t == node] for node in (1, 2, 3)]
    return [tuple(node) for node in pairs]


def key(index):
    return TOPOLOGY.to_key(TOPOLOGY.from_index(index))


def naslib_digits(index):
    order = DIGITS_ORDERS["naslib"]
    at = dict(zip(EDGES, TOPOLOGY.from_index(index), strict=True))
    return [order.operations.index(at[edge]) for edge in order.edges]


def edges(index, sign="_"):
    return {f"{s}{sign}{t}": name for (s, t), name in zip(EDGES, names(index), strict=True)}


# Forms that any file may hold as text, all in no need of options.
TEXTS = {
    "architecture string": string,
    "odd spaces": lambda i: " " + renamed(string(i), SPACED),
    "nni": lambda i: renamed(string(i), NNI),
    "NASLib": lambda i: renamed(string(i), NASLIB),
    "Structure": lambda i: f"Structure(4 nodes with {string(i)})",
    "nested tuples": lambda i: str(nested(i)),
    "nested tuples, other names": lambda i: renamed(str(nested(i)), NASLIB),
    "nested lists": lambda i: json.dumps(nested(i)),
    "edge dictionary": lambda i: str(edges(i)),
    "six names": lambda i: ",".join(names(i)),
    "list": lambda i: str(list(TOPOLOGY.from_index(i))),
    "six digits apart": lambda i: " ".join(key(i)),
    "key": key,
    "index": str,
}
# Forms of JSON alone.
VALUES = {
    "nested lists": nested,
    "edge dictionary": edges,
    "edges with arrows": lambda i: edges(i, "->"),
    "edges of NASLib": lambda i: {str((s + 1, t + 1)): NASLIB[n] for (s, t), n in zip(EDGES, names(i), strict=True)},
    "edges, numbers": lambda i: {f"{s}_{t}": op for (s, t), op in zip(EDGES, TOPOLOGY.from_index(i), strict=True)},
    "six names": names,
    "list": lambda i: list(TOPOLOGY.from_index(i)),
    "index": int,
}


def quoted(cell):
    text = str(cell)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',;"\t\n') else text


def csv(rows, delimiter=",", end="\n"):
    return "".join(delimiter.join(map(quoted, row)) + end for row in rows)


def truth(seed=0):
    """A score for every architecture, all different, with three decimals."""
    return np.random.default_rng(seed).permutation(TOPOLOGY.n_arch) / 1000 + 10
