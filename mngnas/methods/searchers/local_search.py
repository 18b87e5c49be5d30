"""Local search: to the best neighbour as long as that is better, then on from a new random start.

White, Nolen & Savani, "Exploring the loss landscape in neural architecture search", UAI 2021, algorithm 1. Neighbours
differ in one position. The whole neighbourhood is asked before a step, in random order; what has been asked already is
remembered and not paid again.
"""

from collections.abc import Sequence

import numpy as np

from mngnas.methods.base import SearchTask
from mngnas.methods.info import MethodInfo
from mngnas.methods.searcher import Oracle, Query, Searcher, SearcherConfig
from mngnas.spaces import Arch


class LocalSearch(Searcher):
    """See the module."""

    info = MethodInfo("local-search", "Local search", "White et al. 2021", "best neighbour, or a new start", "searcher")

    def __init__(self, config: SearcherConfig, task: SearchTask, oracle: Oracle) -> None:
        super().__init__(config, task, oracle)
        self.centre: Arch | None = None  # None: a new start is due
        self._told: dict[Arch, float] = {}

    def propose(self, history: Sequence[Query], rng: np.random.Generator) -> Arch:  # noqa: ARG002
        """A neighbour that has not been asked about, or a random start."""
        if self.centre is None:
            return self.space.sample_uniform(rng, 1)[0]
        left = self._unknown_neighbours(self.centre)
        return left[int(rng.integers(len(left)))]

    def learn(self, query: Query) -> None:
        """Once all neighbours are known go to the best of them; where none is better, the search is to start anew."""
        self._told[query.arch] = query.answer.accuracy
        self.centre = self.centre or query.arch
        while self.centre and not self._unknown_neighbours(self.centre):
            near = [arch for arch in self.space.neighbours(self.centre) if arch in self._told]
            best = max(near, key=self._told.__getitem__, default=self.centre)
            self.centre = best if self._told[best] > self._told[self.centre] else None

    def _unknown_neighbours(self, arch: Arch) -> list[Arch]:
        """Those that could be asked about and have not been."""
        return [one for one in self.space.neighbours(arch) if one not in self._told and self.knows(one)]
