"""How other people's files write architectures, and what is meant by it.

An architecture may be written as

- an architecture string of the search space, for example `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|`;
- a key: text of one digit for each position, the numbers of its options. Where keys are not longer than indices, so
  that text of digits could be either, it is an index, and one padded with zeros is refused;
- the official index: any other whole number. A JSON number is always an index;
- in the topology space, nested tuples as the few-shot NAS repository writes its keys, for each node its (operation,
  source node) pairs: `[(('none', 0),), (('none', 0), ('none', 1)), ...]`.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mngnas.errors import UserError, unknown
from mngnas.spaces import ArchitectureError, Space
from mngnas.spaces.topology import EDGES, OPERATIONS, Topology

_PAIR = r"[(\[]\s*(?:'([^'\"]*)'|\"([^'\"]*)\")\s*,\s*%s\s*[)\]]"  # (operation, source node)
_TUPLE_PAIR = re.compile(_PAIR % r"\d+")
_BETWEEN = r"[\s,\[\]()]*"
_CELL = re.compile(_BETWEEN + _BETWEEN.join(_PAIR % source for source, _ in EDGES) + _BETWEEN)


@dataclass(frozen=True)
class Notation:
    """The forms in which architectures of one search space are written."""

    space: Space

    def form(self, arch: object) -> str | None:
        """How an architecture is written, or None if it is not one."""
        if isinstance(arch, int) and not isinstance(arch, bool):
            return "index"
        if not isinstance(arch, str):
            return None
        text = arch.strip()
        if self._keys_are_longer and self._is_key(text):
            return "key"
        if re.fullmatch("-?[0-9]{1,18}", text):
            return "index"
        if text.startswith(("[", "(")) and _TUPLE_PAIR.search(text) and isinstance(self.space, Topology):
            return "nested tuples"
        return "architecture string" if self._marks.search(text) else None

    def index(self, form: str, arch: Any) -> int:
        """The official index; raises `ArchitectureError` for what is none of the space."""
        space = self.space
        if form == "architecture string":
            return space.to_index(space.parse(arch))
        if form == "key":
            return space.to_index(space.from_key(arch.strip()))
        if form == "nested tuples":
            return _from_tuples(space, arch)
        if (
            isinstance(arch, str)
            and arch.strip().startswith("0")
            and len(arch.strip()) > 1
            and self._is_key(arch.strip())
        ):
            raise UserError(f"{arch!r} may be a key or a padded index: write architecture strings or plain indices")
        return space.to_index(space.from_index(int(arch)))

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
        """The marks between the words of an architecture string."""
        marks = set(re.findall(r"[^\w\s]", self.space.to_str(self.space.from_index(0))))
        return re.compile(f"[{re.escape(''.join(sorted(marks)))}]")


def _from_tuples(space: Space, text: str) -> int:
    """The official index of "[(('none', 0),), (('none', 0), ('none', 1)), (...)]", (operation, source) by target."""
    match = _CELL.fullmatch(text)
    if match is None:
        raise ArchitectureError(f"nested tuples {short(text)} are not the {len(EDGES)} edges of a cell")
    names = [single or double for single, double in zip(*[iter(match.groups())] * 2, strict=True)]
    for name in names:
        if name not in OPERATIONS:
            raise ArchitectureError(str(unknown("operation", name, OPERATIONS)))
    return space.to_index(tuple(map(OPERATIONS.index, names)))


def short(value: object) -> str:
    """A value as messages show it."""
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
