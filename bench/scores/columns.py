"""Columns that may hold architectures: reading them, and whether several of them agree."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.scores.forms import OF_NUMBERS, SIX_NAMES, Notation, Pairs
from bench.scores.naming import edges_of, operation
from bench.scores.sheet import Sheet
from bench.scores.text import listed, short
from mngnas.errors import UserError
from mngnas.spaces import ArchitectureError
from mngnas.spaces.topology import EDGES, Topology

_SAMPLE = 100
_SUITS = re.compile("arch|net|cell|geno|struct|model|config|str", re.IGNORECASE)  # a name above architectures


@dataclass(frozen=True)
class Architectures:
    """What was found."""

    columns: tuple[int, ...]  # of the sheet
    title: str  # as shown to people
    form: str
    digits: str | None  # the order in which numbers were read; None where operations have names
    index: np.ndarray  # int64 [n], official indices; -1 where a row has no readable one
    shown: list[Any]  # the cells [n]
    problems: dict[int, str] = field(default_factory=dict)  # by row: no architecture at all
    strangers: dict[int, str] = field(default_factory=dict)  # by row: none of the search space
    beside: tuple[int, ...] = ()  # further columns that hold the same architectures


@dataclass(frozen=True)
class Candidate:
    """Columns that may hold the architectures, cell by cell."""

    columns: tuple[int, ...]
    title: str
    cells: list[Any]


def sample(cells: list[Any]) -> list[Any]:
    """Some of the cells, evenly spread and with the first one."""
    return cells[:: max(1, len(cells) // _SAMPLE)]


def common_form(cells: list[Any], notation: Notation) -> str | None:
    """The most common form, if most cells which hold something are architectures."""
    full = [cell for cell in sample(cells) if cell is not None and cell != ""]
    forms = [form for cell in full if (form := notation.form(cell)) is not None]
    return max(set(forms), key=forms.count) if 2 * len(forms) > len(full) else None


def read_column(candidate: Candidate, sheet: Sheet, notation: Notation) -> Architectures:
    """Read every cell of a column; raises `UserError` for one that mixes forms."""
    cells = candidate.cells
    index = np.full(len(cells), -1, dtype=np.int64)
    problems: dict[int, str] = {}
    strangers: dict[int, str] = {}
    first: dict[str, int] = {}
    known: dict[Any, tuple[str | None, int, str]] = {}
    for row, cell in enumerate(cells):
        hashable = isinstance(cell, str | int) and not isinstance(cell, bool)
        found = known.get(cell) if hashable else None
        if found is None:
            found = _one(cell, sheet, row, notation)
            if hashable:
                known[cell] = found
        form, index[row], problem = found
        if form is None:
            problems[row] = problem
            continue
        first.setdefault(form, row)
        if problem:
            strangers[row] = problem
    if len(first) > 1:
        seen = " and ".join(f"{form} ({sheet.place(row)}: {short(cells[row], 40)})" for form, row in first.items())
        raise UserError(f"mixes architectures written as {seen}")
    form = next(iter(first))
    digits = notation.used.name if form in (*OF_NUMBERS, SIX_NAMES) and isinstance(notation.space, Topology) else None
    return Architectures(candidate.columns, candidate.title, form, digits, index, cells, problems, strangers)


def _one(cell: Any, sheet: Sheet, row: int, notation: Notation) -> tuple[str | None, int, str]:
    form = notation.form(cell)
    if form is None:
        return None, -1, f"{short(cell)} is no architecture"
    try:
        return form, notation.index(form, cell), ""
    except ArchitectureError as error:
        return form, -1, str(error)
    except UserError as error:
        raise UserError(f"{sheet.place(row)}: {error}") from error


def check_agreement(best: Architectures, others: list[Architectures], sheet: Sheet) -> None:
    """Raise `UserError` if another column holds other architectures where both can be read."""
    for other in others:
        apart = np.flatnonzero((best.index >= 0) & (other.index >= 0) & (best.index != other.index))
        if len(apart):
            raise UserError(
                f"{best.title} and {other.title} hold different architectures, first at {sheet.place(int(apart[0]))}: "
                "leave one of them out"
            )


def check_shift(sheet: Sheet, found: Architectures) -> Architectures:
    """Refuse a header that is one name short unless it can only be the row numbers that have no name.

    Every row may as well have a cell too many at its end, such as what follows a decimal comma; so the first column
    must be different whole numbers, and the name that comes to stand above the architectures the one that suits them.
    """
    if not sheet.unnamed_first or (len(sheet.names) == 2 and found.columns == (0,)):
        return found
    at = found.columns[0]
    labels = [str(cell).strip() for cell in sheet.columns[0]]
    without_shift = sheet.names[at + 1] if at + 1 < len(sheet.names) else None
    are_labels = all(label.isdecimal() for label in labels) and len(set(labels)) == len(labels)
    if at == 0 or not are_labels or not _SUITS.search(sheet.names[at] or "") or _SUITS.search(without_shift or ""):
        raise UserError(
            "its rows have one cell more than its header has names: quote cells with commas, also decimal commas, and "
            "give every column a name"
        )
    return found


def operation_columns(sheet: Sheet) -> list[Candidate]:
    """Six columns that hold an operation each, as edge dictionaries or as lists in the order of the file."""
    names = [name or "" for name in sheet.names]
    wide = len(EDGES)
    found = []
    for at in range(len(names) - wide + 1):
        columns = tuple(range(at, at + wide))
        group = tuple(names[column] for column in columns)
        cells = [sample(sheet.columns[column]) for column in columns]
        by_name = all(isinstance(c, str) and operation(c) is not None for column in cells for c in column)
        by_number = all(
            isinstance(c, str | int) and str(c).strip() in "01234" and str(c) for column in cells for c in column
        )
        on_edges = edges_of(group) is not None
        numbered = [re.fullmatch(r"(.*?)[_\s.]*([0-9])", name) for name in group]
        counted = all(m and numbered[0] and m[1] == numbered[0][1] for m in numbered) and [
            int(m[2]) - int(numbered[0][2]) for m in numbered if m and numbered[0]
        ] == list(range(wide))
        if not (by_name or (by_number and (on_edges or counted))):
            continue
        rows = zip(*(sheet.columns[column] for column in columns), strict=True)
        parts = [[_number(cell) if by_number else cell for cell in row] for row in rows]
        title = f"columns {listed([sheet.title(c).removeprefix('column ') for c in columns])}"
        rows_of_names = [Pairs(zip(group, row, strict=True)) for row in parts] if on_edges else parts
        found.append(Candidate(columns, title, rows_of_names))
    return found


def _number(cell: Any) -> Any:
    return int(cell) if isinstance(cell, str) and re.fullmatch(r"\s*[0-9]\s*", cell) else cell
