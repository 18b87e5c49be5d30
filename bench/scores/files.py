"""From a file's bytes to its content, whatever the file is called: text in any Unicode encoding, arrays, plain pickles.

What a file is, its first bytes say. Any of them may be compressed with gzip. Pickles are read by the reader that runs
nothing (`mngnas.data.plain_pickle`).
"""

import gzip
import io
import json
import pickle
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.scores.forms import Pairs
from bench.scores.text import short
from mngnas.data.npz import read_npy
from mngnas.data.plain_pickle import read_pickle
from mngnas.errors import UserError

LARGEST = 1 << 30  # bytes, unpacked

_MARKS = (  # the longer ones first
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7z", b"\x28\xb5\x2f\xfd": "zstd", b"\x89HDF": "HDF5"}


@dataclass(frozen=True)
class Tree:
    """Nested lists, `Pairs`, numbers and strings, as JSON has them."""

    value: Any
    unit: str = "entry"  # what a row of it is called


@dataclass(frozen=True)
class Text:
    """Text that is no JSON: lines of cells."""

    data: bytes
    encoding: str


def read_content(path: Path) -> Tree | Text:
    """Read a file; raises `UserError` in one line for what cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"cannot read it: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise UserError(f"cannot read it: {error}") from error
    data = _unpacked(data)
    if not data:
        raise UserError("it is empty")
    for start, name in _OTHERS.items():
        if data.startswith(start):
            raise UserError(f"it is a {name} file: unpack it first")
    if data.startswith(b"\x93NUMPY"):
        return Tree(_array(data))
    if data.startswith(b"PK\x03\x04"):
        return Tree(_zip(data))
    if data.startswith(b"\x80") and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return Tree(_tree(_pickle(data)))
    return _text(data, path.suffix.lower() == ".json")


def _unpacked(data: bytes) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(LARGEST + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"it is a damaged gzip file ({error})") from error
    if len(data) > LARGEST:
        raise UserError(f"it holds more than {LARGEST >> 20} MiB")
    return data


# ---------------------------------------------------------------------------------------------------------------- text


def _text(data: bytes, must_be_json: bool) -> Tree | Text:
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
        raise UserError(f"it is not {name} text (byte {error.start})") from error
    if "\0" in text:
        raise UserError("it holds NUL characters: it is neither text nor an array nor a pickle")
    start = text.lstrip()[:1]
    if not start:
        raise UserError("it is empty")
    if start not in ("{", "[") and not must_be_json:
        return Text(data, encoding)
    try:
        return Tree(_json(text))
    except json.JSONDecodeError as error:
        lines = text.splitlines()
        if start == "{" and error.msg == "Extra data" and lines[0].strip().endswith("}"):
            return _json_lines(lines)
        if start == "[" and error.msg == "Extra data" and lines[0].strip().endswith("]"):
            return _json_lines(lines)
        if start == "[" and not must_be_json and len(lines[0].strip()) > 1:  # a table whose first cell is a list
            return Text(data, encoding)
        raise UserError(f"malformed JSON at line {error.lineno} column {error.colno}: {error.msg}") from error


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    start = data[:200]
    if len(start) > 3 and not len(data) % 2:  # UTF-16 without a mark: every other byte of plain text is zero
        if not any(start[1::2]) and all(start[::2]):
            return "utf-16-le"
        if not any(start[::2]) and all(start[1::2]):
            return "utf-16-be"
    return "utf-8"


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=Pairs)
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # a whole number of thousands of digits
        raise UserError(f"malformed JSON: {str(error).partition(';')[0]}") from error
    except RecursionError as error:
        raise UserError("malformed JSON: nested too deeply") from error


def _json_lines(lines: list[str]) -> Tree:
    records = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                records.append(_json(line))
            except json.JSONDecodeError as error:
                raise UserError(f"malformed JSON at line {number} column {error.colno}: {error.msg}") from error
    return Tree(records, "record")


# --------------------------------------------------------------------------------------------------- arrays and pickles


def _array(data: bytes) -> Any:
    try:
        return read_npy(data, "it").tolist()
    except (ValueError, OverflowError, MemoryError) as error:
        if "more than numbers" not in str(error):
            raise UserError(f"it is a damaged .npy file ({short(str(error))})") from error
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    (np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0)(file)
    return _tree(read_pickle(file, name="its content"))


def _zip(data: bytes) -> Any:
    """An .npz file, or what `torch.save` wrote if that is plain."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = {info.filename: info.file_size for info in file.infolist()}
            if sum(members.values()) > LARGEST:
                raise UserError(f"it holds more than {LARGEST >> 20} MiB")
            pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
            arrays = [name for name in members if name.endswith(".npy")]
            if len(pickles) == 1:
                return _tree(_pickle(file.read(pickles[0])))
            if arrays and len(arrays) == len(members):
                found = [(name.removesuffix(".npy"), _array(file.read(name))) for name in arrays]
                return found[0][1] if len(found) == 1 else Pairs(found)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise UserError(f"it is a damaged .npz or .pt file ({short(str(error))})") from error
    raise UserError(f"it is a zip file of {short(list(members)[:3])}, neither .npz nor .pt: unpack it first")


def _pickle(data: bytes) -> Any:
    try:
        return read_pickle(io.BytesIO(data), name="it")
    except (pickle.PickleError, OverflowError, MemoryError, RecursionError, ImportError, UnicodeError) as error:
        raise UserError(f"it is a damaged pickle ({type(error).__name__})") from error


def _tree(value: Any, depth: int = 0) -> Any:
    """Plain containers, numbers and strings for what a pickle holds."""
    if depth > 20:
        raise UserError("it is nested too deeply")
    if isinstance(value, np.ndarray | np.generic):
        return _tree(value.tolist(), depth + 1) if value.dtype != object or value.size else []
    if isinstance(value, dict):
        return Pairs((_key(key), _tree(part, depth + 1)) for key, part in value.items())
    if isinstance(value, list | tuple):
        if all(type(part) in (int, float, str) for part in value):
            return value
        return type(value)(_tree(part, depth + 1) for part in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UserError(f"it holds a {type(value).__name__}, which is no score")


def _key(key: Any) -> Any:
    """A dict's key: tuples stay, since an architecture may be one."""
    return key if isinstance(key, str | int | tuple) else repr(_tree(key))
