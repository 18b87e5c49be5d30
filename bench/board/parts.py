"""Score files and folders of them as tables: files that are parts of one table are put together."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.scores.collect import LeftOut, Predictions, ReadReport
from mngnas.errors import UserError

_PART = re.compile(r"(?P<table>.*?[^\W_].*?)(?:[-_.\s]+|(?<=part))(?P<number>[0-9]+)(?P<ending>(?:\.[A-Za-z]\w*)*)")
_LISTED = 3  # names in a message
MOST_FILES = 1000


@dataclass(frozen=True)
class ScoreTable:
    """The score columns of a file, or of several that are parts of one table."""

    name: str  # of the file; of parts what their names share
    paths: tuple[Path, ...]
    columns: tuple[Predictions, ...]


def score_tables(places: Sequence[Path], read: Callable[[Path], tuple[Predictions, ...]]) -> list[ScoreTable]:
    """Every table in files and folders (their visible files, no folders below), in the order in which they are given.

    Files of one folder whose names differ in the number at their end alone (a_0, a_1; b-part1.csv, b-part2.csv) are one
    table if no architecture has two scores in them, and separate ones if all of them hold the same architectures.
    Raises `UserError` for what lies between, and for an empty folder.
    """
    alike: dict[tuple[Path, str, str], list[Path]] = {}
    for path in dict.fromkeys(one for place in places for one in _files(place)):
        match = _PART.fullmatch(path.name)
        key = (path.parent, match["table"], match["ending"]) if match else (path, "", "")
        alike.setdefault(key, []).append(path)
    return [
        table
        for (_, name, ending), paths in alike.items()
        for table in _as_parts(f"{name}{ending}", paths, [read(path) for path in paths])
    ]


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    found = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
    if not found:
        raise UserError(f"folder {place} holds no score file")
    if len(found) > MOST_FILES:
        raise UserError(f"folder {place} holds {len(found):,} files; {MOST_FILES:,} at most")
    return found


def _as_parts(name: str, paths: list[Path], tables: list[tuple[Predictions, ...]]) -> list[ScoreTable]:
    columns = {tuple(one.score_column for one in table) for table in tables}
    architectures = {np.sort(table[0].arch_index).tobytes() for table in tables}
    if len(columns) > 1 or len(architectures) == 1:
        return [ScoreTable(path.name, (path,), table) for path, table in zip(paths, tables, strict=True)]
    return [ScoreTable(name, tuple(paths), joined_columns(paths, tables))]


def joined_columns(paths: Sequence[Path], tables: Sequence[tuple[Predictions, ...]]) -> tuple[Predictions, ...]:
    """The columns of a table from those of its parts, which have the same; raises `UserError` where two disagree."""
    return tuple(_joined(list(zip(paths, parts, strict=True))) for parts in zip(*tables, strict=True))


def _joined(parts: Sequence[tuple[Path, Predictions]]) -> Predictions:
    index = np.concatenate([one.arch_index for _, one in parts])
    score = np.concatenate([one.score for _, one in parts])
    part = np.repeat(np.arange(len(parts)), [len(one.arch_index) for _, one in parts])
    _, first, group = np.unique(index, return_index=True, return_inverse=True)
    apart = np.flatnonzero(score != score[first[group]])
    if len(apart):
        at, before = int(apart[0]), int(first[group[apart[0]]])
        raise UserError(
            f"{parts[part[before]][0].name} and {parts[part[at]][0].name} are no parts of one table: architecture "
            f"{index[at]} has score {score[before]:g} and {score[at]:g}; give such files other names"
        )
    order = np.sort(first)
    report = _sum([one.report for _, one in parts], len(index) - len(order))
    names = ", ".join(path.name for path, _ in parts[:_LISTED]) + (", ..." if len(parts) > _LISTED else "")
    note = f"{len(parts)} files are parts of one table: {names}"
    head = parts[0][1]
    return replace(head, arch_index=index[order], score=score[order], report=report, notes=(note, *head.notes))


def _sum(reports: Sequence[ReadReport], repeated: int) -> ReadReport:
    """Reports of parts as that of the table; `repeated` architectures stand in two parts."""

    def both(name: str, more: int = 0) -> LeftOut:
        found: list[LeftOut] = [getattr(report, name) for report in reports]
        examples = tuple(example for one in found for example in one.examples)
        return LeftOut(sum(one.count for one in found) + more, examples[:5])

    return ReadReport(
        both("extra"),
        both("duplicate", repeated),
        both("unparsable"),
        both("without_score"),
        *(sum(getattr(one, name) for one in reports) for name in ("n_rows", "minus_infinity", "plus_infinity")),
    )
