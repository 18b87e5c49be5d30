import functools
import hashlib
import http.server
import io
import json
import pickle
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from mngnas.data import datasets, download
from mngnas.data.datasets import IMAGE_DATASETS, images_cached, load_images
from mngnas.errors import UserError

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def own_cache(empty_cache) -> Path:
    """For every test here."""
    return empty_cache


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 wrote its strings, and numpy under the name that it had then."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        data = value.encode() if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string

    @classmethod
    def dumps(cls, value) -> bytes:
        out = io.BytesIO()
        cls(out, protocol=2).dump(value)
        return out.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@dataclass
class Made:
    """A small data set in a published format: what is in the files, and the files in a mirror folder."""

    name: str
    folder: Path
    pixels: np.ndarray  # [n, c, h, w], training before test
    labels: np.ndarray
    split: dict[str, list[int]]
    loads: list[int]  # one entry for each time that the files were read

    def origin(self) -> datasets._Origin:
        return datasets._ORIGINS[self.name]

    def parts(self, n_train: int) -> list[np.ndarray]:
        """What train, valid and test should be, written independently."""
        n = len(self.labels)
        if self.name == "cifar10":
            return [np.array(self.split["train"]), np.array(self.split["valid"]), np.arange(n_train, n)]
        return [np.arange(n_train), *(n_train + np.array(self.split[key]) for key in ("xvalid", "xtest"))]


def tar_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def pictures(n: int, classes: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, classes, side])
    return rng.integers(0, 256, (n, 3, side, side)).astype(np.uint8), rng.permutation(np.arange(n) % classes)


def cifar10_files(pixels, labels) -> dict[str, bytes]:
    rows = pixels.reshape(len(pixels), -1)
    members = {"cifar-10-batches-py/batches.meta": Python2Pickler.dumps({"label_names": ["airplane"]})}
    names = [f"data_batch_{i}" for i in (1, 2, 3, 4, 5)] + ["test_batch"]
    for i, name in [*enumerate(names)][::-1]:  # the official archive is not in order either
        part = slice(10 * i, 10 * i + 10)
        batch = {"batch_label": name, "labels": labels[part].tolist(), "data": rows[part], "filenames": ["a.png"]}
        members[f"cifar-10-batches-py/{name}"] = Python2Pickler.dumps(batch)
    return {"cifar-10-python.tar.gz": tar_of(members)}


def cifar100_files(pixels, labels) -> dict[str, bytes]:
    rows = pixels.reshape(len(pixels), -1)
    members = {}
    for name, part in (("test", slice(50, None)), ("train", slice(50))):
        fine = labels[part].tolist()
        batch = {"fine_labels": fine, "coarse_labels": [0] * len(fine), "data": rows[part]}
        members[f"cifar-100-python/{name}"] = Python2Pickler.dumps(batch)
    return {"cifar-100-python.tar.gz": tar_of(members)}


def imagenet16_files(pixels, labels) -> dict[str, bytes]:
    """Eleven files whose labels count from 1; four in ten pictures are of a class that is not kept."""
    rng = np.random.default_rng(1)
    rows = pixels.reshape(len(pixels), -1)
    names = [*(f"train_data_batch_{i}" for i in range(1, 11)), "val_data"]
    files = {}
    for i, name in enumerate(names):
        part = slice(5 * i, 5 * i + 5) if i < 10 else slice(50, None)
        place = rng.integers(0, len(labels[part]) + 1, 4)
        batch = {
            "data": np.insert(rows[part], place, rng.integers(0, 256, (4, rows.shape[1])), axis=0),
            "labels": np.insert(labels[part] + 1, place, [6, 7, 120, 1000]).tolist(),
            "mean": rows.mean(axis=0),
        }
        files[name] = pickle.dumps(batch, 4) if i % 2 else Python2Pickler.dumps(batch | {"mean": batch["mean"][:0]})
    return files


FORMATS: dict[str, tuple[Callable, int, int]] = {
    "cifar10": (cifar10_files, 10, 32),
    "cifar100": (cifar100_files, 7, 32),
    "imagenet16-120": (imagenet16_files, 5, 16),
}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make a small data set and let `datasets` expect it: other checksums and counts, everything else as it is."""

    def build(name: str, change: Callable[[dict[str, bytes]], dict[str, bytes]] = lambda files: files) -> Made:
        write, classes, side = FORMATS[name]
        pixels, labels = pictures(60, classes, side)
        official = datasets._ORIGINS[name]
        files = change(write(pixels, labels))
        order = np.random.default_rng(2).permutation(50 if name == "cifar10" else 10)
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        keys = ("train", "valid") if name == "cifar10" else ("xvalid", "xtest")
        split = {key: sorted(half.tolist()) for key, half in zip(keys, halves, strict=True)}
        text = json.dumps({key: ["int", [str(i) for i in half]] for key, half in split.items()}).encode()
        folder = tmp_path / "mirror"
        for group, contents in ((official.files[0].group, files), ("nb201", {official.split.name: text})):
            (folder / group).mkdir(parents=True)
            for file, content in contents.items():
                (folder / group / file).write_bytes(content)
        loads: list[int] = []
        read = official.read
        if name == "imagenet16-120":
            read = functools.partial(datasets._read_imagenet16, classes=5)

        def counting(*paths):
            loads.append(1)
            return read(*paths)

        def small(file):
            content = text if file is official.split else files[file.name]
            checksum = f"md5:{hashlib.md5(content).hexdigest()}"
            if isinstance(file, download.RemoteFile):
                return replace(file, checksum=checksum, size=len(content), url=f"http://127.0.0.1:9/{file.name}")
            return replace(file, checksum=checksum)

        origin = replace(
            official,
            classes=classes,
            published=(50, 10),
            files=tuple(small(file) for file in official.files),
            split=small(official.split),
            read=counting,
        )
        monkeypatch.setitem(datasets._ORIGINS, name, origin)
        return Made(name, folder, pixels, labels, split, loads)

    return build


@pytest.fixture
def serve():
    """Serve folders on the loopback interface."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    def start(folder: Path) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def message(raised) -> str:
    text = str(raised.value)
    assert "\n" not in text
    return text


def three(data) -> list:
    return [data.train, data.valid, data.test]


def assert_same(a, b) -> None:
    for one, other in zip(three(a), three(b), strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)
        assert replace(one, pixels=None, labels=None) == replace(other, pixels=None, labels=None)


TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}


@pytest.mark.parametrize("name", FORMATS)
def test_official_formats(make, name):
    made = make(name)
    data = load_images(name, str(made.folder))
    for images, part in zip(three(data), made.parts(50), strict=True):
        np.testing.assert_array_equal(images.pixels.numpy(), made.pixels[part])
        np.testing.assert_array_equal(images.labels.numpy(), made.labels[part])
        assert (images.pixels.dtype, images.labels.dtype) == (torch.uint8, torch.int64)
        assert (images.name, images.classes) == (TITLES[name], FORMATS[name][1])
        training = made.pixels[made.parts(50)[0]] / 255
        np.testing.assert_allclose(images.mean, training.mean(axis=(0, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(images.std, training.std(axis=(0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("name", FORMATS)
def test_the_second_load_needs_the_cache_alone(make, name):
    made = make(name)
    assert not images_cached(name)
    first = load_images(name, str(made.folder))
    assert images_cached(name)
    for path in made.folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for file in (*made.origin().files, made.origin().split):
        if isinstance(file, download.RemoteFile):
            download.cached_path(file).unlink()
    assert_same(load_images(name), first)
    assert len(made.loads) == 1


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:0], lambda b: b[:3000] + b"!" + b[3001:]])
def test_damaged_kept_pictures_are_made_again(make, damage):
    made = make("cifar10")
    first = load_images("cifar10", str(made.folder))
    kept = made.origin().kept()
    kept.write_bytes(damage(kept.read_bytes()))
    assert_same(load_images("cifar10"), first)  # from the archive in the cache
    assert len(made.loads) == 2
    assert not list(kept.parent.glob("*.part"))


def test_kept_pictures_belong_to_their_files(make):
    made = make("cifar10")
    before = made.origin().kept()
    file = made.origin().files[0]
    assert replace(made.origin(), files=(replace(file, checksum="md5:0"),)).kept() != before
    assert replace(made.origin(), split=replace(made.origin().split, checksum="md5:0")).kept() != before


def test_loads_at_once_decode_once(make):
    made = make("cifar10")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(load_images("cifar10", str(made.folder)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made.loads) == 1
    for data in found[1:]:
        assert_same(data, found[0])
    assert len(found) == 4


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_download(make, serve, monkeypatch, name):
    made = make(name)
    monkeypatch.setenv(download.OFFLINE_VARIABLE, "0")
    data = load_images(name, serve(made.folder))
    assert len(data.train) == len(made.parts(50)[0])
    archive = download.cached_path(made.origin().files[0])
    assert archive.read_bytes() == (made.folder / name / archive.name).read_bytes()


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda b: b[:-50], r"cannot get cifar-10-python.tar.gz .*ended after [\d,]+ of [\d,]+ bytes"),
        (lambda b: b[:-50] + bytes(50), "cifar-10-python.tar.gz from http.* is not the published file: expected md5"),
    ],
)
def test_truncated_and_corrupted_archives_are_refused(make, serve, monkeypatch, damage, expected):
    made = make("cifar10")
    archive = made.folder / "cifar10" / "cifar-10-python.tar.gz"
    archive.write_bytes(damage(archive.read_bytes()))
    monkeypatch.setenv(download.OFFLINE_VARIABLE, "0")
    with pytest.raises(UserError, match=expected) as raised:
        load_images("cifar10", serve(made.folder))
    message(raised)
    assert made.loads == []
    assert not made.origin().kept().exists()


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_offline_message_says_what_to_do(name):
    with pytest.raises(UserError, match=r"cannot get cifar-100?-python.tar.gz .*MNGNAS_BENCH_OFFLINE is set.*--mirror"):
        load_images(name)


def test_imagenet16_message_says_what_to_do(make):
    made = make("imagenet16-120")
    (made.folder / "imagenet16-120" / "train_data_batch_7").unlink()
    for mirror in (None, str(made.folder)):
        with pytest.raises(
            UserError, match=r"there is no train_data_batch_\d in a mirror folder: .*image-net.org.* --m"
        ):
            load_images("imagenet16-120", mirror)


def test_imagenet16_other_resolution_is_refused(make):
    made = make("imagenet16-120")
    path = made.folder / "imagenet16-120" / "val_data"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match=r"val_data is not the published file: expected md5:\w+, found md5:\w+"):
        load_images("imagenet16-120", str(made.folder))


def test_imagenet16_files_may_lie_flat(make, monkeypatch):
    made = make("imagenet16-120")
    for path in (made.folder / "imagenet16-120").iterdir():
        path.rename(made.folder / path.name)
    monkeypatch.setenv(download.MIRROR_VARIABLE, str(made.folder))
    assert len(load_images("imagenet16-120").train) == 50


@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_batch_does_not_run(make, tmp_path, protocol):
    mark = tmp_path / "it ran"

    def change(_files):
        batch = {"labels": [0] * 10, "data": Calls(exec, f"open({str(mark)!r}, 'w').close()")}
        return {"cifar-10-python.tar.gz": tar_of({"cifar-10-batches-py/data_batch_3": pickle.dumps(batch, protocol)})}

    made = make("cifar10", change)
    with pytest.raises(UserError, match=r"data_batch_3 of cifar-10-python.tar.gz asks to load \w+.exec, .*: refused"):
        load_images("cifar10", str(made.folder))
    assert not mark.exists()
    assert made.loads == [1]


@pytest.mark.parametrize("change", [{"published": (60, 10)}, {"classes": 11}])
def test_other_pictures_than_expected_are_refused(make, monkeypatch, change):
    made = make("cifar10")
    monkeypatch.setitem(datasets._ORIGINS, "cifar10", replace(made.origin(), **change))
    with pytest.raises(UserError, match=r"CIFAR-10 should be \d+ pictures of 1\d classes, but its files hold 60 of 10"):
        load_images("cifar10", str(made.folder))


def test_a_split_must_be_a_partition(make, monkeypatch):
    made = make("cifar10")
    overlap = lambda where, n, m: (where["train"], where["train"], n + np.arange(m))  # noqa: E731
    monkeypatch.setitem(datasets._ORIGINS, "cifar10", replace(made.origin(), divide=overlap))
    with pytest.raises(AssertionError, match=r"partition"):
        load_images("cifar10", str(made.folder))


def test_cache_that_cannot_be_written(make, tmp_path, monkeypatch):
    made = make("cifar10")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot use .*; choose a cache with MNGNAS_BENCH_CACHE"):
        load_images("cifar10", str(made.folder))


def four_squares(pixels: np.ndarray) -> np.ndarray:
    """Pictures of four squares of one colour each, which a JPEG file keeps almost as they are."""
    return pixels[:, :, ::16, ::16].repeat(16, axis=2).repeat(16, axis=3)


@pytest.fixture
def pack(make, monkeypatch):
    """A mirror folder that holds a small pack of JPEG files but not the archive, which is given too."""
    made = make("cifar10")
    archive = made.folder / "cifar10" / "cifar-10-python.tar.gz"
    kept = archive.rename(made.folder.parent / archive.name)
    files = []
    for pixels in four_squares(made.pixels):
        out = io.BytesIO()
        Image.fromarray(pixels.transpose(1, 2, 0)).save(out, "JPEG", quality=98, subsampling=0)
        files.append(out.getvalue())
    path = made.folder / "cifar10" / "cifar10_jpeg.npz"
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offset=np.cumsum([0, *map(len, files)]),
        label=made.labels.astype(np.uint8),
    )
    official = datasets._STAND_INS["cifar10"]
    checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    stand_in = replace(
        official,
        published=(50, 10),
        files=(replace(official.files[0], checksum=checksum),),
        split=made.origin().split,
    )
    monkeypatch.setitem(datasets._STAND_INS, "cifar10", stand_in)
    return made, kept


def test_jpeg_pack(pack):
    made, _ = pack
    data = load_images("cifar10", str(made.folder))
    for images, part in zip(three(data), made.parts(50), strict=True):
        assert images.name == "CIFAR-10 (JPEG)"
        np.testing.assert_array_equal(images.labels.numpy(), made.labels[part])
        expected = four_squares(made.pixels[part]).astype(int)
        np.testing.assert_allclose(images.pixels.numpy().astype(int), expected, atol=4)


def test_jpeg_pack_of_the_mirror_variable(pack, monkeypatch):
    made, _ = pack
    monkeypatch.setenv(download.MIRROR_VARIABLE, str(made.folder))
    assert load_images("cifar10").train.name == "CIFAR-10 (JPEG)"
    assert images_cached("cifar10")


def test_the_archive_is_taken_before_the_pack(pack):
    made, archive = pack
    mirror = str(made.folder)
    assert load_images("cifar10", mirror).train.name == "CIFAR-10 (JPEG)"
    assert images_cached("cifar10", mirror)
    assert not images_cached("cifar10")  # what was made from the pack does not stand for CIFAR-10
    with pytest.raises(UserError, match=r"cannot get cifar-10-python\.tar\.gz"):
        load_images("cifar10")
    in_cache = download.cached_path(made.origin().files[0])
    in_cache.write_bytes(archive.read_bytes())
    assert load_images("cifar10", mirror).train.name == "CIFAR-10"
    in_cache.unlink()
    assert load_images("cifar10", mirror).train.name == "CIFAR-10"  # the kept pictures
    made.origin().kept().unlink()
    assert load_images("cifar10", mirror).train.name == "CIFAR-10 (JPEG)"
    archive.rename(made.folder / archive.name)
    assert load_images("cifar10", mirror).train.name == "CIFAR-10"


def test_another_pack_is_refused(pack):
    made, _ = pack
    path = made.folder / "cifar10" / "cifar10_jpeg.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match=r"cifar10_jpeg.npz is not the published file: expected sha256:\w+, found"):
        load_images("cifar10", str(made.folder))


@pytest.mark.slow
def test_the_real_pack_and_split(shared):
    data = load_images("cifar10", str(shared))
    assert [len(images) for images in three(data)] == [25_000, 25_000, 10_000]
    assert {images.name for images in three(data)} == {"CIFAR-10 (JPEG)"}
    labels = torch.cat([images.labels for images in three(data)])
    assert torch.bincount(labels).tolist() == [6_000] * 10
    assert torch.bincount(data.test.labels).tolist() == [1_000] * 10
    assert data.train.pixels.shape == (25_000, 3, 32, 32)
    with np.load(shared / "cifar10" / "cifar10_jpeg.npz") as pack:
        official = pack["label"]
    for images, start in ((data.train, [0, 5, 7, 11, 13]), (data.valid, [1, 2, 3, 4, 6])):
        assert images.labels[:5].tolist() == official[start].tolist()
    # CIFAR-10's mean and deviation, to within what JPEG and half of the pictures change
    np.testing.assert_allclose(data.train.mean, (0.4914, 0.4822, 0.4465), atol=2e-3)
    np.testing.assert_allclose(data.train.std, (0.2470, 0.2435, 0.2616), atol=4e-3)
    assert not images_cached("cifar10")
    assert images_cached("cifar10", str(shared))


@pytest.mark.parametrize(
    ("name", "n_train", "n_test"),
    [("cifar10", 50_000, 10_000), ("cifar100", 50_000, 10_000), ("imagenet16-120", 151_700, 6_000)],
)
def test_official_splits_are_halves(shared, name, n_train, n_test):
    origin = datasets._ORIGINS[name]
    path = download.fetch(origin.split, mirror=str(shared))
    where = {key: np.array(numbers).astype(int) for key, (_, numbers) in json.loads(path.read_text()).items()}
    parts = origin.divide(where, n_train, n_test)
    assert origin.published == (n_train, n_test)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n_train + n_test))
    assert len(parts[1]) == len(parts[2]) or len(parts[0]) == len(parts[1])


def test_digits():
    from sklearn.datasets import load_digits

    data = load_images("digits")
    assert [len(images) for images in three(data)] == [600, 300, 897]
    assert data.train.pixels.shape == (600, 1, 8, 8)
    digits = load_digits()
    rows = np.round(digits.images * (255 / 16)).astype(int).reshape(1797, -1)
    expected = sorted(zip(map(tuple, rows.tolist()), digits.target.tolist(), strict=True))
    found = [
        (tuple(pixels), label)
        for images in three(data)
        for pixels, label in zip(images.pixels.flatten(1).tolist(), images.labels.tolist(), strict=True)
    ]
    assert sorted(found) == expected  # each picture once, with its own label
    assert found != expected
    assert data.train.pixels.max() == 255
    order = np.random.default_rng(0).permutation(1797)
    np.testing.assert_array_equal(data.valid.labels.numpy(), digits.target[order[600:900]])
    assert_same(load_images("digits"), data)
    assert images_cached("digits")
    assert {images.name for images in three(data)} == {"digits"}


def test_digits_are_the_same_without_the_file(monkeypatch):
    """scikit-learn may keep it elsewhere one day."""
    read = datasets._scikit_learns_digits()
    monkeypatch.setattr(datasets, "find_spec", lambda _name: None)
    for one, other in zip(read, datasets._scikit_learns_digits(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_unknown_name():
    for function in (load_images, images_cached):
        with pytest.raises(
            UserError, match=r"unknown data set 'cifra10'; did you mean 'cifar10'\? available: cifar10, c"
        ):
            function("cifra10")


def test_every_data_set_has_an_origin():
    assert set(IMAGE_DATASETS) == {*datasets._ORIGINS, "digits"}
    assert all("\n" not in text for text in IMAGE_DATASETS.values())
    for origin in datasets._ORIGINS.values():
        for file in (*origin.files, origin.split):
            algorithm, digest = file.checksum.split(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]


def test_no_heavy_import():
    code = "import sys, mngnas.data.datasets; print(*{'PIL', 'sklearn', 'requests', 'pooch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


UNPACKED = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


@pytest.fixture
def unpacked(make, monkeypatch):
    """Small CIFAR files as their archive unpacks them, in a mirror folder that has no archive."""

    def build(name: str) -> Made:
        made = make(name)
        origin = made.origin()
        archive = made.folder / origin.files[0].group / origin.files[0].name
        with tarfile.open(archive) as tar:
            tar.extractall(archive.parent, filter="data")
        archive.unlink()
        known = {
            member: hashlib.md5((archive.parent / member).read_bytes()).hexdigest()
            for member in datasets._ORIGINS[name].unpacked
        }
        monkeypatch.setitem(datasets._ORIGINS, name, replace(origin, unpacked=known))
        return made

    return build


@pytest.mark.parametrize("place", ["in its group", "in the mirror", "given itself"])
@pytest.mark.parametrize("name", list(UNPACKED))
def test_files_that_are_unpacked_already_are_taken(unpacked, name, place):
    made = unpacked(name)
    folder, mirror = made.folder / name / UNPACKED[name], made.folder
    if place != "in its group":
        folder = folder.rename(made.folder / UNPACKED[name])
    if place == "given itself":
        split = made.origin().split
        (made.folder / split.group / split.name).rename(folder / split.name)
        mirror = folder
    data = load_images(name, str(mirror))
    assert data.train.name == TITLES[name]
    for part, rows in zip(three(data), made.parts(50), strict=True):
        np.testing.assert_array_equal(part.pixels.numpy(), made.pixels[rows])
        np.testing.assert_array_equal(part.labels.numpy(), made.labels[rows])
    assert made.loads == []  # no archive was read
    assert images_cached(name)


@pytest.mark.parametrize("name", list(UNPACKED))
def test_an_unpacked_folder_of_other_content_is_refused(unpacked, name):
    made = unpacked(name)
    folder = made.folder / name / UNPACKED[name]
    last = folder / Path(list(made.origin().unpacked)[-1]).name
    last.write_bytes(last.read_bytes().replace(b"a", b"b", 1) + b"x")
    with pytest.raises(UserError, match=rf"{last.name} is not the published file: expected md5:\w+, found md5:"):
        load_images(name, str(made.folder))
    last.unlink()
    with pytest.raises(UserError, match=rf"there is no {last.name} in .*: it does not hold the published files"):
        load_images(name, str(made.folder))


def test_pictures_of_jpeg_under_the_official_names_are_refused(tmp_path):
    """The official checksums: what is unpacked from anything else is none of it."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for member in datasets._ORIGINS["cifar10"].unpacked:
        (folder / Path(member).name).write_bytes(pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [0]}))
    with pytest.raises(UserError, match=r"data_batch_1 is not the published file: expected md5:c99cafc152244af753f735"):
        load_images("cifar10", str(tmp_path))
