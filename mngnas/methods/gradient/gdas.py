"""Gumbel sampling of one path, with a straight-through gradient of its architecture parameters.

Dong & Yang, "Searching for a Robust Neural Architecture in Four GPU Hours", CVPR 2019, equations 3 to 8. With g =
-log Exp(1) and p = softmax((log softmax(alpha) + g) / temperature) an edge runs the operation of the largest p, times
one-hot(argmax p) + p - stop(p): forward a single path, backward the gradient of p. One draw serves all cells. Weights
are trained on one drawn path, alpha by validation pictures with a draw of its own; the temperature falls linearly.

The gradient of alpha needs what every operation would give: d loss / d p_o = <d loss / d edge, o(x)>. So alpha's step
runs the whole mixture at one-hot weights, and the weights' step one path: 6 passes a step. The authors' code runs the
chosen operation alone and adds the others' weights (0 forward) to its output, whose gradient is that of operations that
give ones everywhere (D-X-Y/AutoDL-Projects, issues 36 and 119): `gdas[unselected=ones]`, 2 passes a step.

Settings of that code on this space: 250 epochs, batch 64, SGD with Nesterov momentum .9, .025 to .001 along a cosine,
decay 5e-4; alpha by Adam, 3e-4, betas .5 and .999, decay 1e-3; temperature 10 to .1 by epoch, weights updated first.
Weights are trained as all methods' here, after alpha, and the temperature follows the budget.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.methods.gradient_method import GradientConfig, GradientMethod
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.nets.cell import Cell
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.norms import batch_norm
from mngnas.nets.supernet import Output
from mngnas.settings import setting
from mngnas.spaces import Arch
from mngnas.spaces.topology import EDGES, N_NODES, NONE


@dataclass(frozen=True)
class GdasConfig(GradientConfig):
    """How paths are drawn."""

    first_temperature: float = setting(10.0, above=0, high=1e6)
    last_temperature: float = setting(0.1, above=0, high=1e6)  # linear in the budget between the two
    unselected: str = setting("exact", among=("exact", "ones"))  # what alpha's gradient takes their outputs for


class Gdas(GradientMethod):
    """Weights and architecture parameters by one drawn path."""

    info = MethodInfo(
        name="gdas",
        label="GDAS",
        paper="Dong & Yang 2019",
        description="one path a step, drawn by Gumbel noise; alpha by the exact straight-through gradient",
        kind="gradient",
    )
    Config = GdasConfig

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        if config.unselected == "ones" and not isinstance(self.supernet, CellSupernet):
            raise UserError(f"gdas.unselected = 'ones' is not there in {self.space.name}; 'exact' is")

    def temperature(self, spent: float) -> float:
        """At a share of the budget."""
        first, last = self.config.first_temperature, self.config.last_temperature
        return float(first + (last - first) * spent)

    def draw(self, step: Step) -> Tensor:
        """One-hot rows `[n_position, n_option]` whose gradient is that of the softmax."""
        noise = torch.as_tensor(-np.log(step.rng.exponential(size=tuple(self.alpha.shape)))).to(self.alpha)
        soft = ((self.alpha.log_softmax(1) + noise) / self.temperature(step.spent)).softmax(1)
        hard = F.one_hot(soft.argmax(1), soft.shape[1]).to(soft)
        return hard + (soft - soft.detach())  # in this order, so that the values are 0 and 1 exactly

    def architecture_step(self, batch: Batch, step: Step) -> StepResult:
        """The mixture at one-hot weights; or the public shortcut."""
        weights = self.draw(step)
        if self.config.unselected == "exact":
            return self.train_mixture(batch, weights)
        assert isinstance(self.supernet, CellSupernet)
        loss = F.cross_entropy(through_chosen(self.supernet, batch.images, weights).logits, batch.labels)
        loss.backward()
        return StepResult(1, len(batch.labels), loss.detach())

    def weight_step(self, step: Step) -> StepResult:
        """One drawn path."""
        return self.train_paths(step.batch, [_chosen(self.draw(step))])


def through_chosen(supernet: CellSupernet, images: Tensor, weights: Tensor) -> Output:
    """The path of the largest weights `[6, 5]`; every other weight is added to its edge's output as it stands."""
    chosen = _chosen(weights)

    def run(cell: Cell, x: Tensor) -> Tensor:
        nodes = [x, *[torch.zeros_like(x)] * (N_NODES - 1)]
        for edge, (source, target) in enumerate(EDGES):
            op = chosen[edge]
            y = weights[edge].sum() - weights[edge, op]
            if op != NONE:
                y = y + weights[edge, op] * cell.operate(edge, op, nodes[source], None, batch_norm)
            nodes[target] = nodes[target] + y
        return nodes[-1]

    return supernet.through(images, run)


def _chosen(weights: Tensor) -> Arch:
    return tuple(weights.detach().argmax(1).tolist())
