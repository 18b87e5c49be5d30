"""Reading published pickles without running what is in them.

A pickle is a program: the ordinary reader calls whatever function the file names. This one admits containers, numbers,
strings and numpy arrays, and what its caller adds; anything else is refused by name before it is called.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from mngnas.errors import UserError


def _array(_subtype: type, _shape: tuple[int, ...], _code: bytes) -> np.ndarray:
    return np.empty(0)  # numpy's pickles fill the array in afterwards


def _array_of_buffer(buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: np.dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype)[0]


def _dtype(name: str, *_flags: object) -> np.dtype:
    return np.dtype(name)


Admitted = Mapping[tuple[str, str], object]  # (module, name) in the file -> what stands for it

_PLAIN: Admitted = {
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
_ADMITTED: Admitted = {
    **_PLAIN,
    **{
        (f"numpy.{core}.{module}", name): f
        for (module, name), f in _NUMPY_FUNCTIONS.items()
        for core in ("core", "_core")
    },
}
_NOTHING: Admitted = MappingProxyType({})


class _Reader(pickle.Unpickler):
    def __init__(self, file: IO[bytes], name: str, encoding: str, extra: Admitted) -> None:
        super().__init__(file, encoding=encoding)
        self._name = name
        self._extra = extra

    def find_class(self, module: str, name: str) -> Any:
        for admitted in (_ADMITTED, self._extra):
            if (module, name) in admitted:
                return admitted[module, name]
        raise UserError(f"{self._name} asks to load {module}.{name}, which plain data has no use for: refused")


def read_pickle(
    source: Path | IO[bytes], *, name: str = "", encoding: str = "ASCII", extra: Admitted = _NOTHING
) -> Any:
    """Read plain containers, numbers, strings and numpy arrays from a file that is given by its path or open.

    `name` stands for the file in messages; `encoding` is that of byte strings which Python 2 wrote ("latin1" where they
    hold arrays); `extra` admits further names. Raises `UserError` if the file names anything else, or is no pickle.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return read_pickle(file, name=name or str(source), encoding=encoding, extra=extra)
    name = name or str(getattr(source, "name", "the file"))
    try:
        return _Reader(source, name, encoding, extra).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise UserError(f"{name} is not a readable pickle ({type(error).__name__}: {error})") from error
