"""The one training loop: a budget of forward-backward passes, SGD, a cosine learning rate, and a strategy's steps.

Every random draw is a function of the run's seed and of the step's number (`training_batch` and `StepContext.rng`), so
there is no random state to save: a resumed run goes on with the same numbers.
"""

import copy
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mngnas.errors import UserError
from mngnas.images import Augmentation, Batch, ImageSet, training_batch
from mngnas.paths import FairSetStep
from mngnas.retraining import cosine
from mngnas.strategies.base import Search, StepContext, StepResult, Strategy
from mngnas.supernet import Supernet


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how a supernet is trained; every strategy gets the same."""

    passes: int = 10_000  # budget: forward-backward passes of one path over one batch; a forward alone counts 1/3
    batch_size: int = 128
    learning_rate: float = 0.1  # at the start; it falls to zero along a cosine of the budget spent
    momentum: float = 0.9  # Nesterov's
    weight_decay: float = 5e-4
    clip: float = 5.0  # largest norm of the whole gradient; 0 switches clipping off
    average: float = 0.0  # share of the budget, at its end, whose weights are averaged and scored; 0: the last weights
    bfloat16: bool = False  # activations in bfloat16; weights, statistics and logits stay float32

    def __post_init__(self) -> None:
        for name in ("passes", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise UserError(f"training.{name} = {getattr(self, name)} must be positive")
        for name in ("weight_decay", "clip", "momentum"):
            if not getattr(self, name) >= 0:
                raise UserError(f"training.{name} = {getattr(self, name)} must not be negative")
        if not 0 <= self.average <= 1:
            raise UserError(f"training.average = {self.average} is outside 0..1")


class Trainer:
    """A supernet in training; call `step` until `done`. Its state can be saved and taken back after any step."""

    def __init__(
        self,
        supernet: Supernet,
        strategy: Strategy,
        config: TrainingConfig,
        images: ImageSet,
        augmentation: Augmentation,
        seed: int,
        search: Search | None = None,
    ) -> None:
        """`search` is needed by strategies that search while they train."""
        self.supernet, self.strategy, self.config = supernet, strategy, config
        self.images, self.augmentation, self.seed, self.search = images, augmentation, seed, search
        self.optimizer = torch.optim.SGD(
            supernet.parameters(),
            config.learning_rate,
            config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.momentum > 0,
            fused=images.pixels.device.type == "cuda" or None,
        )
        self.steps, self.passes, self.images_seen, self.seconds = 0, 0.0, 0, 0.0
        # Small operations leave a GPU idle; a CPU is faster path by path (docs/performance.md). The sums are the same.
        self.fair_set = FairSetStep(supernet) if images.pixels.device.type == "cuda" else None
        self.averaged: Supernet | None = None  # the mean of the weights so far, once averaging has begun
        self.averaged_steps = 0

    @property
    def scored(self) -> Supernet:
        """The supernet that scores are taken from: the averaged one, or the one in training."""
        return self.averaged or self.supernet

    @property
    def spent(self) -> float:
        """The share of the budget spent, 0..1."""
        return min(1.0, self.passes / self.config.passes)

    @property
    def done(self) -> bool:
        """Whether the budget is spent; the last step may go over it by less than its own cost."""
        return self.passes >= self.config.passes

    def step(self) -> StepResult:
        """Train one step of the strategy, whatever number of paths that is, and update the weights once."""
        began = time.perf_counter()
        config, spent = self.config, self.spent
        self.optimizer.zero_grad()
        result = self.strategy.step(
            StepContext(
                self.supernet,
                self._batch(self.steps, self.seed),
                np.random.default_rng([self.seed, 3, self.steps]),
                spent,
                config.passes,
                # Streams of batches that no step of the loop itself uses.
                lambda n: self._batch(n, self.seed + (1 + self.steps) * 1_000_003),
                self.search,
                self.fair_set,
            )
        )
        if config.clip:
            torch.nn.utils.clip_grad_norm_(self.supernet.parameters(), config.clip, foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * cosine(spent)
        self.optimizer.step()
        if config.average and spent >= 1 - config.average:
            self._average()
        self.steps += 1
        self.passes += result.passes
        self.images_seen += result.images
        self.seconds += time.perf_counter() - began
        return result

    def retraining_batch(self, step: int) -> Batch:
        """The batches of retraining after the supernet's training: the same for every architecture, unused before."""
        return self._batch(step, self.seed + 500_000_003)

    @torch.no_grad()
    def _average(self) -> None:
        """Take the present weights into the mean."""
        if self.averaged is None:
            self.averaged = copy.deepcopy(self.supernet).requires_grad_(False)
        self.averaged_steps += 1
        for mean, weight in zip(self.averaged.parameters(), self.supernet.parameters(), strict=True):
            mean.lerp_(weight, 1 / self.averaged_steps)

    def _batch(self, step: int, seed: int) -> Batch:
        dtype = torch.bfloat16 if self.config.bfloat16 else torch.float32
        return training_batch(self.images, step, self.config.batch_size, self.augmentation, seed, dtype)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser, the strategy's state, and what has been spent."""
        return {
            "supernet": self.supernet.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "strategy": self.strategy.state_dict(),
            "spent": [self.steps, self.passes, self.images_seen, self.seconds],
            "averaged": [self.averaged_steps, self.averaged.state_dict() if self.averaged else {}],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.supernet.load_state_dict(state["supernet"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.strategy.load_state_dict(state["strategy"])
        self.steps, self.passes, self.images_seen, self.seconds = state["spent"]
        self.averaged_steps, averaged = state["averaged"]
        self.averaged = None
        if averaged:
            self.averaged = copy.deepcopy(self.supernet).requires_grad_(False)
            self.averaged.load_state_dict(averaged)
