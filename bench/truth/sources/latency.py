"""How long the architectures of NAS-Bench-201 take on real devices: one published list a device, milliseconds.

HELP (H. Lee et al., "Hardware-adaptive efficient latency prediction for NAS via meta-learning", NeurIPS 2021) publishes
the times of all architectures in the official order; a number behind a device is the size of the batch.
"""

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bench.truth.sources.official import DATASETS, SPACE
from mngnas.data.download import RemoteFile, fetch, github_raw
from mngnas.data.plain_pickle import read_pickle
from mngnas.errors import UserError, unknown

_HELP = ("HayeonLee/HELP", "45f70eb92d0d735970a33b608d1544ad3c52f285")
_FIRST = {"eyeriss": 3.64562, "fpga": 2.57296, "raspi4": 10.48198, "pixel3": 3.60585}  # of index 0, to tell the order
_SIZE = 141_039
_SHA256 = {
    "1080ti_32": "affce4fcdcf6f28622365995ef2ec018bb07d448add59f80633c0978c393cdea",
    "eyeriss": "6f1dd2f8c0442289a09ab78e63e49bde96489f6d455cc33d5fa5aed37edb5d03",
    "fpga": "6a0333c1476a3ab039d8c39e5d42ac99efe9e7f3ff521289569013fa84233b28",
    "gold_6226": "6a00f63d14f67f8007ec04519f638a90aa6ed5357cf5c0e60c391df37f186c99",
    "pixel3": "cf1387da12e06b1d4541ce85f3ca4869d551084e09daf4acf024b6e21a80d465",
    "raspi4": "2fae425c50bcaef7aacc5391244cd0af98bfc7fba689a8741e461cb18192f57c",
    "titan_rtx_256": "cff1fba40b1743d3716cfb74c86ac2463d0682c146f356fa9095ac0d02dfb2a5",
}


def _file(device: str, sha256: str) -> RemoteFile:
    url = github_raw(*_HELP, f"data/nasbench201/latency/{device}.pt")
    return RemoteFile(f"{device}.pt", "latency", url, f"sha256:{sha256}", _SIZE, "MIT", f"github.com/{_HELP[0]}")


FILES = {device: _file(device, sha256) for device, sha256 in _SHA256.items()}


def measures(search_space: str, datasets: Iterable[str]) -> bool:
    """Whether the devices ran the networks of a table of this search space and these data sets."""
    return search_space == SPACE.name and not set(DATASETS).isdisjoint(datasets)


def file_of(device: str, search_space: str, dataset: str) -> RemoteFile:
    """The file of a device; raises `UserError` for an unknown one, and for networks that were not measured."""
    if search_space != SPACE.name or dataset not in DATASETS:
        raise UserError(f"latencies are known of {SPACE.label} on {', '.join(DATASETS)}, not of {dataset!r}")
    if device not in FILES:
        raise unknown("device", device, FILES)
    return FILES[device]


def load(file: RemoteFile, mirror: str | None = None) -> np.ndarray:
    """Milliseconds of every architecture `[n_arch]` float64 in the official order; fetched once, 141 KB."""
    return read(fetch(file, mirror=mirror), _FIRST.get(file.name.removesuffix(".pt")))


def read(path: Path, first: float | None = None) -> np.ndarray:
    """Read a list that `torch.save` wrote; raises `UserError` if it is no time of each architecture from `first` on."""
    try:
        with zipfile.ZipFile(path) as file:
            content = read_pickle(io.BytesIO(file.read("archive/data.pkl")), name=str(path))
        times = np.array(content, dtype=np.float64)
    except (zipfile.BadZipFile, KeyError, OSError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no list of latencies ({type(error).__name__}: {error})") from error
    if times.shape != (SPACE.n_arch,) or not np.isfinite(times).all() or not (times > 0).all():
        raise UserError(f"{path} does not hold one time for each of {SPACE.n_arch:,} architectures")
    if first is not None and abs(times[0] - first) > 1e-5:
        raise UserError(f"{path} is in another order: its first time is {times[0]:.5f} ms, not {first:.5f}")
    return times
