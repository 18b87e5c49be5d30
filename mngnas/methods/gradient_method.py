"""Methods that learn architecture parameters by gradient: a supernet, and a table of logits beside it.

A subclass has to have `info` and `weight_step`, and may change `architecture_step`, which by default descends the
validation loss of the mixture of all operations (first order; Liu, Simonyan & Yang, DARTS, ICLR 2019). Such methods
give two rankings, by the architecture parameters and by inherited weights, and a proposal: the likeliest architecture.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True)
class GradientConfig(Settings):
    """How architecture parameters are updated: Adam, by default with the settings of NATS-Bench's authors."""

    learning_rate: float = setting(3e-4, above=0, high=1e3)
    beta1: float = setting(0.5, 0, 0.999999)
    beta2: float = setting(0.999, 0, 0.999999)
    weight_decay: float = setting(1e-3, 0, 1e3)


class GradientMethod(SupernetMethod):
    """A supernet, and architecture parameters `alpha` `[n_position, n_option]`."""

    Config = GradientConfig

    def __init__(self, config: Any, task: Task) -> None:
        assert len(set(task.space.sizes)) == 1, "architecture parameters are one table"
        super().__init__(config, task)
        rng = generator(task.seed, Stream.ARCHITECTURE_PARAMETERS)
        first = _FIRST_VALUES * rng.standard_normal((len(task.space.sizes), task.space.sizes[0]))
        self.alpha = nn.Parameter(torch.tensor(first, dtype=torch.float32, device=task.device))
        self.alpha_optimizer = torch.optim.Adam(
            [self.alpha], config.learning_rate, (config.beta1, config.beta2), weight_decay=config.weight_decay
        )

    # ---------------------------------------------------------------------------------------- what a method may change

    def weight_step(self, step: Step) -> StepResult:
        """Leave the gradients of one update of the weights in the supernet's parameters."""
        raise NotImplementedError

    def architecture_step(self, batch: Batch, step: Step) -> StepResult:
        """Leave the gradient of one update in `alpha`, by a batch of validation pictures."""
        return self.train_mixture(batch, self.mixture_weights(step.rng))

    def mixture_weights(self, _rng: np.random.Generator) -> Tensor:
        """What multiplies each operation in the mixture, `[n_position, n_option]`, a function of `alpha`."""
        return self.alpha.softmax(1)

    # ------------------------------------------------------------------------------------------------- what it may use

    def train_mixture(self, batch: Batch, weights: Tensor) -> StepResult:
        """Add the gradients of the mixture of all operations; it computes as much as a path for each option."""
        loss = F.cross_entropy(self.supernet.mixed(batch.images, weights).logits, batch.labels)
        loss.backward()
        paths = self.space.sizes[0]
        return StepResult(paths, paths * len(batch.labels), loss.detach())

    # --------------------------------------------------------------------------------------------------- the procedure

    def step(self, step: Step) -> StepResult:
        """Update the architecture parameters, then leave the gradients of the weights."""
        self.alpha_optimizer.zero_grad()
        with _frozen(self.supernet):
            of_alpha = self.architecture_step(self.task.validation_batch(step.number), step)
        self.alpha_optimizer.step()
        found = self.weight_step(step)
        return StepResult(found.passes + of_alpha.passes, found.images + of_alpha.images, found.loss)

    def rankings(self) -> Sequence[Ranking]:
        """Inherited weights first, then the architecture parameters."""
        return [*super().rankings(), Ranking(ARCHITECTURE_PARAMETERS, chunk=10**6)]

    def scores(self, ranking: str, archs: Sequence[Arch]) -> Columns:
        """Of the architecture parameters: the log-probability, the sum over positions of log softmax(alpha)."""
        if ranking != ARCHITECTURE_PARAMETERS:
            return super().scores(ranking, archs)
        logs = self.alpha.detach().double().log_softmax(1).cpu().numpy()
        options = np.array(archs).reshape(len(archs), -1)
        return {"log_probability": logs[np.arange(options.shape[1]), options].sum(1)}

    def proposal(self) -> Sequence[Arch]:
        """The likeliest option at every position."""
        return [tuple(self.alpha.detach().argmax(1).tolist())]

    def state_dict(self) -> dict[str, Any]:
        """The supernet's, and the architecture parameters with their optimiser."""
        own = {"alpha": self.alpha.detach(), "alpha_optimizer": self.alpha_optimizer.state_dict()}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        with torch.no_grad():
            self.alpha.copy_(state["alpha"])
        self.alpha_optimizer.load_state_dict(state["alpha_optimizer"])


class _frozen:  # noqa: N801
    """No gradients for a network's weights while it lasts."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __enter__(self) -> None:
        self.network.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        self.network.requires_grad_(True)
