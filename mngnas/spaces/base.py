"""What every search space can do: a product of small choices with a published order; numpy only, no torch.

An architecture is a tuple of option numbers, one for each position. Its *key* is the same numbers written as digits,
its *rank* is the key read as a number with position 0 the slowest, its *index* is its place in the published benchmark,
and its *architecture string* is the benchmark's notation.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import ClassVar

import numpy as np

from mngnas.errors import UserError
from mngnas.spaces.skeleton import Skeleton

Arch = tuple[int, ...]


class ArchitectureError(UserError):
    """Text or numbers that do not name an architecture of the search space."""


class Space(ABC):
    """A finite search space. What a subclass leaves out has the plainest meaning: rank order, nothing is equivalent."""

    name: ClassVar[str]  # as tables and records have it
    label: ClassVar[str]  # as shown to people
    positions: ClassVar[tuple[str, ...]]  # what is chosen, for example the edge "0->1"
    options: ClassVar[tuple[tuple[str, ...], ...]]  # the options of each position
    mixes: ClassVar[bool] = True  # whether a network can compute all options of a position and mix them

    # ------------------------------------------------------------------------------------------- order and numbers

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many options each position has."""
        return tuple(map(len, self.options))

    @cached_property
    def n_arch(self) -> int:
        """How many architectures there are."""
        return prod(self.sizes)

    def to_rank(self, arch: Arch) -> int:
        """The key read as a number, 0..n_arch - 1."""
        rank = 0
        for option, size in zip(arch, self.sizes, strict=True):
            rank = rank * size + option
        return rank

    def official_ranks(self) -> np.ndarray:
        """Ranks in the published order `[n_arch]`; the order of rank unless the benchmark has another."""
        return np.arange(self.n_arch)

    @cached_property
    def _index_of_rank(self) -> np.ndarray:
        return np.argsort(self.official_ranks())

    @cached_property
    def all_archs(self) -> np.ndarray:
        """Every architecture in the order of the official index, `[n_arch, n_position]` int8; read-only."""
        archs = np.stack(np.unravel_index(self.official_ranks(), self.sizes), axis=1).astype(np.int8)
        archs.flags.writeable = False
        return archs

    def to_index(self, arch: Arch) -> int:
        """The official index, 0..n_arch - 1."""
        return int(self._index_of_rank[self.to_rank(arch)])

    def from_index(self, index: int) -> Arch:
        """The architecture at an official index; raises `ArchitectureError` outside 0..n_arch - 1."""
        if not 0 <= index < self.n_arch:
            raise ArchitectureError(f"architecture index {index} is outside 0..{self.n_arch - 1}")
        return tuple(map(int, self.all_archs[index]))

    # -------------------------------------------------------------------------------------------------------- text

    @abstractmethod
    def parse(self, arch_str: str) -> Arch:
        """Read an architecture string; raises `ArchitectureError` naming the place that is wrong."""

    @abstractmethod
    def to_str(self, arch: Arch) -> str:
        """Write the architecture string."""

    def to_key(self, arch: Arch) -> str:
        """Write the digits; no position has more than ten options."""
        return "".join(map(str, arch))

    def from_key(self, key: str) -> Arch:
        """Read the digits; raises `ArchitectureError`."""
        if len(key) != len(self.sizes):
            raise ArchitectureError(f"key {key!r} has {len(key)} digits, not {len(self.sizes)}")
        for place, (digit, size) in enumerate(zip(key, self.sizes, strict=True)):
            if digit not in "0123456789"[:size]:
                raise ArchitectureError(
                    f"key {key!r} has {digit!r} at character {place}; that digit is 0 to {size - 1}"
                )
        return tuple(map(int, key))

    # -------------------------------------------------------------------------------------------------- equivalence

    def canonical(self, arch: Arch) -> Arch:
        """One architecture of all those that shared weights cannot tell apart: they have the same one-shot output."""
        return arch

    @cached_property
    def canonical_indices(self) -> np.ndarray:
        """For each official index, the official index of its canonical architecture, `[n_arch]`; read-only."""
        found = np.array([self.to_index(self.canonical(self.from_index(i))) for i in range(self.n_arch)])
        found.flags.writeable = False
        return found

    @cached_property
    def is_canonical(self) -> np.ndarray:
        """Which architectures are their own canonical one, bool `[n_arch]`; read-only."""
        found = np.asarray(self.canonical_indices == np.arange(self.n_arch))
        found.flags.writeable = False
        return found

    @cached_property
    def connected(self) -> np.ndarray:
        """Which architectures have a path from input to output, bool `[n_arch]`; read-only."""
        found = np.ones(self.n_arch, dtype=bool)
        found.flags.writeable = False
        return found

    # ------------------------------------------------------------------------------------------ moves, draws, costs

    def neighbours(self, arch: Arch) -> list[Arch]:
        """The architectures that differ from `arch` in exactly one position."""
        others = []
        for place, (option, size) in enumerate(zip(arch, self.sizes, strict=True)):
            others += [(*arch[:place], new, *arch[place + 1 :]) for new in range(size) if new != option]
        return others

    def mutant(self, arch: Arch, rng: np.random.Generator) -> Arch:
        """An architecture that differs in exactly one position, which is drawn uniformly; so is its option."""
        return self._changed(arch, int(rng.integers(len(arch))), rng)

    def _changed(self, arch: Arch, place: int, rng: np.random.Generator) -> Arch:
        """Another option, drawn uniformly, at one position that has several."""
        option = int(rng.integers(self.sizes[place] - 1))
        return (*arch[:place], option + (option >= arch[place]), *arch[place + 1 :])

    def sample_uniform(self, rng: np.random.Generator, n: int) -> list[Arch]:
        """Draw `n` architectures uniformly and independently."""
        high = self.sizes[0] if len(set(self.sizes)) == 1 else np.array(self.sizes)
        return [tuple(map(int, row)) for row in rng.integers(0, high, (n, len(self.sizes)))]

    def sample_strictly_fair(self, rng: np.random.Generator) -> list[Arch]:
        """Draw as many architectures as a position has options, so that each option occurs exactly once at each.

        Chu et al., FairNAS, ICCV 2021. All positions must have equally many options.
        """
        assert len(set(self.sizes)) == 1, "strict fairness needs equally many options everywhere"
        columns = [rng.permutation(size) for size in self.sizes]
        return [tuple(map(int, row)) for row in np.stack(columns, 1)]

    def sample_indices(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Official indices of `n` different architectures, uniformly drawn, ascending; all if n is not below n_arch."""
        return np.sort(rng.choice(self.n_arch, min(n, self.n_arch), replace=False))

    def check(self, skeleton: Skeleton) -> None:  # noqa: B027
        """Raise `UserError` for a skeleton that this space's networks cannot have."""

    @abstractmethod
    def parameters(self, archs: np.ndarray, skeleton: Skeleton) -> np.ndarray:
        """Trainable parameters of stand-alone networks of architectures `[n, n_position]`, int64 `[n]`."""

    @abstractmethod
    def flops(self, archs: np.ndarray, skeleton: Skeleton, side: int) -> np.ndarray:
        """Multiply-adds of one picture of `side` x `side` pixels, by the benchmark's own rule, int64 `[n]`."""

    @cached_property
    def largest(self) -> Arch:
        """The architecture of most multiply-adds in the benchmark's own network; of equal ones the first by rank."""
        return self._cheapest(-self.flops(self.all_archs, Skeleton(), 32))

    @cached_property
    def smallest(self) -> Arch:
        """The connected one of fewest multiply-adds; of equal ones the first by rank."""
        return self._cheapest(np.where(self.connected, self.flops(self.all_archs, Skeleton(), 32), np.inf))

    def _cheapest(self, costs: np.ndarray) -> Arch:
        return self.from_index(int(np.lexsort((self.official_ranks(), costs))[0]))

    @abstractmethod
    def traits(self) -> Mapping[str, np.ndarray]:
        """What one may ask whether a method favours it, by name: a number for each architecture, `[n_arch]`."""
