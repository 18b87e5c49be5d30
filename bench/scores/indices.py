"""Whole numbers as official indices: only where nothing else can be meant, since rows are counted too."""

import re
from typing import Any

from bench.scores.columns import Architectures, Candidate, check_agreement, check_shift, read_column, sample
from bench.scores.forms import Notation, Pairs
from bench.scores.numbers import numbers
from bench.scores.sheet import Sheet
from bench.scores.text import listed, short
from mngnas.errors import UserError

_FEW = 20  # rows from which on the digits of indices say something
_TELLING = re.compile(
    r"(.*[\s_.])?(i|id|idx|uid|ind|index|indices|key|arch|net|network|cell|model)|arch.*|.*(arch|net)(_?id|_?idx|_?index|_?str)"
)
_LIKE_ARCHITECTURES = re.compile(r"[a-z].*[|~\[{(:@]|[|~\[{(:@].*[a-z]|conv|pool|skip|none|zero|ident", re.IGNORECASE)


def is_telling(name: str | None) -> bool:
    """Whether a column is called as one of architectures or their numbers would be."""
    return name is not None and _TELLING.fullmatch(name.strip().lower().replace("-", "_").replace(" ", "_")) is not None


def are_row_numbers(cells: list[Any]) -> bool:
    """Whether a column counts the rows, from 0 or from 1."""
    start = str(cells[0]).strip()
    return start in ("0", "1") and all(str(cell).strip() == str(at) for at, cell in enumerate(cells, int(start)))


def find_indices(candidates: list[Candidate], sheet: Sheet, notation: Notation) -> Architectures:
    """Whole numbers as official indices, where nothing else can be meant."""
    for at, cells in enumerate(sheet.columns):
        if _may_be_architectures(cells):
            example = short(sample(cells)[0], 60)
            raise UserError(f"{sheet.title(at)} may hold architectures in a form that is not known, such as {example}")
    n_arch = notation.space.n_arch
    trusted = [candidate for candidate in candidates if _is_trusted(candidate, sheet, n_arch)]
    if not trusted:
        names = listed(sheet.title(at).removeprefix("column ") for at in range(len(sheet.columns)))
        raise UserError(f"no architecture column among {names}; official indices stand in a column named arch_index")
    first, *others = [read_column(candidate, sheet, notation) for candidate in trusted]
    check_agreement(first, others, sheet)
    _check_indices(first, n_arch)
    if len(first.shown) < n_arch and are_row_numbers(first.shown):
        for at, cells in enumerate(sheet.columns):
            if at not in first.columns and at != sheet.keys and _tells_rows_apart(cells):
                raise UserError(f"{first.title} counts the rows, and {sheet.title(at)} tells them apart: which is it?")
    return check_shift(sheet, first)


def _is_trusted(candidate: Candidate, sheet: Sheet, n_arch: int) -> bool:
    """Whether a column of whole numbers is called as indices are; without a name it may be one of row numbers."""
    at = candidate.columns[0]
    name = sheet.names[at]
    if name is None:
        return sheet.keys is None  # beside keys it is the score
    if at == sheet.keys or is_telling(name):
        return True
    return name == "" and (len(sheet.rows) == n_arch or not are_row_numbers(candidate.cells))


def _check_indices(found: Architectures, n_arch: int) -> None:
    numbers = [str(cell).strip() for cell in found.shown if str(cell).strip().isdecimal()]
    if len(numbers) >= _FEW and all(set(number) <= set("01234") for number in numbers) and max(map(len, numbers)) >= 5:
        raise UserError(f"{found.title} may hold keys that lost their leading zeros: write architecture strings")
    present = set(map(int, numbers))
    if len(numbers) >= _FEW and n_arch in present and 0 not in present and max(present) == n_arch:
        raise UserError(f"{found.title} counts from 1 to {n_arch}; official indices count from 0")


def _may_be_architectures(cells: list[Any]) -> bool:
    """Whether most cells are different texts that look as architectures of some code base do."""
    some = [cell for cell in sample(cells) if cell is not None and cell != ""]
    if any(isinstance(cell, list | tuple) for cell in some):
        return 2 * sum(isinstance(cell, Pairs) or _has_words(cell) for cell in some) > len(some)
    words = [cell for cell in some if isinstance(cell, str) and _LIKE_ARCHITECTURES.search(cell)]
    return 2 * len(words) > len(some) and 2 * len(set(words)) > len(words) and not _are_values(words)


def _has_words(cell: Any) -> bool:
    return isinstance(cell, list | tuple) and any(isinstance(part, str | list | tuple) for part in cell)


def _are_values(words: list[str]) -> bool:
    """Whether the texts are numbers in a dress, such as tensor(0.5), or times."""
    return all(re.match(r"(torch\.)?tensor\(|np\.float|[0-9]{2,4}[-:]", word) for word in words)


def _tells_rows_apart(cells: list[Any]) -> bool:
    """Whether a column holds a text of its own for nearly every row."""
    words = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    return len(cells) > 2 and len(set(words)) > 0.9 * len(cells) and not numbers(cells).is_score
