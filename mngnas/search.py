"""Search for the best-scored architectures, whatever the score: a supernet, a training-free score, a table.

`evolve` is the evolutionary search of Guo et al. (ECCV 2020, "Single Path One-Shot", section 3.4) with inherited
weights: the best architectures seen so far are the parents of a generation, which is scored as a whole. Unlike there,
nothing is scored twice. `random_search` is the baseline and takes the same arguments.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mngnas.errors import UserError
from mngnas.space import (
    EDGES,
    N_ARCH,
    OPERATIONS,
    Arch,
    from_index,
    from_key,
    live_graph,
    live_indices,
    to_index,
    to_key,
    to_str,
)

Scorer = Callable[[Sequence[Arch]], np.ndarray]  # scores [n], higher is better; called once a generation
Constraint = Callable[[Arch], bool]
Progress = Callable[[int, int], None]  # evaluations done, evaluations that there will be


@dataclass(frozen=True)
class SearchConfig:
    """How to search; `random_search` heeds `budget`, `population` and `live_graphs` only."""

    budget: int = 1000  # evaluations, never exceeded
    population: int = 50  # evaluations of a generation
    parents: int = 20  # the best so far, of all generations, from which children are made
    crossover: float = 0.5  # share of children that mix two parents, each edge from either; others are mutants
    mutation: float = 0.2  # probability that an edge of a mutant gets another operation
    tries: int = 100  # to make a child that is new and feasible, before a random architecture takes its place
    live_graphs: bool = True  # search live graphs only (9,445); if False, dead edges count as a difference (15,625)

    def __post_init__(self) -> None:
        for name in ("budget", "population", "parents", "tries"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise UserError(f"search.{name} = {value!r} must be a positive whole number")
        if not 0 <= self.crossover <= 1:
            raise UserError(f"search.crossover = {self.crossover} is outside 0..1")
        if not 0 < self.mutation <= 1:
            raise UserError(f"search.mutation = {self.mutation} must be above 0 and at most 1")


@dataclass(frozen=True, eq=False)
class SearchResult:
    """All evaluations in their order. Ranks are by score; of equal scores the earlier is better, NaN is worst."""

    archs: tuple[Arch, ...]  # [n], distinct
    scores: np.ndarray  # float64 [n]
    generation_ends: np.ndarray  # int [n_generation], evaluations up to the end of each generation

    @property
    def best(self) -> Arch:
        """The architecture with the highest score."""
        return self.archs[_ranking(self.scores)[0]]

    def top(self, k: int) -> list[tuple[Arch, float]]:
        """The `k` best with their scores, best first; all if there are fewer."""
        return [(self.archs[i], float(self.scores[i])) for i in _ranking(self.scores)[: max(k, 0)]]

    @property
    def best_so_far(self) -> np.ndarray:
        """Best score after each evaluation, float64 `[n]`; NaN until there is a score."""
        return np.fmax.accumulate(self.scores)

    @property
    def history(self) -> np.ndarray:
        """Best score after each generation, float64 `[n_generation]`."""
        return self.best_so_far[self.generation_ends - 1]


def at_most(costs: np.ndarray, limit: float) -> Constraint:
    """The constraint that an architecture costs no more than `limit`.

    `costs` is `[15625]` by official index, in the unit of `limit` (parameters, multiply-adds, seconds); NaN is above
    every limit. Raises `UserError` if the shape is another one or nothing is cheap enough.
    """
    if costs.shape != (N_ARCH,):
        raise UserError(f"costs have shape {costs.shape}, not ({N_ARCH},)")
    allowed = costs <= limit
    if not allowed.any():
        raise UserError(f"cost limit {limit} excludes every architecture; the cheapest costs {np.fmin.reduce(costs)}")
    return lambda arch: bool(allowed[to_index(arch)])


def evolve(
    scorer: Scorer,
    config: SearchConfig,
    rng: np.random.Generator,
    *,
    constraint: Constraint | None = None,
    seeds: Sequence[Arch] = (),
    progress: Progress | None = None,
) -> SearchResult:
    """Evolutionary search; ends when the budget is spent or every feasible architecture is evaluated.

    The first generation is `seeds` (all of them) and random architectures, uniform over what is feasible. With
    `config.live_graphs` scorer and constraint see, and the result holds, live graphs only, the seeds' too. The
    constraint is asked once for each architecture of the space. Scores may be NaN. Raises `UserError` if nothing is
    feasible, if a seed is not feasible or there are more seeds than budget, and if the scorer does not return `[n]`.
    """
    return _search(scorer, config, rng, partial(_child, config, rng), constraint, seeds, progress)


def random_search(
    scorer: Scorer,
    config: SearchConfig,
    rng: np.random.Generator,
    *,
    constraint: Constraint | None = None,
    seeds: Sequence[Arch] = (),
    progress: Progress | None = None,
) -> SearchResult:
    """Uniform random search without replacement over what is feasible; all else is as in `evolve`."""
    return _search(scorer, config, rng, None, constraint, seeds, progress)


def _search(
    scorer: Scorer,
    config: SearchConfig,
    rng: np.random.Generator,
    child: Callable[[list[Arch]], Arch] | None,
    constraint: Constraint | None,
    seeds: Sequence[Arch],
    progress: Progress | None,
) -> SearchResult:
    canonical = live_graph if config.live_graphs else tuple
    unseen = _Unseen(_feasible(constraint, config.live_graphs))
    total = min(config.budget, len(unseen))
    generation = _take_seeds({canonical(from_key(to_key(seed))): seed for seed in seeds}, unseen, config.budget)
    archs: list[Arch] = []
    scores = np.empty(0)
    ends: list[int] = []
    while len(archs) < total:
        parents = [archs[i] for i in _ranking(scores)[: config.parents]]
        size = min(config.population, total - len(archs))
        while len(generation) < size:
            arch = None
            if child is not None and parents:
                made = (canonical(child(parents)) for _ in range(config.tries))
                arch = next((candidate for candidate in made if candidate in unseen), None)
            generation.append(unseen.take(unseen.draw(rng) if arch is None else arch))
        scores = np.concatenate([scores, _score(scorer, generation)])
        archs += generation
        ends.append(len(archs))
        generation = []
        if progress is not None:
            progress(len(archs), total)
    return SearchResult(tuple(archs), scores, np.array(ends))


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


def _feasible(constraint: Constraint | None, live_graphs: bool) -> list[Arch]:
    indices = np.unique(live_indices()) if live_graphs else np.arange(N_ARCH)
    archs = [from_index(int(i)) for i in indices]
    found = archs if constraint is None else [arch for arch in archs if constraint(arch)]
    if not found:
        raise UserError(f"the constraint excludes all {len(archs):,} architectures of the search space")
    return found


def _take_seeds(seeds: dict[Arch, Arch], unseen: _Unseen, budget: int) -> list[Arch]:
    """The first evaluations; `seeds` are those given, by what is evaluated in their place."""
    if len(seeds) > budget:
        raise UserError(f"{len(seeds)} seed architectures are more than search.budget = {budget}")
    for arch, seed in seeds.items():
        if arch not in unseen:
            raise UserError(f"seed architecture {to_str(seed)} is excluded by the constraint")
    return [unseen.take(arch) for arch in seeds]


def _child(config: SearchConfig, rng: np.random.Generator, parents: list[Arch]) -> Arch:
    """A mix of two parents or a mutant of one; it may be no new architecture."""
    kind, first, second, *draws = rng.random(3 + len(EDGES)).tolist()  # one call: this runs up to `tries` times a child
    one = parents[int(first * len(parents))]
    if kind < config.crossover:
        other = parents[int(second * len(parents))]
        return tuple(a if draw < 0.5 else b for a, b, draw in zip(one, other, draws, strict=True))
    shifts = rng.integers(1, len(OPERATIONS), len(EDGES)).tolist()  # to another operation, each as likely
    mutated = zip(one, shifts, draws, strict=True)
    return tuple((op + shift) % len(OPERATIONS) if draw < config.mutation else op for op, shift, draw in mutated)


def _score(scorer: Scorer, archs: list[Arch]) -> np.ndarray:
    scores = np.asarray(scorer(tuple(archs)), dtype=np.float64)
    if scores.shape != (len(archs),):
        raise UserError(f"the scorer returned shape {scores.shape} for {len(archs)} architectures")
    return scores


def _ranking(scores: np.ndarray) -> np.ndarray:
    """Places from best to worst; the sort is stable and puts NaN last."""
    return np.argsort(-scores, kind="stable")
