"""Methods that learn architecture parameters beside a supernet's weights.

`GradientMethod` has a table of logits; a subclass has to have `info` and `weight_step`, and may change
`architecture_step`, which by default descends the validation loss of the mixture of all operations (first order; Liu,
Simonyan & Yang, DARTS, ICLR 2019). `ArchitectureMethod` is what remains where the parameters are something else. Such
methods give two rankings, by inherited weights and by the architecture parameters, and a proposal.

What a mixture costs: it runs each option of each position once, as the five paths of a strictly fair set do together,
so it counts as many passes as a position has options. `none` and `skip_connect` are among the five because they are
among the options of the mean path that is the unit. The mixture saves four of five stems, reductions and heads, and
runs the edges that a path leaves out as dead: by multiply-adds it is 5.6 (preset digits), 3.4 (cpu) or 5.1 (full size)
mean paths.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.methods.base import Columns, Ranking, Task
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.seeds import Stream, generator
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch

ARCHITECTURE_PARAMETERS = "architecture parameters"
_FIRST_VALUES = 1e-3  # standard deviation
_ALMOST_ONE = math.nextafter(1.0, 0.0)


@dataclass(frozen=True)
class GradientConfig(Settings):
    """How architecture parameters are updated: Adam, by default with the settings of NATS-Bench's authors."""

    learning_rate: float = setting(3e-4, above=0, high=1e3)
    beta1: float = setting(0.5, 0, 0.999999)
    beta2: float = setting(0.999, 0, 0.999999)
    weight_decay: float = setting(1e-3, 0, 1e3)
    epsilon: float = setting(1e-8, above=0, high=1e3)


class ArchitectureMethod(SupernetMethod):
    """A supernet, and parameters of a distribution over architectures."""

    Config = GradientConfig

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        rng = generator(task.seed, Stream.ARCHITECTURE_PARAMETERS)
        self.architecture_parameters = self.first_architecture_parameters(rng)
        self.architecture_optimizer = torch.optim.Adam(
            self.architecture_parameters,
            config.learning_rate,
            (config.beta1, config.beta2),
            config.epsilon,
            config.weight_decay,
        )
        self.chosen: list[Arch] = []  # by `close`
        self._kept_back = self.closing_price()

    # ---------------------------------------------------------------------------------------- what a method may change

    def first_architecture_parameters(self, rng: np.random.Generator) -> list[nn.Parameter]:
        """All of them, on the device, before training."""
        raise NotImplementedError

    def weight_step(self, step: Step) -> StepResult:
        """Leave the gradients of one update of the weights in the supernet's parameters."""
        raise NotImplementedError

    def architecture_step(self, batch: Batch, step: Step) -> StepResult:
        """Leave the gradients of one update in the architecture parameters, by a batch of validation pictures.

        The supernet's weights take no gradients meanwhile. Parameters left without one stay as they are.
        """
        raise NotImplementedError

    def log_probability(self, archs: np.ndarray) -> np.ndarray:
        """The log-probability of architectures `[n, n_position]`, float64 `[n]`."""
        raise NotImplementedError

    def likeliest(self) -> Arch:
        """The architecture that the parameters favour."""
        raise NotImplementedError

    def closing_price(self) -> float:
        """Passes kept back for `close`; asked for once, and may raise `UserError`."""
        return 0.0

    def close(self) -> None:
        """What is done once, after training, where `closing_price` is not 0: put the proposal into `chosen`."""

    # --------------------------------------------------------------------------------------------------- the procedure

    @property
    def spent(self) -> float:
        """The share of the budget spent, 0..1; less than 1 while the closing is due."""
        due = self._kept_back and not self.chosen
        return min(super().spent, _ALMOST_ONE) if due else super().spent

    def advance(self) -> None:
        """One step, or the closing."""
        if self.passes + self._kept_back < self.task.training.passes:
            super().advance()
            return
        began = time.perf_counter()
        self.close()
        self.count(StepResult(self._kept_back, 0, torch.zeros(())), time.perf_counter() - began)

    def step(self, step: Step) -> StepResult:
        """Update the architecture parameters, then leave the gradients of the weights."""
        self.architecture_optimizer.zero_grad()
        with trainable(self.supernet, False):
            of_architecture = self.architecture_step(self.task.validation_batch(step.number), step)
        self.architecture_optimizer.step()
        found = self.weight_step(step)
        return StepResult(found.passes + of_architecture.passes, found.images + of_architecture.images, found.loss)

    def rankings(self) -> Sequence[Ranking]:
        """Inherited weights first, then the architecture parameters."""
        return [*super().rankings(), Ranking(ARCHITECTURE_PARAMETERS, chunk=10**6)]

    def scores(self, ranking: str, archs: Sequence[Arch]) -> Columns:
        """By the architecture parameters: the log-probability."""
        if ranking != ARCHITECTURE_PARAMETERS:
            return super().scores(ranking, archs)
        return {"log_probability": self.log_probability(np.array(archs).reshape(len(archs), -1))}

    def proposal(self) -> Sequence[Arch]:
        """What was chosen in the end, or the likeliest."""
        return self.chosen or [self.likeliest()]

    def state_dict(self) -> dict[str, Any]:
        """The supernet's, and the architecture parameters with their optimiser."""
        return super().state_dict() | {
            "architecture": [parameter.detach() for parameter in self.architecture_parameters],
            "architecture_optimizer": self.architecture_optimizer.state_dict(),
            "chosen": [list(arch) for arch in self.chosen],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        with torch.no_grad():
            for parameter, value in zip(self.architecture_parameters, state["architecture"], strict=True):
                parameter.copy_(value)
        self.architecture_optimizer.load_state_dict(state["architecture_optimizer"])
        self.chosen = [tuple(arch) for arch in state["chosen"]]


class GradientMethod(ArchitectureMethod):
    """A supernet, and a table of logits `alpha` `[n_position, n_option]`."""

    alpha: nn.Parameter

    def first_architecture_parameters(self, rng: np.random.Generator) -> list[nn.Parameter]:
        """`alpha` alone."""
        sizes = self.space.sizes
        assert len(set(sizes)) == 1, "architecture parameters are one table"
        self.alpha = self.small_parameter(rng, len(sizes), sizes[0])
        return [self.alpha]

    def architecture_step(self, batch: Batch, step: Step) -> StepResult:
        """Descend the mixture's loss."""
        return self.train_mixture(batch, self.mixture_weights(step.rng))

    def mixture_weights(self, _rng: np.random.Generator) -> Tensor:
        """What multiplies each operation in the mixture, `[n_position, n_option]`, a function of `alpha`."""
        return self.alpha.softmax(1)

    def mixture_passes(self) -> float:
        """Passes that one forward and backward pass of the mixture counts; a forward pass alone is a third of it."""
        return float(self.space.sizes[0])

    def small_parameter(self, rng: np.random.Generator, *shape: int) -> nn.Parameter:
        """Architecture parameters near 0."""
        first = _FIRST_VALUES * rng.standard_normal(shape)
        return nn.Parameter(torch.tensor(first, dtype=torch.float32, device=self.task.device))

    def mixture_loss(self, batch: Batch, weights: Tensor) -> Tensor:
        """Cross-entropy of the mixture of all operations."""
        return F.cross_entropy(self.supernet.mixed(batch.images, weights).logits, batch.labels)

    def train_mixture(self, batch: Batch, weights: Tensor) -> StepResult:
        """Add the gradients of the mixture's loss."""
        loss = self.mixture_loss(batch, weights)
        loss.backward()
        passes = self.mixture_passes()
        return StepResult(passes, int(passes) * len(batch.labels), loss.detach())

    def log_probability(self, archs: np.ndarray) -> np.ndarray:
        """The sum over positions of log softmax(alpha)."""
        logs = self.alpha.detach().double().log_softmax(1).cpu().numpy()
        found: np.ndarray = logs[np.arange(archs.shape[1]), archs].sum(1)
        return found

    def likeliest(self) -> Arch:
        """The likeliest option at every position."""
        return tuple(self.alpha.detach().argmax(1).tolist())


@contextmanager
def trainable(network: nn.Module, wanted: bool) -> Iterator[None]:
    """Whether a network's weights take gradients while it lasts; afterwards as before."""
    before = next(network.parameters()).requires_grad
    network.requires_grad_(wanted)
    try:
        yield
    finally:
        network.requires_grad_(before)
