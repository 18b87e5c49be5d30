"""How score files write architectures, and what is meant by it.

Forms that name their operations, which are never mistaken (`NAMED`):

- an architecture string of the search space, also with odd spaces, with other code bases' names of the operations, and
  inside `Structure(4 nodes with ...)`;
- nested tuples or lists, for each node its (operation, source node) pairs: `[(('none', 0),), (('none', 0), ...), ...]`;
- an edge dictionary, `{"0_1": "skip_connect", ...}`;
- six operation names in the order of the space's edges.

Forms of numbers (`OF_NUMBERS`), which mean another network in another code base: a key of digits, a list of numbers, an
edge dictionary of numbers. They are read in the order that is asked for and else in the benchmark's own; but numbers in
round brackets, as NASLib writes them, are refused until an order is named.

The official index is any other whole number. Where keys are not longer than indices, so that text of digits could be
either, it is an index, and one padded with zeros is refused.
"""

import ast
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.scores.naming import DIGITS_ORDERS, OFFICIAL, DigitsOrder, edges_of, operation
from bench.scores.text import short
from mngnas.errors import UserError
from mngnas.spaces import SPACES, ArchitectureError, Space
from mngnas.spaces.topology import EDGES, OPERATIONS, Topology

STRING, NESTED, EDGE_DICTIONARY, SIX_NAMES = (
    "architecture string",
    "nested tuples",
    "edge dictionary",
    "operation names",
)
KEY, LIST, TUPLE, EDGE_NUMBERS = "key", "list of numbers", "numbers in round brackets", "edge dictionary of numbers"
INDEX = "index"
ELSEWHERE = "architecture string of another search space"
NAMED = (STRING, NESTED, EDGE_DICTIONARY, SIX_NAMES, ELSEWHERE)
OF_NUMBERS = (KEY, LIST, TUPLE, EDGE_NUMBERS)

_LONGEST = 600  # characters of an architecture that is worth looking at
_WHOLE = re.compile("-?[0-9]{1,18}")
_STRUCTURE = re.compile(r"\w*Structure\(\s*\d+ nodes with (.*)\)", re.DOTALL)
_NAME_BEFORE_NODE = re.compile(r"([^|~+]+)~")
_PAIR = r"[(\[]\s*(?:'([^'\"]*)'|\"([^'\"]*)\")\s*,\s*%s\s*[)\]]"  # (operation, source node)
_ANY_PAIR = re.compile(_PAIR % r"\d+")
_BETWEEN = r"[\s,\[\]()]*"
_CELL = re.compile(_BETWEEN + _BETWEEN.join(_PAIR % source for source, _ in EDGES) + _BETWEEN)


class Pairs(list[Any]):
    """A JSON object or a dict as its list of (name, value): a dict would silently keep the last of repeated names."""


@dataclass(frozen=True)
class Notation:
    """The forms in which architectures of one search space are written."""

    space: Space
    order: DigitsOrder | None = None  # of numbers; None: the space's own, where that is safe

    def form(self, arch: object) -> str | None:
        """How an architecture is written, or None if it is not one; whether it is one of the space `index` tells."""
        if isinstance(arch, int) and not isinstance(arch, bool):
            return INDEX
        if isinstance(arch, str):
            return self._form_of_text(arch.strip()) if len(arch) <= _LONGEST else None
        if isinstance(arch, Pairs):
            return self._form_of_edges(arch)
        return self._form_of_list(arch) if isinstance(arch, list | tuple) else None

    def index(self, form: str, arch: Any) -> int:
        """The official index; raises `ArchitectureError` for what is none of the space, `UserError` for a riddle."""
        return self.space.to_index(self._arch(form, arch))

    @property
    def used(self) -> DigitsOrder:
        """The order in which numbers are read."""
        return self.order or DIGITS_ORDERS[OFFICIAL]

    # ------------------------------------------------------------------------------------------ which form it is

    def _form_of_text(self, text: str) -> str | None:
        if self._keys_are_longer and self._is_key(text):
            return KEY
        if _WHOLE.fullmatch(text):
            return INDEX
        if self._marks.search(text) and not text.startswith(("[", "(", "{")):
            return STRING
        if _named_by(text, self.space):
            return ELSEWHERE
        if isinstance(self.space, Topology) and text.startswith(("[", "(")) and _ANY_PAIR.search(text):
            return NESTED
        value = _evaluated(text)
        return None if value is None else self.form(value)

    def _form_of_edges(self, pairs: Pairs) -> str | None:
        if not isinstance(self.space, Topology) or len(pairs) != len(EDGES):
            return None
        names, values = zip(*pairs, strict=True)
        if not all(isinstance(name, str) for name in names) or edges_of(names) is None:
            return None
        if all(isinstance(value, str) for value in values):
            return EDGE_DICTIONARY
        return EDGE_NUMBERS if all(_is_whole(value) for value in values) else None

    def _form_of_list(self, parts: list[Any] | tuple[Any, ...]) -> str | None:
        if len(parts) == len(self.space.sizes) and all(_is_whole(part) for part in parts):
            return TUPLE if isinstance(parts, tuple) else LIST
        if not isinstance(self.space, Topology):
            return None
        if len(parts) == len(EDGES) and all(isinstance(part, str) for part in parts):
            return SIX_NAMES
        nodes = all(isinstance(node, list | tuple) and node for node in parts)
        return NESTED if parts and nodes and all(_is_pair(pair) for node in parts for pair in node) else None

    # -------------------------------------------------------------------------------------- which architecture it is

    def _arch(self, form: str, arch: Any) -> tuple[int, ...]:
        text = arch.strip() if isinstance(arch, str) else None
        if form == STRING and text is not None:
            return self._from_string(text)
        if form == INDEX:
            return self._from_index(arch)
        if form == ELSEWHERE:
            raise UserError(f"{short(arch)} is of {_named_by(text or '', self.space)}, not of {self.space.label}")
        if form == KEY and text is not None:
            return self._from_numbers(tuple(map(int, text)), arch)
        if form == NESTED and text is not None and (match := _CELL.fullmatch(text)):
            return _operations([single or double for single, double in zip(*[iter(match.groups())] * 2, strict=True)])
        value = arch if text is None else _evaluated(text)
        if form == NESTED:
            if value is None or self.form(value) != NESTED:
                raise ArchitectureError(f"nested tuples {short(arch)} are not the {len(EDGES)} edges of a cell")
            return _from_nested(value, arch)
        if form in (EDGE_DICTIONARY, EDGE_NUMBERS):
            return self._from_edges(value, form)
        if form == SIX_NAMES:
            ours = _operations(list(value))
            return self.used.arch(tuple(self.used.operations.index(number) for number in ours))
        if form == TUPLE and self.order is None and isinstance(self.space, Topology):
            raise UserError(
                f"numbers in round brackets, as in {short(arch, 30)}, mean other operations and edges in other code "
                "bases: say --digits-order naslib or official, or write architecture strings"
            )
        return self._from_numbers(tuple(value), arch)

    def _from_string(self, text: str) -> tuple[int, ...]:
        try:
            return self.space.parse(text)
        except ArchitectureError:
            if not isinstance(self.space, Topology):
                raise
        if match := _STRUCTURE.fullmatch(text):
            text = match[1]
        text = re.sub(r"\s+", "", text).strip("'\"")
        return self.space.parse(_NAME_BEFORE_NODE.sub(lambda match: _ours(match[1]) + "~", text))

    def _from_index(self, arch: Any) -> tuple[int, ...]:
        text = str(arch).strip()
        if text.startswith("0") and len(text) > 1 and self._is_key(text):
            raise UserError(
                f"{short(text)} may be a key or a padded index: write architecture strings or plain indices"
            )
        return self.space.from_index(int(text))

    def _from_numbers(self, digits: tuple[int, ...], arch: object) -> tuple[int, ...]:
        for digit, size in zip(digits, self.space.sizes, strict=True):
            if not 0 <= digit < size:
                raise ArchitectureError(f"{short(arch)} has the number {digit}, which no option has")
        return self.used.arch(digits) if isinstance(self.space, Topology) else digits

    def _from_edges(self, value: Pairs, form: str) -> tuple[int, ...]:
        places = edges_of(tuple(name for name, _ in value))
        assert places is not None, "`form` has looked"
        if form == EDGE_DICTIONARY:
            found = _operations([operation for _, operation in value])
        else:
            names = [number for _, number in value]
            if not all(0 <= number < len(OPERATIONS) for number in names):
                raise ArchitectureError(f"{short(value)} has a number that no operation has")
            found = tuple(self.used.operations[number] for number in names)
        at = dict(zip(places, found, strict=True))
        return tuple(at[place] for place in sorted(at))

    def _is_key(self, text: str) -> bool:
        return len(text) == len(self.space.sizes) and self._key.fullmatch(text) is not None

    @cached_property
    def _key(self) -> re.Pattern[str]:
        return re.compile("".join(f"[0-{size - 1}]" for size in self.space.sizes))

    @cached_property
    def _keys_are_longer(self) -> bool:
        return len(self.space.sizes) > len(str(self.space.n_arch - 1))

    @cached_property
    def _marks(self) -> re.Pattern[str]:
        """The marks that only an architecture string has; "+" stands in many texts."""
        marks = set(re.findall(r"[^\w\s]", self.space.to_str(self.space.from_index(0)))) - {"+"}
        return re.compile(f"[{re.escape(''.join(sorted(marks)))}]")


def _named_by(text: str, but: Space) -> str:
    """The label of another space in whose notation a text is; "" if there is none."""
    for space in SPACES.values():
        if space is not but:
            with suppress(ArchitectureError):
                space.parse(text)
                return space.label
    return ""


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) and _is_whole(pair[1])


def _evaluated(text: str) -> Any:
    """The lists, tuples, names and numbers that a text writes down, None if it writes something else."""
    if text[:1] in ("[", "(", "{"):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
        return Pairs(value.items()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else None
    words = re.split(r"\s*[,;]\s*|\s+|-", text)
    if len(words) != len(EDGES):
        return None
    if all(re.fullmatch("[0-9]", word) for word in words):
        return list(map(int, words))
    return words if all(operation(word) is not None for word in words) else None


def _ours(name: str) -> str:
    number = operation(name)
    if number is None:
        raise ArchitectureError(f"unknown operation {short(name, 40)}; known: {', '.join(OPERATIONS)}")
    return OPERATIONS[number]


def _operations(names: list[str]) -> tuple[int, ...]:
    return tuple(OPERATIONS.index(_ours(name)) for name in names)


def _from_nested(nodes: Any, arch: object) -> tuple[int, ...]:
    """The architecture of, for each node, its (operation, source) pairs in any order."""
    pairs = [((source, node), name) for node, pairs in enumerate(nodes, 1) for name, source in pairs]
    found = dict(pairs)
    if len(pairs) != len(EDGES) or set(found) != set(EDGES):
        raise ArchitectureError(f"nested tuples {short(arch)} are not the {len(EDGES)} edges of a cell")
    return _operations([found[edge] for edge in EDGES])
