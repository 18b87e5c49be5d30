"""`run_bench.py report`: a study's report, made anew from its finished runs."""

import argparse
import sys
from pathlib import Path

from bench.cli.options import Commands, add_archive, add_target
from bench.truth import Table, load_table
from mngnas.methods.registry import split_outside_brackets


def add(commands: Commands) -> None:
    """Add the command."""
    text = "make a study's report from its finished runs"
    parser = commands.add_parser("report", help=text, description=text)
    parser.add_argument("study", type=Path, metavar="DIR")
    add_archive(parser)
    add_target(parser)
    parser.add_argument(
        "--scatter",
        metavar="METHOD,METHOD",
        default="",
        help="two methods whose ranks are drawn against each other, METHOD/RANKING for a further ranking (default: the "
        "best two)",
    )
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Make the report; studies of older versions are read too."""
    table, dataset = table_of_study(options, options.study)
    target = dataset, options.split, options.epochs
    scatter = tuple(split_outside_brackets(options.scatter)) if options.scatter else ()
    write_report(options.study, table, *target, options.resamples, scatter)


def table_of_study(options: argparse.Namespace, study: Path) -> tuple[Table, str]:
    """A study's table of ground truth as it is now, and its data set; `options` are those of `add_archive`."""
    about, archive = about_study(study), options.archive
    if archive is None and about.get("archive") and Path(about["archive"]).exists():
        archive = Path(about["archive"])
    mirror = options.mirror or about.get("mirror")
    table = load_table(about["benchmark"], mirror=mirror, path=archive, trust=options.trust_archive)
    return table, about["dataset"]


def about_study(study: Path) -> dict[str, str]:
    """What study.json says in plain words, at least "benchmark" and "dataset"; without it what a run says."""
    from bench.study.jobs import read_json
    from bench.study.store import first_record

    about = {name: value for name, value in read_json(study / "study.json").items() if isinstance(value, str)}
    if {"benchmark", "dataset"} <= set(about):
        return about
    first = first_record(study)
    return {"benchmark": first.benchmark, "dataset": first.dataset}


def write_report(
    study: Path,
    table: Table,
    dataset: str,
    split: str | None,
    epochs: int | None,
    resamples: int,
    scatter: tuple[str, ...] = (),
) -> None:
    """Write it and say where."""
    from bench.report import report
    from bench.truth.table import default_target

    print("computing correlations and drawing the report", file=sys.stderr)
    target = default_target(table, dataset, split, epochs)
    paths = report(study, table, target=target, resamples=resamples, scatter=scatter)
    print(paths.summary)
    print(f"report: {paths.html}")
