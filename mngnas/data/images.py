"""Pictures on the device: uint8 image sets, deterministic batches, augmentation of a whole batch at once."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from mngnas.seeds import Stream, generator
from mngnas.settings import Augmentation


@dataclass(frozen=True)
class ImageSet:
    """Pictures with labels, kept as uint8 on the device that uses them."""

    name: str  # as shown in results, for example "CIFAR-10" or "CIFAR-10 (JPEG)"
    pixels: Tensor  # uint8 [n, c, h, w]
    labels: Tensor  # int64 [n]
    classes: int
    mean: tuple[float, ...]  # per channel, of pixels / 255 over the training pictures
    std: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> "ImageSet":
        """The pictures at `indices`, in that order."""
        where = torch.as_tensor(indices, device=self.labels.device)
        return replace(self, pixels=self.pixels[where], labels=self.labels[where])

    def to(self, device: torch.device) -> "ImageSet":
        """The same set on another device."""
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def shrunk(self, factor: int) -> "ImageSet":
        """Every side divided by `factor`, each new pixel the rounded mean of `factor`**2 old ones."""
        if factor == 1:
            return self
        return replace(self, pixels=F.avg_pool2d(self.pixels.float(), factor).round().to(torch.uint8))


@dataclass(frozen=True)
class Batch:
    """Normalised pictures, channels-last, ready for a network."""

    images: Tensor  # floating point [b, c, h, w]
    labels: Tensor  # int64 [b]


def training_batch(
    images: ImageSet,
    step: int,
    size: int,
    augmentation: Augmentation,
    seed: int,
    dtype: torch.dtype = torch.float32,
) -> Batch:
    """The batch of one training step: a function of its arguments alone, so that a resumed run sees the same batches.

    Each epoch is a new permutation of the pictures; the last incomplete batch of an epoch is left out.
    """
    size = min(size, len(images))
    epoch, place = divmod(step, len(images) // size)
    where = _epoch_order(seed, epoch, len(images))[place * size : (place + 1) * size]
    return picked_batch(images, where, step, augmentation, seed, dtype)


def picked_batch(
    images: ImageSet,
    picked: np.ndarray,
    step: int,
    augmentation: Augmentation,
    seed: int,
    dtype: torch.dtype = torch.float32,
) -> Batch:
    """The pictures numbered `picked` `[b]`, which may repeat, augmented as the batch of that step is."""
    where = to_device(picked, images.labels.device)
    rng = generator(seed, Stream.AUGMENTATION, step)
    return Batch(_augmented(images, where, augmentation, rng, dtype), images.labels[where])


@lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, n: int) -> np.ndarray:
    """The pictures of an epoch in their order `[n]`, drawn once for all its steps; not to be written to."""
    return generator(seed, Stream.PICTURE_ORDER, epoch).permutation(n)


def scoring_batch(images: ImageSet, noise: float = 0.0, seed: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
    """All pictures of a set, normalised, in order; `noise` is drawn once by `seed`, the same for every network."""
    everything = torch.arange(len(images), device=images.labels.device)
    rng = generator(seed, Stream.SCORING_NOISE)
    return Batch(_augmented(images, everything, Augmentation(noise=noise), rng, dtype), images.labels)


def _augmented(
    images: ImageSet, where: Tensor, augmentation: Augmentation, rng: np.random.Generator, dtype: torch.dtype
) -> Tensor:
    """Pick, augment and normalise; crops, flips and holes are drawn by `rng`, on the host, so devices agree.

    Noise is drawn on the device, from a seed that `rng` gives.
    """
    x = images.pixels[where]
    device, n, height, width = x.device, len(x), x.shape[2], x.shape[3]
    if augmentation.crop or augmentation.flip:
        x = _cropped(x, augmentation, rng)
    mean, std = (
        to_device(np.array(values, dtype=np.float32)[:, None, None], device) for values in (images.mean, images.std)
    )
    x = x.to(memory_format=torch.channels_last).float().div_(255)
    if augmentation.noise:
        noise = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
        x += augmentation.noise * torch.randn(x.shape, generator=noise, device=device)
    x = (x - mean) / std
    if augmentation.cutout:
        rows = torch.arange(height, device=device) - _draw(rng, height, n, device)
        columns = torch.arange(width, device=device) - _draw(rng, width, n, device)
        half = augmentation.cutout // 2
        hole = ((rows >= -half) & (rows < half))[:, :, None] & ((columns >= -half) & (columns < half))[:, None, :]
        x = x.masked_fill(hole[:, None], 0.0)
    return x.to(dtype, memory_format=torch.channels_last)


def _cropped(x: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    n, height, width = len(x), x.shape[2], x.shape[3]
    pad = augmentation.crop
    rows = torch.arange(height, device=x.device) + _draw(rng, 2 * pad + 1, n, x.device)
    columns = torch.arange(width, device=x.device) + _draw(rng, 2 * pad + 1, n, x.device)
    if augmentation.flip:
        columns = torch.where(_draw(rng, 2, n, x.device) == 1, columns.flip(1), columns)
    x = F.pad(x, (pad,) * 4)
    return x[torch.arange(n, device=x.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def _draw(rng: np.random.Generator, below: int, n: int, device: torch.device) -> Tensor:
    """Whole numbers 0..below-1, `[n, 1]`."""
    return to_device(rng.integers(0, below, (n, 1)), device)


def to_device(values: ArrayLike, device: torch.device) -> Tensor:
    """Numbers of the host as a tensor on the device; the host does not wait for a GPU that is still at work."""
    tensor = torch.as_tensor(np.asarray(values))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
