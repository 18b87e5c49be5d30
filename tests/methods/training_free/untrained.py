"""Tiny networks, pictures and methods for the tests of scores without training."""

import numpy as np
import torch

from mngnas.data.images import Batch
from mngnas.methods.registry import methods
from mngnas.nets.cell_network import CellNetwork
from mngnas.spaces.skeleton import Skeleton
from tests.methods.cases import make_task
from tests.train.pictures import random_batch

ARCH = (3, 2, 1, 4, 3, 2)
DEAD_END = (3, 2, 3, 4, 0, 0)  # only edge 3 is alive
NOWHERE = (3, 3, 0, 0, 0, 0)
SHORT = Skeleton(channels=3, cells=1, stages=2)


def network(arch=ARCH, skeleton=SHORT, seed=0, dtype=torch.float32):
    """An untrained network whose BatchNorm is not at its first values."""
    found = CellNetwork(arch, skeleton, seed)
    draw = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for module in found.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=draw)
                module.bias.uniform_(-0.2, 0.2, generator=draw)
    return found.to(dtype)


def batch(n=6, side=8, dtype=torch.float32):
    """Random pictures and labels."""
    images, labels = random_batch(n, side)
    return Batch(images.to(dtype), labels)


def method(name, seed=0, skeleton=SHORT, **settings):
    """A method on the made-up pictures."""
    found = methods()[name].load()
    return found(found.Config(**settings), make_task(seed, skeleton=skeleton))


def score(name, arch=ARCH, **settings):
    """The score of one architecture."""
    return float(method(name, **settings).scores("score", [arch])["score"][0])


def weights(net):
    """The weights of convolutions and linear layers, found by name."""
    return [p for name, p in net.named_parameters() if name.endswith("weight") and p.dim() > 1]


def finite_difference(function, tensor, step=1e-6):
    """The gradient of a number by every entry of a tensor, by central differences."""
    found = np.zeros(tensor.numel())
    flat = tensor.detach().view(-1)
    for i in range(len(flat)):
        kept = float(flat[i])
        values = []
        for sign in (1, -1):
            flat[i] = kept + sign * step
            values.append(float(function()))
        flat[i] = kept
        found[i] = (values[0] - values[1]) / (2 * step)
    return found.reshape(tensor.shape)
