"""REINFORCE: an independent categorical distribution at every position, moved towards what is better than usual.

Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", Machine Learning
1992, with Adam (Kingma & Ba, ICLR 2015). Settings are those of NATS-Bench's code: logits begin at .001 times normal
noise, learning rate .01, the reward is the accuracy in percent, the baseline is its exponential moving average (.9,
without the bias of its beginning), which has seen a reward before that is compared with it. The gradient needs no
automatic differentiation: of -A log p(arch) by the logits of a position it is A (p - onehot), A = reward - baseline.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mngnas.methods.base import SearchTask
from mngnas.methods.info import MethodInfo
from mngnas.methods.searcher import Oracle, Query, Searcher, SearcherConfig
from mngnas.seeds import Stream, generator
from mngnas.settings import setting
from mngnas.spaces import Arch

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's


@dataclass(frozen=True)
class ReinforceConfig(SearcherConfig):
    """How fast the distribution and the baseline move."""

    learning_rate: float = setting(0.01, above=0, high=100)
    momentum: float = setting(0.9, 0, 0.999999)  # of the baseline


class Reinforce(Searcher):
    """See the module."""

    info = MethodInfo("reinforce", "REINFORCE", "Williams 1992", "policy gradient with a moving baseline", "searcher")
    Config = ReinforceConfig

    def __init__(self, config: ReinforceConfig, task: SearchTask, oracle: Oracle) -> None:
        super().__init__(config, task, oracle)
        shape = len(self.space.sizes), max(self.space.sizes)
        noise = generator(task.seed, Stream.ARCHITECTURE_PARAMETERS).standard_normal(shape)
        there = np.arange(shape[1]) < np.array(self.space.sizes)[:, None]
        self.logits = np.where(there, 1e-3 * noise, -np.inf)  # [n_position, n_option]; -inf: no such option
        self._mean, self._square = np.zeros(shape), np.zeros(shape)  # Adam's moments
        self._rewards, self._weights = 0.0, 0.0  # the baseline's sums

    def propose(self, history: Sequence[Query], rng: np.random.Generator) -> Arch:  # noqa: ARG002
        """A draw from the distribution: the largest noisy logit of each position (Gumbel's trick)."""
        noisy = self.logits + rng.gumbel(size=self.logits.shape)
        return tuple(map(int, noisy.argmax(axis=1)))

    def learn(self, query: Query) -> None:
        """One step of Adam."""
        momentum = self.config.momentum
        reward = 100 * query.answer.accuracy
        self._rewards = momentum * self._rewards + (1 - momentum) * reward
        self._weights = momentum * self._weights + (1 - momentum)
        gradient = policy_gradient(self.logits, query.arch, reward - self.baseline)
        self._mean = _BETA_1 * self._mean + (1 - _BETA_1) * gradient
        self._square = _BETA_2 * self._square + (1 - _BETA_2) * gradient**2
        number = len(self.history)
        mean, square = self._mean / (1 - _BETA_1**number), self._square / (1 - _BETA_2**number)
        self.logits = self.logits - self.config.learning_rate * mean / (np.sqrt(square) + _EPSILON)

    @property
    def baseline(self) -> float:
        """The moving average of the rewards so far, percent; at least one has been told."""
        return self._rewards / self._weights


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of each row `[n_position, n_option]`."""
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def policy_gradient(logits: np.ndarray, arch: Arch, advantage: float) -> np.ndarray:
    """The gradient of -advantage x log p(arch) by the logits, `[n_position, n_option]`; 0 where there is no option."""
    gradient = probabilities(logits)
    gradient[np.arange(len(arch)), arch] -= 1
    return advantage * gradient
