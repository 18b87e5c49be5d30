"""SUMNAS: every path adapts on its own for some steps, and the shared weights move to the mean of where they went.

Ha et al., "SUMNAS: Supernet with Unbiased Meta-Features for Neural Architecture Search", ICLR 2022. Adding up paths'
gradients lets the paths disturb each other; a Reptile step (Nichol et al., 2018) does less so. For each path of a
strictly fair set, from the same weights w, two steps of SGD lead to w_path; then w <- w + rate x mean(w_path - w).

No official code is known. PA-DA's baseline of this name: both steps of a path on the same batch; inner SGD at a
constant .05 with momentum .9, which goes on from path to path, and clipping at 5; outer SGD at 1.0 along a cosine,
weight decay 4e-5; batch 256, 250 epochs. Not copied: its list of paths is never emptied, so that the same five are
trained all epoch. Here the inner steps are the training that all methods share, weight decay and falling learning rate
included, and the outer rate stays 1. Momentum goes on as it does there: the first steps without it are so short, and
their mean over five paths so much shorter, that the validation loss on made-up pictures stays far higher (LOG.md);
`momentum_stays=false` is the cleaner reading, in which a path's way depends on no other path's.
"""

from dataclasses import dataclass

import torch

from mngnas.methods.base import Task
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.settings import Settings, setting
from mngnas.train.loop import Sgd


@dataclass(frozen=True)
class SumNasConfig(Settings):
    """How far paths go, and how far the shared weights follow."""

    section = "sumnas"
    inner_steps: int = setting(2, 1, 1000)  # of each path, on the step's batch
    outer_rate: float = setting(1.0, above=0, high=100)
    momentum_stays: bool = True  # the inner momentum goes on from path to path and from step to step


class SumNas(SupernetMethod):
    """A strictly fair set a step; the weights move by the mean of the paths' own ways."""

    info = MethodInfo(
        name="sumnas",
        label="SUMNAS",
        paper="Ha et al. 2022",
        description="five paths adapt on their own for two steps, the weights follow their mean (Reptile)",
        kind="supernet",
    )
    Config = SumNasConfig

    def __init__(self, config: SumNasConfig, task: Task) -> None:
        super().__init__(config, task)
        self.weights = list(self.supernet.parameters())

    def step(self, step: Step) -> StepResult:
        """Leave w - mean(w_path) as the gradient; `inner_steps` passes a path."""
        start = [weight.detach().clone() for weight in self.weights]
        moved = [torch.zeros_like(weight) for weight in start]
        archs = self.space.sample_strictly_fair(step.rng)
        results = []
        for arch in archs:
            inner = self.optimizer if self.config.momentum_stays else Sgd(self.weights, self.task.training)
            for _ in range(self.config.inner_steps):
                inner.zero_grad()
                results.append(self.train_paths(step.batch, [arch]))
                inner.update(step.spent)
            with torch.no_grad():
                for weight, first, sum_ in zip(self.weights, start, moved, strict=True):
                    sum_ += first - weight
                    weight.copy_(first)
        for weight, sum_ in zip(self.weights, moved, strict=True):
            weight.grad = sum_ / len(archs)
        loss = torch.stack([result.loss for result in results]).mean()
        return StepResult(len(results), len(results) * len(step.batch.labels), loss)

    def update(self, _step: Step) -> None:
        """The outer step."""
        with torch.no_grad():
            for weight in self.weights:
                assert weight.grad is not None
                weight.sub_(self.config.outer_rate * weight.grad)
