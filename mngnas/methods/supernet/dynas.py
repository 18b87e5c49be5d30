"""DYNAS: a learning rate that falls faster for simpler paths, and a momentum for each group of paths.

Jeon et al., "Subnet-Aware Dynamic Supernet Training for Neural Architecture Search", CVPR 2025 (arXiv 2503.10740).

- Complexity-aware learning rate: lr_0 (1 - t/T)^g, with g linear in the logarithm of the path's parameter count, from
  4 for the smallest architecture of the space to 1/4 for the largest, so that simple paths, which converge early, are
  soon left alone and complex ones go on learning.
- Momentum separation: paths are grouped by their operation on one edge, drawn once, and each group has a momentum of
  its own, of all weights: an update changes that of the sampled path's group alone.

Nothing else differs from SPOS. Official code (cvlab-yonsei/DYNAS): C=16, N=5, 250 epochs of 391 batches of 64, SGD
with Nesterov momentum .9, learning rate .025, weight decay 5e-4, clipping at 5. Here t/T is the share of the budget
spent, and learning rate, batch and weight decay are those of all methods. That code adds both parts to FairNAS and
few-shot supernets as well; here they are on SPOS.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mngnas.methods.base import Task
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.seeds import Stream, generator
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch
from mngnas.train.loop import Sgd


@dataclass(frozen=True)
class DynasConfig(Settings):
    """Its two parts; without both it is SPOS."""

    section = "dynas"
    rates: bool = True  # a path's own course of the learning rate; if False, the cosine of all methods
    steepest: float = setting(4.0, 1, 100)  # exponent of the smallest architecture; the largest has its reciprocal
    momenta: bool = True  # a momentum for each group of paths; if False, one


class Dynas(SupernetMethod):
    """One uniform path a step, updated at its own learning rate with its group's momentum."""

    info = MethodInfo(
        name="dynas",
        label="DYNAS",
        paper="Jeon et al. 2025",
        description="one path a step, at a learning rate by its complexity and a momentum of its group",
        kind="supernet",
    )
    Config = DynasConfig

    def __init__(self, config: DynasConfig, task: Task) -> None:
        super().__init__(config, task)
        self.edge = int(generator(task.seed, Stream.METHOD).integers(len(self.space.sizes)))
        groups = self.space.sizes[self.edge] if config.momenta else 1
        weights, fused = list(self.supernet.parameters()), task.device.type == "cuda"
        others = [Sgd(weights, task.training, fused=fused) for _ in range(groups - 1)]
        self.optimizers = [self.optimizer, *others]  # each has a momentum of its own, all have the same weights
        everything = np.log(self.space.parameters(self.space.all_archs, task.skeleton))
        self._least, self._most = float(everything.min()), float(everything.max())

    def step(self, step: Step) -> StepResult:
        """One forward-backward pass."""
        (self._arch,) = self.space.sample_uniform(step.rng, 1)
        return self.train_paths(step.batch, [self._arch])

    def update(self, step: Step) -> None:
        """With the momentum of the path's group, at the path's learning rate."""
        optimizer = self.optimizers[self.group(self._arch)]
        if self.config.rates:
            optimizer.step(self.task.training.learning_rate * (1 - step.spent) ** self.exponent(self._arch))
        else:
            optimizer.update(step.spent)

    def group(self, arch: Arch) -> int:
        """Which momentum a path has."""
        return arch[self.edge] if self.config.momenta else 0

    def exponent(self, arch: Arch) -> float:
        """How steeply a path's learning rate falls: `steepest` with the fewest parameters, 1 / `steepest` with most."""
        parameters = int(self.space.parameters(np.array([arch]), self.task.skeleton)[0])
        complexity = (math.log(parameters) - self._least) / (self._most - self._least)
        steep: float = self.config.steepest
        return steep + complexity * (1 / steep - steep)

    def state_dict(self) -> dict[str, Any]:
        """With the other groups' momenta."""
        return super().state_dict() | {"momenta": [one.torch.state_dict() for one in self.optimizers[1:]]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        for optimizer, one in zip(self.optimizers[1:], state["momenta"], strict=True):
            optimizer.torch.load_state_dict(one)
