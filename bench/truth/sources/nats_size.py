"""The table "nats-size" from a compact public extract: validation accuracies of NATS-Bench's size space.

LightOn's repository (MIT) publishes x-valid accuracies after 90 epochs, seed 777, of all 32,768 architectures in the
official order, as percent with float32 noise (CIFAR-100: 14,192 different numbers for 1,462 different counts). They are
rounded to whole pictures, of which there are 25,000, 5,000 and 3,000, so that ties are ties. Test accuracies and other
schedules are in the official archive alone (`bench.truth.sources.nats`).
"""

import hashlib
from pathlib import Path

import numpy as np

from bench.truth.checks import Expected, verify
from bench.truth.sources.official import OF_SIZE, SEEDS, SIZE_VALID, SIZE_VALID_OPTIMA
from bench.truth.table import Source, Table, load_or_build
from mngnas.data.download import RemoteFile, cache_dir, fetch, github_raw
from mngnas.data.npz import read_npy
from mngnas.errors import UserError

BUILD = 1  # raise it whenever the same files give another table

_WHERE = ("lightonai/contrastive-embeddings-for-neural-architectures", "8606a4a4d7ea9ed9c01964660e8b2afb1e003480")
_SIZE = 262_272
_IMAGES = {"cifar10": 25_000, "cifar100": 5_000, "imagenet16-120": 3_000}  # validation images
_NOISE = 0.02  # of an image; a number that is further from a whole one is no accuracy on these images


def _file(name: str, sha256: str) -> RemoteFile:
    url = github_raw(*_WHERE, f"SearchSpaces/BenchNatsss/{name}")
    return RemoteFile(name, "sss", url, f"sha256:{sha256}", _SIZE, "MIT", f"github.com/{_WHERE[0]}")


FILES = {
    "cifar10": _file("cifar10_accs.npy", "fb28ab473ad084d0360626c58f750e92e237ac4fe253e5a2cc42bab8c9c6c745"),
    "cifar100": _file("cifar100_accs.npy", "10669ea2ccd27c5532503ea4ca98eff1ea60ae400596232af52780db6cabccca"),
    "imagenet16-120": _file("ImageNet16-120.npy", "1902b051be94e395e3349c617d5c904220b2d5cb32e5bc6d43aac2a82b6db7bb"),
}


def cached_table() -> Path:
    """Where the table is kept; the name changes with the sources and with the way they are read."""
    identity = hashlib.sha256("\n".join([str(BUILD), *(file.checksum for file in FILES.values())]).encode()).hexdigest()
    return cache_dir() / "tables" / f"nats-size-compact-{identity[:12]}.npz"


def load(mirror: str | None = None) -> Table:
    """Load the table, fetching its three files (0.8 MB) and building it the first time."""
    return load_or_build(cached_table(), lambda: build({name: fetch(f, mirror=mirror) for name, f in FILES.items()}))


def build(paths: dict[str, Path], expected: Expected | None = None) -> Table:
    """Read the three files, given by data set; raises `UserError` if the result is not the published table."""
    table = Table(
        name="nats-size",
        search_space=OF_SIZE.space.name,
        measures={SIZE_VALID[dataset]: _read(path, _IMAGES[dataset]) for dataset, path in paths.items()},
        parameters=OF_SIZE.parameters(),
        flops=OF_SIZE.flops(),
        seeds={SIZE_VALID[dataset]: SEEDS[:1] for dataset in paths},
        sources=tuple(
            Source(file.name, file.url, file.checksum.removeprefix("sha256:"), file.licence, file.source)
            for file in FILES.values()
        ),
    )
    verify(table, Expected(optima=SIZE_VALID_OPTIMA) if expected is None else expected)
    return table


def _read(path: Path, images: int) -> np.ndarray:
    """Percents `[n_arch]` as fractions of whole pictures, float32 `[n_arch, 1]`; raises `UserError`."""
    try:
        right = read_npy(path.read_bytes(), path.name).astype(np.float64) / 100 * images
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} does not hold accuracies ({error})") from error
    if right.shape != (OF_SIZE.space.n_arch,) or not (np.abs(right - right.round()) < _NOISE).all():
        raise UserError(f"{path} does not hold the percent of {images:,} pictures for each architecture")
    return (right.round() / images).astype(np.float32)[:, None]
