"""Search spaces: what an architecture is, how it is written, which are the same network, what each costs; no torch."""

from mngnas.errors import unknown
from mngnas.spaces.base import Arch, ArchitectureError, Space
from mngnas.spaces.size import SIZE
from mngnas.spaces.topology import TOPOLOGY

__all__ = ["SPACES", "Arch", "ArchitectureError", "Space", "space_named"]

SPACES: dict[str, Space] = {space.name: space for space in (TOPOLOGY, SIZE)}


def space_named(name: str) -> Space:
    """The search space of this name; raises `UserError` for an unknown one."""
    if name not in SPACES:
        raise unknown("search space", name, SPACES)
    return SPACES[name]
