"""Regularised evolution, REA: children of the best of a sample, and the oldest dies whatever it is worth.

Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019, algorithm 1. Settings are
those of NAS-Bench-201 and NATS-Bench: a population of 10, and samples of 3 drawn with replacement (Real et al. have 100
and 25, without).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mngnas.methods.info import MethodInfo
from mngnas.methods.searcher import Query, Searcher, SearcherConfig
from mngnas.settings import setting
from mngnas.spaces import Arch


@dataclass(frozen=True)
class ReaConfig(SearcherConfig):
    """How large population and sample are."""

    population: int = setting(10, 1)
    sample: int = setting(3, 1)  # with replacement; the best of it is the parent


class RegularisedEvolution(Searcher):
    """See the module. Each child replaces the oldest, so the population is the newest part of the history."""

    info = MethodInfo("rea", "REA", "Real et al. 2019", "regularised evolution: the oldest dies", "searcher")
    Config = ReaConfig

    def propose(self, history: Sequence[Query], rng: np.random.Generator) -> Arch:
        """A uniform draw until the population is there, then a mutant of the best of a sample of it."""
        config: ReaConfig = self.config
        if len(history) < config.population:
            return self.space.sample_uniform(rng, 1)[0]
        population = history[-config.population :]
        sample = [population[i] for i in rng.integers(0, len(population), config.sample)]
        parent = max(sample, key=lambda query: query.answer.accuracy)
        return self.space.mutant(parent.arch, rng)
