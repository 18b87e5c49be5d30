"""NATS-Bench's size space: five channel numbers of one fixed cell; numpy only, no torch.

X. Dong, L. Liu, K. Musial, B. Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size",
TPAMI 2021, section 3.2. Each of five layers has one of eight widths, so there are 8**5 = 32,768 architectures; the
official index is their rank. The architecture string is the widths with colons between them, 8:16:24:32:40.

    stem conv3x3 + BN (c0); cell c0 -> c0; reduction c0 -> c1; cell c1 -> c2; reduction c2 -> c3; cell c3 -> c4; head

The cell is the topology space's best on CIFAR-100's validation set. Where its input and output differ in width, the
convolutions that read the input change it, and so does a 1x1 convolution with BatchNorm in the place of the skip.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from mngnas.errors import UserError
from mngnas.spaces.base import Arch, ArchitectureError, Space
from mngnas.spaces.skeleton import Skeleton

OFFICIAL_WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)
_CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
LAYERS = (("cell", 0, 0), ("reduction", 0, 1), ("cell", 1, 2), ("reduction", 2, 3), ("cell", 3, 4))  # kind, from, to


class Size(Space):
    """8**5 choices of widths."""

    name = "nats-bench-size"
    label = "NATS-Bench size"
    positions = tuple(f"c{place}" for place in range(5))
    options = (tuple(map(str, OFFICIAL_WIDTHS)),) * 5
    mixes = False
    cell = _CELL  # of all networks, as the topology space writes it

    def parse(self, arch_str: str) -> Arch:
        """Read widths with colons between them; raises `ArchitectureError`."""
        words = arch_str.strip().split(":")
        if len(words) != len(self.positions):
            raise ArchitectureError(f"{arch_str!r} is not {len(self.positions)} widths such as 8:16:24:32:40")
        for word, place, known in zip(words, self.positions, self.options, strict=True):
            if word not in known:
                raise ArchitectureError(f"{arch_str!r}: {place} is {word!r}, not one of {', '.join(known)}")
        return tuple(known.index(word) for word, known in zip(words, self.options, strict=True))

    def to_str(self, arch: Arch) -> str:
        """Write the architecture string, with the benchmark's own widths."""
        return ":".join(known[option] for known, option in zip(self.options, arch, strict=True))

    @cached_property
    def canonical_indices(self) -> np.ndarray:
        """Every architecture is another network, `[n_arch]`; read-only."""
        found = np.arange(self.n_arch)
        found.flags.writeable = False
        return found

    def check(self, skeleton: Skeleton) -> None:
        """Three stages of one cell each; the narrowest width must be a whole number."""
        if (skeleton.stages, skeleton.cells) != (3, 1):
            raise UserError(
                f"{self.label}'s networks have 3 stages of one cell, not {skeleton.stages} of {skeleton.cells}: say"
                " --set supernet.stages=3 --set supernet.cells=1"
            )
        if skeleton.channels % 2:
            raise UserError(f"supernet.channels = {skeleton.channels} must be even in {self.label}")

    def parameters(self, archs: np.ndarray, skeleton: Skeleton) -> np.ndarray:
        """Trainable parameters, int64 `[n]`: convolutions without bias, scale and shift of every BatchNorm."""
        c = widths(archs, skeleton)
        found = (9 * skeleton.in_channels + 2) * c[:, 0] + 2 * c[:, 4] + (c[:, 4] + 1) * skeleton.classes
        for kind, i, o in LAYERS:
            found += _weights(kind, c[:, i], c[:, o], skeleton) + _scales(kind, c[:, i], c[:, o], skeleton)
        return np.asarray(found)

    def flops(self, archs: np.ndarray, skeleton: Skeleton, side: int) -> np.ndarray:
        """Multiply-adds of one picture, int64 `[n]`: convolutions and the classifier with its bias."""
        c = widths(archs, skeleton)
        found = 9 * skeleton.in_channels * c[:, 0] * side**2 + (c[:, 4] + 1) * skeleton.classes
        for place, (kind, i, o) in enumerate(LAYERS):
            pixels = (side // 2 ** ((place + 1) // 2)) ** 2
            found += _weights(kind, c[:, i], c[:, o], skeleton) * pixels
        return np.asarray(found)

    def traits(self) -> Mapping[str, np.ndarray]:
        """The width of each layer."""
        return {place: 8 * (self.all_archs[:, i].astype(np.int64) + 1) for i, place in enumerate(self.positions)}


SIZE = Size()


def widths(archs: np.ndarray | Sequence[Arch], skeleton: Skeleton) -> np.ndarray:
    """Channels of each layer, int64 `[n, 5]`: eighths of the widest, which is the skeleton's last stage.

    With the benchmark's 16 channels in the first stage that is 64, and the widths are the official ones.
    """
    return (np.asarray(archs).astype(np.int64) + 1) * skeleton.widths[-1] // len(OFFICIAL_WIDTHS)


def _weights(kind: str, i: np.ndarray, o: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Weights of convolutions of a layer from `i` to `o` channels, `[n]`."""
    if kind == "cell":
        return np.asarray(18 * i * o + 27 * o * o + np.where(i == o, 0, i * o))
    return np.asarray(9 * i * o + 9 * o * o + i * o if skeleton.residual_reduction else i * o)


def _scales(kind: str, i: np.ndarray, o: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Scales and shifts of a layer's BatchNorms, `[n]`."""
    if kind == "cell":
        return np.asarray(10 * o + np.where(i == o, 0, 2 * o))
    return np.asarray(4 * o if skeleton.residual_reduction else 2 * o)
