"""`run_bench.py pack`: put a study's finished runs into one file, to be kept or sent."""

import argparse
from pathlib import Path

from bench.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    text = "put a study's finished runs into runs.npz, without their weights and logs"
    parser = commands.add_parser("pack", help=text, description=text)
    parser.add_argument("study", type=Path, metavar="DIR")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Pack, check, and remove the runs' own directories."""
    from bench.study.store import PACKED, pack_runs

    n, path = pack_runs(options.study), options.study / PACKED
    print(f"{n} runs in {path}: {path.stat().st_size / 1e6:.1f} MB")
