"""A table as it was found: named columns of cells, one row an architecture if all is well."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sheet:
    """Columns of equal length; a cell that a row lacks is None."""

    names: tuple[str | None, ...]  # None where the file has no name for a column
    columns: tuple[list[Any], ...]
    unit: str  # what a row is called: "line", "entry"
    rows: Sequence[int]  # the number of each row in the file
    faults: tuple[tuple[str, str], ...] = ()  # place and reason of rows that have no cells one could name
    notes: tuple[str, ...] = field(default=())  # what a person must know about how it was read
    keys: int | None = None  # the column that holds the names of a JSON object
    in_order: bool = False  # a bare list, one number for each official index
    unnamed_first: bool = False  # the header was one short, so that the first column has no name

    def place(self, row: int) -> str:
        """Where a row stands, as shown to people."""
        return f"{self.unit} {self.rows[row]}"

    def title(self, column: int) -> str:
        """A column as shown to people."""
        if column == self.keys:
            return "the keys"
        name = self.names[column]
        return f"column {name!r}" if name is not None else f"column {column + 1}"
