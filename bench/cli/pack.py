"""`run_bench.py pack`: put a study's finished runs into two files, to be kept or sent."""

import argparse
from pathlib import Path

from bench.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    text = "put a study's finished runs into runs.json and runs.npz, without their weights and logs"
    parser = commands.add_parser("pack", help=text, description=text)
    parser.add_argument("study", type=Path, metavar="DIR")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Pack, check, and remove the runs' own directories."""
    from bench.study.records import PACKED_RECORDS, PACKED_SCORES, pack_runs

    n = pack_runs(options.study)
    size = sum((options.study / name).stat().st_size for name in (PACKED_RECORDS, PACKED_SCORES))
    print(f"{n} runs in {options.study}: {size / 1e6:.1f} MB")
