"""`run_bench.py tables`: the tables of a paper, from studies and published figures."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import Commands, add_archive, positive
from bench.cli.reading import add_reading, short_messages
from bench.cli.report import table_of_study
from mngnas.errors import UserError

if TYPE_CHECKING:
    from bench.board.entries import Entry
    from bench.tables.search import SearchTable
    from bench.tables.studies import Studied


def add(commands: Commands) -> None:
    """Add the command."""
    text = "make the tables of a paper from studies, beside published figures: Markdown, CSV and LaTeX"
    parser = commands.add_parser("tables", help=text, description=text)
    parser.add_argument("studies", type=Path, nargs="*", metavar="STUDY", help="directories of studies")
    parser.add_argument("--out", type=Path, default=Path("runs/tables"), metavar="DIR", help="default: runs/tables")
    parser.add_argument(
        "--check", action="store_true", help="say which cells leave the published spread; write nothing"
    )
    parser.add_argument(
        "--scores", type=Path, nargs="+", default=[], metavar="PLACE", help="score files to rank as well"
    )
    add_reading(parser)
    parser.add_argument("--published", action="store_true", help="rank the scores that others published as well")
    parser.add_argument("--resamples", type=positive, default=1000, help="of the bootstrap (default: 1000)")
    add_archive(parser)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Read the studies, compute, write; what a table has nothing for is told."""
    with short_messages():
        _tables(options)


def _tables(options: argparse.Namespace) -> None:
    from bench.tables.check import check_lines
    from bench.tables.published import papers
    from bench.tables.search import search_table
    from bench.tables.studies import read_studies

    tables = {study: table_of_study(options, study)[0] for study in options.studies}
    studies = read_studies(tables, options.resamples)
    searches = [search_table(paper, studies) for paper in papers()]
    if options.check:
        for line in check_lines(searches):
            print(line)
    else:
        _write(options, studies, searches)


def _write(options: argparse.Namespace, studies: "Sequence[Studied]", searches: "Sequence[SearchTable]") -> None:
    from bench.tables.ablations import ablation_table
    from bench.tables.ranking import ranking_table
    from bench.tables.render import make_folder, write_tables
    from bench.tables.search import paper_table
    from bench.tables.studies import by_truth
    from bench.tables.transfer import transfer_table

    groups = by_truth(studies)
    if options.scores and len(groups) != 1:
        raise UserError(
            f"--scores: they are ranked on the ground truth of the studies, which have {len(groups)}, not one"
        )
    make_folder(options.out)
    print("computing the tables", file=sys.stderr)
    found, left_out = [paper_table(one) for one in searches], list[str]()
    left_out += [f"ours in the table of {one.paper.title}: no study fits" for one in searches if not one.settings]
    for group in groups:
        record = group[0].record
        where = f"{record.benchmark}, {record.dataset}"
        made = (
            (f"ranking on {where}: nothing ranks", ranking_table(group, _others(options, group[0]), options.resamples)),
            (
                f"transfer from {where}: nothing ranks, or the table knows one data set only",
                transfer_table(group, options.resamples),
            ),
            *((f"ablations of {study.name}: no two variants of a method", ablation_table(study)) for study in group),
        )
        found += [table for _, table in made if table is not None]
        left_out += [text for text, table in made if table is None]
    paths = write_tables(options.out, found)
    for line in left_out:
        print(f"left out: {line}")
    print(f"{len(found)} tables in {len(paths)} files: {options.out}")


def _others(options: argparse.Namespace, study: "Studied") -> "list[Entry]":
    """What is ranked beside the studies."""
    from bench.board.published import published_entries
    from bench.cli.leaderboard import file_entries

    options.benchmark, dataset = study.record.benchmark, study.record.dataset
    found = file_entries(options.scores, options, dataset) if options.scores else []
    return found + (published_entries(study.record.space, dataset, options.mirror) if options.published else [])
