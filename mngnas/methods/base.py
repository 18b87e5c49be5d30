"""What a method is: one resumable procedure that ends with rankings of architectures, a proposal, or both.

A run calls `advance` until `done`, saves `state_dict` between two calls, and asks for `scores` and the `outcome`. It
knows nothing else about a method, and a method knows nothing about files, processes or the ground truth. Every draw is
a function of the task's seed and a step (`mngnas.seeds`).

The kinds of methods are in `supernet_method`, `gradient_method`, `training_free_method`, `supervised_method` and
`searcher`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mngnas.methods.info import MethodInfo, Outcome
from mngnas.seeds import validation_batches
from mngnas.settings import Augmentation, RetrainingConfig, ScoringConfig, Settings, TrainingConfig
from mngnas.spaces import Arch, Space
from mngnas.spaces.skeleton import Skeleton

if TYPE_CHECKING:
    import torch

    from mngnas.data.datasets import ImageData
    from mngnas.data.images import Batch  # imports torch, which a search of the ground truth does without

Columns = Mapping[str, np.ndarray]  # float64 [n] each, higher is better; the first is what is ranked by


@dataclass(frozen=True)
class NoSettings(Settings):
    """A method without settings of its own."""


@dataclass(frozen=True)
class SearchTask:
    """What a search of the ground truth is given; the oracle comes beside it."""

    space: Space
    seed: int


@dataclass(frozen=True)
class Task(SearchTask):
    """What every other method is given, and given alike."""

    images: "ImageData"  # on the device that computes
    skeleton: Skeleton  # of the supernet, and of the networks that training-free scores look at
    training: TrainingConfig  # `passes` is the budget
    augmentation: Augmentation
    scoring: ScoringConfig  # for rankings
    search: ScoringConfig  # for what a method scores while it goes on
    retraining: RetrainingConfig
    cores: int = 1  # of the processor that this method may use at a time; no number depends on it

    @property
    def device(self) -> "torch.device":
        """Where everything is computed."""
        return self.images.train.pixels.device

    def training_batch(self, number: int, seed: int | None = None) -> "Batch":
        """The n-th batch of training pictures, augmented; of another stream than the run's own for another `seed`."""
        return self._batch(self.images.train, number, self.seed if seed is None else seed)

    def picked_batch(self, picked: np.ndarray, number: int) -> "Batch":
        """The training pictures numbered `picked` `[b]`, augmented as the n-th batch is."""
        from mngnas.data.images import picked_batch

        return picked_batch(self.images.train, picked, number, self.augmentation, self.seed, self._dtype)

    def validation_batch(self, number: int) -> "Batch":
        """The n-th batch of validation pictures that a method may learn from, augmented as in training."""
        return self._batch(self.images.valid, number, validation_batches(self.seed))

    def _batch(self, images: Any, number: int, seed: int) -> "Batch":
        from mngnas.data.images import training_batch

        return training_batch(images, number, self.training.batch_size, self.augmentation, seed, self._dtype)

    @property
    def _dtype(self) -> "torch.dtype":
        import torch

        return torch.bfloat16 if self.training.bfloat16 else torch.float32


@dataclass(frozen=True)
class Ranking:
    """A ranking that a method can give, and how a run asks for it."""

    name: str  # "inherited", "retrained", ...; scores of different names are never mixed
    archs: int = 0  # a random sample of so many; 0: the architectures of the study
    by_canonical: bool = False  # whether architectures of the same canonical form have the same scores
    chunk: int = 200  # architectures scored between two looks at the clock
    passes_each: float = 0.0  # forward-backward passes that scoring one takes; measurement alone is not counted
    seconds_each: float = 0.0  # a guess, before one has been scored


class Method(ABC):
    """One method on one task. A method is one file; `registry` finds it by its `info`."""

    info: ClassVar[MethodInfo]  # literals only
    Config: ClassVar[type[Settings]] = NoSettings  # its own settings: a preset's section of the method's name

    task: SearchTask  # a `Task` of all but searchers

    def __init__(self, config: Any, task: SearchTask) -> None:
        """`config` is a `Config`."""
        self.config, self.task, self.space = config, task, task.space
        self.steps = 0  # calls of `advance`

    @property
    @abstractmethod
    def spent(self) -> float:
        """The share of the budget spent, 0..1."""

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do; the last step may go over the budget by less than its own cost."""
        return self.spent >= 1

    @abstractmethod
    def advance(self) -> None:
        """Do one step: little enough to lose when the process is killed."""

    def rankings(self) -> Sequence[Ranking]:
        """The rankings that it can give, the main one first; may be asked for at any time."""
        return ()

    def scores(self, ranking: str, archs: Sequence[Arch]) -> Columns:
        """Scores of architectures as they are now, in the order given; changes nothing."""
        raise NotImplementedError(f"{self.info.name} has no ranking {ranking!r}")

    def watched(self) -> Mapping[str, float]:
        """What to watch while it goes on, by name, the loss for example; asked for every few seconds."""
        return {}

    def complete(self, ranking: str, archs: Sequence[Arch], columns: Columns) -> Columns:
        """The columns of a ranking, once all architectures that it is about have their `scores`, `[n]` each.

        For what depends on which architectures are compared, such as the sum of ranks. It changes nothing, and is the
        only place where one architecture's number may depend on another's.
        """
        del ranking, archs
        return columns

    @abstractmethod
    def outcome(self) -> Outcome:
        """What it has besides scores: costs, a proposal, a trace, a diary."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as tensors and plain containers."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
