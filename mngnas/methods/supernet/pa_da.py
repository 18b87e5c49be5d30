"""PA&DA: paths and pictures are drawn more often where gradients are large.

Lu et al., "PA&DA: Jointly Sampling PAth and DAta for Consistent NAS", CVPR 2023, section 3. The variance of a step's
gradient is smallest if a path is drawn in proportion to its gradient's norm and a picture in proportion to its own,
for which ||softmax - onehot|| stands. One distribution over operations serves all edges; a path is six independent
draws. Both distributions are mixed with the uniform one, share x p + (1 - share) x uniform, with the share rising from
0 to 1 along the budget. Norms are running means of the last and the new (.5/.5): of an operation's weights, summed over
cells and averaged over the edges of the path that have it; of a picture, whenever it was drawn.

An unbiased gradient needs each term divided by its probability times the number of choices. The paper's theory has
these weights, its code has not, and its published figures come from there: `weights` adds them. Operations without
weights have norm 0, so their share falls to nothing, with `weights` or without.

Official code (ShunLu91/PA-DA): C=16, N=5, 250 epochs of batches of 256 with momentum .9, learning rate .05 to 0 along
a cosine by epoch, weight decay 2.5e-4, clipping at 5; trained on all 50,000 pictures, ranked by test images. What is
not copied: norms of operations are taken there after clipping; norms start at 0 again each epoch, so that a picture
which an epoch has missed is hardly ever drawn again; pictures are drawn once an epoch, here at every step.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.data.images import Batch, to_device
from mngnas.methods.base import Task
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.nets.supernet import Output
from mngnas.seeds import Stream, generator
from mngnas.settings import Settings
from mngnas.spaces import Arch


@dataclass(frozen=True)
class PaDaConfig(Settings):
    """Its two parts, and what makes it unbiased; without the parts it is SPOS on pictures drawn with replacement."""

    section = "pa-da"
    paths: bool = True  # paths by gradient norms; if False, uniform
    pictures: bool = True  # pictures by the distance of their prediction; if False, uniform
    weights: bool = False  # importance weights 1 / (number x probability)


def mixed(norms: np.ndarray, share: float) -> np.ndarray:
    """Probabilities `[n]`: `share` of them in proportion to the norms, the rest uniform; what has NaN has the mean."""
    known = ~np.isnan(norms)
    if not known.any() or not norms[known].sum():
        return np.full(len(norms), 1 / len(norms))
    filled = np.where(known, norms, norms[known].mean())
    return np.asarray(share * filled / filled.sum() + (1 - share) / len(norms))


def renewed(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The running means after a new value; the first one counts in full."""
    return np.asarray(np.where(np.isnan(old), new, (old + new) / 2))


class PaDa(SupernetMethod):
    """One path a step; its operations and its pictures are drawn by norms of earlier gradients."""

    info = MethodInfo(
        name="pa-da",
        label="PA&DA",
        paper="Lu et al. 2023",
        description="paths by gradient norms, pictures by the distance of their prediction from the label",
        kind="supernet",
        not_in={"nats-bench-size": "widths share channels, so no option has weights whose gradient would be its own"},
    )
    Config = PaDaConfig

    def __init__(self, config: PaDaConfig, task: Task) -> None:
        super().__init__(config, task)
        assert len(set(self.space.sizes)) == 1, "one distribution serves all positions"
        self.of_options = np.full(self.space.sizes[0], np.nan)  # NaN: not known yet
        self.of_pictures = np.full(len(task.images.train), np.nan)

    def options(self, share: float) -> np.ndarray:
        """Probabilities of the options of any position, `[n_option]`."""
        return mixed(self.of_options, share if self.config.paths else 0.0)

    def pictures(self, share: float) -> np.ndarray:
        """Probabilities of the training pictures, `[n]`."""
        return mixed(self.of_pictures, share if self.config.pictures else 0.0)

    def draw(self, rng: np.random.Generator, share: float) -> Arch:
        """A path."""
        p = self.options(share)
        return tuple(map(int, rng.choice(len(p), len(self.space.sizes), p=p)))

    def importance(self, arch: Arch, picked: np.ndarray, share: float) -> tuple[float, np.ndarray]:
        """1 / (number x probability) of a path, and of each picture `[b]`."""
        options, pictures = self.options(share), self.pictures(share)
        return float(np.prod(1 / (len(options) * options[list(arch)]))), 1 / (len(pictures) * pictures[picked])

    def training_batch(self, number: int) -> Batch:
        """Pictures drawn with replacement."""
        p, size = self.pictures(self.spent), min(self.task.training.batch_size, len(self.of_pictures))
        rng = generator(self.task.seed, Stream.PICTURE_ORDER, number)
        self._picked = rng.choice(len(p), size, p=p)
        return self.task.picked_batch(self._picked, number)

    def step(self, step: Step) -> StepResult:
        """One forward-backward pass; norms come with it."""
        arch, labels = self.draw(step.rng, step.spent), step.batch.labels
        of_path, of_pictures = self.importance(arch, self._picked, step.spent)
        distances = torch.empty(0)

        def loss(_arch: Arch, output: Output, cross_entropy: Tensor) -> Tensor:
            nonlocal distances
            distances = distances_to(output.logits.detach(), labels)
            if not self.config.weights:
                return cross_entropy
            each = F.cross_entropy(output.logits, labels, reduction="none")
            return of_path * (to_device(of_pictures, each.device).to(each.dtype) * each).mean()

        result = self.train_paths(step.batch, [arch], loss)
        scale = of_path if self.config.weights else 1.0
        self._learn(
            arch, self.supernet.gradient_norms().double().cpu().numpy() / scale, distances.double().cpu().numpy()
        )
        return result

    def _learn(self, arch: Arch, gradients: np.ndarray, distances: np.ndarray) -> None:
        """Renew the norms of the path's operations and of the batch's pictures."""
        chosen = np.array(arch)
        for option in np.unique(chosen):
            mean = gradients[chosen == option, option].mean()
            self.of_options[option] = renewed(self.of_options[option], mean)
        for picture, distance in zip(self._picked, distances, strict=True):  # one may be there twice
            self.of_pictures[picture] = renewed(self.of_pictures[picture], distance)

    def state_dict(self) -> dict[str, Any]:
        """With the norms."""
        own = {"of_options": torch.as_tensor(self.of_options), "of_pictures": torch.as_tensor(self.of_pictures)}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.of_options, self.of_pictures = (state[name].cpu().numpy().copy() for name in ("of_options", "of_pictures"))


def distances_to(logits: Tensor, labels: Tensor) -> Tensor:
    """||softmax - onehot|| of each picture, `[b]`: the norm of the cross-entropy's gradient in the logits."""
    wrong = logits.softmax(1) - F.one_hot(labels, logits.shape[1])
    norms: Tensor = wrong.norm(dim=1)
    return norms
