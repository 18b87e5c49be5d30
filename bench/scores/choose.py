"""Which columns of a sheet are scores. A column that may be a score and cannot be read is told, never passed over."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from bench.scores.indices import are_row_numbers, is_telling
from bench.scores.layouts import KEYS
from bench.scores.numbers import Numbers, look_like_numbers, numbers
from bench.scores.sheet import Sheet
from bench.scores.text import listed, plain, short
from mngnas.errors import UserError, unknown

EVERY = "all"

_SCORES = ("score", "scores", "prediction", "predictions", "predicted", "pred", "predictedscore", "proxyscore")
_BESIDE = re.compile(r"(.*[._\s])?(time|seconds|duration|elapsed|runtime|timestamp|seed|epoch|epochs)([_=\s\[(].*)?")
_SEED = re.compile(r"(.*?)(seed|run|trial|repeat|rep)?[_\-.\s]*([0-9]+)")
SEED_COLUMN = re.compile(r"(.*[_.\s])?(seed|seeds|run|trial|repeat|repetition)([_\s]?(id|idx|index|number))?")


@dataclass(frozen=True)
class Scores:
    """A score of each row."""

    name: str | None  # of the column; None where the file has no name for it
    numbers: Numbers
    cells: list[object]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The scores to be evaluated, and the other columns of numbers, which are not."""

    scores: tuple[Scores, ...]
    others: tuple[str, ...]


def choose_scores(
    sheet: Sheet, taken: Collection[int], column: str | None, datasets: tuple[str, Collection[str]] | None
) -> Choice:
    """The score column called `column`, all of them for "all", or those that are scores beyond doubt.

    `taken` are the columns of the architectures. `datasets` is the data set in question and the names of all: where
    they stand above the scores, the others are left alone. Raises `UserError` if there is none.
    """
    free = [at for at in range(len(sheet.columns)) if at not in taken and at != sheet.keys]
    if not free:
        raise UserError("holds architectures and no scores")
    if column is not None and column != EVERY:
        chosen = [_named(sheet, free, column)]
        return Choice((_scores(sheet, chosen[0]),), _names(sheet, [at for at in free if at not in chosen]))
    if datasets is not None:
        free = _of_dataset(sheet, free, *datasets)
    found = {at: _scores(sheet, at) for at in free}
    numeric = [at for at in free if found[at].numbers.is_score]
    if column == EVERY and numeric:
        return Choice(tuple(found[at] for at in numeric), ())
    chosen = _beyond_doubt(sheet, free, numeric, found)
    scores = _mean_of_seeds([found[at] for at in chosen])
    return Choice(tuple(scores), _names(sheet, [at for at in numeric if at not in chosen]))


def _scores(sheet: Sheet, at: int) -> Scores:
    cells = sheet.columns[at]
    found = numbers(cells)
    return Scores(sheet.names[at], found, cells, (found.marks,) if found.marks else ())


def _names(sheet: Sheet, columns: list[int]) -> tuple[str, ...]:
    return tuple(plain(sheet.names[at] or f"column {at + 1}") for at in columns)


def _leaf(name: str | None) -> str:
    return (name or "").rpartition(".")[2].lower().replace("_", "").replace(" ", "")


def _named(sheet: Sheet, free: list[int], column: str) -> int:
    """The column of this name, or of which this is the beginning or the end, part by part."""
    names = {at: sheet.names[at] for at in free if sheet.names[at] is not None}
    if not names:
        if column.isdecimal() and int(column) - 1 in free and sheet.keys is None:
            return int(column) - 1
        raise UserError(f"its scores have no names, so there is no score column {short(column)}")
    ends = {at: re.sub(r"\.scores?$", "", str(name)) for at, name in names.items()}
    for match in (
        [at for at, name in names.items() if name == column],
        [at for at, name in ends.items() if name == column],
        [at for at, name in names.items() if str(name).endswith(f".{column}") or ends[at].endswith(f".{column}")],
    ):
        if len(match) == 1:
            return match[0]
        if match:
            raise UserError(f"score column {short(column)} may be {listed(_names(sheet, match))}: give the whole name")
    raise unknown("score column", column, [plain(str(name)) for name in names.values()])


def _of_dataset(sheet: Sheet, free: list[int], dataset: str, known: Collection[str]) -> list[int]:
    """The columns that stand under this data set; all of them where no data set stands above any."""
    above = {at: dataset_letters(str(sheet.names[at] or "").partition(".")[0]) for at in free}
    of_data_sets = [at for at in free if above[at] in set(map(dataset_letters, known))]
    if not of_data_sets:
        return free
    if kept := [at for at in free if above[at] == dataset_letters(dataset)]:
        return kept
    raise UserError(f"holds scores for {listed(sorted({above[at] for at in of_data_sets}))}, not for {dataset}")


def dataset_letters(name: str) -> str:
    """Equal for all spellings of a data set: CIFAR-10, ImageNet16_120."""
    return re.sub(r"[\s_\-]", "", name).lower()


def _beyond_doubt(sheet: Sheet, free: list[int], numeric: list[int], found: dict[int, Scores]) -> list[int]:
    """The columns called score, or else every column of numbers that is not about times, seeds and rows."""
    called = [at for at in numeric if _leaf(sheet.names[at]) in _SCORES]
    unread = [at for at in free if at not in numeric and _may_be_score(sheet, at, found[at])]
    if unread := [at for at in unread if not called or _leaf(sheet.names[at]) in _SCORES]:
        example = next(
            cell for cell, bad in zip(sheet.columns[unread[0]], found[unread[0]].numbers.bad, strict=True) if bad
        )
        raise UserError(
            f"{sheet.title(unread[0])} may be the score and cannot be read as numbers, such as {short(example, 40)}: "
            "name the score column with --column"
        )
    if called:
        return called
    rest = [at for at in numeric if not _is_beside(sheet, at)]
    if not rest and len(numeric) == 1:
        return numeric
    if not rest:
        names = listed(_names(sheet, free))
        raise UserError(f"no column of numbers that is a score: name the score column; available: {names}")
    return rest


def _may_be_score(sheet: Sheet, at: int, found: Scores) -> bool:
    if not found.numbers.bad.any():
        return False
    return _leaf(sheet.names[at]) in _SCORES or (look_like_numbers(found.cells) and not _is_beside(sheet, at))


def _is_beside(sheet: Sheet, at: int) -> bool:
    """Whether a column is about the row rather than the architecture."""
    name = sheet.names[at]
    if name is None:
        return False
    if name in ("", KEYS) or _BESIDE.fullmatch(name.lower()):
        return True
    cells = sheet.columns[at]
    whole = all(isinstance(cell, int) or (isinstance(cell, str) and cell.strip().isdecimal()) for cell in cells[:100])
    return whole and (is_telling(name) or (len(cells) > 2 and are_row_numbers(cells)))


def _mean_of_seeds(scores: list[Scores]) -> list[Scores]:
    """One column for several that differ in nothing but the seed."""
    matches = [_SEED.fullmatch(score.name or "") for score in scores]
    if len(scores) < 2 or not all(matches):
        return scores
    parts = {(m[1], m[2]) for m in matches if m}
    if len(parts) > 1 or not (parts == {("", None)} or next(iter(parts))[1]):
        return scores
    values = np.stack([score.numbers.values for score in scores])
    missing = np.stack([score.numbers.missing for score in scores])
    bad = np.any([score.numbers.bad for score in scores], axis=0)
    counts = (~missing).sum(axis=0)
    total = np.where(missing, 0.0, values).sum(axis=0)
    mean = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    first, names = scores[0], ", ".join(plain(score.name or "") for score in scores)
    bad |= np.isnan(mean) & (counts > 0)  # plus and minus infinity together
    read = replace(first.numbers, values=np.where(bad, np.nan, mean), missing=(counts == 0) & ~bad, bad=bad)
    return [Scores(f"mean of {names}", read, first.cells, (*first.notes, "mean over the seeds that are known"))]
