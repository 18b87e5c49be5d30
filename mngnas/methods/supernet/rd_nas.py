"""RD-NAS: pairs of paths far apart, whose losses are to be in the order that a score without training gives.

Dong et al., "RD-NAS: Enhancing One-shot Supernet Ranking Ability via Ranking Distillation from Zero-cost Proxies",
ICASSP 2023. A step draws two paths whose distance is above a margin and minimises

    L_1 + L_2 + weight x sin(.8 pi t) x max(0, margin + s (L_1 - L_2)),   s = sign(teacher_1 - teacher_2)

with L the cross-entropies on the same batch, t the share of the budget spent, and no third term where the teacher
prefers neither. The distance counts, per position, 2 between an option with weights and one without and 1/2 between
two different options of one kind; its mean over random pairs of this space, 6.72, is about the threshold of 6.7.

Official code (pprp/PicoNAS, examples/rdnas): this distance ("adaptive"; or plain Hamming above 4.5), weight 2, margin
0. There L_1 has no gradient in the third term; the counter of its ten tries never falls, so it may search for ever;
and today's teacher is a predictor that was trained on the benchmark. Here both losses have their gradient, the last of
ten tries is taken as it is, and the teacher is a score that needs no training: the default is the closed form "flops",
"parameters" is the other, and any method of kind "training-free" will do (`rd-nas[teacher=synflow]`); scoring an
architecture by such a method is counted as one pass.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.errors import unknown
from mngnas.methods.base import Task
from mngnas.methods.info import MethodInfo
from mngnas.methods.registry import method_entry, methods
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch, Space

_TRIES = 10
Teacher = Callable[[Sequence[Arch]], np.ndarray]  # higher is better


@dataclass(frozen=True)
class RdNasConfig(Settings):
    """How pairs are drawn, and how much the teacher counts."""

    section = "rd-nas"
    teacher: str = "flops"  # or "parameters", or the name of a method that trains nothing
    weight: float = setting(2.0, 0, 1e6)  # of the ranking loss, times the sine above
    margin: float = setting(0.0, 0, 1e6)  # by which the better path's loss is to be lower, nats
    apart: float = setting(6.7)  # distance of the two paths at least


class RdNas(SupernetMethod):
    """Two paths and one update a step."""

    info = MethodInfo(
        name="rd-nas",
        label="RD-NAS",
        paper="Dong et al. 2023",
        description="two distant paths a step; a score without training says which loss is to be lower",
        kind="supernet",
    )
    Config = RdNasConfig

    def __init__(self, config: RdNasConfig, task: Task) -> None:
        super().__init__(config, task)
        self.teacher, self._teacher_price = _teacher(config.teacher, task)
        self._weighted = _options_with_weights(self.space, task)

    def step(self, step: Step) -> StepResult:
        """Two passes, and what the teacher costs."""
        pair = self.draw(step.rng)
        outputs = [self.supernet(step.batch.images, arch) for arch in pair]
        losses = torch.stack([F.cross_entropy(output.logits, step.batch.labels) for output in outputs])
        first, second = self.teacher(pair)
        sign = int(first > second) - int(first < second)  # a score that is NaN prefers neither
        weight = self.config.weight * rising(step.spent)
        (losses.sum() + weight * ranking_loss(losses, sign, self.config.margin)).backward()
        passes = 2 + 2 * self._teacher_price
        return StepResult(passes, 2 * len(step.batch.labels), losses.detach().mean())

    def draw(self, rng: np.random.Generator) -> list[Arch]:
        """Two paths that are far enough apart, or the last of ten tries."""
        (one,) = self.space.sample_uniform(rng, 1)
        for other in self.space.sample_uniform(rng, _TRIES):
            if self.distance(one, other) >= self.config.apart:
                break
        return [one, other]

    def distance(self, one: Arch, other: Arch) -> float:
        """2 for each position where one option has weights and the other has none; 1/2 for other differences."""
        kinds = [
            [options[option] for options, option in zip(self._weighted, arch, strict=True)] for arch in (one, other)
        ]
        pairs = zip(one, other, *kinds, strict=True)
        return sum(0.0 if a == b else 2.0 if kind_a != kind_b else 0.5 for a, b, kind_a, kind_b in pairs)


def rising(share: float) -> float:
    """How much the ranking loss counts at `share` 0..1 of the budget: 0 at first, most at .625, .59 at the end."""
    return math.sin(0.8 * math.pi * share)


def ranking_loss(losses: Tensor, sign: int, margin: float) -> Tensor:
    """What two paths' losses `[2]` lack to be in order: `sign` is 1 if the first is to be lower, -1 if the second."""
    return F.relu(margin + sign * (losses[0] - losses[1])) * abs(sign)


def _teacher(name: str, task: Task) -> tuple[Teacher, float]:
    """The score, and the passes that one architecture takes; raises `UserError` for a name that is none."""
    space, side = task.space, task.images.train.pixels.shape[-1]
    if name == "flops":
        return lambda archs: space.flops(np.array(archs), task.skeleton, side), 0.0
    if name == "parameters":
        return lambda archs: space.parameters(np.array(archs), task.skeleton), 0.0
    known = [one for one, entry in methods().items() if entry.info.kind == "training-free"]
    if name not in known:
        raise unknown("rd-nas.teacher", name, ["flops", "parameters", *known])
    found = method_entry(name).load()
    method = found(found.Config(), task)
    (ranking, *_) = method.rankings()
    return lambda archs: next(iter(method.scores(ranking.name, archs).values())), 1.0


def _options_with_weights(space: Space, task: Task) -> list[list[bool]]:
    """For each position which options have weights: more parameters than the option that has fewest."""
    found = []
    for position, size in enumerate(space.sizes):
        archs = np.repeat(np.array([space.smallest]), size, axis=0)
        archs[:, position] = np.arange(size)
        parameters = space.parameters(archs, task.skeleton)
        found.append((parameters > parameters.min()).tolist())
    return found
