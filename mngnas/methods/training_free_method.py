"""Methods that train nothing: a score of each architecture's own network before training.

A subclass has to have `info` and `score`. Scores that are not finite are kept as they are; what they mean for a ranking
is the measurement's affair.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mngnas.data.images import Batch
from mngnas.methods.base import Columns, Method, Ranking, Task
from mngnas.methods.info import Cost, Outcome
from mngnas.nets.build import build_network
from mngnas.nets.network import Network
from mngnas.seeds import stand_alone_weights
from mngnas.spaces import Arch

SCORE = "score"


class TrainingFreeMethod(Method):
    """Scores of untrained networks; the budget is not touched."""

    task: Task

    def score(self, network: Network, batch: Batch) -> float:
        """How good the network of one architecture looks, higher is better, by one batch of training pictures."""
        raise NotImplementedError

    @property
    def spent(self) -> float:
        """Nothing has to be done before scoring."""
        return 1.0

    def advance(self) -> None:
        """There is nothing to do."""

    def rankings(self) -> Sequence[Ranking]:
        """One, of all architectures."""
        return [Ranking(SCORE, chunk=10)]

    def scores(self, ranking: str, archs: Sequence[Arch]) -> Columns:
        """A network of its own for each architecture, always with the same weights for the same seed."""
        if ranking != SCORE:
            return super().scores(ranking, archs)
        task, batch = self.task, self.task.training_batch(0)
        found = []
        for arch in archs:
            seed = stand_alone_weights(task.seed, self.space.to_index(arch))
            found.append(self.score(build_network(self.space, arch, task.skeleton, seed).to(task.device), batch))
        return {SCORE: np.array(found, dtype=np.float64)}

    def outcome(self) -> Outcome:
        """It costs no training."""
        return Outcome(Cost())

    def state_dict(self) -> dict[str, Any]:
        """There is no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is no state."""
