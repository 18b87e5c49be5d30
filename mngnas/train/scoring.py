"""One-shot accuracy and loss of many architectures with a supernet's inherited weights.

Architectures that shared weights cannot tell apart (`Space.canonical`) are computed once, in order of rank, in which
neighbours share most: `Supernet.each` may keep what they have in common. A GPU would be idle between the small
operations of a single path; there many paths are run at once instead (`Supernet.together`).
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.data.images import Batch, ImageSet, scoring_batch
from mngnas.errors import UserError
from mngnas.nets.norms import RecordingNorm, ReplayNorm
from mngnas.nets.supernet import Supernet
from mngnas.seeds import Sample, sample_generator
from mngnas.settings import ScoringConfig
from mngnas.spaces import Arch

_Logits = Iterator[tuple[int, Batch, Tensor]]  # place among the distinct live graphs, batch, logits [b, classes]

_PATHS_ON_A_GPU = 128


@dataclass(frozen=True)
class Scores:
    """Results of `n` architectures."""

    accuracy: np.ndarray  # float64 [n], fraction
    loss: np.ndarray  # float64 [n], mean cross-entropy in nats


class Scorer:
    """Scores architectures of one supernet on fixed images, which are prepared once."""

    def __init__(
        self,
        supernet: Supernet,
        config: ScoringConfig,
        valid: ImageSet,
        train: ImageSet,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Scores are by `valid`; `train` serves to recalibrate BatchNorm only. Both lie on the supernet's device."""
        if config.images > len(valid):
            raise UserError(f"scoring.images = {config.images} is more than the {len(valid)} validation images")
        self.supernet, self.config = supernet, config
        self.paths_at_once = _PATHS_ON_A_GPU if valid.pixels.device.type == "cuda" else 1  # changes no result
        whole = scoring_batch(_pick(valid, config.images), config.noise, dtype=dtype)
        parts = zip(whole.images.split(config.batch_size), whole.labels.split(config.batch_size), strict=True)
        self.batches = [Batch(images, labels) for images, labels in parts]
        self.calibration: Tensor | None = None
        if config.batch_norm == "recalibrated":
            if not 1 < config.recalibration_images <= len(train):
                raise UserError(
                    f"scoring.recalibration_images = {config.recalibration_images} is outside 2..{len(train)}"
                )
            picked = _pick(train, config.recalibration_images)
            self.calibration = scoring_batch(picked, config.noise, seed=1, dtype=dtype).images

    @torch.inference_mode()
    def __call__(self, archs: Sequence[Arch], supernet: Supernet | None = None) -> Scores:
        """Accuracy and loss of each architecture, in the order given; equal live graphs are computed once.

        `supernet` is another one of the same skeleton to be scored on the same images.
        """
        net = supernet or self.supernet
        space = net.space
        lives = [space.canonical(arch) for arch in archs]
        distinct = sorted(set(lives), key=space.to_rank)
        if self.calibration is not None:
            logits = self._recalibrated_logits
        else:
            logits = self._logits_one_by_one if self.paths_at_once == 1 else self._joint_logits
        n, device = len(distinct), self.batches[0].labels.device
        right = torch.zeros(n, dtype=torch.int64, device=device)
        loss = torch.zeros(n, dtype=torch.float64, device=device)
        for place, batch, found in logits(net, distinct):
            right[place] += (found.argmax(1) == batch.labels).sum()
            loss[place] += F.cross_entropy(found, batch.labels, reduction="sum")
        where = {live: i for i, live in enumerate(distinct)}
        order = [where[live] for live in lives]
        return Scores(right.cpu().numpy()[order] / self.config.images, loss.cpu().numpy()[order] / self.config.images)

    def _logits_one_by_one(self, net: Supernet, distinct: Sequence[Arch]) -> _Logits:
        """Batch by batch, with statistics of the batch."""
        for batch in self.batches:
            for place, logits in enumerate(net.each(batch.images, distinct)):
                yield place, batch, logits

    def _joint_logits(self, net: Supernet, distinct: Sequence[Arch]) -> _Logits:
        """Many paths at a time, with statistics of the batch and the path; fewer once memory has not sufficed."""
        start = 0
        while start < len(distinct):
            chunk = distinct[start : start + self.paths_at_once]
            try:
                found = [net.together(batch.images, chunk) for batch in self.batches]
            except torch.OutOfMemoryError:
                if self.paths_at_once == 1:
                    raise
                self.paths_at_once //= 2
                torch.cuda.empty_cache()
                warnings.warn(f"out of memory: scoring {self.paths_at_once} architectures at once", stacklevel=2)
                continue
            for batch, logits in zip(self.batches, found, strict=True):
                for place, one in enumerate(logits, start):
                    yield place, batch, one
            start += len(chunk)

    def _recalibrated_logits(self, net: Supernet, distinct: Sequence[Arch]) -> _Logits:
        """Architecture by architecture, with fixed statistics of its own path."""
        assert self.calibration is not None
        for place, live in enumerate(distinct):
            recording = RecordingNorm()
            net(self.calibration, live, recording)
            for batch in self.batches:
                yield place, batch, net(batch.images, live, ReplayNorm(recording.statistics)).logits


def _pick(images: ImageSet, n: int) -> ImageSet:
    """A fixed random sample of a set, the same in every run; in the set's own order, classes may be sorted."""
    return images.subset(sample_generator(Sample.PICTURES).permutation(len(images))[:n])
