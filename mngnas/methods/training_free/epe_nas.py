"""EPE-NAS: how much alike a network's output reacts to pictures of the same class.

Lopes et al., "EPE-NAS: efficient performance estimation without training for neural architecture search", ICANN 2021,
and its public code: rows of the Jacobian (`jacob_cov`) are taken class by class; with the correlation matrix R of a
class, s = sum log(|R| + 1e-5) over all of it. Up to 100 classes the score is the sum of |s| over classes; above, s is
divided by the class's size and the score is the mean over classes of the summed distances of s to all others. One batch
of 256 pictures, PyTorch's own initial weights, BatchNorm by the batch. As there, a class with one picture has R = 1.
Dead edges count for nothing; an architecture without a path from input to output has the score NaN.
"""

from dataclasses import dataclass

import torch

from mngnas.data.images import Batch
from mngnas.methods.info import MethodInfo
from mngnas.methods.training_free.jacob_cov import jacobian
from mngnas.methods.training_free_method import BatchConfig, TrainingFreeMethod
from mngnas.nets.network import Network
from mngnas.settings import setting

_SMALL = 1e-5
_FEW_CLASSES = 100


@dataclass(frozen=True)
class EpeConfig(BatchConfig):
    """The public code's batch."""

    batch_size: int = setting(256, 2, 100_000)


class EpeNas(TrainingFreeMethod):
    """A forward and a backward pass to the pictures."""

    info = MethodInfo(
        "epe-nas", "EPE-NAS", "Lopes et al. 2021", "correlations of the Jacobian within classes", "training-free"
    )
    Config, by_canonical = EpeConfig, True

    def score(self, network: Network, batch: Batch) -> float:
        """By the number of classes that the network tells apart, not of those in the batch."""
        rows = jacobian(network, batch.images)
        many = self.task.skeleton.classes > _FEW_CLASSES
        found = []
        for label in batch.labels.unique():
            of_class = torch.corrcoef(rows[batch.labels == label]).reshape(-1)
            logarithms = (of_class.abs() + _SMALL).log().sum()
            found.append(logarithms / len(of_class) ** 0.5 if many else logarithms)
        classes = torch.stack(found)
        if many:
            return float((classes[:, None] - classes[None, :]).abs().sum() / len(classes))
        return float(classes.abs().sum())
