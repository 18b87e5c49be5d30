"""`run_bench.py query`: the truth of one architecture."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import Commands, add_archive, table_of
from mngnas.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from bench.truth import Table

LONGEST_MESSAGE = 280  # characters, as `evaluate` has it


def add(commands: Commands) -> None:
    """Add the command."""
    text = "show what a table knows of one architecture: accuracies, ranks, costs, latencies, its picture"
    parser = commands.add_parser("query", help=text, description=text)
    parser.add_argument("arch", metavar="ARCH", help="architecture string, official index, option numbers or tuple")
    parser.add_argument("--benchmark", default="nb201", help="the table of ground truth (default: nb201)")
    add_archive(parser)
    parser.add_argument("--digits-order", default="official", metavar="ORDER", help="of numbers: official or naslib")
    parser.add_argument("--latency", action="store_true", help="fetch the latencies that are not here yet, 1 MB")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the cell")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Look it up, and draw it where that is asked for."""
    from bench.scores.text import one_line
    from bench.truth.lookup import index_of, query
    from mngnas.spaces import space_named

    try:
        if space := _space_name(options.benchmark):  # a mistake is told before anything is fetched
            index_of(space_named(space), options.arch, options.digits_order)
        table = table_of(options)
        found = query(table, options.arch, order=options.digits_order, latency=_latencies(options, table))
    except UserError as error:
        raise UserError(one_line(str(error), LONGEST_MESSAGE)) from error
    if options.svg:
        _draw(options.svg, table, found.index)
    print(json.dumps(found.to_json()) if options.json else found)


def _space_name(benchmark: str) -> str:
    from bench.truth import TABLES

    return TABLES[benchmark].space if benchmark in TABLES else ""


def _latencies(options: argparse.Namespace, table: "Table") -> "dict[str, np.ndarray]":
    """Milliseconds of every architecture by device: of those in the cache, or of all."""
    from bench.truth.sources import latency
    from mngnas.data.download import cached_path

    if not latency.measures(table.search_space, table.parameters):
        if options.latency:
            raise UserError(f"--latency: no device was measured with the networks of {table.name!r}")
        return {}
    wanted = {name: file for name, file in latency.FILES.items() if options.latency or cached_path(file).exists()}
    return {name: latency.load(file, options.mirror) for name, file in wanted.items()}


def _draw(path: Path, table: "Table", index: int) -> None:
    from bench.files import write_atomically
    from bench.report.cells import cell_svg

    write_atomically(path, cell_svg(table.space, table.space.from_index(index)))
    print(f"picture: {path}", file=sys.stderr)
