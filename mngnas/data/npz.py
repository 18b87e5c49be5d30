"""Reading .npz files that anybody may have made or damaged: nothing in one is believed before it is checked.

numpy's own reader makes room for what a header claims, a terabyte for example, and leaves members that nobody asks for
unchecked. This one compares what the archive claims with what is in it first, reads every member whole, which checks
its CRC, and admits plain numbers and text only.
"""

import ast
import math
import struct
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

MOST_BYTES = 4 << 30  # of all arrays of a file together
_MOST_RATIO = 1100  # deflate shrinks nothing to less than 1/1032
_KINDS = "biufUS"  # of numbers and text


def read_npz(source: Path | IO[bytes], most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """All arrays of an .npz file by name, each in memory of its own.

    Raises `OSError` where the file cannot be read, and `ValueError` in one line for whatever is wrong with it.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return read_npz(file, most_bytes)
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            _check_count(source, len(members))
            _check_sizes(members, most_bytes)
            found = {one.filename.removesuffix(".npy"): read_npy(archive.read(one), one.filename) for one in members}
    except ValueError:
        raise
    except Exception as error:  # zlib's, struct's, zipfile's, of seeking to nowhere: a damaged archive raises many
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if len(found) < len(members):
        raise ValueError("two of its arrays have one name")
    return found


def _check_count(source: IO[bytes], n: int) -> None:
    """Refuse an archive whose last record counts other members than were found: zipfile does not compare them."""
    source.seek(-22, 2)
    end = source.read(22)
    count = struct.unpack("<H", end[10:12])[0]
    if end[:4] != b"PK\x05\x06" or (count != 0xFFFF and count != n):
        raise ValueError("its list of arrays is damaged")


def _check_sizes(members: list[zipfile.ZipInfo], most_bytes: int) -> None:
    """Refuse what claims to hold more than it can, before anything is unpacked."""
    for one in members:
        if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or one.flag_bits & 1:
            raise ValueError(f"{one.filename!r} is packed in a way that numpy does not write")
        if one.file_size > _MOST_RATIO * one.compress_size + 1000:
            raise ValueError(f"{one.filename!r} claims {one.file_size:,} bytes in {one.compress_size:,}")
    total = sum(one.file_size for one in members)
    if total > most_bytes:
        raise ValueError(f"its arrays have {total:,} bytes, more than {most_bytes:,}")


def read_npy(content: bytes, name: str = "the file") -> np.ndarray:
    """The array of an .npy file; its header must describe exactly what follows, or it is a ValueError in one line."""
    if content[:6] != b"\x93NUMPY" or content[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise ValueError(f"{name!r} is no array")
    width, code = (2, "<H") if content[6:7] == b"\x01" else (4, "<I")
    start = 8 + width
    end = start + struct.unpack(code, content[8:start])[0]
    if end - start > 10_000 or end > len(content):
        raise ValueError(f"{name!r} has a broken header")
    try:
        header = ast.literal_eval(content[start:end].decode("latin1").strip())
        dtype, shape = np.dtype(header["descr"]), tuple(header["shape"])
        by_columns = bool(header["fortran_order"])
    except Exception as error:  # the parser of Python raises many kinds
        raise ValueError(f"{name!r} has a broken header") from error
    if dtype.kind not in _KINDS or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"{name!r} is of a type that holds more than numbers or text")
    if math.prod(shape) * dtype.itemsize != len(content) - end:
        raise ValueError(f"{name!r} claims {list(shape)} of {dtype} in {len(content) - end:,} bytes")
    values = np.frombuffer(bytearray(content), dtype, math.prod(shape), end)
    return values.reshape(shape, order="F" if by_columns else "C")
