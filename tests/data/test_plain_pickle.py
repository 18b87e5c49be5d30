import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from mngnas.data.plain_pickle import read_pickle
from mngnas.errors import UserError


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values(tmp_path, protocol):
    value = {"a": [1, 2.5, None, True, b"x"], (1, 2): {3}, "o": OrderedDict(b=1)}
    if protocol < 3:
        value["a"].pop()  # bytes need a function there
        value.pop((1, 2))
    (tmp_path / "p").write_bytes(pickle.dumps(value, protocol))
    assert read_pickle(tmp_path / "p") == value


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.array(["a", None], dtype=object), np.arange(4)[::2], np.array(["ab"])]
)
def test_arrays(tmp_path, array, protocol):
    value = {
        "array": array,
        "transposed": np.arange(6).reshape(2, 3).T,
        "scalar": np.float32(0.5),
        "type": np.dtype("f8"),
    }
    (tmp_path / "p").write_bytes(pickle.dumps(value, protocol))
    found = read_pickle(tmp_path / "p")
    np.testing.assert_array_equal(found["array"], array)
    np.testing.assert_array_equal(found["transposed"], value["transposed"])
    assert found["scalar"] == np.float32(0.5)
    assert found["type"] == np.float64


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    "call",
    [
        lambda mark: Calls(Path.touch, mark),
        lambda mark: Calls(eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: Calls(exec, f"open({str(mark)!r}, 'w')"),
        lambda mark: Calls(getattr, mark, "touch"),
        lambda mark: {"nested": [Calls(__import__("os").system, f"touch {mark}")]},
        lambda mark: Calls(np.save, str(mark), np.zeros(1)),
        lambda mark: np.array([Calls(open, str(mark), "w")], dtype=object),
    ],
)
def test_code_in_a_pickle_does_not_run(tmp_path, call, protocol):
    mark = tmp_path / "it ran"
    (tmp_path / "p").write_bytes(pickle.dumps(call(mark), protocol))
    with pytest.raises(UserError, match=r"asks to load [\w.]+, which plain data has no use for: refused"):
        read_pickle(tmp_path / "p")
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps([1] * 99)[:-9], b"cnumpy\ndtype\n(S'nonsense'\ntR."])
def test_broken_pickles(tmp_path, content):
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(UserError, match="is not a readable pickle"):
        read_pickle(tmp_path / "p")
