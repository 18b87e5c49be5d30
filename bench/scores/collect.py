"""Architectures and scores of a sheet put together: one score for each architecture, and what became of every row."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bench.scores.choose import SEED_COLUMN, Scores
from bench.scores.columns import Architectures
from bench.scores.forms import INDEX, OF_NUMBERS, STRING
from bench.scores.naming import DIGITS_ORDERS
from bench.scores.sheet import Sheet
from bench.scores.text import one_line, plain, short
from mngnas.errors import UserError

MOST_UNREADABLE = 0.01  # of all rows
_EXAMPLES = 5


@dataclass(frozen=True)
class LeftOut:
    """Rows of the file that were not used, or used once only."""

    count: int = 0
    examples: tuple[str, ...] = ()  # the first few, each with its place in the file


@dataclass(frozen=True)
class ReadReport:
    """What in the file did not become a prediction; nothing is dropped without being counted here."""

    extra: LeftOut  # looks like an architecture, but is none of the search space
    duplicate: LeftOut  # repeats of an architecture with the same score, or with the score of another seed
    unparsable: LeftOut  # no architecture in any known form, or no number as its score
    without_score: LeftOut = LeftOut()  # empty, null or NaN
    n_rows: int = 0
    minus_infinity: int = 0  # scores that rank last
    plus_infinity: int = 0  # scores that rank first


@dataclass(frozen=True)
class Predictions:
    """Scores of m different architectures, in the order of the file; higher is better."""

    arch_index: np.ndarray  # int64 [m], official indices
    score: np.ndarray  # float64 [m], never NaN; infinities rank first and last
    form: str  # how the file writes architectures
    score_column: str | None  # None where the file has no names for its scores
    report: ReadReport
    architectures: str = ""  # where they stand, as shown to people
    digits: str | None = None  # the order in which numbers of operations were read, None if there were none
    others: tuple[str, ...] = ()  # further columns of numbers, not used
    notes: tuple[str, ...] = ()  # how it was read, where that is not plain
    lower_is_better: bool = False  # the signs of the scores were turned


def collect(
    sheet: Sheet,
    found: Architectures,
    scores: Scores,
    others: tuple[str, ...],
    lower_is_better: bool,
    allow_unreadable: bool,
) -> Predictions:
    """Put architectures and scores of a sheet together; `others` are columns of numbers that are not used.

    Raises `UserError` if too many rows cannot be read, none can, or an architecture has two scores.
    """
    numbers = scores.numbers
    unreadable = dict(found.problems)
    for row in np.flatnonzero(numbers.bad):
        unreadable.setdefault(int(row), f"{short(scores.cells[row])} is no score")
    n_rows = len(sheet.rows) + len(sheet.faults)
    if not allow_unreadable:
        _check_readable(sheet, found, unreadable, n_rows)
    lost = [f"{place}: {reason}" for place, reason in sheet.faults] + _examples(sheet, unreadable)
    strangers = {row: text for row, text in found.strangers.items() if row not in unreadable}
    without = (found.index >= 0) & numbers.missing
    rows = np.flatnonzero((found.index >= 0) & ~numbers.missing & ~numbers.bad)
    if not len(rows):
        example = next(iter(lost + _examples(sheet, strangers)), "there is no score in any of them")
        raise UserError(f"none of its {n_rows} rows is a score of a known architecture; {example}")
    index, score, repeats, how = _one_each(sheet, found, scores, rows)
    score = -score if lower_is_better else score
    report = ReadReport(
        _left_out(len(strangers), _examples(sheet, strangers)),
        repeats,
        _left_out(len(sheet.faults) + len(unreadable), lost),
        _left_out(
            int(without.sum()),
            [f"{sheet.place(int(row))}: {short(found.shown[row])}" for row in np.flatnonzero(without)[:_EXAMPLES]],
        ),
        n_rows,
        int(np.isneginf(score).sum()),
        int(np.isposinf(score).sum()),
    )
    label = DIGITS_ORDERS[found.digits].label if found.digits else ""
    told = (f"operation numbers read in {label}",) if label else ()
    notes = (*sheet.notes, *told, *scores.notes, *how)
    where, form = plain(found.title), found.form
    return Predictions(index, score, form, scores.name, report, where, found.digits, others, notes, lower_is_better)


def _one_each(
    sheet: Sheet, found: Architectures, scores: Scores, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, LeftOut, tuple[str, ...]]:
    """Index and score of each architecture once, in the order of the file; the mean where a column tells seeds."""
    index, values = found.index[rows], scores.numbers.values[rows]
    _, first, group = np.unique(index, return_index=True, return_inverse=True)
    again = np.ones(len(rows), dtype=bool)
    again[first] = False
    order = np.argsort(first)
    at = first[order]
    how: tuple[str, ...] = ()
    score = values[at]
    apart = np.flatnonzero(values != values[first[group]])
    if len(apart):
        column = _seeds(sheet, found, rows, index)
        if column is None:
            row, earlier = rows[apart[0]], rows[first[group[apart[0]]]]
            raise UserError(
                f"architecture {short(found.shown[row], 90)} has score {values[first[group[apart[0]]]]} at "
                f"{sheet.place(int(earlier))} and {values[apart[0]]} at {sheet.place(int(row))}"
            )
        score = (np.bincount(group, values) / np.bincount(group))[order]
        how = (f"mean over the seeds in {sheet.title(column)}",)
    repeated = [
        f"{sheet.place(int(rows[k]))}: {short(found.shown[rows[k]])}, as at {sheet.place(int(rows[first[group[k]]]))}"
        for k in np.flatnonzero(again)[:_EXAMPLES]
    ]
    return index[at], score, _left_out(int(again.sum()), repeated), how


def _seeds(sheet: Sheet, found: Architectures, rows: np.ndarray, index: np.ndarray) -> int | None:
    """The column that tells the repetitions of an architecture apart, None if there is none."""
    for at, name in enumerate(sheet.names):
        if at in found.columns or name is None or not SEED_COLUMN.fullmatch(name.strip().lower()):
            continue
        cells = [str(sheet.columns[at][row]).strip() for row in rows]
        if len(set(zip(index.tolist(), cells, strict=True))) == len(rows):
            return at
    return None


def _examples(sheet: Sheet, problems: dict[int, str]) -> list[str]:
    return [f"{sheet.place(row)}: {problems[row]}" for row in sorted(problems)[:_EXAMPLES]]


def _left_out(count: int, examples: Iterable[str]) -> LeftOut:
    return LeftOut(count, tuple(plain(text) for text in examples)[:_EXAMPLES])


def _check_readable(sheet: Sheet, found: Architectures, unreadable: dict[int, str], n_rows: int) -> None:
    """Raise `UserError` if rows have other numbers of cells, or if too many rows cannot be read."""
    if sheet.faults:
        place, reason = sheet.faults[0]
        more = f" and {len(sheet.faults) - 1} rows more" if len(sheet.faults) > 1 else ""
        raise UserError(
            f"{place} {reason}{more}: quote cells that hold commas, or leave such rows out with --allow-unreadable"
        )
    problems = {**found.strangers, **unreadable}
    if len(problems) <= MOST_UNREADABLE * n_rows:
        return
    examples = "; ".join(f"{sheet.place(row)}: {one_line(problems[row], 45)}" for row in sorted(problems)[:3])
    rest = (
        f"none of its {n_rows} rows is" if len(problems) == n_rows else f"{len(problems)} of its {n_rows} rows are not"
    )
    raise UserError(f"{rest} a score of a known architecture{_reason(found)} (or --allow-unreadable): {examples}")


def _reason(found: Architectures) -> str:
    """The likely reason for which many rows cannot be read."""
    if not found.strangers:
        return ""
    if found.form in OF_NUMBERS:
        return ", likely another order of digits"
    if found.form == INDEX:
        return ", likely indices of another space"
    return ", likely another code base's operation names" if found.form == STRING else ", likely another search space"
