"""Methods that train nothing: a score of each architecture's own network before training.

A subclass has to have `info` and `score`; one that has several columns, or does not look at a network of ordinary
modules with PyTorch's default weights, has `columns` instead. Weights, pictures and noise are functions of the run's
seed and the architecture alone, so architectures may be scored in any order and in any number of pieces.

Scores that are not finite are kept as they are: `mngnas.ranks` says where they stand.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from mngnas.data.images import Batch, training_batch
from mngnas.methods.base import Columns, Method, Ranking, Task
from mngnas.methods.info import Cost, Outcome
from mngnas.nets.build import build_network
from mngnas.nets.network import Network
from mngnas.seeds import Stream, generator, stand_alone_weights
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch

SCORE = "score"


@dataclass(frozen=True)
class BatchConfig(Settings):
    """Of a method that looks at a batch of its own size; without it, it is the study's `training.batch_size`."""

    batch_size: int = setting(64, 2, 100_000)  # no more than there are training pictures


class TrainingFreeMethod(Method):
    """Scores of untrained networks; the budget is not touched."""

    task: Task
    by_canonical: ClassVar[bool] = False  # dead edges count for nothing: equal live graphs are scored once
    seeded: ClassVar[bool] = True  # False: a closed form, the same for every seed
    passes_each: ClassVar[float] = 1.0  # forward-backward passes of a batch that scoring one takes; forward alone: 1/3
    chunk: ClassVar[int] = 4  # few enough that a kill loses seconds

    def __init__(self, config: Any, task: Any) -> None:
        super().__init__(config, task)
        self._batches: dict[int, Batch] = {}

    def score(self, network: Network, batch: Batch) -> float:
        """How good the network of one architecture looks, higher is better, by one batch of training pictures."""
        raise NotImplementedError

    def columns(self, arch: Arch) -> Mapping[str, float]:
        """The numbers of one architecture by name; the first is what is ranked by, unless `complete` puts one first."""
        return {SCORE: self.score(self.network(arch), self.batch())}

    def network(self, arch: Arch) -> Network:
        """The architecture's own network, PyTorch's default weights, drawn by seed and architecture."""
        return build_network(self.space, arch, self.task.skeleton, self._seed(arch)).to(self.task.device)

    def batch(self, number: int = 0) -> Batch:
        """The n-th batch of training pictures, augmented as in the study; the same for all architectures."""
        if number not in self._batches:
            task, config = self.task, self.config
            size = config.batch_size if isinstance(config, BatchConfig) else task.training.batch_size
            self._batches[number] = training_batch(task.images.train, number, size, task.augmentation, task.seed)
        return self._batches[number]

    def draws(self, arch: Arch) -> torch.Generator:
        """For all that a score draws itself, by seed and architecture; of the host, so devices agree."""
        rng = generator(self._seed(arch), Stream.SCORING_NOISE)
        return torch.Generator().manual_seed(int(rng.integers(2**62)))

    def _seed(self, arch: Arch) -> int:
        return stand_alone_weights(self.task.seed, self.space.to_index(arch))

    @property
    def spent(self) -> float:
        """Nothing has to be done before scoring."""
        return 1.0

    def advance(self) -> None:
        """There is nothing to do."""

    def rankings(self) -> Sequence[Ranking]:
        """One, of all architectures."""
        chunk = self.chunk * (4 if self.task.cores > 1 else 1)  # at the end of each some cores wait
        return [Ranking(SCORE, 0, self.by_canonical, chunk, self.passes_each)]

    def scores(self, ranking: str, archs: Sequence[Arch]) -> Columns:
        """Each architecture by itself; one whose dead edges do not count as its canonical form."""
        if ranking != SCORE:
            return super().scores(ranking, archs)
        wanted = [self.space.canonical(arch) if self.by_canonical else arch for arch in archs]
        if self.task.cores > 1:  # torch leaves Python's lock while it computes
            with ThreadPoolExecutor(self.task.cores) as pool:
                rows = list(pool.map(self.columns, wanted))
        else:
            rows = list(map(self.columns, wanted))
        return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}

    def outcome(self) -> Outcome:
        """It costs no training; what scoring takes is the ranking's own cost."""
        return Outcome(Cost())

    def state_dict(self) -> dict[str, Any]:
        """There is no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is no state."""
