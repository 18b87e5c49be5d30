"""Tables and pickles that were damaged or made up: refused in one line, or the same numbers."""

import io
import pickle
import random
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from bench.cli.terminal import line
from bench.files import npz_bytes
from bench.truth import Measure, Table
from bench.truth.sources.pandas_frame import read_frame
from mngnas.data.npz import read_npz
from mngnas.data.plain_pickle import read_pickle
from mngnas.errors import UserError
from tests.fuzz.damage import ROUNDS, assert_one_line, damaged

N_ARCH = 15_625


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A small table, its file, and what is in it."""
    values = np.random.default_rng(0).uniform(0.1, 0.9, (N_ARCH, 1)).astype(np.float32)
    made = Table("t", "nas-bench-201", {Measure("d", "test", 3): values}, seeds={Measure("d", "test", 3): (5,)})
    path = tmp_path_factory.mktemp("tables") / "table.npz"
    made.save(path)
    return made, path.read_bytes()


def same(one: Table, other: Table) -> bool:
    return one.checksum == other.checksum and dict(one.seeds) == dict(other.seeds)


def test_damaged_tables(table, tmp_path):
    made, content = table
    draw, path, refused = random.Random(1), tmp_path / "table.npz", 0
    for _ in range(200 * ROUNDS):
        path.write_bytes(damaged(content, draw))
        try:
            assert same(Table.load(path), made)
        except UserError as error:
            assert_one_line(line(error))
            refused += 1
    assert refused > 150 * ROUNDS


def test_damaged_tables_of_few_bytes(tmp_path):
    """The same where damage hits names, headers and lengths more often than numbers."""
    draw, path = random.Random(2), tmp_path / "small.npz"
    arrays = {"a": np.arange(3.0), "text": np.array("hello"), "b": np.zeros((2, 0), np.int8)}
    for _ in range(1000 * ROUNDS):
        path.write_bytes(damaged(npz_bytes(arrays, compressed=draw.random() < 0.5), draw))
        try:
            found = read_npz(path)
        except ValueError:
            continue
        assert set(found) == set(arrays)
        for name, values in arrays.items():
            np.testing.assert_array_equal(found[name], values)


def npz_of(header: bytes, content: bytes = b"", **options) -> bytes:
    out = io.BytesIO()
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content
    with zipfile.ZipFile(out, "w", **options) as archive:
        archive.writestr("a.npy", npy)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        npz_of(b"{'descr': '<f8', 'fortran_order': False, 'shape': (150000000000,), }\n"),  # claims 1.2 TB
        npz_of(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", pickle.dumps([1])),
        npz_of(b"{'descr': [('x', '|O')], 'fortran_order': False, 'shape': (1,), }\n", b"12345678"),
        npz_of(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n", b"12345678"),
        npz_of(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1.0,), }\n", b"12345678"),
        npz_of(b"[" * 5000 + b"\n"),
        npz_of(b"__import__('os').getcwd()\n"),
        npz_of(b"{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }\n", compression=zipfile.ZIP_BZIP2),
    ],
)
def test_what_claims_more_than_it_holds_is_refused_before_it_is_made(content, tmp_path):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"claims|header|type|packed"):
        read_npz(tmp_path / "a.npz")
    with pytest.raises(UserError, match=r"is not a table file"):
        Table.load(tmp_path / "a.npz")


def test_a_bomb_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(30_000_000))
    with pytest.raises(ValueError, match=r"its arrays have 30,000,000 bytes, more than 1,000,000"):
        read_npz(tmp_path / "a.npz", 1_000_000)


def extract() -> object:
    """What the published extracts are made of."""
    rows = {(0, 1, 2, 3, 4, i % 5): [float(i), 91.5] for i in range(30)}
    return OrderedDict(rows=rows, loss=np.arange(6.0).reshape(2, 3), names=np.array(["a", "b"], object), n=np.int64(3))


def equal(one: object, other: object) -> bool:
    """Equal in all numbers, whatever they are in."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and one.shape == other.shape and equal(one.tolist(), other.tolist())
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other or (one != one and other != other)


def test_damaged_pickles_never_do_more_than_hold_values(tmp_path):
    """A pickle has no checksum of its own; a file that is fetched has one. What is read of any are plain values."""
    draw, path = random.Random(3), tmp_path / "p"
    for number in range(300 * ROUNDS):
        path.write_bytes(damaged(pickle.dumps(extract(), draw.randrange(6)), draw))
        try:
            (read_frame if number % 3 == 0 else read_pickle)(path)
        except UserError as error:
            assert_one_line(line(error))
        assert np.dtype("f8").str == np.zeros(1).dtype.str == "<f8"  # nothing has changed numpy's own types


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_whole_pickles_are_what_they_were(tmp_path, protocol):
    value = extract()
    if protocol == 2:
        value = {"rows": value["rows"]}
    (tmp_path / "p").write_bytes(pickle.dumps(value, protocol))
    found = read_pickle(tmp_path / "p")
    assert equal(found, value)


class As:
    """Pickles as anything."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


RECONSTRUCT = np.zeros(1).__reduce__()[0]


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(2, [("x", object), ("y", "f8")]),
        np.zeros(2, [("x", "f8")]),
        As(np.dtype, ("V16", False, True), (3, "|", None, ("x",), {"x": (np.dtype("O"), 0)}, 16, 1, 0)),
        As(np.dtype, ("i4,O", False, True)),
        As(np.ndarray, ((10**12,), np.dtype("f8"))),
        As(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (10**12,), np.dtype("f8"), False, b"12345678")),
        As(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (1,), np.dtype("O"), False, b"12345678")),
        As(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (1 << 62, 4), np.dtype("O"), False, [])),
        As(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (-1,), np.dtype("f8"), False, b"12345678")),
    ],
)
def test_hidden_objects_and_huge_shapes_are_refused(tmp_path, value):
    (tmp_path / "p").write_bytes(pickle.dumps(value))
    with pytest.raises(UserError, match=r"is not a readable pickle") as raised:
        read_pickle(tmp_path / "p")
    assert_one_line(line(raised.value))


def test_a_pickle_changes_no_type_of_this_process(tmp_path):
    """numpy's dtype of a name is one object for all; its state is the pickle's to set."""
    dtype = b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R"
    evil = b"\x80\x02" + dtype + b"(K\x03X\x01\x00\x00\x00>NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb."
    (tmp_path / "p").write_bytes(evil)
    assert read_pickle(tmp_path / "p") == np.dtype(">f8")
    assert np.dtype("f8").str == "<f8"
