"""Reading published pickles without running what is in them.

A pickle is a program: the ordinary reader calls whatever function the file names. This one admits containers, numbers,
strings and numpy arrays, and what its caller adds; anything else is refused by name before it is called.
"""

import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from mngnas.errors import UserError

_TYPE = re.compile(r"[biufcSUO]\d{0,9}")


class _Type:
    """Stands for a dtype while a pickle is read; a real one could be changed by the pickle, for the whole process."""

    def __init__(self, name: object, *_flags: object) -> None:
        if isinstance(name, bytes):
            name = name.decode("ascii")
        if not isinstance(name, str) or not _TYPE.fullmatch(name):
            raise pickle.UnpicklingError(f"{str(name)[:40]!r} is no type of plain numbers or text")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """(version, order of bytes, and what a type with fields has besides)."""
        _version, order, *parts = state
        if any(part is not None for part in parts[:3]) or any(parts[6:]):
            raise pickle.UnpicklingError("a type with fields is no plain numbers or text")
        order = order.decode("ascii") if isinstance(order, bytes) else order
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder("<" if order == "<" else ">")


class _Array(np.ndarray):
    """An array while a pickle is read: believes nothing about its size."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """(version, shape, type, whether columns come first, content)."""
        _version, shape, kind, by_columns, content = state
        if not isinstance(kind, _Type):
            raise pickle.UnpicklingError("an array has no type")
        n = math.prod(shape)
        if isinstance(content, str):  # bytes that Python 2 wrote
            content = content.encode("latin1")
        size = len(content) if isinstance(content, list) else len(content) // max(1, kind.dtype.itemsize)
        if kind.dtype.hasobject != isinstance(content, list) or size != n or min(shape, default=0) < 0:
            raise pickle.UnpicklingError(f"an array of the shape {str(shape)[:60]} is not what the file holds")
        super().__setstate__((1, tuple(shape), kind.dtype, bool(by_columns), content))  # type: ignore[arg-type]


def _array(_subtype: object, _shape: tuple[int, ...], _code: bytes) -> np.ndarray:
    return np.empty(0).view(_Array)  # numpy's pickles fill the array in afterwards


def _array_of_buffer(buffer: bytes, kind: _Type, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(buffer, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(kind: _Type, data: bytes) -> Any:
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, kind.dtype)[0]


def _no_array(*_arguments: object) -> None:
    raise pickle.UnpicklingError("an array comes with its content")  # or it would be as large as the file likes


def _finished(value: Any) -> Any:
    """What stood for types and arrays becomes what it stood for, inside containers too."""
    found: dict[int, tuple[Any, Any]] = {}  # by identity: a container, kept alive, and what it became

    def finish(one: Any) -> Any:
        if isinstance(one, _Type):
            return one.dtype
        if isinstance(one, _Array):
            if one.dtype.hasobject and one.flags.writeable:
                for place in np.ndindex(one.shape):
                    one[place] = finish(one[place])
            return one.view(np.ndarray)
        if isinstance(one, dict | list | tuple) and id(one) not in found:
            found[id(one)] = one, one  # a container may hold itself
            if isinstance(one, dict):
                for key in one:
                    one[key] = finish(one[key])
            elif isinstance(one, list):
                one[:] = [finish(part) for part in one]
            else:
                found[id(one)] = one, tuple(finish(part) for part in one)
        elif hasattr(one, "state") and not isinstance(one, np.ndarray):
            one.state = finish(one.state)
        return found[id(one)][1] if id(one) in found else one

    return finish(value)


Admitted = Mapping[tuple[str, str], object]  # (module, name) in the file -> what stands for it

_PLAIN: Admitted = {
    ("builtins", "frozenset"): frozenset,
    ("builtins", "set"): set,
    ("builtins", "slice"): slice,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "ndarray"): _no_array,
    ("numpy", "dtype"): _Type,
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
        return _finished(_Reader(source, name, encoding, extra).load())
    except (UserError, OSError):
        raise
    except Exception as error:  # a damaged pickle raises whatever the objects that it names raise
        raise UserError(f"{name} is not a readable pickle ({type(error).__name__}: {error})") from error
