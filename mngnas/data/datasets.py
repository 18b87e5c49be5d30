"""The pictures a search may use: fetched or taken from the user's folder, decoded once and kept in the cache.

The splits are those of NAS-Bench-201 (Dong and Yang, ICLR 2020): one-shot accuracies are measured on the pictures that
the benchmark's validation accuracies were measured on. CIFAR's archives may be unpacked already. CIFAR-10 may also come
from a pack of JPEG files in a mirror folder; its pixels are lossy, and its name is "CIFAR-10 (JPEG)" wherever it is
shown.
"""

import hashlib
import io
import json
import math
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mngnas.data.download import (
    CACHE_VARIABLE,
    RemoteFile,
    beside,
    cache_dir,
    cached_path,
    fetch,
    github_raw,
    in_mirror_folder,
    locked,
    mirror_subfolder,
)
from mngnas.data.npz import read_npz
from mngnas.data.plain_pickle import read_pickle
from mngnas.errors import UserError, unknown

if TYPE_CHECKING:
    from mngnas.data.images import ImageSet  # imports torch, which a list of names does without

IMAGE_DATASETS = {
    "cifar10": "32x32, 10 classes: 25,000 to train, 25,000 to validate, 10,000 to test (fetches 163 MiB)",
    "cifar100": "32x32, 100 classes: 50,000 to train, 5,000 to validate, 5,000 to test (fetches 161 MiB)",
    "imagenet16-120": "16x16, 120 classes: 151,700 to train, 3,000 to validate, 3,000 to test (your own copy)",
    "digits": "8x8, grey, 10 classes: 600 to train, 300 to validate, 897 to test (comes with scikit-learn)",
}

_BUILD = 1  # raise it whenever the same files give other pictures

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # int64: which pictures train, validate and test


@dataclass(frozen=True)
class ImageData:
    """The pictures of one data set as a search may use them; the three sets share no picture."""

    train: "ImageSet"  # a search trains its weights on these
    valid: "ImageSet"  # a search scores architectures on these
    test: "ImageSet"  # for stand-alone training's final test only


@dataclass(frozen=True)
class _OwnFile:
    """A published file that nobody may simply fetch: the user puts it into a mirror folder."""

    name: str
    group: str
    checksum: str
    advice: str  # how to come by it


@dataclass(frozen=True)
class _Origin:
    """Where the pictures of a data set come from, how they are read, and what must be found."""

    name: str  # of the kept file
    title: str  # as shown in results
    classes: int
    shape: tuple[int, int, int]  # channels, height, width
    published: tuple[int, int]  # training and test pictures, in this order in what `read` gives
    files: tuple[RemoteFile | _OwnFile, ...]
    read: Callable[..., tuple[np.ndarray, np.ndarray]]  # paths of `files` -> uint8 [n, ...], int [n]
    split: RemoteFile
    divide: Callable[[dict[str, np.ndarray], int, int], Parts]  # content of `split`, `published`
    unpacked: Mapping[str, str] = field(default_factory=dict)  # files that `files` unpack to, in order -> their MD5
    labels: str = ""  # in each of these

    def kept(self) -> Path:
        """Where the decoded pictures are kept; the name changes with the files and with the way they are read."""
        identity = "\n".join([str(_BUILD), *(file.checksum for file in (*self.files, self.split))])
        return cache_dir() / "images" / f"{self.name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.npz"


def load_images(name: str, mirror: str | None = None) -> ImageData:
    """Load a data set of `IMAGE_DATASETS` on the CPU, fetching and decoding it the first time.

    `mirror` (or $MNGNAS_BENCH_MIRROR) is as in `download.fetch`. Several processes may ask at once: one decodes.
    Raises `UserError` saying what to do if the files are not to be had or not the published ones.
    """
    if name not in IMAGE_DATASETS:
        raise unknown("data set", name, IMAGE_DATASETS)
    return _digits() if name == "digits" else _load(_choose(name, mirror), mirror)


def images_cached(name: str, mirror: str | None = None) -> bool:
    """Whether `load_images` with the same arguments would find all it needs in the cache."""
    if name not in IMAGE_DATASETS:
        raise unknown("data set", name, IMAGE_DATASETS)
    return name == "digits" or _in_cache(_choose(name, mirror))


def _choose(name: str, mirror: str | None) -> _Origin:
    """The published files, unless only those of a stand-in are at hand."""
    origin, stand_in = _ORIGINS[name], _STAND_INS.get(name)
    if stand_in is None or _in_cache(origin) or all(_is_fetched(f) or _in_mirror(f, mirror) for f in origin.files):
        return origin
    if _unpacked_folder(origin, mirror):
        return origin
    return stand_in if all(_in_mirror(f, mirror) for f in stand_in.files) else origin


def _in_cache(origin: _Origin) -> bool:
    return origin.kept().exists() or all(_is_fetched(file) for file in (*origin.files, origin.split))


def _is_fetched(file: RemoteFile | _OwnFile) -> bool:
    return isinstance(file, RemoteFile) and cached_path(file).exists()


def _in_mirror(file: RemoteFile | _OwnFile, mirror: str | None) -> Path | None:
    return in_mirror_folder(file.group, file.name, mirror)


def _load(origin: _Origin, mirror: str | None) -> ImageData:
    """Read the kept pictures, or decode them and keep them."""
    kept = origin.kept()
    try:
        if data := _read_kept(kept, origin):
            return data
        kept.parent.mkdir(parents=True, exist_ok=True)
        with locked(beside(kept, "lock")):
            if data := _read_kept(kept, origin):  # another process may have decoded them while this one waited
                return data
            data = _decode(origin, mirror)
            part = beside(kept, "part")
            with part.open("wb") as out:
                np.savez(out, **_arrays(data))  # type: ignore[arg-type]
            part.replace(kept)
    except OSError as error:
        raise UserError(
            f"cannot use {error.filename or kept}: {error.strerror or error}; choose a cache with {CACHE_VARIABLE}"
        ) from error
    return data


def _decode(origin: _Origin, mirror: str | None) -> ImageData:
    """Obtain the files, read and check the pictures and divide them."""
    at_hand = all(_is_fetched(file) or _in_mirror(file, mirror) for file in origin.files)
    folder = None if at_hand else _unpacked_folder(origin, mirror)
    paths = (
        [_checked(folder / Path(name).name, f"md5:{md5}") for name, md5 in origin.unpacked.items()] if folder else []
    )
    paths = paths or [_obtain(file, mirror) for file in origin.files]
    split = fetch(origin.split, mirror=mirror)
    pixels, labels = _read_batches(*paths, labels=origin.labels) if folder else origin.read(*paths)
    n, classes = sum(origin.published), np.unique(labels)
    if pixels.shape != (n, math.prod(origin.shape)) or not np.array_equal(classes, np.arange(origin.classes)):
        raise UserError(
            f"{origin.title} should be {n:,} pictures of {origin.classes} classes, but its files hold {len(pixels):,}"
            f" of {len(classes)}: they are not the published ones"
        )
    where = {
        key: np.array(numbers).astype(np.int64)
        for key, (_, numbers) in json.loads(split.read_text(encoding="utf-8")).items()
    }
    parts = origin.divide(where, *origin.published)
    return _image_data(origin.title, origin.classes, pixels.reshape(n, *origin.shape), labels, parts)


def _obtain(file: RemoteFile | _OwnFile, mirror: str | None) -> Path:
    """A checked copy of the file."""
    if isinstance(file, RemoteFile):
        return fetch(file, mirror=mirror)
    path = _in_mirror(file, mirror)
    if path is None:
        raise UserError(f"there is no {file.name} in a mirror folder: {file.advice}")
    return _checked(path, file.checksum)


def _checked(path: Path, checksum: str) -> Path:
    """The path of a file that has this checksum; raises `UserError` if it has another or is not there."""
    algorithm = checksum.partition(":")[0]
    try:
        with path.open("rb") as content:
            found = f"{algorithm}:{hashlib.file_digest(content, algorithm).hexdigest()}"
    except FileNotFoundError as error:
        raise UserError(f"there is no {path.name} in {path.parent}: it does not hold the published files") from error
    if found != checksum:
        raise UserError(f"{path} is not the published file: expected {checksum}, found {found}")
    return path


def _unpacked_folder(origin: _Origin, mirror: str | None) -> Path | None:
    """Where the user has unpacked the archive already: in the mirror, or the mirror itself; its files are unchecked."""
    if not origin.unpacked:
        return None
    return mirror_subfolder(origin.files[0].group, str(Path(next(iter(origin.unpacked))).parent), mirror)


def _image_data(title: str, classes: int, pixels: np.ndarray, labels: np.ndarray, parts: Parts) -> ImageData:
    """Divide pictures `[n, c, h, w]`; mean and standard deviation are those of the training part."""
    import torch

    from mngnas.data.images import ImageSet

    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(pixels))), "a split is a partition"
    train, valid, test = ((pixels[part], labels[part].astype(np.int64)) for part in parts)
    mean, std = _moments(train[0])
    return ImageData(
        *(
            ImageSet(title, torch.from_numpy(x), torch.from_numpy(y), classes, mean, std)
            for x, y in (train, valid, test)
        )
    )


def _moments(pixels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of pixels / 255 per channel, exact: from how often each of the 256 values occurs."""
    values = np.arange(256) / 255
    counts = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in pixels.swapaxes(0, 1)])  # [c, 256]
    share = counts / pixels[:, 0].size
    mean = share @ values
    std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
    return tuple(mean.tolist()), tuple(std.tolist())


def _arrays(data: ImageData) -> dict[str, np.ndarray]:
    parts = {"train": data.train, "valid": data.valid, "test": data.test}
    return {
        "mean": np.array(data.train.mean),
        "std": np.array(data.train.std),
        **{f"{part}_pixels": images.pixels.numpy() for part, images in parts.items()},
        **{f"{part}_labels": images.labels.numpy() for part, images in parts.items()},
    }


def _read_kept(kept: Path, origin: _Origin) -> ImageData | None:
    """What `_load` has kept; None if there is nothing or if it is damaged, in which case it is made again."""
    import torch

    from mngnas.data.images import ImageSet

    if not kept.is_file():
        return None
    try:
        found = {key: torch.from_numpy(values) for key, values in read_npz(kept).items()}
        mean, std = (tuple(found[key].tolist()) for key in ("mean", "std"))
        return ImageData(
            *(
                ImageSet(origin.title, found[f"{part}_pixels"], found[f"{part}_labels"], origin.classes, mean, std)
                for part in ("train", "valid", "test")
            )
        )
    except (ValueError, KeyError, TypeError):
        return None


def _read_batches(*batches: Path, labels: str) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of the files of a CIFAR archive that was unpacked."""
    found = [read_pickle(path, encoding="latin1") for path in batches]
    return np.concatenate([batch["data"] for batch in found]), np.concatenate([batch[labels] for batch in found])


def _read_tar(archive: Path, members: tuple[str, ...], labels: str) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of a CIFAR archive, member after member: pickles that Python 2 wrote."""
    batches = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.name in members and (content := tar.extractfile(member)):
                name = f"{member.name} of {archive.name}"
                batches[member.name] = read_pickle(content, name=name, encoding="latin1")
    return (
        np.concatenate([batches[member]["data"] for member in members]),
        np.concatenate([batches[member][labels] for member in members]),
    )


def _read_imagenet16(*batches: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of the first `classes` classes, which the files count from 1."""
    from tqdm import tqdm

    pixels, labels = [], []
    for path in tqdm(batches, desc="reading ImageNet16", unit="file", disable=None):
        batch = read_pickle(path, encoding="latin1")
        numbers = np.asarray(batch["labels"])
        pixels.append(batch["data"][numbers <= classes])
        labels.append(numbers[numbers <= classes] - 1)
    return np.concatenate(pixels), np.concatenate(labels)


def _read_jpeg_pack(pack: Path) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of one .npz: `jpeg`, the files one after the other; `offset` [n + 1], where each starts; `label`."""
    from PIL import Image
    from tqdm import tqdm

    content = read_npz(pack)
    jpeg, offset, labels = content["jpeg"].tobytes(), content["offset"].tolist(), content["label"]
    pixels = np.empty((len(labels), 3, 32, 32), np.uint8)
    for i in tqdm(range(len(labels)), desc="decoding JPEG", unit="picture", disable=None):
        with Image.open(io.BytesIO(jpeg[offset[i] : offset[i + 1]]), formats=["JPEG"]) as picture:
            pixels[i] = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    return pixels.reshape(len(labels), -1), labels


def _digits() -> ImageData:
    """The handwritten digits of scikit-learn, pixels 0..16, divided at random once and for all."""
    found, labels = _scikit_learns_digits()
    pixels = np.round(found.reshape(-1, 1, 8, 8) * 255 / 16).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(pixels))
    return _image_data("digits", 10, pixels, labels, (order[:600], order[600:900], order[900:]))


def _scikit_learns_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels `[n, 64]` and labels `[n]`, from the file where it is at hand: to import the loader takes two seconds."""
    package = find_spec("sklearn")
    file = Path(*package.submodule_search_locations or (), "datasets", "data", "digits.csv.gz") if package else None
    if file and file.is_file():
        rows = np.loadtxt(file, delimiter=",")
        return rows[:, :-1], rows[:, -1].astype(int)
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels, labels


def _halve_training(where: dict[str, np.ndarray], n_train: int, n_test: int) -> Parts:
    return where["train"], where["valid"], n_train + np.arange(n_test)


def _halve_test(where: dict[str, np.ndarray], n_train: int, _n_test: int) -> Parts:
    return np.arange(n_train), n_train + where["xvalid"], n_train + where["xtest"]


def _cifar(group: str, name: str, size: int, md5: str) -> RemoteFile:
    url = f"https://www.cs.toronto.edu/~kriz/{name}"
    return RemoteFile(name, group, url, f"md5:{md5}", size, "none stated", "A. Krizhevsky, V. Nair, G. Hinton")


def _split(name: str, size: int, sha256: str) -> RemoteFile:
    commit = "a84f48388215d043d94c12c912e6a1defafca891"
    url = github_raw("D-X-Y/AutoDL-Projects", commit, f"configs/nas-benchmark/{name}")
    return RemoteFile(name, "nb201", url, f"sha256:{sha256}", size, "MIT", "github.com/D-X-Y/AutoDL-Projects")


_CIFAR10_UNPACKED = {
    "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
    "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
    "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
}
_CIFAR100_UNPACKED = {
    "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
    "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
}
_IMAGENET16 = dict(
    zip(
        (*(f"train_data_batch_{i}" for i in range(1, 11)), "val_data"),
        (
            "27846dcaa50de8e21a7d1a35f30f0e91",
            "c7254a054e0e795c69120a5727050e3f",
            "4333d3df2e5ffb114b05d2ffc19b1e87",
            "1620cdf193304f4a92677b695d70d10f",
            "348b3c2fdbb3940c4e9e834affd3b18d",
            "6e765307c242a1b3d7d5ef9139b48945",
            "564926d8cbf8fc4818ba23d2faac7564",
            "f4755871f718ccb653440b9dd0ebac66",
            "bb6dd660c38c58552125b1a92f86b5d4",
            "8f03f34ac4b42271a294f91bf480f29b",
            "3410e3017fdaefba8d5073aaa65e4bd6",
        ),
        strict=True,
    )
)
_IMAGENET16_ADVICE = (
    "ask for the 16x16 pictures (train and val) at https://image-net.org/download-images, unpack them to"
    " DIR/imagenet16-120/ and give --mirror DIR"
)
_ORIGINS = {
    "cifar10": _Origin(
        name="cifar10",
        title="CIFAR-10",
        classes=10,
        shape=(3, 32, 32),
        published=(50_000, 10_000),
        files=(_cifar("cifar10", "cifar-10-python.tar.gz", 170_498_071, "c58f30108f718f92721af3b95e74349a"),),
        read=partial(_read_tar, members=tuple(_CIFAR10_UNPACKED), labels="labels"),
        split=_split("cifar-split.txt", 438_970, "986da6174822048d4c5a25ee8ebdb7e754cd5372b51c633ffd4898ace8db9e32"),
        divide=_halve_training,
        unpacked=_CIFAR10_UNPACKED,
        labels="labels",
    ),
    "cifar100": _Origin(
        name="cifar100",
        title="CIFAR-100",
        classes=100,
        shape=(3, 32, 32),
        published=(50_000, 10_000),
        files=(_cifar("cifar100", "cifar-100-python.tar.gz", 169_001_437, "eb9058c3a382ffc7106e4002c42a8d85"),),
        read=partial(_read_tar, members=tuple(_CIFAR100_UNPACKED), labels="fine_labels"),
        split=_split(
            "cifar100-test-split.txt", 78_970, "14a5e3708e790ad57f987cdbcf202f724519475d6e8b0db34d0182e73b581bba"
        ),
        divide=_halve_test,
        unpacked=_CIFAR100_UNPACKED,
        labels="fine_labels",
    ),
    "imagenet16-120": _Origin(
        name="imagenet16-120",
        title="ImageNet16-120",
        classes=120,
        shape=(3, 16, 16),
        published=(151_700, 6_000),
        files=tuple(
            _OwnFile(name, "imagenet16-120", f"md5:{md5}", _IMAGENET16_ADVICE) for name, md5 in _IMAGENET16.items()
        ),
        read=partial(_read_imagenet16, classes=120),
        split=_split(
            "imagenet-16-120-test-split.txt", 46_970, "c0edac1d3676a9f21acea8feeb31336202d75b1a73df62aec31c6b45bb289a18"
        ),
        divide=_halve_test,
    ),
}
_STAND_INS = {
    "cifar10": replace(
        _ORIGINS["cifar10"],
        name="cifar10-jpeg",
        title="CIFAR-10 (JPEG)",
        files=(
            _OwnFile(
                "cifar10_jpeg.npz",
                "cifar10",
                "sha256:756a6bdd2caed7a8d2e9c36eef5c7e5bba897b08187dde1fec9900df4a3ac24a",
                "put it into the mirror folder",
            ),
        ),
        read=_read_jpeg_pack,
        unpacked={},
    )
}
