"""Reading other people's scores: from a file to official indices with one score each, and a report of all the rest.

What is written where is found by content: `bench.scores.files` says what a file is, `grids` and `layouts` make a sheet
of it, `find` finds the architectures (in the forms of `forms`), `choose` the scores (in the styles of `numbers`), and
`collect` puts them together. What can be read in two ways is refused.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from bench.scores.choose import choose_scores
from bench.scores.collect import LeftOut, Predictions, ReadReport, collect
from bench.scores.files import Text, Tree, read_content
from bench.scores.find import find_architectures
from bench.scores.forms import Notation
from bench.scores.grids import grid_sheet
from bench.scores.layouts import in_order, tree_sheet
from bench.scores.naming import digits_order as order_named
from bench.scores.sheet import Sheet
from bench.scores.text import listed, one_line, short
from mngnas.errors import UserError
from mngnas.spaces import Space

__all__ = ["LeftOut", "Predictions", "ReadReport", "read_predictions", "read_score_columns"]


def read_predictions(path: str | Path, column: str | None = None, **options: Any) -> Predictions:
    """Read one score column, see `read_score_columns`; raises `UserError` if there are several to choose from."""
    found = read_score_columns(path, column, **options)
    if len(found) > 1:
        names = listed(one.score_column for one in found)
        raise UserError(_message(path, f"{len(found)} columns of numbers ({names}): name the score column"))
    return found[0]


def read_score_columns(
    path: str | Path,
    column: str | None = None,
    *,
    space: Space,
    digits_order: str | None = None,
    lower_is_better: bool = False,
    allow_unreadable: bool = False,
    dataset: str | None = None,
    datasets: Collection[str] = (),
) -> tuple[Predictions, ...]:
    """Read the scores of architectures of `space` from a file of nearly any kind, see `bench.scores.files`.

    `column` names a score ("a.b" where objects are nested; "all" for every column of numbers); without it the column
    called score is read, or else every column of numbers that may be one. `digits_order` is the order of operation
    numbers, a name of `bench.scores.naming.DIGITS_ORDERS`. Where data sets (`datasets`) stand above the scores, those
    of `dataset` are read. With `lower_is_better` the sign of every score is turned.

    An empty score, null or NaN is left out and counted; infinities stay. Raises `UserError`, one line, for a file that
    cannot be read in exactly one way; also if an architecture has two scores, if rows have surplus or missing cells, or
    if more than 1 % of the rows cannot be read: `allow_unreadable` leaves out the last two.
    """
    try:
        order = None if digits_order is None else order_named(digits_order)
        notation = Notation(space, order)
        sheet = _sheet(read_content(Path(path)), notation)
        found = find_architectures(sheet, notation, column)
        names = (dataset, datasets) if dataset is not None else None
        choice = choose_scores(sheet, (*found.columns, *found.beside), column, names)
        if order is not None and found.digits is None:
            raise UserError(
                f"--digits-order {digits_order}: its architectures ({found.form}) are not written as numbers"
            )
        return tuple(
            collect(sheet, found, scores, choice.others, lower_is_better, allow_unreadable) for scores in choice.scores
        )
    except UserError as error:
        raise UserError(_message(path, str(error))) from error


def _message(path: str | Path, reason: str) -> str:
    name = str(path)
    name = name if len(name) <= 80 else "..." + name[-77:]
    if reason.startswith("cannot read it"):
        return one_line(reason.replace("it", f"predictions file {short(name, 90)}", 1))
    return one_line(f"predictions file {short(name, 90)}: {reason}")


def _sheet(content: Tree | Text, notation: Notation) -> Sheet:
    if isinstance(content, Tree):
        return tree_sheet(content, notation)
    sheet = grid_sheet(content, notation)
    if len(sheet.columns) == 1 and not sheet.faults:
        return in_order(sheet.columns[0], sheet.unit, notation)
    return sheet
