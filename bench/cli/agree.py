"""`run_bench.py agree`: how alike the runs of studies rank and those of another study; no ground truth is asked."""

import argparse
from pathlib import Path

from bench.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    text = "tau-b of studies' scores with another study's, training-free ones of the full-size network say: tune by it"
    parser = commands.add_parser("agree", help=text, description=text)
    parser.add_argument("studies", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--with", type=Path, required=True, dest="reference", metavar="DIR", help="the other study")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Print a table: a row for each method and preset, a column for each method of the other study."""
    from bench.cli.terminal import line
    from bench.report.agree import agreement_with

    for row in agreement_with(options.studies, options.reference):
        print(f"  {line(row.label)} [{line(row.preset)}], {row.with_label}: {row.text}")
