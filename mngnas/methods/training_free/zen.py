"""Zen-score: how far a small change of the input moves the last features, with BatchNorm's shrinking undone.

Lin et al., "Zen-NAS: a zero-shot NAS for high-performance image recognition", ICCV 2021: weights are N(0, 1), pictures
x and e are N(0, 1), Delta is the mean over pictures of the sum of |f(x) - f(x + 0.01 e)| with f the features before
global pooling, and the score is log Delta + the sum over BatchNorm layers of log of the root of the channels' mean
variance at x. Variances are those of the batch; public code reads running variances, which after one step of their
average are .9 + .1 of the batch's, and rank otherwise (`running = true`). Batches of 64 pictures and one repetition, as
others have on this space (Zen-NAS itself: 16 pictures, 32 repetitions).

No pictures: the data set enters by its resolution alone. BatchNorm layers of dead edges do not count: their variance is
undefined or of no effect. Without a path from input to output the score is minus infinity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free_method import SCORE, BatchConfig, TrainingFreeMethod
from mngnas.nets.network import Network
from mngnas.settings import setting
from mngnas.spaces import Arch

_STEP = 0.01
_MOMENTUM = 0.1  # PyTorch's, of running variances that begin with 1


@dataclass(frozen=True)
class ZenConfig(BatchConfig):
    """Repetitions are averaged."""

    repeats: int = setting(1, 1, 1000)
    running: bool = False  # BatchNorm's variances after one step of their running average, as in public code


class Zen(TrainingFreeMethod):
    """Two forward passes a repetition."""

    info = MethodInfo(
        "zen",
        "Zen-score",
        "Lin et al. 2021",
        "change of the features with N(0, 1) weights, no pictures",
        "training-free",
    )
    Config, by_canonical, passes_each = ZenConfig, True, 2 / 3

    def columns(self, arch: Arch) -> Mapping[str, float]:
        """The mean over repetitions."""
        network, draw = self.network(arch), self.draws(arch)
        images = self.batch().images
        found = []
        for _ in range(self.config.repeats):
            network.draw_normal(lambda _fan_in: 1.0, draw)
            x, change = (torch.randn(images.shape, generator=draw).to(images) for _ in range(2))
            found.append(zen_score(network, x, x + _STEP * change, self.config.running))
        return {SCORE: sum(found) / len(found)}


@torch.inference_mode()
def zen_score(network: Network, x: Tensor, moved: Tensor, running: bool) -> float:
    """The logarithm of Delta, and of BatchNorm's standard deviations at x, summed."""
    deviations: list[Tensor] = []

    def note(_norm: Any, inputs: tuple[Tensor]) -> None:
        variance = inputs[0].movedim(1, -1).flatten(0, -2).var(0)
        if running:
            variance = 1 - _MOMENTUM + _MOMENTUM * variance
        deviations.append(variance.double().mean().sqrt())

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    before = _features(network, x)
    for hook in hooks:
        hook.remove()
    delta = (_features(network, moved) - before).double().abs().flatten(1).sum(1).mean()
    found = delta.log() + torch.stack(deviations).log().sum()
    return float(found) if found.isfinite() else float("-inf")


def _features(network: Network, x: Tensor) -> Tensor:
    for block in network.blocks():
        x = block(x)
    y: Tensor = network.last(x)
    return y
