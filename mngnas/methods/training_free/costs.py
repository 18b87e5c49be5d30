"""Parameters and FLOPs: what every score should be compared with.

Closed forms (`mngnas.spaces`), the same for every seed; dead edges count, as in the benchmark's own numbers.
"""

from collections.abc import Mapping

import numpy as np

from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free_method import SCORE, TrainingFreeMethod
from mngnas.spaces import Arch


class Parameters(TrainingFreeMethod):
    """Trainable parameters of the stand-alone network."""

    info = MethodInfo("params", "Parameters", "closed form", "number of trainable parameters", "training-free")
    seeded, passes_each, chunk = False, 0.0, 2000

    def columns(self, arch: Arch) -> Mapping[str, float]:
        """The number."""
        return {SCORE: float(self.space.parameters(np.array([arch]), self.task.skeleton)[0])}


class Flops(TrainingFreeMethod):
    """Multiply-adds of one picture."""

    info = MethodInfo("flops", "FLOPs", "closed form", "multiply-adds of one picture", "training-free")
    seeded, passes_each, chunk = False, 0.0, 2000

    def columns(self, arch: Arch) -> Mapping[str, float]:
        """The number."""
        side = self.task.images.train.pixels.shape[-1]
        return {SCORE: float(self.space.flops(np.array([arch]), self.task.skeleton, side)[0])}
