"""Reading other people's scores: a JSON or CSV file that gives architectures and one score each.

An architecture may be written in any form of `bench.notation`. A file uses one of them; a file that mixes them is
refused, which also catches keys that lost their leading zeros.
"""

import csv
import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.notation import Notation, short
from mngnas.errors import UserError, unknown
from mngnas.spaces import ArchitectureError, Space

ARCHITECTURE_COLUMNS = (  # in order of preference; case, "_" and " " do not matter
    *("arch_str", "net_str", "architecture_string", "architecture_str", "arch_string", "net_string"),
    *("architecture", "arch", "arch_key", "key", "net", "arch_index", "architecture_index", "index"),
)
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
    duplicate: LeftOut  # repeats of an architecture with the same score
    unparsable: LeftOut  # no architecture in any known form, or no number as its score


@dataclass(frozen=True)
class Predictions:
    """Scores of m different architectures, in the order of the file."""

    arch_index: np.ndarray  # int64 [m], official indices
    score: np.ndarray  # float64 [m], finite
    form: str  # how the file writes architectures
    score_column: str | None  # None where the file has no names for its scores
    report: ReadReport


@dataclass(frozen=True)
class _Row:
    place: str  # "line 3" or "entry 3", as shown to people
    arch: object
    score: float | None  # None if it is no number
    written: object  # the score as the file has it


def read_predictions(path: str | Path, score_column: str | None = None, *, space: Space) -> Predictions:
    """Read scores of architectures of `space` from a .json, .csv or .tsv file.

    JSON: an object architecture -> score or architecture -> object of scores, a list of [architecture, score] pairs or
    a list of objects. CSV: a header; separated by commas, semicolons or tabs. Among named scores, `score_column` says
    which; it may be left out where only one is numeric. In a CSV or a list of objects the architecture is found by
    name, see `ARCHITECTURE_COLUMNS`.

    Rows of unknown architectures, repeated rows and rows that cannot be read are counted in the report. Raises
    `UserError` for a file that cannot be read, mixes forms of architectures or holds none, for a score that is not
    finite, and for an architecture given twice with different scores.
    """
    path = Path(path)
    readers = {".json": _read_json, ".csv": _read_csv, ".tsv": _read_csv}
    if path.suffix.lower() not in readers:
        raise UserError(f"predictions file {str(path)!r} is neither .json nor .csv nor .tsv")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read predictions file {str(path)!r}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"predictions file {str(path)!r} is not UTF-8 text (byte {error.start})") from error
    if not text.strip():
        raise UserError(f"predictions file {str(path)!r} is empty")
    try:
        column, rows = readers[path.suffix.lower()](text, score_column)
        return _collect(rows, column, Notation(space))
    except UserError as error:
        raise UserError(f"predictions file {str(path)!r}: {error}") from error


# --------------------------------------------------------------------------------------------------- from files to rows


class _Object(list[Any]):
    """A JSON object as its list of (name, value): a dict would silently keep the last of repeated names."""


def _read_json(text: str, score_column: str | None) -> tuple[str | None, list[_Row]]:
    try:
        content = json.loads(text, object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        raise UserError(f"malformed JSON at line {error.lineno} column {error.colno}: {error.msg}") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise UserError(f"malformed JSON: {str(error).partition(';')[0]}") from error
    except RecursionError as error:
        raise UserError("malformed JSON: nested too deeply") from error
    if not isinstance(content, list):
        raise UserError(f"holds {short(content)}, not an object or a list of architectures")
    if not content:
        raise UserError("holds no scores")
    entries = list(content)
    if isinstance(content, _Object):
        if any(isinstance(value, _Object) for _, value in entries):
            return _named_scores([(name, value) for name, value in entries], score_column)
    elif any(isinstance(entry, _Object) for entry in entries):
        records = [_record(entry, number) for number, entry in enumerate(entries, 1)]
        column = _architecture_column(list(dict.fromkeys(name for record in records for name in record)))
        rest = [_Object((k, v) for k, v in record.items() if k != column) for record in records]
        return _named_scores(list(zip((r.get(column) for r in records), rest, strict=True)), score_column)
    elif not any(_is_pair(entry) for entry in entries):
        raise UserError(f"a list must hold [architecture, score] pairs or objects, not {short(entries[0])}")
    if score_column is not None:
        raise UserError(f"its scores have no names, so there is no score column {score_column!r}")
    rows = []
    for number, entry in enumerate(entries, 1):
        arch, score = entry if _is_pair(entry) else (entry, None)
        rows.append(_Row(f"entry {number}", arch, _json_number(score), score))
    return None, rows


def _is_pair(entry: object) -> bool:
    return isinstance(entry, list | tuple) and len(entry) == 2


def _record(entry: object, number: int) -> dict[str, Any]:
    """A JSON object as a dict, anything else as an empty one."""
    record = dict(entry) if isinstance(entry, _Object) else {}
    if isinstance(entry, _Object) and len(record) < len(entry):
        raise UserError(f"entry {number} names something twice: {', '.join(name for name, _ in entry)}")
    return record


def _named_scores(entries: list[tuple[object, Any]], score_column: str | None) -> tuple[str, list[_Row]]:
    """Pick one score of each (architecture, object of scores)."""
    records = [_record(value, number) for number, (_, value) in enumerate(entries, 1)]
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [record.get(name) for record in records] for name in names}
    column = _score_column(score_column, {name: [_json_number(v) for v in columns[name]] for name in names})
    return column, [
        _Row(f"entry {number}", arch, _json_number(written), written)
        for number, ((arch, _), written) in enumerate(zip(entries, columns[column], strict=True), 1)
    ]


def _read_csv(text: str, score_column: str | None) -> tuple[str, list[_Row]]:
    delimiter = max(",;\t", key=text.lstrip().partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        table = [(f"line {reader.line_num}", cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise UserError(f"malformed CSV at line {reader.line_num}: {error}") from error
    header = [name.strip() for name in table[0][1]]
    if repeated := [name for name in header if header.count(name) > 1]:
        raise UserError(f"column {repeated[0]!r} appears twice")
    if len(table) == 1:
        raise UserError("holds a header and no scores")
    arch_column = _architecture_column(header)
    records = [dict(zip(header, cells, strict=False)) for _, cells in table[1:]]
    columns = {name: [record.get(name, "") for record in records] for name in header}
    numbers = {name: [_csv_number(cell) for cell in cells] for name, cells in columns.items()}
    archs = columns[arch_column]
    del numbers[arch_column]
    column = _score_column(score_column, numbers)
    return column, [
        _Row(place, arch, score, cell)
        for (place, _), arch, score, cell in zip(table[1:], archs, numbers[column], columns[column], strict=True)
    ]


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace(" ", "")


def _architecture_column(names: list[str]) -> str:
    by_plain_name = {_plain(name): name for name in reversed(names)}
    for candidate in ARCHITECTURE_COLUMNS:
        if _plain(candidate) in by_plain_name:
            return by_plain_name[_plain(candidate)]
    raise UserError(
        f"no architecture column: name one of {', '.join(names)} as one of {', '.join(ARCHITECTURE_COLUMNS)}"
    )


def _score_column(wanted: str | None, columns: dict[str, list[float | None]]) -> str:
    """The column asked for, or the only one in which most entries are numbers: one bad cell must not hide a column."""
    if wanted is not None:
        if wanted not in columns:
            raise unknown("score column", wanted, columns)
        return wanted
    other_archs = {_plain(name) for name in ARCHITECTURE_COLUMNS}
    numeric = [
        name
        for name, numbers in columns.items()
        if sum(number is not None for number in numbers) > len(numbers) / 2 and _plain(name) not in other_archs
    ]
    if len(numeric) != 1:
        found = f"{len(numeric)} columns of numbers ({', '.join(numeric)})" if numeric else "no column of numbers"
        raise UserError(f"{found}: name the score column; available: {', '.join(columns)}")
    return numeric[0]


# --------------------------------------------------------------------------------------------- from rows to predictions


@dataclass
class _Notes:
    """Collects rows of one kind."""

    found: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str) -> None:
        self.count += 1
        if self.count <= _EXAMPLES:
            self.found.append(text)

    def summary(self) -> LeftOut:
        return LeftOut(self.count, tuple(self.found))


def _collect(rows: list[_Row], column: str | None, notation: Notation) -> Predictions:
    extra, duplicate, unparsable = _Notes(), _Notes(), _Notes()
    forms: dict[str, _Row] = {}
    first: dict[int, tuple[_Row, float]] = {}
    for row in rows:
        form = notation.form(row.arch)
        if form is None:
            unparsable.add(f"{row.place}: {short(row.arch)} is no architecture")
            continue
        forms.setdefault(form, row)
        if (score := row.score) is None:
            unparsable.add(f"{row.place}: {short(row.written)} is no score")
            continue
        if not math.isfinite(score):
            raise UserError(f"{row.place}: score {score} of architecture {short(row.arch)} is not finite")
        try:
            index = notation.index(form, row.arch)
        except ArchitectureError as error:
            extra.add(f"{row.place}: {error}")
            continue
        earlier, known = first.setdefault(index, (row, score))
        if earlier is row:
            continue
        if known != score:
            raise UserError(
                f"architecture {short(row.arch)} has score {known} at {earlier.place} and {score} at {row.place}"
            )
        duplicate.add(f"{row.place}: {short(row.arch)}, as at {earlier.place}")
    if len(forms) > 1:
        seen = " and ".join(f"{form} ({row.place}: {short(row.arch)})" for form, row in forms.items())
        raise UserError(f"mixes architectures written as {seen}")
    if not first:
        example = next(iter(unparsable.found + extra.found))
        raise UserError(f"none of its {len(rows)} rows is a score of a known architecture; {example}")
    return Predictions(
        np.array(list(first), dtype=np.int64),
        np.array([score for _, score in first.values()]),
        next(iter(forms)),
        column,
        ReadReport(extra.summary(), duplicate.summary(), unparsable.summary()),
    )


def _json_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _csv_number(cell: str) -> float | None:
    try:
        return float(cell) if "_" not in cell else None  # float() takes "1_0" for 10
    except ValueError:
        return None
