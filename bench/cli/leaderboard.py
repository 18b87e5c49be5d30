"""`run_bench.py leaderboard`: everything that can be ranked against one target, in one sorted table."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import PROGRAM, Commands, add_benchmark, add_target, dataset_of, table_of
from bench.cli.reading import add_reading, read_tables, short_messages, spelled
from bench.cli.report import about_study
from mngnas.errors import UserError

if TYPE_CHECKING:
    from bench.board.entries import Entry
    from bench.board.standings import Board
    from bench.truth import Table


def add(commands: Commands) -> None:
    """Add the command."""
    text = "rank studies, score files, published scores and closed forms against one target, in one table"
    parser = commands.add_parser("leaderboard", help=text, description=text)
    parser.add_argument("places", type=Path, nargs="*", metavar="PLACE", help="studies, score files, folders of these")
    add_benchmark(parser)
    add_target(parser)
    add_reading(parser)
    parser.add_argument(
        "--published",
        action=argparse.BooleanOptionalAction,
        help="published scores, fetched where they are not yet (default: those in the cache)",
    )
    parser.add_argument("--common", action="store_true", help="compare on the architectures that all rows share")
    parser.add_argument(
        "--aggregate",
        action="append",
        default=[],
        metavar="HOW[:PATTERN,...]",
        help="a further row: vote or mean-log-rank of all rows, or of those that match; may be given several times",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the page there: HTML, Markdown, CSV")
    parser.set_defaults(command=command, benchmark=None)


def command(options: argparse.Namespace) -> None:
    """Collect the rows, measure them, print the table and write the page."""
    with short_messages():
        _leaderboard(options)


def _leaderboard(options: argparse.Namespace) -> None:
    from bench.board.entries import reference_entries, told_apart
    from bench.board.page import lines
    from bench.board.standings import standings
    from bench.study.store import is_study
    from bench.truth.target import accuracy_target

    studies = [place for place in options.places if is_study(place)]
    _take_from(studies, options)
    options.dataset = spelled(options)
    dataset = dataset_of(options)
    found = file_entries([place for place in options.places if place not in studies], options, dataset)
    table = table_of(options)
    target = accuracy_target(table, dataset, options.split, options.epochs)
    entries = _of_studies(studies, table, dataset, options) + found + _published(table, dataset, options)
    for asked in options.aggregate:
        from bench.board.combine import combined

        how, _, patterns = asked.partition(":")
        entries.append(combined(entries, how, patterns.split(",") if patterns else ("*",)))
    entries = told_apart(entries + reference_entries(table, dataset, target))
    board = standings(entries, target, table.space, common=options.common, resamples=options.resamples)
    for line in lines(board):
        print(line)
    if options.out:
        _write(options.out, board)


def _take_from(studies: list[Path], options: argparse.Namespace) -> None:
    """The benchmark and data set of the first study, where none is given."""
    if studies:
        about = about_study(studies[0])
        options.dataset = options.dataset or (about["dataset"] if options.benchmark is None else None)
        options.benchmark = options.benchmark or about["benchmark"]
    options.benchmark = options.benchmark or "nb201"


def _of_studies(studies: list[Path], table: "Table", dataset: str, options: argparse.Namespace) -> "list[Entry]":
    from bench.board.entries import study_entries
    from bench.truth.table import default_target

    measure = default_target(table, dataset, options.split, options.epochs)
    return [entry for study in studies for entry in study_entries(study, table, measure)]


def file_entries(places: list[Path], options: argparse.Namespace, dataset: str) -> "list[Entry]":
    """The score columns of files and folders; `options` are those of `add_reading`, and the benchmark."""
    from bench.board.entries import prediction_entry
    from bench.truth import TABLES
    from mngnas.spaces import space_named

    space = space_named(TABLES[options.benchmark].space)
    found = []
    for table in read_tables(places, options, dataset):
        for one in table.columns:
            column = one.score_column if len(table.columns) > 1 else None
            label = f"{table.name}: {column}" if column else table.name
            more = f" and {len(table.paths) - 1} more" if len(table.paths) > 1 else ""
            found.append(prediction_entry(one, space, name=table.name, label=label, source=f"{table.paths[0]}{more}"))
    return found


def _published(table: "Table", dataset: str, options: argparse.Namespace) -> "list[Entry]":
    from bench.board.published import are_cached, published_entries

    space = table.search_space
    if options.published or (options.published is None and are_cached(space, dataset)):
        found = published_entries(space, dataset, options.mirror)
        if options.published and not found:
            raise UserError(f"--published: no published scores are known of {table.space.label} on {dataset}")
        return found
    return []


def _write(out: Path, board: "Board") -> None:
    from bench.board.page import blocks, title, to_csv
    from bench.files import write_atomically
    from bench.report import write_page

    given = shlex.join([PROGRAM, *sys.argv[1:]])
    write_page(out, "leaderboard", title(board), blocks(board, given))
    write_atomically(out / "leaderboard.csv", to_csv(board).encode())
    print(f"page: {out / 'index.html'}")
