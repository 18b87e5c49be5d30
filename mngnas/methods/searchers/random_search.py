"""Random search: uniformly drawn architectures, the best answer wins.

Bergstra & Bengio, "Random search for hyper-parameter optimization", JMLR 2012; the baseline RS of NAS-Bench-201 and
RANDOM of NATS-Bench. Drawn with replacement, as there.
"""

from collections.abc import Sequence

import numpy as np

from mngnas.methods.info import MethodInfo
from mngnas.methods.searcher import Query, Searcher
from mngnas.spaces import Arch


class RandomSearch(Searcher):
    """See the module."""

    info = MethodInfo("random-search", "Random search", "Bergstra & Bengio 2012", "uniform draws", "searcher")

    def propose(self, history: Sequence[Query], rng: np.random.Generator) -> Arch:  # noqa: ARG002
        """A uniform draw."""
        return self.space.sample_uniform(rng, 1)[0]
