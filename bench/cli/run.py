"""`run_bench.py run` and `ablate`: train, score all architectures, write the report."""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.options import (
    PROGRAM,
    Commands,
    add_benchmark,
    add_device,
    add_executor,
    add_jobs,
    add_methods_from,
    check_device,
    dataset_of,
    defaults,
    executor_of,
    method_folders,
    seeds,
    table_of,
    whole,
)
from bench.cli.progress import shown
from bench.cli.report import write_report
from bench.cli.terminal import line
from bench.files import read_bounded
from mngnas.errors import UserError

if TYPE_CHECKING:
    from bench.study.spec import Study
    from bench.truth import Table
    from mngnas.data.datasets import ImageData

_ROWS = Path(__file__).parent / "ablations.txt"
_LIKE_ALONE = ("strategy", "seeds", "preset", "set", "benchmark", "dataset")  # what a study's file says itself


def add(commands: Commands) -> None:
    """Add both commands."""
    text = "train supernets and other methods, score all architectures, write the report"
    _add(commands.add_parser("run", help=text, description=text), defaults()["strategies"], 3, "")
    text = "the same as run, with the rows of a file: methods and what was changed in them"
    ablate = commands.add_parser("ablate", help=text, description=text)
    _add(ablate, None, 5, "-ablations")
    ablate.add_argument("--rows", type=Path, default=_ROWS, help="a strategy a line (default: %(default)s)")


def _add(parser: argparse.ArgumentParser, strategies: str | None, n_seed: int, suffix: str) -> None:
    add_benchmark(parser)
    parser.set_defaults(benchmark=None)
    parser.add_argument(
        "--strategy",
        help="names, variants name[field=value,...] or shell-style patterns, separated by commas; ! before one leaves "
        f"out (default: {strategies or 'the rows of --rows'})",
    )
    parser.add_argument("--seeds", type=seeds, help=f"how many, counted from 0, or 5-14 (default: {n_seed})")
    parser.add_argument("--preset", help="a name that `list` shows, or a .toml file (default: digits or cpu)")
    parser.add_argument(
        "--set",
        action="append",
        metavar="ENTRY=VALUE",
        help="change an entry of the preset, training.passes=1000 for example; may be given several times",
    )
    parser.add_argument("--like", type=Path, metavar="STUDY", help="all that another study's study.json says, again")
    where = f"runs/BENCHMARK-DATASET-PRESET{suffix}"
    parser.add_argument("--out", type=Path, help=f"the study's directory (default: {where})")
    add_device(parser)
    add_jobs(parser)
    add_executor(parser)
    add_methods_from(parser)
    parser.set_defaults(command=command, suffix=suffix, rows=None, strategies=strategies, n_seed=n_seed)


def command(options: argparse.Namespace) -> None:
    """Run what is missing of a study, and make its report."""
    from bench.study.begin import begun, job_of
    from bench.study.spec import open_study

    study, table, images = _like(options) if options.like else _asked(options)
    out = options.out or Path("runs") / _directory_name(study, options.suffix)
    if options.executor == "local":
        check_device(study.device)
    for run in study.runs:
        begun(study, out, run)  # what is wrong with a variant or with its space is told before anything starts
    if images:
        from bench.study.task import check_task

        check_task(study, images)
    open_study(out, study)
    executor = executor_of(options, study.device, len(study.runs))
    jobs = [job_of(out, run, study.method_folders) for run in study.runs]
    print(line(f"{len(jobs)} runs on {study.images} in {out}: {_what(study)}"), file=sys.stderr)
    with shown() as show:
        failures = executor.run(_not_packed(out, jobs), show)
    if options.detach:
        print(f"submitted; to see how it goes: {PROGRAM} status {out}")
        return
    for failure in failures:
        print(line(f"run {failure.job.name} failed: {failure.reason}"), file=sys.stderr)
    if len(failures) < len(jobs):
        write_report(out, table, study.dataset, None, None, 1000)
    if failures:
        raise UserError(f"{len(failures)} of {len(jobs)} runs failed; the same command tries them again")


def _asked(options: argparse.Namespace) -> "tuple[Study, Table, ImageData | None]":
    """The study that the options describe, with its pictures if a method looks at any."""
    from bench.study.preset import check_methods, load_preset, with_changes
    from bench.study.spec import NO_IMAGES, PlannedRun, Study
    from mngnas.methods.registry import select

    options.benchmark = options.benchmark or "nb201"
    folders, changes = method_folders(options), tuple(options.set or ())
    picked = select(options.strategy or (options.strategies or _rows(options.rows)), folders)
    dataset = dataset_of(options)
    if options.executor == "local":
        check_device(options.device)
    preset = load_preset(options.preset or ("digits" if dataset == "digits" else "cpu"), folders)
    preset = with_changes(preset, changes, folders)
    check_methods(preset, folders)
    table = table_of(options)
    images = _images_of([name for name, _ in picked], folders, dataset, options.mirror)
    study = Study(
        benchmark=options.benchmark,
        space=table.search_space,
        dataset=dataset,
        images=images.train.name if images else NO_IMAGES,
        preset=preset,
        changes=changes,
        table_checksum=table.checksum,
        device=options.device,
        runs=tuple(
            PlannedRun(name, changed, seed)
            for seed in (options.seeds or range(options.n_seed))
            for name, changed in picked
        ),
        mirror=options.mirror,
        archive=str(whole(options.archive)) if options.archive else None,
        methods_from=tuple(map(str, folders)),
    )
    return study, table, images


def _images_of(names: Iterable[str], folders: tuple[Path, ...], dataset: str, mirror: str | None) -> "ImageData | None":
    """The pictures, unless all methods search the table alone."""
    from mngnas.data.datasets import load_images
    from mngnas.methods.registry import method_entry

    if all(method_entry(name, folders).info.kind == "searcher" for name in names):
        return None
    return load_images(dataset, mirror)


def _like(options: argparse.Namespace) -> "tuple[Study, Table, ImageData | None]":
    """The study that another study's file describes, whatever its preset was called."""
    from bench.study.spec import check_protocol, check_table, load_study

    given = [f"--{name}" for name in _LIKE_ALONE if getattr(options, name) is not None]
    if given:
        raise UserError(f"--like says what {', '.join(given)} would say: give only one of the two")
    study = load_study(options.like)
    check_protocol(options.like, study)
    options.benchmark = study.benchmark
    options.mirror = options.mirror or study.mirror
    if options.archive is None and study.archive and Path(study.archive).exists():
        options.archive = Path(study.archive)
    options.dataset = study.dataset
    dataset_of(options)
    table = table_of(options)
    folders = method_folders(options) or study.method_folders
    archive = str(whole(options.archive)) if options.archive else None
    study = replace(study, mirror=options.mirror, archive=archive, methods_from=tuple(map(str, folders)))
    check_table(options.like, study, table.checksum)
    study = replace(study, table_checksum=table.checksum)
    return study, table, _images_of((run.method for run in study.runs), folders, study.dataset, study.mirror)


def _rows(path: Path) -> str:
    """The lines of a file of strategies, as one pattern."""
    try:
        text = read_bounded(path, 1_000_000).decode("utf-8")
        lines = [one.partition("#")[0].strip() for one in text.splitlines()]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start})") from error
    rows = [one for one in lines if one]
    if not rows:
        raise UserError(f"{path} has no strategy in it")
    return ",".join(rows)


def _not_packed(out: Path, jobs: list[Any]) -> list[Any]:
    from bench.study.store import packed_names

    packed = packed_names(out)
    return [job for job in jobs if job.name not in packed]


def _directory_name(study: "Study", suffix: str) -> str:
    """With the changes of the preset, so that two settings are two studies."""
    parts = [study.benchmark, study.dataset, study.preset.name, *study.changes]
    plain = "-".join(part.replace(" ", "").replace("/", "_") for part in parts)[:150]
    return "".join(one if one.isprintable() else "_" for one in plain) + suffix


def _what(study: "Study") -> str:
    from bench.study.records import MethodRef

    variants = list(dict.fromkeys(MethodRef(run.method, run.changes).variant for run in study.runs))
    named = ", ".join(variants) if len(variants) <= 6 else f"{len(variants)} methods and variants"
    return f"{named} x {len({run.seed for run in study.runs})} seeds"
