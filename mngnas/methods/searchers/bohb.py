"""BOHB's model without its shorter trainings: densities of the good and of the bad, and draws where the first is high.

Falkner, Klein & Hutter, "BOHB: robust and efficient hyperparameter optimization at scale", ICML 2018, section 4.2 and
algorithm 2. The compact tables have one short training only, so there is nothing to halve successively: all answers
are of equal training, as in NAS-Bench-201's code, whose worker ignores the budget that it is given. A share of .15 is
good; a density is a product of Aitchison & Aitken's kernels of unordered options. Settings are those of NAS-Bench-201
and NATS-Bench: 4 candidates a draw, no random share, bandwidths of at least .3.

Our choice: a bandwidth is at most (options - 1) / options, where the kernel is uniform; the library that the published
code uses lets it exceed 1, and the kernel is then largest where options differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mngnas.methods.info import MethodInfo
from mngnas.methods.searcher import Query, Searcher, SearcherConfig
from mngnas.settings import setting
from mngnas.spaces import Arch


@dataclass(frozen=True)
class BohbConfig(SearcherConfig):
    """The model, and how it is drawn from."""

    samples: int = setting(4, 1)  # candidates, of which the one of highest ratio is asked about
    random_share: float = setting(0.0, 0, 1)  # of proposals that are drawn uniformly
    good_share: float = setting(0.15, above=0, high=1)  # of answers
    min_bandwidth: float = setting(0.3, 0, 1)


class Bohb(Searcher):
    """See the module."""

    info = MethodInfo("bohb", "BOHB-like", "Falkner et al. 2018", "BOHB's densities, all trainings equal", "searcher")
    Config = BohbConfig

    def propose(self, history: Sequence[Query], rng: np.random.Generator) -> Arch:
        """Of a few draws around good architectures the one whose density among the good is highest over the bad."""
        config: BohbConfig = self.config
        least = len(self.space.sizes) + 1  # points of a density
        if len(history) <= least or rng.random() < config.random_share:
            return self.space.sample_uniform(rng, 1)[0]
        ranks = np.argsort([-query.answer.accuracy for query in history], kind="stable")
        archs = np.array([query.arch for query in history])[ranks]
        n_good = max(least, int(config.good_share * len(archs)))
        n_bad = max(least, len(archs) - int(config.good_share * len(archs)))
        good = Density(archs[:n_good], self.space.sizes, config.min_bandwidth)
        bad = Density(archs[-n_bad:], self.space.sizes, config.min_bandwidth)
        candidates = np.array([good.draw(rng) for _ in range(config.samples)])
        ratio = good.at(candidates) / np.maximum(bad.at(candidates), 1e-32)
        return tuple(map(int, candidates[ratio.argmax()]))


class Density:
    """A kernel density over architectures.

    A kernel keeps an option with the probability 1 - bandwidth, and shares the rest out among the others; bandwidths
    follow the normal reference rule, 1.06 sd n^(-1 / (4 + positions)) of the options' numbers.
    """

    def __init__(self, archs: np.ndarray, sizes: Sequence[int], min_bandwidth: float) -> None:
        """`archs` are its points `[n, n_position]`."""
        self.archs, self.sizes = archs, np.array(sizes)
        n, positions = archs.shape
        rule = 1.06 * archs.std(axis=0) * n ** (-1 / (4 + positions))
        self.bandwidths = np.minimum(np.maximum(rule, min_bandwidth), 1 - 1 / self.sizes)  # [n_position]

    def at(self, archs: np.ndarray) -> np.ndarray:
        """The density of architectures `[m, n_position]`, `[m]`; it sums to 1 over the space."""
        same = archs[:, None, :] == self.archs
        elsewhere = self.bandwidths / np.maximum(self.sizes - 1, 1)
        return np.asarray(np.where(same, 1 - self.bandwidths, elsewhere).prod(axis=2).mean(axis=1))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One of the points, each option of it replaced by a uniform draw with the probability of its bandwidth."""
        point = self.archs[rng.integers(len(self.archs))]
        moved = rng.random(len(point)) < self.bandwidths
        return np.where(moved, rng.integers(0, self.sizes), point)
