"""Nested lists and objects as a sheet: records, pairs, columns, split columns, labels such as data sets at the top.

What stands where is found by what the parts hold: an object whose names are architectures has one row for each name; an
object of objects that hold an architecture each has one row for each of them; an object of lists of one length has
columns; anything else is a label above tables, and becomes the first part of the names of their columns.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from bench.scores.files import Tree
from bench.scores.forms import INDEX, NAMED, OF_NUMBERS, Notation, Pairs
from bench.scores.grids import rows_sheet
from bench.scores.sheet import Sheet
from bench.scores.text import listed, short
from mngnas.errors import UserError

_DEEPEST = 6  # labels above each other
_SAMPLE = 50  # entries that decide what a list holds
KEYS = "(key)"  # the name of a column of an object's own names


def tree_sheet(tree: Tree, notation: Notation) -> Sheet:
    """The sheet of a tree; raises `UserError` for one that is no table of architectures."""
    value = tree.value
    if not isinstance(value, list | tuple):
        raise UserError(f"holds {short(value)}, not an object or a list of architectures")
    if not value:
        raise UserError("holds no scores")
    return _sheet(value, tree.unit, notation, 0)


def in_order(numbers: list[Any], unit: str, notation: Notation) -> Sheet:
    """The sheet of one number for each official index."""
    n_arch = notation.space.n_arch
    if len(numbers) != n_arch:
        raise UserError(
            f"a list of {len(numbers):,} numbers without architectures; in official order it has {n_arch:,}"
        )
    every = list(range(n_arch))
    return Sheet((None, None), (every, list(numbers)), unit, range(1, n_arch + 1), in_order=True)


def _sheet(value: Sequence[Any], unit: str, notation: Notation, depth: int) -> Sheet:
    if depth > _DEEPEST:
        raise UserError("is nested too deeply to be a table of scores")
    if isinstance(value, Pairs):
        return _of_object(value, unit, notation, depth)
    if all(isinstance(entry, Pairs) for entry in _sample(value)):
        return _records(value, unit, notation)
    if all(entry is None or isinstance(entry, int | float) for entry in _sample(value)):
        return in_order(list(value), unit, notation)
    if any(isinstance(entry, list | tuple) and not isinstance(entry, Pairs) for entry in _sample(value)):
        wrong = [
            at for at, entry in enumerate(value) if not isinstance(entry, list | tuple) or isinstance(entry, Pairs)
        ]
        if wrong:
            raise UserError(f"{unit} {wrong[0] + 1} is {short(value[wrong[0]])}, not a list as the others are")
        return rows_sheet([list(entry) for entry in value], list(range(1, len(value) + 1)), unit, notation)
    raise UserError(f"a list must hold [architecture, score] pairs or objects, not {short(value[0])}")


def _of_object(pairs: Pairs, unit: str, notation: Notation, depth: int) -> Sheet:
    names, values = [name for name, _ in pairs], [value for _, value in pairs]
    if not pairs:
        raise UserError("holds no scores")
    objects = [value for value in values if isinstance(value, Pairs)]
    known = dict(pairs)
    if {"columns", "data"} <= set(map(str, names)) and isinstance(known["columns"], list):
        return _split(known, unit, notation)
    if columns := _columns_of_objects(pairs, notation):
        return columns
    outer = _certainty(names, notation)
    inner = -1  # there are no names further down
    if len(objects) > len(values) / 2:
        found = sorted(_certainty([name for name, _ in entry], notation) for entry in _sample(objects))
        inner = found[len(found) // 2]
    if inner == outer and outer > 0:
        raise UserError(f"names at two levels may be architectures: {listed(names[:2])} and {listed(_first(objects))}")
    if outer > max(inner, 0) or (inner == 0 and _are_records(objects, notation)):
        return _records(values, unit, notation, keys=names)
    lists = [value for value in values if isinstance(value, list | tuple) and not isinstance(value, Pairs)]
    if len(lists) == len(values) and len({len(entries) for entries in lists}) == 1:
        return _columns(names, lists, unit, notation)
    return _labelled(pairs, unit, notation, depth)


# -------------------------------------------------------------------------------------------------------- what it holds


def _sample(entries: Sequence[Any]) -> list[Any]:
    """Some of the entries, evenly spread and with the first one."""
    return list(entries[:: max(1, len(entries) // _SAMPLE)])


def _most(entries: Sequence[Any], notation: Notation, forms: tuple[str, ...] | None) -> bool:
    """Whether most entries are architectures, in one of these forms if they are given."""
    sample = _sample(entries)
    found = [form for form in map(notation.form, sample) if form is not None and (forms is None or form in forms)]
    return 2 * len(found) > len(sample)


def _certainty(names: Sequence[Any], notation: Notation) -> int:
    """How surely the names are architectures: 3 with operations by name, 2 by number, 1 as indices, 0 not at all."""
    for certainty, forms in ((3, NAMED), (2, OF_NUMBERS), (1, (INDEX,))):
        if _most(names, notation, forms):
            return certainty
    return 1 if _most(names, notation, None) else 0


def _are_records(objects: Sequence[Pairs], notation: Notation) -> bool:
    """Whether these objects hold an architecture each by its value, or are flat and alike."""
    sample = _sample(objects)
    found = [any(notation.form(value) in (*NAMED, *OF_NUMBERS) for _, value in record) for record in sample]
    alike = [[name for name, _ in record] == [name for name, _ in objects[0]] for record in sample]
    flat = all(not isinstance(value, list | tuple) for record in sample for _, value in record)
    return 2 * sum(found) > len(found) or (flat and len(objects[0]) > 1 and all(alike))


def _first(objects: Sequence[Pairs]) -> list[Any]:
    return [name for name, _ in objects[0]][:2]


# --------------------------------------------------------------------------------------------------------------- sheets


def _records(values: Sequence[Any], unit: str, notation: Notation, keys: list[Any] | None = None) -> Sheet:
    """One row for each value, a record or a single score, beside the names of the object if it is one."""
    columns: dict[str | None, list[Any]] = {}
    for row, value in enumerate(values):
        if isinstance(value, Pairs) and notation.form(value) is None:
            seen = set()
            for name, cell in _flat(value, notation):
                if name in seen:
                    raise UserError(f"{unit} {row + 1} names something twice: {listed(n for n, _ in value)}")
                seen.add(name)
                column = columns.setdefault(name, [])
                column.extend([None] * (row - len(column)))
                column.append(cell)
        else:
            column = columns.setdefault(None, [])
            column.extend([None] * (row - len(column)))
            column.append(value)
    for column in columns.values():
        column.extend([None] * (len(values) - len(column)))
    found = ([(KEYS, keys)] if keys is not None else []) + list(columns.items())
    names, cells = tuple(name for name, _ in found), tuple(column for _, column in found)
    return Sheet(names, cells, unit, range(1, len(values) + 1), keys=0 if keys is not None else None)


def _flat(record: Pairs, notation: Notation, before: str = "", depth: int = 0) -> Iterable[tuple[str, Any]]:
    """The fields of a record, those of inner objects as "outer.inner"; an edge dictionary is a field."""
    for name, value in record:
        if isinstance(value, Pairs) and depth < _DEEPEST and notation.form(value) is None:
            yield from _flat(value, notation, f"{before}{name}.", depth + 1)
        else:
            yield f"{before}{name}", value


def _split(known: dict[Any, Any], unit: str, notation: Notation) -> Sheet:
    """Columns and rows apart, as pandas writes them with orient="split"."""
    names, data, index = known["columns"], known["data"], known.get("index")
    if not isinstance(data, list) or not all(isinstance(row, list) for row in data):
        raise UserError("its 'data' is not a list of rows")
    if wrong := [at for at, row in enumerate(data, 1) if len(row) != len(names)]:
        raise UserError(f"row {wrong[0]} of its 'data' does not have one cell for each of its {len(names)} 'columns'")
    columns = [[row[at] for row in data] for at in range(len(names))]
    if isinstance(index, list):
        if len(index) != len(data):
            raise UserError(f"its 'index' has {len(index)} entries and its 'data' {len(data)}")
        names, columns = ["", *names], [index, *columns]
    return _columns(names, columns, unit, notation)


def _columns(names: Sequence[Any], columns: Sequence[Sequence[Any]], unit: str, notation: Notation) -> Sheet:
    if len(set(map(str, names))) < len(names):
        raise UserError(f"names something twice: {listed(names)}")
    if not len(columns[0]):
        raise UserError("holds no scores")
    if len(columns) == 1:
        return in_order(list(columns[0]), unit, notation)
    cells = tuple(list(column) for column in columns)
    return Sheet(tuple(map(str, names)), cells, unit, range(1, len(cells[0]) + 1))


def _columns_of_objects(pairs: Pairs, notation: Notation) -> Sheet | None:
    """Columns as objects of row label -> cell, as pandas writes them with orient="columns"; None for anything else."""
    if len(pairs) < 2 or not all(isinstance(value, Pairs) and value for _, value in pairs):
        return None
    if _certainty([name for name, _ in pairs], notation):
        return None
    labels = [label for label, _ in pairs[0][1]]
    if any([label for label, _ in column] != labels for _, column in pairs):
        return None
    columns = [[cell for _, cell in column] for _, column in pairs]
    if not any(_most(column, notation, (*NAMED, *OF_NUMBERS)) for column in columns):
        return None
    return _columns(["", *(name for name, _ in pairs)], [labels, *columns], "row", notation)


def _labelled(pairs: Pairs, unit: str, notation: Notation, depth: int) -> Sheet:
    """Tables under labels, joined by what they call their architectures."""
    tables, others = [], []
    for label, value in pairs:
        if isinstance(value, list | tuple) and value and not _is_plain(value, notation):
            tables.append((str(label), _sheet(value, unit, notation, depth + 1)))
        else:
            others.append(label)
    if not tables:
        raise UserError(f"holds no architectures in a known form: its names are {listed((n for n, _ in pairs), 4)}")
    notes = (f"not read: {listed(others)}",) if others else ()
    if len(tables) == 1:
        label, table = tables[0]
        names = tuple(
            name if at == table.keys else label if name is None else f"{label}.{name}"
            for at, name in enumerate(table.names)
        )
        return Sheet(
            names, table.columns, unit, table.rows, table.faults, (*notes, *table.notes), table.keys, table.in_order
        )
    return _joined(tables, unit, notes)


def _is_plain(value: Sequence[Any], notation: Notation) -> bool:
    """Whether a list is a remark beside the tables, such as [0.9, 0.1] or ["a", "b"]."""
    if isinstance(value, Pairs) or len(value) == notation.space.n_arch:
        return False
    return not any(isinstance(entry, list | tuple) for entry in value)


def _joined(tables: list[tuple[str, Sheet]], unit: str, notes: tuple[str, ...]) -> Sheet:
    if any(table.in_order for _, table in tables):
        if not all(table.in_order for _, table in tables):
            raise UserError(f"its parts are tables of different kinds: {listed(label for label, _ in tables)}")
        first = tables[0][1]
        columns = (first.columns[0], *(table.columns[1] for _, table in tables))
        return Sheet((None, *(label for label, _ in tables)), columns, unit, first.rows, notes=notes, in_order=True)
    if any(table.keys is None for _, table in tables):
        raise UserError(f"holds several tables, {listed(label for label, _ in tables)}: give one of them")
    order = list(dict.fromkeys(key for _, table in tables for key in table.columns[0]))
    row_of = {key: row for row, key in enumerate(order)}
    names: list[str | None] = [KEYS]
    columns_found: list[list[Any]] = [order]
    for label, table in tables:
        if len(set(table.columns[0])) < len(table.columns[0]):
            raise UserError(f"{short(label)} names something twice")
        rows = [row_of[key] for key in table.columns[0]]
        for name, column in zip(table.names[1:], table.columns[1:], strict=True):
            cells: list[Any] = [None] * len(order)
            for row, cell in zip(rows, column, strict=True):
                cells[row] = cell
            names.append(label if name is None else f"{label}.{name}")
            columns_found.append(cells)
    return Sheet(tuple(names), tuple(columns_found), unit, range(1, len(order) + 1), notes=notes, keys=0)
