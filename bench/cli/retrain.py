"""`run_bench.py retrain`: rank correlation against how long architectures are trained from a study's supernets."""

import argparse
from pathlib import Path

from bench.cli.options import PROGRAM, Commands, add_archive, add_jobs, check_device, parallel, positive, seeds
from bench.cli.progress import shown
from bench.cli.report import table_of_study

_LENGTHS = (0, 5, 10, 20, 50, 100, 200)


def add(commands: Commands) -> None:
    """Add the command."""
    text = "train some architectures on from a study's supernets and from scratch, for several lengths"
    parser = commands.add_parser("retrain", help=text, description=text)
    parser.add_argument("study", type=Path, metavar="DIR")
    parser.add_argument("--strategy", help="of the study's methods (default: those that guide retraining, else all)")
    parser.add_argument("--seeds", type=seeds, help="of the study's: how many, from 0, or 5-14 (default: all)")
    parser.add_argument("--archs", type=positive, default=300, help="how many, at random (default: 300)")
    parser.add_argument(
        "--passes",
        type=lengths,
        default=_LENGTHS,
        metavar="N,N,...",
        help=f"for each, in forward-backward passes (default: {','.join(map(str, _LENGTHS))})",
    )
    add_jobs(parser)
    add_archive(parser)
    parser.set_defaults(command=command)


def lengths(text: str) -> tuple[int, ...]:
    """Whole numbers from 0 on, each once, in their order."""
    return tuple(sorted({0 if one.strip() == "0" else positive(one.strip()) for one in text.split(",")}))


def command(options: argparse.Namespace) -> None:
    """Train what is missing."""
    import numpy as np

    from bench.study.executor import LocalExecutor
    from bench.study.retrain import retrain, retrained_archs, runs_to_retrain
    from bench.study.spec import check_protocol, check_table, load_for_more
    from bench.study.task import check_task
    from bench.truth.table import default_target
    from mngnas.data.datasets import load_images

    study = load_for_more(options.study, options.mirror)
    check_protocol(options.study, study)
    runs = runs_to_retrain(options.study, options.strategy, options.seeds)
    check_device(study.device)
    check_task(study, load_images(study.dataset, study.mirror))
    table, dataset = table_of_study(options, options.study)
    check_table(options.study, study, table.checksum)
    known = np.isfinite(table.mean(default_target(table, dataset, None, None)))
    archs = retrained_archs(options.study, options.archs, known)
    executor = LocalExecutor(parallel(options.jobs, study.device))
    with shown() as show:
        retrain(options.study, runs, archs, options.passes, executor, show)
    print(f"{len(archs)} architectures after {', '.join(map(str, options.passes))} passes, {len(runs)} supernets")
    print(f"what came of it: {PROGRAM} report {options.study}")
