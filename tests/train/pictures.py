"""Made-up pictures that several test modules use."""

import numpy as np
import torch

from mngnas.data.datasets import ImageData
from mngnas.data.images import ImageSet


def learnable_images(n=160, seed=0):
    """Ten classes, each with a colour of its own under noise: something that training must get right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    patterns = np.random.default_rng(99).integers(0, 256, (10, 3, 1, 1))
    pixels = np.clip(patterns[labels] + rng.normal(0, 40, (n, 3, 8, 8)), 0, 255).astype(np.uint8)
    return ImageSet("made-up", torch.as_tensor(pixels), torch.as_tensor(labels), 10, (0.5,) * 3, (0.25,) * 3)


def learnable_data(train=160, valid=40):
    return ImageData(learnable_images(train), learnable_images(valid, seed=1), learnable_images(40, seed=2))


def random_images(n=60, size=8, seed=0):
    """Pictures and labels that have nothing to do with each other."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 3, size, size), generator=generator).to(torch.uint8)
    return ImageSet("made-up", pixels, torch.randint(0, 10, (n,), generator=generator), 10, (0.5,) * 3, (0.25,) * 3)


def random_batch(n=12, side=8, seed=0):
    """Images `[n, 3, side, side]`, channels-last, and labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((n, 3, side, side), generator=generator).contiguous(memory_format=torch.channels_last)
    return images, torch.randint(10, (n,), generator=generator)
