"""Landmark regularisation: a supernet whose losses are held in the order of a few architectures' true accuracies.

Yu, Ranftl & Salzmann, "Landmark Regularization: Ranking Guided Super-Net Training in Neural Architecture Search", CVPR
2021, section 3: besides the loss of a uniform path, for random pairs of landmarks, architectures of known stand-alone
accuracy, c max(0, L(better) - L(worse)): nothing where the losses are in order. It reads ground truth: supervised.

Public code (kcyu2014/nas-landmarkreg, bash/exps/validate-landmarkloss.sh), on this space: 400 epochs, 150 of them
without landmarks, 50 random landmarks, a pair a step on a batch of validation pictures, c up to 10 along a rising
cosine; batch 256, SGD .025 along a cosine, weight decay 5e-4. There the rising cosine is divided by all 400 epochs, so
that c ends at 6.9; and landmarks are ordered by the benchmark's accuracy itself.
Kept here: these numbers, as shares of the budget; c reaches its full value. Ours: everything that all methods share;
what the oracle tells (validation accuracy after the benchmark's shortest training). The paper's renewal of landmarks by
further rounds of search is left out. A pair out of order takes two passes; one in order two forward passes alone.
"""

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.methods.info import MethodInfo
from mngnas.methods.searcher import Oracle
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.methods.supervised_method import SupervisedMethod
from mngnas.seeds import Stream, generator
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch
from mngnas.train.loop import cosine


@dataclass(frozen=True)
class LandmarkConfig(Settings):
    """How many landmarks, and how hard they hold."""

    section = "landmark"
    landmarks: int = setting(50, 2)  # accuracies that are read
    pairs: int = setting(1, 1)  # of a step
    weight: float = setting(10.0, 0, 1e6)  # c at the end
    warmup: float = setting(150 / 400, 0, 0.999)  # share of the budget without landmarks


class Landmark(SupervisedMethod):
    """A uniform path a step, and a pair of landmarks."""

    info = MethodInfo(
        name="landmark",
        label="Landmark regularisation",
        paper="Yu et al. 2021",
        description="a uniform path and a pair of landmarks; supervised: reads 50 accuracies",
        kind="supervised",
    )
    Config = LandmarkConfig

    def __init__(self, config: LandmarkConfig, task: Task, oracle: Oracle) -> None:
        super().__init__(config, task, oracle)
        self.config: LandmarkConfig = config

    def step(self, step: Step) -> StepResult:
        """One pass, and those of the pairs; the accuracies are read before the first."""
        if not self.told:
            self.ask(self.config.landmarks, generator(self.task.seed, Stream.ORACLE))
        found = self.train_paths(step.batch, self.space.sample_uniform(step.rng, 1))
        if step.spent < self.config.warmup:
            return found
        passes, images = found.passes, found.images
        batch, pairs = self.task.validation_batch(step.number), self._pairs()
        for place in step.rng.integers(len(pairs), size=self.config.pairs):
            ranking = self.ranking_loss(batch, *pairs[place])
            active = bool(ranking > 0)
            if active:
                (self.weight(step.spent) * ranking).backward()
            passes += 2 if active else 2 / 3
            images += 2 * len(batch.labels) * active
        return StepResult(passes, images, found.loss)

    def weight(self, spent: float) -> float:
        """The factor c at a share of the budget after the warm-up: from 0 to its full value along half a cosine."""
        return self.config.weight * (1 - cosine((spent - self.config.warmup) / (1 - self.config.warmup)))

    def ranking_loss(self, batch: Batch, better: Arch, worse: Arch) -> Tensor:
        """By how much the better one's loss is larger than the worse one's; 0 if they are in order."""
        low, high = (
            F.cross_entropy(self.supernet(batch.images, arch).logits, batch.labels) for arch in (better, worse)
        )
        return torch.relu(low - high)

    def _pairs(self) -> list[tuple[Arch, Arch]]:
        """All pairs of landmarks of different accuracy, the better one first."""
        best_first = sorted(self.told, key=lambda query: -query.answer.accuracy)
        pairs = [(a.arch, b.arch) for a, b in combinations(best_first, 2) if a.answer.accuracy > b.answer.accuracy]
        if not pairs:
            raise UserError(f"landmark: all {len(self.told)} landmarks have the same accuracy")
        return pairs
