"""The sandwich rule with in-place distillation: the largest network teaches the smallest and some between.

Yu et al., "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models", ECCV 2020, section 3.1; the
rule itself is Yu & Huang's ("Universally Slimmable Networks and Improved Training Techniques", ICCV 2019, section 3).
A step trains on one batch the largest architecture by cross-entropy, and the smallest and two random ones by the
Kullback-Leibler divergence to the largest's softmax, which gets no gradient from that; gradients are added, and the
weights are updated once.

There the sizes of one network vary. Here largest and smallest are `Space.largest` and `Space.smallest`, by
multiply-adds: in the cell space 3x3 convolutions everywhere, and a skip from input to output with nothing else, which
trains stem, reductions and head alone. (PicoNAS's sandwich in this space takes one 3x3 convolution and five skips.)
BigNAS's warm-up of the learning rate, its regularisation of the largest network alone and its initialisation are not
part of the rule and are left out: training is as for every method.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.nets.supernet import Output
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch


@dataclass(frozen=True)
class SandwichConfig(Settings):
    """How many paths are between the two."""

    section = "sandwich"
    between: int = setting(2, 1, 1000)  # random paths of a step, beside the largest and the smallest


def divergence(logits: Tensor, target: Tensor) -> Tensor:
    """KL(target || softmax(logits)), mean over pictures; logits and probabilities `[b, classes]`."""
    return F.kl_div(logits.log_softmax(1), target, reduction="batchmean")


class Sandwich(SupernetMethod):
    """Largest, smallest and some random paths on the same batch, one update a step."""

    info = MethodInfo(
        name="sandwich",
        label="Sandwich",
        paper="Yu et al. 2020",
        description="the largest path teaches the smallest and two random ones on the same batch",
        kind="supernet",
    )
    Config = SandwichConfig

    def step(self, step: Step) -> StepResult:
        """As many forward-backward passes as paths."""
        target = torch.empty(0)

        def loss(_arch: Arch, output: Output, cross_entropy: Tensor) -> Tensor:
            nonlocal target
            if not len(target):  # the first path
                target = output.logits.detach().softmax(1)
                return cross_entropy
            return divergence(output.logits, target)

        random = self.space.sample_uniform(step.rng, self.config.between)
        return self.train_paths(step.batch, [self.space.largest, self.space.smallest, *random], loss)
