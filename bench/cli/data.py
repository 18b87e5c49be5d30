"""`run_bench.py data`: fetch tables and pictures; build and verify digits201."""

import argparse
from pathlib import Path

from bench.cli.options import Commands, Parser, add_device, add_jobs, add_mirror, check_device, parallel, positive
from bench.cli.progress import shown
from bench.truth import TABLES, load_table
from mngnas.errors import UserError, unknown

_OWN = "digits201"  # the benchmark that this project makes
_PROGRESS = "progress.npz"  # beside its table: finished trainings that the table does not have yet
PUBLISHED = "published-scores"


def add(commands: Commands) -> None:
    """Add the command with its actions."""
    data = commands.add_parser("data", help=f"fetch tables and images; build and verify {_OWN}")
    actions = data.add_subparsers(metavar="action", required=True, parser_class=Parser)
    fetch = actions.add_parser("fetch", help="fetch and check, so that later commands need no network")
    fetch.add_argument(
        "names", nargs="*", metavar="NAME", help=f"tables, data sets, {PUBLISHED} (default: nb201 cifar10)"
    )
    add_mirror(fetch)
    fetch.set_defaults(command=fetch_command)
    build = actions.add_parser("build", help=f"train the networks of {_OWN} that its table does not have yet")
    build.add_argument("names", nargs="*", choices=(_OWN,), default=_OWN, metavar="table")
    build.add_argument("--work", type=Path, default=Path(".local") / _OWN, help="where finished trainings are kept")
    build.add_argument("--classes", type=positive, help="only the first so many of the 6,466 classes")
    build.add_argument("--seeds", type=positive, default=8, help="how many, counted from 0 (default: 8)")
    build.add_argument("--table", type=Path, help=f"the file to write (default: the one in data/{_OWN})")
    build.add_argument(
        "--collect", action="store_true", help=f"train nothing: put what is finished into {_PROGRESS} beside the table"
    )
    add_device(build)
    add_jobs(build)
    build.set_defaults(command=build_command)
    verify = actions.add_parser("verify", help=f"train some networks of {_OWN} again and compare with its table")
    verify.add_argument("names", nargs="*", choices=(_OWN,), default=_OWN, metavar="table")
    verify.add_argument("--archs", type=positive, default=20, help="how many (default: 20)")
    add_device(verify)
    verify.set_defaults(command=verify_command)


def fetch_command(options: argparse.Namespace) -> None:
    """Fetch what is named."""
    from mngnas.data.datasets import IMAGE_DATASETS, load_images

    names, known = options.names or ["nb201", "cifar10"], (*TABLES, *IMAGE_DATASETS, PUBLISHED)
    for name in names:
        if name not in known:
            raise unknown("table or data set", name, known)
    for name in names:
        if name == PUBLISHED:
            _fetch_published(options.mirror)
        elif name in TABLES:
            table = load_table(name, mirror=options.mirror)
            print(f"{name}: {len(table.measures)} measures, checksum {table.checksum[:12]}")
        else:
            data = load_images(name, options.mirror)
            print(f"{name}: {data.train.name}, {len(data.train):,} to train on, {len(data.valid):,} to validate on")


def _fetch_published(mirror: str | None) -> None:
    from bench.board.published import published
    from mngnas.data.download import fetch

    files = [file for one in published() for file in one.files]
    for file in files:
        fetch(file, mirror=mirror)
    print(f"{PUBLISHED}: {len(published())} tables of scores in {len(files)} files")


def build_command(options: argparse.Namespace) -> None:
    """Train what is missing and write the table, or collect what is finished."""
    from bench.digits201.build import collect, spread, unpack
    from bench.digits201.job import build
    from bench.digits201.reliability import finalise, summary
    from bench.study.executor import LocalExecutor
    from bench.truth.sources.digits201 import PATH, load

    check_device(options.device)
    path = options.table or PATH
    if path.exists():
        unpack(load(path), options.work)
    progress = path.with_name(_PROGRESS)
    if progress.exists():
        spread(progress, options.work)
    if options.collect:
        print(f"{collect(options.work, progress):,} finished trainings: {progress}")
        return
    seeds = range(options.seeds)
    executor = LocalExecutor(parallel(options.jobs, options.device))
    with shown() as show:
        done = build(options.work, seeds, options.classes, options.device, executor, show)
    print(f"{done.done:,} of {done.wanted:,} trainings are finished")
    print(summary(finalise(options.work, path, seeds=seeds)))
    print(f"table: {path}")


def verify_command(options: argparse.Namespace) -> None:
    """Train some architectures again; a difference beyond chance is an error."""
    from bench.digits201.reliability import verify

    check_device(options.device)
    found = verify(options.archs, device=options.device, progress=True)
    print(
        f"{options.archs} architectures trained again ({found.n_training} trainings): test accuracy differs by "
        f"{100 * found.difference:.2f} points (root mean square; mean {100 * found.bias:+.2f}); the table's own seeds "
        f"spread by {100 * found.sd_seed:.2f}"
    )
    if not found.reproduces:
        raise UserError("that is more than the spread of the table's seeds explains: the table is not reproduced")
