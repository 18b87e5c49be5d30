"""`run_bench.py brief`: brief stand-alone training of some of a study's architectures."""

import argparse
from pathlib import Path

from bench.cli.options import PROGRAM, Commands, add_jobs, add_mirror, check_device, parallel, positive
from bench.cli.progress import shown


def add(commands: Commands) -> None:
    """Add the command."""
    text = "train some of a study's architectures alone, briefly: a ranking to tune by"
    parser = commands.add_parser("brief", help=text, description=text)
    parser.add_argument("study", type=Path, metavar="DIR")
    parser.add_argument("--archs", type=positive, default=100, help="how many, at random (default: 100)")
    parser.add_argument("--steps", type=positive, default=500, help="batches for each (default: 500)")
    add_jobs(parser)
    add_mirror(parser)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Train what is missing."""
    from bench.study.brief import train_briefly
    from bench.study.executor import LocalExecutor
    from bench.study.spec import load_for_more
    from bench.study.task import check_task
    from mngnas.data.datasets import load_images

    study = load_for_more(options.study, options.mirror)
    check_device(study.device)
    check_task(study, load_images(study.dataset, study.mirror))
    executor = LocalExecutor(parallel(options.jobs, study.device))
    with shown() as show:
        found = train_briefly(options.study, options.archs, options.steps, executor, show)
    accuracy = found.scores.score
    print(f"{len(accuracy)} architectures after {found.steps} steps: mean accuracy {accuracy.mean():.3f}")
    print(f"compare methods with it: {PROGRAM} report {options.study}")
