"""Reading published pickles without running what is in them.

A pickle is a program: the ordinary reader calls whatever function the file names. This one admits containers, numbers,
strings and numpy arrays, and, as inert shells, the four pandas classes of one published file; anything else is refused
by name before it is called.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mngnas.errors import UserError


class _Shell:
    """Stands for a pandas object: keeps its state and does nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _array(_subtype: type, _shape: tuple[int, ...], _code: bytes) -> np.ndarray:
    return np.empty(0)  # numpy's pickles fill the array in afterwards


def _array_of_buffer(buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: np.dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype)[0]


def _dtype(name: str, *_flags: object) -> np.dtype:
    return np.dtype(name)


def _index(_kind: type, state: dict) -> object:
    """A pandas Index: its labels, or the end of a RangeIndex."""
    return state["data"] if "data" in state else range(state["start"], state["stop"], state["step"])


_PLAIN: Mapping[tuple[str, str], object] = {
    ("builtins", "frozenset"): frozenset,
    ("builtins", "set"): set,
    ("builtins", "slice"): slice,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
}
_NUMPY_FUNCTIONS = {
    ("multiarray", "_reconstruct"): _array,
    ("multiarray", "scalar"): _scalar,
    ("numeric", "_frombuffer"): _array_of_buffer,
}
_PANDAS: Mapping[tuple[str, str], object] = {
    ("pandas.core.frame", "DataFrame"): _Shell,
    ("pandas.core.internals.managers", "BlockManager"): _Shell,
    ("pandas.core.indexes.base", "_new_Index"): _index,
    ("pandas.core.indexes.base", "Index"): _Shell,
    ("pandas.core.indexes.range", "RangeIndex"): _Shell,
}
_ADMITTED = {
    **_PLAIN,
    **_PANDAS,
    **{
        (f"numpy.{core}.{module}", name): f
        for (module, name), f in _NUMPY_FUNCTIONS.items()
        for core in ("core", "_core")
    },
}


class _Reader(pickle.Unpickler):
    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ADMITTED:
            return _ADMITTED[module, name]
        raise UserError(f"{self._path} asks to load {module}.{name}, which a table of numbers has no use for: refused")


def read_pickle(path: Path) -> Any:
    """Read plain containers, numbers, strings and numpy arrays.

    Raises `UserError` if the file names anything else, or is no pickle.
    """
    with path.open("rb") as file:
        try:
            return _Reader(file, path).load()
        except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise UserError(f"{path} is not a readable pickle ({type(error).__name__}: {error})") from error


def read_frame(path: Path) -> dict[str, np.ndarray]:
    """Read the columns of a pickled pandas data frame without pandas (block-manager layout of pandas 0.14.1 to 1.2)."""
    frame = read_pickle(path)
    try:
        layout = frame.state["_data"].state[3]["0.14.1"]
        labels = list(layout["axes"][0])
        columns = {}
        for block in layout["blocks"]:
            for label, values in zip(labels[block["mgr_locs"]], block["values"], strict=True):
                columns[str(label)] = values
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a pickled pandas data frame of the expected layout") from error
    return columns
