"""What several commands share: the parser, groups of options, and reading them."""

import argparse
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.truth import TABLES, Table, load_table
from mngnas.errors import UserError, unknown

if TYPE_CHECKING:
    from bench.study.executor import Executor

PROGRAM = "run_bench.py"
MOST_SEEDS = 100_000

_OF_SLURM = ("partition", "minutes", "memory_gb", "gpus", "at_once")

Commands = Any  # what argparse's add_subparsers gives; its type is private


class Parser(argparse.ArgumentParser):
    """argparse with one line for a mistake, and with the nearest name for an unknown command."""

    def error(self, message: str) -> NoReturn:
        """Raise `UserError` instead of exiting."""
        raise UserError(f"{message} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            raise unknown(action.metavar or action.dest, str(value), map(str, action.choices))  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def defaults() -> dict[str, str]:
    """The contents of defaults.toml."""
    return tomllib.loads((Path(__file__).parent / "defaults.toml").read_text(encoding="utf-8"))


# -------------------------------------------------------------------------------------------------- groups of options


def add_mirror(parser: argparse.ArgumentParser) -> None:
    """Where files that are fetched may lie."""
    parser.add_argument(
        "--mirror", type=mirror_place, help="a folder or an http(s) address to ask first for files that are fetched"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where networks are computed."""
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), metavar="device", help="cpu or cuda")


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """How many processes."""
    parser.add_argument("--jobs", type=positive, help="processes side by side (default: one a core; on a GPU one)")


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Who does the runs."""
    parser.add_argument(
        "--executor",
        default="local",
        choices=("local", "slurm"),
        metavar="executor",
        help="local (default): processes of this machine; slurm: one job array of a cluster (docs/clusters.md)",
    )
    parser.add_argument("--slurm", type=Path, metavar="FILE", help="a .toml file with what follows, and more")
    parser.add_argument("--partition", help="of the cluster")
    parser.add_argument(
        "--minutes", type=positive, help="time limit of an element; a longer run is put back, and goes on"
    )
    parser.add_argument("--memory-gb", type=positive, help="of an element")
    parser.add_argument("--gpus", type=positive, help="of an element")
    parser.add_argument("--at-once", type=positive, help="elements at work at a time")
    parser.add_argument("--detach", action="store_true", help="submit and return; `status DIR` tells how it goes")


def add_archive(parser: argparse.ArgumentParser) -> None:
    """The user's own archive of ground truth."""
    add_mirror(parser)
    parser.add_argument("--archive", type=Path, help="your own NATS-Bench or NAS-Bench-201 archive")
    parser.add_argument("--trust-archive", action="store_true", help="allow its pickles to be opened: data/README.md")


def add_benchmark(parser: argparse.ArgumentParser) -> None:
    """Which ground truth."""
    parser.add_argument("--benchmark", default="nb201", help="the table of ground truth (default: nb201)")
    parser.add_argument("--dataset", default=None, help="default: the benchmark's first")
    add_archive(parser)


def add_target(parser: argparse.ArgumentParser) -> None:
    """Which accuracy predictions are compared with."""
    parser.add_argument("--split", help="the target's: test or valid (default: test, if the table has it)")
    parser.add_argument("--epochs", type=positive, help="the target's training length (default: the table's longest)")
    parser.add_argument("--resamples", type=positive, default=1000, help="of the bootstrap (default: 1000)")


def add_methods_from(parser: argparse.ArgumentParser) -> None:
    """Folders of the user's own methods."""
    parser.add_argument(
        "--methods-from",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder with methods of your own, a file each; may be given several times",
    )


# ------------------------------------------------------------------------------------------------------ reading options


def positive(text: str) -> int:
    """A positive whole number of a size that makes sense."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 12 or int(text) < 1:
        shown = text if len(text) <= 20 else f"{text[:20]}... ({len(text)} characters)"
        raise argparse.ArgumentTypeError(f"{shown!r} is not a positive whole number of at most 12 digits")
    return int(text)


def mirror_place(text: str) -> str:
    """A mirror that can be one, also where all files are in the cache already."""
    from mngnas.data.download import check_mirror

    check_mirror(text)
    return text


def seeds(text: str) -> range:
    """A number of seeds, counted from 0, or a range such as 5-14."""
    first, dash, last = text.partition("-")
    found = range(0)
    if not dash:
        found = range(positive(text))
    elif all(part.isascii() and part.isdecimal() and len(part) <= 12 for part in (first, last)):
        found = range(int(first), int(last) + 1)
    if not len(found):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is neither a number of seeds nor a range such as 5-14")
    if len(found) > MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"{text!r} are {len(found):,} seeds; {MOST_SEEDS:,} at most")
    return found


def method_folders(options: argparse.Namespace) -> tuple[Path, ...]:
    """The folders of --methods-from, whole."""
    return tuple(map(whole, options.methods_from))


def whole(path: Path) -> Path:
    """The path from the root on."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{path} cannot be followed: {getattr(error, 'strerror', None) or 'links in a circle'}"
        ) from error


def executor_of(options: argparse.Namespace, device: str, jobs: int) -> "Executor":
    """Who does so many jobs; raises `UserError` for options that do not fit together."""
    from bench.study.executor import LocalExecutor

    asked = {name: getattr(options, name) for name in _OF_SLURM if getattr(options, name) is not None}
    if options.executor == "slurm":
        from bench.study.slurm import SlurmExecutor, slurm_config

        return SlurmExecutor(slurm_config(options.slurm, asked), wait=not options.detach)
    given = [*asked, *(name for name in ("slurm", "detach") if getattr(options, name))]
    if given:
        raise UserError(f"--{given[0].replace('_', '-')} is for --executor slurm")
    return LocalExecutor(min(parallel(options.jobs, device), jobs))


def check_device(device: str) -> None:
    """Raise `UserError` for a GPU that is not there."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError("device cuda: PyTorch finds no GPU here")


def parallel(jobs: int | None, device: str) -> int:
    """How many processes side by side."""
    from bench.provenance import core_count

    return jobs or (core_count() if device == "cpu" else 1)


def dataset_of(options: argparse.Namespace) -> str:
    """The data set, by default the benchmark's first; raises `UserError` for wrong names of both."""
    if options.benchmark not in TABLES:
        raise unknown("benchmark", options.benchmark, TABLES)
    known = TABLES[options.benchmark].datasets
    if options.dataset is None:
        return known[0]
    if options.dataset not in known:
        raise unknown("data set", options.dataset, known)
    return str(options.dataset)


def table_of(options: argparse.Namespace) -> Table:
    """The table of ground truth."""
    return load_table(options.benchmark, mirror=options.mirror, path=options.archive, trust=options.trust_archive)
