"""`run_bench.py tables`: the tables of a paper, from studies and published figures."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import Commands, add_archive, positive
from bench.cli.report import table_of_study

if TYPE_CHECKING:
    from bench.tables.search import SearchTable
    from bench.tables.studies import Studied


def add(commands: Commands) -> None:
    """Add the command."""
    text = "make the tables of a paper from studies, beside published figures: Markdown, CSV and LaTeX"
    parser = commands.add_parser("tables", help=text, description=text)
    parser.add_argument("studies", type=Path, nargs="*", metavar="STUDY", help="directories of studies")
    parser.add_argument("--out", type=Path, default=Path("tables"), metavar="DIR", help="default: tables")
    parser.add_argument(
        "--check", action="store_true", help="say which cells leave the published spread; write nothing"
    )
    parser.add_argument("--published", action="store_true", help="rank the scores that others published as well")
    parser.add_argument("--resamples", type=positive, default=1000, help="of the bootstrap (default: 1000)")
    add_archive(parser)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Read the studies, compute, write; what a table has nothing for is told."""
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
    from bench.board.published import published_entries
    from bench.tables.ablations import ablation_table
    from bench.tables.ranking import ranking_table
    from bench.tables.render import write_tables
    from bench.tables.search import paper_table
    from bench.tables.studies import by_truth
    from bench.tables.transfer import transfer_table

    print("computing the tables", file=sys.stderr)
    found = [paper_table(search) for search in searches]
    left_out = [f"{one.paper.title}: no study fits, published figures alone" for one in searches if not one.settings]
    for group in by_truth(studies):
        record = group[0].record
        others = published_entries(record.space, record.dataset, options.mirror) if options.published else []
        for name, table, reason in (
            ("ranking", ranking_table(group, others, options.resamples), "nothing ranks"),
            (
                "transfer",
                transfer_table(group, options.resamples),
                "nothing ranks, or the table knows this data set only",
            ),
        ):
            if table is None:
                left_out.append(f"{name} on {record.benchmark}, {record.dataset}: not applicable, {reason}")
            else:
                found.append(table)
    for study in studies:
        ablations = ablation_table(study)
        if ablations is None:
            left_out.append(f"ablations of {study.name}: no method with two variants")
        else:
            found.append(ablations)
    paths = write_tables(options.out, found)
    for line in left_out:
        print(f"left out: {line}")
    print(f"{len(found)} tables in {len(paths)} files: {options.out}")
