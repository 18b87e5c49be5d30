"""Thousands of files with a known right answer, spoilt by chance: read right or refused in one line, nothing else.

MNGNAS_BENCH_FUZZ=10 tries ten times as many files; the seed of a file is in the message of a failure.
"""

import gzip
import json
import os
import random
from dataclasses import dataclass, field

import pytest
from writing import NASLIB, NNI, SPACED, TEXTS, VALUES, csv, renamed, string, truth

from bench.scores.read import read_score_columns
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY

N_FILES = 1000 * int(os.environ.get("MNGNAS_BENCH_FUZZ", "1"))
TRUE = truth()
DATASETS = ("cifar10", "cifar100", "imagenet16-120")


@dataclass
class Table:
    """A file that is about to be written."""

    header: list[str]
    rows: list[list[object]]
    true: object  # the right score of an architecture, by index
    delimiter: str = ","
    notes: list[str] = field(default_factory=list)  # what was done to it


def table_of(rng):
    indices = rng.sample(range(TOPOLOGY.n_arch), 60)
    form = rng.choice(list(TEXTS))
    rows = [[TEXTS[form](index), float(TRUE[index])] for index in indices]
    header = [rng.choice(["arch", "cellstr", "net", "arch_index"]), rng.choice(["score", "synflow", "val.acc"])]
    if form == "index":
        header[0] = "arch_index"
    return Table(header, rows, lambda index: TRUE[index], rng.choice([",", ",", ";", "\t"]), [form])


# ----------------------------------------------------------------------------------- changes that keep the right answer


def with_column(table, at, name, cells):
    table.header.insert(at, name)
    for row, cell in zip(table.rows, cells, strict=True):
        row.insert(at, cell)


def row_numbers(table, rng):
    name = rng.choice(["", "index", "id", "rank", "Unnamed: 0"])
    if name not in table.header:
        start = rng.choice([0, 1])
        with_column(table, rng.choice([0, len(table.header)]), name, range(start, start + len(table.rows)))


def another_number(table, rng):
    name = rng.choice(["params", "flops", "time", "epoch"])
    if name not in table.header:
        at = rng.randrange(len(table.header) + 1)
        with_column(table, at, name, [rng.choice([rng.random(), rng.randrange(99), ""]) for _ in table.rows])


def another_text(table, rng):
    if "note" not in table.header:
        with_column(table, len(table.header), "note", [rng.choice(["a", "b 1", "", "x,y"]) for _ in table.rows])


def missing(table, rng):
    at = row_score(table)
    for row in rng.sample(table.rows, rng.randrange(1, 9)):
        row[at if len(row) == len(table.rows[0]) else -1] = rng.choice(["", "nan", "NaN", "null", None])


def surplus(table, rng):
    rng.choice(table.rows).append(rng.choice(["1.5", "x", ""]))


def too_short(table, rng):
    rng.choice(table.rows).pop(rng.choice([0, -1]))


def all_surplus(table, rng):
    for row in table.rows:
        row.append(rng.choice(["1", ""]))


def decorated(table, rng):
    at = row_score(table)
    mark = rng.choice(["{}%", "{} ± 0.01", "tensor({})", "tensor({}, device='cuda:0')", " {} ", "{} pts", "{:e}"])
    rows = table.rows if rng.random() < 0.7 else rng.sample(table.rows, 1)
    for row in rows:
        if len(row) == len(table.rows[0]) and isinstance(row[at], float):
            row[at] = mark.format(row[at])


def decimal_commas(table, rng):
    at = row_score(table)
    for row in table.rows if rng.random() < 0.7 else table.rows[::7]:
        if len(row) == len(table.rows[0]):
            row[at] = str(row[at]).replace(".", ",")


def no_header(table, _rng):
    table.header = []


def lost_name(table, rng):
    if table.header:
        table.header.pop(rng.randrange(len(table.header)))


def other_names(table, rng):
    table.header = rng.sample(["a", "b", "x y", "arch", "index", "rank", "net", "0", "c d", "e"], len(table.header))


def shuffled(table, rng):
    rng.shuffle(table.rows)


def repeated(table, rng):
    table.rows += [list(row) for row in rng.sample(table.rows, 5)]


def strangers(table, rng):
    at = row_arch(table)
    for _ in range(rng.choice([1, 5, 40])):
        row = rng.choice(table.rows)
        row[min(at, len(row) - 1)] = rng.choice(["foo", "", "|a~0|", "-1", "99999", "[1, 2]", "(0, 0)"])


def respelled(table, rng):
    others = rng.choice([SPACED, NNI, NASLIB])
    at = row_arch(table)
    for row in table.rows:
        if at < len(row):
            row[at] = renamed(str(row[at]), others)


def swapped(table, rng):
    row = rng.choice(table.rows)
    if len(row) == len(table.rows[0]):
        row[row_score(table)], row[row_arch(table)] = row[row_arch(table)], row[row_score(table)]


def another_architecture(table, rng):
    if "other" not in table.header:
        with_column(table, 0, "other", [string(rng.randrange(99)) for _ in table.rows])


def row_score(table):
    return next((at for at, cell in enumerate(table.rows[0]) if isinstance(cell, float) and 10 <= cell < 26), -1)


def row_arch(table):
    return next((at for at, cell in enumerate(table.rows[0]) if isinstance(cell, str) and len(cell) > 2), 0)


CHANGES = (
    *(row_numbers, another_number, another_text, missing, surplus, too_short, all_surplus, decorated, decimal_commas),
    *(no_header, lost_name, other_names, shuffled, repeated, strangers, respelled, swapped, another_architecture),
)


# ------------------------------------------------------------------------------------------------------------- writing


def as_text(table, rng):
    header = [table.header] if table.header else []
    text = csv([*header, *table.rows], table.delimiter, rng.choice(["\n", "\n", "\r\n"]))
    if rng.random() < 0.1:
        text = text.replace('"', "")
    if rng.random() < 0.1:
        text = text.replace("\n", "\n\n", 3)
    return text


def as_json(table, rng):
    if len({len(row) for row in table.rows}) > 1:
        return json.dumps(table.rows)
    names = table.header if len(table.header) == len(table.rows[0]) else [f"c{at}" for at in range(len(table.rows[0]))]
    records = [dict(zip(names, row, strict=False)) for row in table.rows]
    columns = {name: [record.get(name) for record in records] for name in names}
    keyed = {str(row[0]): dict(zip(names[1:], row[1:], strict=False)) for row in table.rows}
    return rng.choice(
        [
            lambda: json.dumps(records),
            lambda: json.dumps(table.rows),
            lambda: json.dumps(columns),
            lambda: json.dumps({name: dict(enumerate(cells)) for name, cells in columns.items()}),
            lambda: json.dumps({"columns": names, "data": table.rows, "index": list(range(len(table.rows)))}),
            lambda: "\n".join(map(json.dumps, records)),
            lambda: json.dumps(keyed),
            lambda: json.dumps({"cifar10": keyed, "cifar100": {arch: {"score": 1.0} for arch in keyed}}),
            lambda: json.dumps({str(at): record for at, record in enumerate(records)}),
            lambda: json.dumps([one_more(rng), *table.rows]),
        ]
    )()


def one_more(rng):
    index = rng.randrange(99)
    return [VALUES[rng.choice(list(VALUES))](index), float(TRUE[index])]


def as_bytes(text, rng):
    encoding = rng.choice(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
    data = text.encode(encoding, errors="replace")
    return gzip.compress(data, mtime=0) if rng.random() < 0.1 else data


def spoilt(data, rng):
    """Bytes changed by chance: what was written is no longer what is there."""
    for _ in range(rng.choice([1, 1, 1, 5])):
        at = rng.randrange(len(data))
        new = rng.choice([b"", bytes([rng.randrange(256)]), b"\x00", b'"', b",", b"\n", b"}", b"\x1b[31m"])
        data = data[:at] + new + data[at + rng.choice([0, 1]) :]
    return data


def cut_off(data, rng):
    return data[: rng.randrange(1, len(data))]


def read(path, data, options):
    """What is read of the file; an empty tuple if it is refused, which takes one line."""
    path.write_bytes(data)
    try:
        return read_score_columns(path, space=TOPOLOGY, dataset="cifar10", datasets=DATASETS, **options)
    except UserError as error:
        message = str(error)
    assert len(message) <= 280, message
    assert message.isprintable(), repr(message)
    return ()


def wrong(found, names):
    """How many architectures have another score than the right one, in the column that holds it."""
    ours = [one for one in found if one.score_column in names] or (list(found) if len(found) == 1 else [])
    return [sum(abs(one.score - TRUE[one.arch_index]) > 1e-9) for one in ours]


@pytest.mark.parametrize("part", range(10))
def test_right_or_refused(part, tmp_path):
    n_read = 0
    for seed in range(part, N_FILES, 10):
        rng = random.Random(seed)
        table = table_of(rng)
        names = {table.header[1], f"cifar10.{table.header[1]}"}
        for change in rng.sample(CHANGES, rng.choice([0, 1, 1, 2, 3])):
            change(table, rng)
            table.notes.append(change.__name__)
        text = (as_text if rng.random() < 0.6 else as_json)(table, rng)
        data = as_bytes(text, rng)
        found = read(tmp_path / rng.choice(["a.csv", "a.json", "a", "a.txt"]), data, {})
        n_read += bool(found)
        assert not any(wrong(found, names)), f"seed {seed}: {table.notes}\n{text[:600]}"
    assert n_read > N_FILES / 10 / 5, "nearly everything is refused: this shows nothing"


@pytest.mark.parametrize("part", range(4))
def test_spoilt_bytes(part, tmp_path):
    for seed in range(part, N_FILES, 4):
        rng = random.Random(1_000_000 + seed)
        table = table_of(rng)
        names = {table.header[1], f"cifar10.{table.header[1]}"}
        data = as_bytes((as_text if rng.random() < 0.5 else as_json)(table, rng), rng)
        data = rng.choice([spoilt, cut_off])(data, rng)
        options = {"allow_unreadable": True} if rng.random() < 0.3 else {}
        found = read(tmp_path / "a", data, options)
        # A digit that became another digit cannot be told; five bytes and a cut spoil six rows at most.
        assert all(n <= 6 for n in wrong(found, names)), f"seed {1_000_000 + seed}: {table.notes}\n{data[:600]!r}"
