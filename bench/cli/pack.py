"""`run_bench.py pack`: put a study's finished runs into one file, to be kept or sent."""

import argparse
from dataclasses import replace
from pathlib import Path

from bench.cli.options import Commands
from mngnas.errors import UserError


def add(commands: Commands) -> None:
    """Add the command."""
    text = "put a study's finished runs into runs.npz, without their weights and logs"
    parser = commands.add_parser("pack", help=text, description=text)
    parser.add_argument("study", type=Path, metavar="DIR")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Pack, check, and remove the runs' own directories; what is sent does not name this machine's folders."""
    from bench.study.spec import load_study, save_study
    from bench.study.store import PACKED, pack_runs

    n, path = pack_runs(options.study), options.study / PACKED
    try:
        study = load_study(options.study)
    except UserError:
        pass  # none, or of an older version: the runs are all there is
    else:
        save_study(options.study, replace(study, mirror=None, archive=None))
    print(f"{n} runs in {path}: {path.stat().st_size / 1e6:.1f} MB")
