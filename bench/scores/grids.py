"""Text of lines and cells as a sheet: which mark separates cells, whether there is a header, rows of another length."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from bench.scores.files import Text
from bench.scores.forms import INDEX, Notation
from bench.scores.naming import edges_of
from bench.scores.numbers import MISSING
from bench.scores.sheet import Sheet
from bench.scores.text import short
from mngnas.errors import UserError
from mngnas.spaces.topology import EDGES

_DELIMITERS = ("\t", ";", ",", " ")  # commas and spaces stand inside cells too, so they come last
_SAMPLE = 200  # rows that decide which mark it is
_NAME = re.compile(r"[^|~\[\](){}'\"]*[^\W\d][^|~{}'\"]*")


Row = tuple[int, list[str]]  # line number, cells


def grid_sheet(text: Text, notation: Notation) -> Sheet:
    """The sheet of a table; raises `UserError` for malformed quotes and for rows that have no common length."""
    try:
        rows = _rows(text)
    except csv.Error as error:
        raise UserError(f"malformed CSV: {error}") from error
    return rows_sheet([cells for _, cells in rows], [line for line, _ in rows], "line", notation)


def rows_sheet(table: list[list[Any]], lines: list[int], unit: str, notation: Notation) -> Sheet:
    """The sheet of rows of cells, the first of which may be the header."""
    if not table:
        raise UserError("holds no scores")
    header = _header(table, notation)
    if header is not None:
        table, lines = table[1:], lines[1:]
        if not table:
            raise UserError("holds a header and no scores")
    width, shifted = _width(header, table)
    if header is not None:
        header = ["", *header] if shifted else header + [""] * (width - len(header))
        if repeated := [name for name in header if name and header.count(name) > 1]:
            raise UserError(f"column {short(repeated[0])} appears twice")
    good, places, faults = [], [], []
    for line, cells in zip(lines, table, strict=True):
        if len(cells) > width and not any(_written(cell) for cell in cells[width:]):
            cells = cells[:width]  # marks behind the last cell
        if len(cells) == width:
            good.append(cells)
            places.append(line)
        else:
            faults.append((f"{unit} {line}", f"has {len(cells)} cells, not {width}"))
    if not good:
        raise UserError(f"{faults[0][0]} {faults[0][1]}")
    columns = tuple(list(column) for column in zip(*good, strict=True))
    names = tuple(header) if header is not None else (None,) * width
    notes: tuple[str, ...] = (
        ("the header has one name less than the rows have cells: the first column has no name",) if shifted else ()
    )
    if header is None:
        notes += ("no header",)
    return Sheet(names, columns, unit, places, tuple(faults), notes, unnamed_first=shifted)


def _written(cell: object) -> bool:
    return bool(cell.strip()) if isinstance(cell, str) else cell is not None


def _width(header: list[str] | None, table: list[list[Any]]) -> tuple[int, bool]:
    """How many cells a row has, and whether the header is one short."""
    lengths: dict[int, int] = {}
    for cells in table:
        lengths[len(cells)] = lengths.get(len(cells), 0) + 1
    common = max(lengths, key=lambda n: (lengths[n], -n))
    if header is None or common == len(header):
        return common, False
    last_is_empty = common == len(header) + 1 and not any(_written(c[-1]) for c in table if len(c) == common)
    if last_is_empty or (common == len(header) - 1 and not header[-1]):  # a mark behind the last cell
        return min(common, len(header)), False
    if common == len(header) + 1 and len(lengths) == 1:
        return common, True
    raise UserError(
        f"its rows have {common} cells and its header has {len(header)}: quote cells with commas, also decimal commas"
    )


def _header(table: list[list[Any]], notation: Notation) -> list[str] | None:
    """The names in the first row, None if that row is already an architecture and its score."""
    first = table[0]
    if not all(isinstance(cell, str) for cell in first):
        return None
    names = [cell.strip() for cell in first]
    forms = [notation.form(name) for name in names]
    if any(form not in (None, INDEX) for form in forms):
        return None
    wordy = [
        bool(_NAME.fullmatch(name)) and name.lower().lstrip("+-") not in (*MISSING, "inf", "infinity") for name in names
    ]
    for at in range(len(names) - len(EDGES) + 1):
        if edges_of(tuple(names[at : at + len(EDGES)])) is not None:  # 0_1, 0_2, ... are names of columns
            wordy[at : at + len(EDGES)] = [True] * len(EDGES)
    numeric = [not word and bool(name) for word, name in zip(wordy, names, strict=True)]
    if not any(wordy) or any(n and form != INDEX for n, form in zip(numeric, forms, strict=True)):
        return None
    if any(numeric) and len(table) > 1:  # numbers may be names of seeds, but not where the words stand among words
        column = wordy.index(True)
        if not any(notation.form(cells[column]) for cells in table[1:_SAMPLE] if len(cells) > column):
            return None
    return names


def _rows(text: Text) -> list[Row]:
    """The rows that are not empty, cut by the mark that gives them a common length."""
    start = text.data[: 1 << 16].decode(text.encoding, errors="ignore").lstrip("\ufeff")
    first = start.split("\n", 1)[0].strip()
    if declared := re.fullmatch(r"sep=(.)", first):  # as a spreadsheet writes it
        return list(_cut(text, declared[1], skip=1))
    chosen = next((mark for mark in _DELIMITERS if _is_common(text, mark)), ",")
    return list(_cut(text, chosen))


def _is_common(text: Text, mark: str) -> bool:
    """Whether nearly all of the first rows have the same number of cells, at least two, and the header with them."""
    lengths = []
    try:
        for _, cells in _cut(text, mark):
            lengths.append(len(cells))
            if len(lengths) == _SAMPLE:
                break
    except csv.Error:
        return False
    common = max(set(lengths), key=lengths.count) if lengths else 0
    same = lengths.count(common) >= 0.9 * max(len(lengths) - 1, 1)
    return common >= 2 and same and (lengths[0] in (common, common - 1)) and (lengths[0] > 1 or mark == ",")


def _cut(text: Text, mark: str, skip: int = 0) -> Iterator[Row]:
    lines = io.TextIOWrapper(io.BytesIO(text.data), encoding=text.encoding, newline="")
    for _ in range(skip):
        lines.readline()
    reader: Any = csv.reader(lines, delimiter=mark, strict=True, skipinitialspace=mark == " ")
    cut: Callable[[list[str]], list[str]] = list
    if mark == " ":
        cut = lambda cells: [cell for cell in cells if cell]  # noqa: E731
    began = False
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not began and cells[0].startswith("#"):  # comments at the top; numpy writes the header as one
                cells = [cells[0].lstrip("# "), *cells[1:]]
                if len(cells) < 2 and mark != " ":
                    continue
            began = True
            yield reader.line_num + skip, cut(cells)
    except csv.Error as error:
        raise csv.Error(f"line {reader.line_num + skip}: {error}") from error
