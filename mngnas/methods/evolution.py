"""Evolutionary search for the best-scored architectures, whatever the score.

`evolve` is the search of Guo et al. (ECCV 2020, "Single Path One-Shot", section 3.4) with inherited weights: the best
architectures seen so far are the parents of a generation, which is scored as a whole. Unlike there, nothing is scored
twice.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mngnas.errors import UserError
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch, Space

Score = Callable[[Sequence[Arch]], np.ndarray]  # scores [n], higher is better; called once a generation
Constraint = Callable[[Arch], bool]


@dataclass(frozen=True)
class EvolutionConfig(Settings):
    """How to search."""

    section = "evolution"
    budget: int = setting(1000, 1)  # evaluations, never exceeded
    population: int = setting(50, 1)  # evaluations of a generation
    parents: int = setting(20, 1)  # the best so far, of all generations, from which children are made
    crossover: float = setting(0.5, 0, 1)  # share of children that mix two parents; others are mutants
    mutation: float = setting(0.2, above=0, high=1)  # probability that a position of a mutant gets another option
    tries: int = setting(
        100, 1
    )  # to make a child that is new and feasible, before a random architecture takes its place
    canonical: bool = True  # search canonical architectures only; if False, all that are written differently


@dataclass(frozen=True, eq=False)
class EvolutionResult:
    """All evaluations in their order. Ranks are by score; of equal scores the earlier is better, NaN is worst."""

    archs: tuple[Arch, ...]  # [n], distinct
    scores: np.ndarray  # float64 [n]

    @property
    def best(self) -> Arch:
        """The architecture with the highest score."""
        return self.archs[_ranking(self.scores)[0]]

    def top(self, k: int) -> list[tuple[Arch, float]]:
        """The `k` best with their scores, best first; all if there are fewer."""
        return [(self.archs[i], float(self.scores[i])) for i in _ranking(self.scores)[: max(k, 0)]]


def evolve(
    space: Space,
    score: Score,
    config: EvolutionConfig,
    rng: np.random.Generator,
    *,
    constraint: Constraint | None = None,
) -> EvolutionResult:
    """Search; ends when the budget is spent or every feasible architecture is evaluated.

    The first generation is random, uniform over what is feasible. With `config.canonical` score and constraint see,
    and the result holds, canonical architectures only. The constraint is asked once for each architecture of the
    space. Scores may be NaN. Raises `UserError` if nothing is feasible, and if `score` does not return `[n]`.
    """
    canonical = space.canonical if config.canonical else tuple
    unseen = _Unseen(_feasible(space, constraint, config.canonical))
    total = min(config.budget, len(unseen))
    archs: list[Arch] = []
    scores = np.empty(0)
    while len(archs) < total:
        parents = [archs[i] for i in _ranking(scores)[: config.parents]]
        generation: list[Arch] = []
        while len(generation) < min(config.population, total - len(archs)):
            arch = None
            if parents:
                made = (canonical(_child(space, config, rng, parents)) for _ in range(config.tries))
                arch = next((candidate for candidate in made if candidate in unseen), None)
            generation.append(unseen.take(unseen.draw(rng) if arch is None else arch))
        scores = np.concatenate([scores, _scores(score, generation)])
        archs += generation
    return EvolutionResult(tuple(archs), scores)


class _Unseen:
    """Architectures not yet evaluated: membership, removal and a uniform draw, each in constant time."""

    def __init__(self, archs: Iterable[Arch]) -> None:
        self.archs = list(archs)
        self.place = {arch: i for i, arch in enumerate(self.archs)}

    def __len__(self) -> int:
        return len(self.archs)

    def __contains__(self, arch: Arch) -> bool:
        return arch in self.place

    def draw(self, rng: np.random.Generator) -> Arch:
        return self.archs[rng.integers(len(self.archs))]

    def take(self, arch: Arch) -> Arch:
        """Remove one; the last takes its place."""
        at, last = self.place[arch], self.archs[-1]
        self.archs[at], self.place[last] = last, at
        self.archs.pop()
        del self.place[arch]
        return arch


def _feasible(space: Space, constraint: Constraint | None, canonical: bool) -> list[Arch]:
    indices = np.unique(space.canonical_indices) if canonical else np.arange(space.n_arch)
    archs: list[Arch] = [tuple(row) for row in space.all_archs[indices].tolist()]
    found = archs if constraint is None else [arch for arch in archs if constraint(arch)]
    if not found:
        raise UserError(f"the constraint excludes all {len(archs):,} architectures of the search space")
    return found


def _child(space: Space, config: EvolutionConfig, rng: np.random.Generator, parents: list[Arch]) -> Arch:
    """A mix of two parents or a mutant of one; it may be no new architecture."""
    sizes = space.sizes
    kind, first, second, *draws = rng.random(3 + len(sizes)).tolist()  # one call: this runs up to `tries` times a child
    one = parents[int(first * len(parents))]
    if kind < config.crossover:
        other = parents[int(second * len(parents))]
        return tuple(a if draw < 0.5 else b for a, b, draw in zip(one, other, draws, strict=True))
    high = sizes[0] if len(set(sizes)) == 1 else np.array(sizes)
    shifts = rng.integers(1, high, len(sizes)).tolist()  # to another option, each as likely
    mutated = zip(one, shifts, draws, sizes, strict=True)
    return tuple((old + shift) % size if draw < config.mutation else old for old, shift, draw, size in mutated)


def _scores(score: Score, archs: list[Arch]) -> np.ndarray:
    scores = np.asarray(score(tuple(archs)), dtype=np.float64)
    if scores.shape != (len(archs),):
        raise UserError(f"the score returned shape {scores.shape} for {len(archs)} architectures")
    return scores


def _ranking(scores: np.ndarray) -> np.ndarray:
    """Places from best to worst; the sort is stable and puts NaN last."""
    return np.argsort(-scores, kind="stable")
