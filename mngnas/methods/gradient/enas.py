"""A recurrent controller that learns by reinforcement which paths to draw, beside weights trained on its paths.

Pham, Guan, Zoph, Le & Dean, "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018, sections 2.2 and
2.3, with the controller that NAS-Bench-201's authors made for this space (Dong & Yang, ICLR 2020): an LSTM of two
layers of 32 units; six steps, each fed with the operation drawn before; logits 2.5 tanh(x / 5). Weights are trained on
one drawn path a step. An update of the controller draws twenty architectures; the reward is the accuracy with inherited
weights on a validation batch, the same for all twenty, + 1e-4 times minus the log-probability, whose mean is the
entropy; REINFORCE with a moving average (.99) of all rewards so far as baseline. In the end a hundred draws are
scored and the best is proposed (`selection`).

Settings of their code (D-X-Y/AutoDL-Projects): 250 epochs of 25,000 pictures, batch 128, SGD with Nesterov momentum .9,
.05 to .0005 along a cosine that restarts, decay 2.5e-4; after each epoch of 195 steps 50 updates of the controller by
Adam, .001, betas 0 and .999, epsilon .001, gradient clipped at 5. Here an update follows every four steps, the same
ratio without epochs, and weights are trained as all methods'. That code keeps the baseline within an epoch and starts
it at the reward that it is subtracted from, takes another batch for each of the twenty, and differentiates the entropy
in the reward; these are not copied. Here the baseline starts at chance, and is updated by each reward after its use.

A weight step counts 1 pass and a reward a third of one, so the weights get 37 % of the budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mngnas.data.images import Batch
from mngnas.methods.base import Task
from mngnas.methods.gradient.selection import SelectionConfig, batch_accuracy, best_candidate, selection_price
from mngnas.methods.gradient_method import ArchitectureMethod
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.seeds import Stream, generator
from mngnas.settings import setting
from mngnas.spaces import Arch

_UNITS, _LAYERS = 32, 2
_FIRST_VALUES = 0.1  # largest
_LARGEST_LOGIT, _TEMPERATURE = 2.5, 5.0


@dataclass(frozen=True)
class EnasConfig(SelectionConfig):
    """The controller's training, with the settings of NAS-Bench-201's authors."""

    learning_rate: float = setting(1e-3, above=0, high=1e3)
    beta1: float = setting(0.0, 0, 0.999999)
    weight_decay: float = setting(0.0, 0, 1e3)
    epsilon: float = setting(1e-3, above=0, high=1e3)
    clip: float = setting(5.0, above=0)
    every: int = setting(4, 1)  # steps of the weights to one update of the controller
    draws: int = setting(20, 1, 10_000)  # architectures of an update
    baseline_decay: float = setting(0.99, 0, 1)
    entropy: float = setting(1e-4, 0, 1e3)


class Controller(nn.Module):
    """A distribution over architectures whose positions all have equally many options; in double precision."""

    def __init__(self, positions: int, options: int, rng: np.random.Generator) -> None:
        super().__init__()

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.as_tensor(rng.uniform(-_FIRST_VALUES, _FIRST_VALUES, shape)))

        self.positions, self.options = positions, options
        self.first_input = parameter(_UNITS)
        self.embedding = parameter(options, _UNITS)
        self.from_input = nn.ParameterList(parameter(4 * _UNITS, _UNITS) for _ in range(_LAYERS))
        self.from_state = nn.ParameterList(parameter(4 * _UNITS, _UNITS) for _ in range(_LAYERS))
        self.bias = nn.ParameterList(parameter(4 * _UNITS) for _ in range(_LAYERS))
        self.head = parameter(options, _UNITS)
        self.head_bias = parameter(options)

    def forward(self, archs: Tensor) -> Tensor:
        """Log-probabilities `[n]` of architectures `[n, positions]`, by forced decoding."""
        return self._decode(len(archs), lambda position, _logs: archs[:, position])[1]

    @torch.no_grad()
    def draw(self, n: int, rng: np.random.Generator) -> Tensor:
        """`n` architectures `[n, positions]`."""
        places = torch.as_tensor(rng.random((n, self.positions))).to(self.head)

        def choose(position: int, logs: Tensor) -> Tensor:
            cumulative = logs.exp().cumsum(1)[:, :-1]  # what lies beyond belongs to the last option
            return (places[:, position, None] >= cumulative).sum(1)

        return self._decode(n, choose)[0]

    @torch.no_grad()
    def greedy(self) -> Tensor:
        """One architecture `[positions]`, the likeliest option at each step."""
        return self._decode(1, lambda _position, logs: logs.argmax(1))[0][0]

    def _decode(self, n: int, choose: Any) -> tuple[Tensor, Tensor]:
        """Architectures `[n, positions]` of what `choose` makes of each step's log-probabilities, and their own."""
        x = self.first_input.expand(n, _UNITS)
        states = [(x.new_zeros(n, _UNITS), x.new_zeros(n, _UNITS))] * _LAYERS
        chosen, total = [], x.new_zeros(n)
        for position in range(self.positions):
            for layer in range(_LAYERS):
                gates = x @ self.from_input[layer].T + states[layer][0] @ self.from_state[layer].T + self.bias[layer]
                states[layer] = _lstm(gates, states[layer][1])
                x = states[layer][0]
            logits = _LARGEST_LOGIT * torch.tanh((x @ self.head.T + self.head_bias) / _TEMPERATURE)
            logs = logits.log_softmax(1)
            options = choose(position, logs)
            total = total + logs.gather(1, options[:, None])[:, 0]
            chosen.append(options)
            x = self.embedding[options]
        return torch.stack(chosen, 1), total


def _lstm(gates: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """The new output and memory of one layer `[n, units]` each (Hochreiter & Schmidhuber 1997, with a forget gate)."""
    take, keep, new, give = gates.chunk(4, 1)
    memory = keep.sigmoid() * memory + take.sigmoid() * new.tanh()
    return give.sigmoid() * memory.tanh(), memory


class Enas(ArchitectureMethod):
    """Weights by the controller's paths, the controller by their accuracies."""

    info = MethodInfo(
        name="enas",
        label="ENAS",
        paper="Pham et al. 2018",
        description="an LSTM draws the paths and learns from their accuracies by REINFORCE",
        kind="gradient",
    )
    Config = EnasConfig

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        self.baseline = 1 / task.skeleton.classes

    def first_architecture_parameters(self, rng: np.random.Generator) -> list[nn.Parameter]:
        """The controller's."""
        sizes = self.space.sizes
        assert len(set(sizes)) == 1, "the controller's steps have the same options"
        self.controller = Controller(len(sizes), sizes[0], rng).to(self.task.device)
        return list(self.controller.parameters())

    def weight_step(self, step: Step) -> StepResult:
        """One drawn path."""
        return self.train_paths(step.batch, _archs(self.controller.draw(1, step.rng)))

    def architecture_step(self, batch: Batch, step: Step) -> StepResult:
        """Draw, score, and leave the gradient of REINFORCE in the controller, where an update is due."""
        if (step.number + 1) % self.config.every:
            return StepResult(0, 0, torch.zeros(()))
        drawn = self.controller.draw(self.config.draws, step.rng)
        accuracies = np.array([batch_accuracy(self, arch, batch) for arch in _archs(drawn)])
        logs = self.controller(drawn)
        rewards = (
            torch.tensor(accuracies, dtype=torch.float64, device=logs.device) - self.config.entropy * logs.detach()
        )
        reinforce(logs, rewards, self.baseline).mean().backward()
        nn.utils.clip_grad_norm_(self.architecture_parameters, self.config.clip)
        for reward in rewards.tolist():
            self.baseline += (1 - self.config.baseline_decay) * (reward - self.baseline)
        return StepResult(len(drawn) / 3, 0, torch.zeros(()))

    def log_probability(self, archs: np.ndarray) -> np.ndarray:
        """By forced decoding."""
        with torch.no_grad():
            found = self.controller(torch.as_tensor(archs.astype(np.int64), device=self.task.device))
        return np.asarray(found.cpu().numpy())

    def likeliest(self) -> Arch:
        """The likeliest operation step by step."""
        return tuple(self.controller.greedy().tolist())

    def closing_price(self) -> float:
        """Scoring the candidates."""
        return selection_price(self)

    def close(self) -> None:
        """Choose among draws of the controller."""
        rng = generator(self.task.seed, Stream.STEP, self.steps)
        self.chosen = [best_candidate(self, _archs(self.controller.draw(self.config.candidates, rng)))]

    def state_dict(self) -> dict[str, Any]:
        """The base's, and the baseline."""
        return super().state_dict() | {"baseline": self.baseline}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.baseline = state["baseline"]


def reinforce(logs: Tensor, rewards: Tensor, baseline: float) -> Tensor:
    """What has, in the mean over draws, minus the gradient of the expected reward; `[n]` each (Williams 1992)."""
    return -logs * (rewards - baseline)


def _archs(drawn: Tensor) -> Sequence[Arch]:
    return [tuple(row) for row in drawn.tolist()]
