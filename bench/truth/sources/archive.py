"""What the two official archives share: one object a run, holding every epoch, to be made into columns.

Both packages hand out, for each architecture and schedule, an object with `dataset_seed` (data set -> seeds) and
`all_results` ((data set, seed) -> run), where a run has dictionaries of the metrics of every epoch. Reading those
dictionaries is far quicker than the packages' queries, which copy whole objects and add up times; a test holds the two
side by side. The packages' own defaults are never used: 12 epochs, a random seed, -1 for an unknown architecture.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.truth.checks import Expected, verify
from bench.truth.sources.official import Official
from bench.truth.table import Measure, Source, Table, load_or_build
from mngnas.data.download import cache_dir
from mngnas.errors import UserError
from mngnas.spaces import SPACES, ArchitectureError, Space

BUILD = 2  # raise it whenever the same archive gives another table
_IDENTITY = 12  # characters of `_identity`

# (training run in the archive, metric) -> (data set, split)
_METRICS = {
    ("cifar10-valid", "x-valid"): ("cifar10", "valid"),
    ("cifar10", "ori-test"): ("cifar10", "test"),
    ("cifar100", "x-valid"): ("cifar100", "valid"),
    ("cifar100", "x-test"): ("cifar100", "test"),
    ("ImageNet16-120", "x-valid"): ("imagenet16-120", "valid"),
    ("ImageNet16-120", "x-test"): ("imagenet16-120", "test"),
}
_TRAINING = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet16-120"}  # run -> data set


_PREFIX = {"nats": "NATS-tss", "nats-size": "NATS-sss", "nasbench201": "NAS-Bench-201"}  # of the archives' names


class Training(Protocol):
    """One training with one seed, as both packages store it; some have `train_acc1es` and `train_losses` by epoch."""

    epochs: int
    eval_acc1es: Mapping[str, float]  # percent, by "metric@epoch"
    eval_losses: Mapping[str, float]
    train_times: Mapping[int, float] | None  # seconds, by epoch


class Trainings(Protocol):
    """All runs of one architecture on one schedule, as both packages store them."""

    dataset_seed: Mapping[str, list[int]]
    all_results: Mapping[tuple[str, int], Any]


Entry = tuple[int, Mapping[str, Trainings]]  # official index, runs by schedule as the packages write it, "200"


def index_of(arch_strs: list[str], space: Space) -> list[int]:
    """Official indices of the archive's architectures; raises `UserError` if one is unknown or appears twice."""
    indices = [space.to_index(space.parse(text)) for text in arch_strs]
    if len(set(indices)) != len(indices):
        raise UserError("the archive lists an architecture twice")
    return indices


def incomplete(archive: object, n_held: int, n_listed: int) -> UserError:
    """The error for an archive that lists more architectures than it holds."""
    return UserError(f"{archive} is incomplete: {n_held:,} of {n_listed:,} records")


def check_space(archive: Path, arch_strs: object, space: Space) -> None:
    """Raise `UserError` if an archive's list of architectures is that of another space, or none."""
    if not isinstance(arch_strs, list) or not arch_strs or not all(isinstance(text, str) for text in arch_strs):
        raise UserError(f"{archive} has no list of architectures")
    for other in SPACES.values():
        if other is not space and _is_of(arch_strs[0], other):
            raise UserError(
                f"{archive} is an archive of {other.label} (its first architecture is {arch_strs[0]}); this benchmark"
                f" is of {space.label}"
            )


def _is_of(arch_str: str, space: Space) -> bool:
    try:
        space.parse(arch_str)
    except ArchitectureError:
        return False
    return True


def check_record(place: int, arch_str: str, schedules: Mapping[str, Any]) -> None:
    """Raise `UserError` if a record is of another architecture than its place says: one was copied over another."""
    for runs in schedules.values():
        for own, expected in ((runs.arch_index, place), (runs.arch_str, arch_str)):
            if own != expected:
                raise UserError(f"the record of architecture {place} is that of another one: it says {own!r}")


def check_place(name: str, archive: Path, meant: str) -> None:
    """Raise `UserError` for what lies where an archive should, and is none: a packed one, or the folder around one."""
    if archive.is_file() and re.search(r"\.(tar|tar\.\w+|tgz|zip)$", archive.name.lower()):
        raise UserError(f"{archive} is packed: unpack it, and give what is in it ({meant})")
    if archive.is_dir() and not any(archive.glob("meta.pickle*")):
        inside = sorted(path.name for path in archive.iterdir() if path.name.startswith(_PREFIX[name]))
        if inside:
            raise UserError(f"{archive} is the folder around an archive: give {archive / inside[0]}")
    if archive.is_dir() and name == "nasbench201":
        raise UserError(f"{archive} is a folder, and table {name!r} is made from {meant}; NATS-Bench's is 'nats'")


@dataclass
class _Columns:
    """Values under construction, by key and seed."""

    n_arch: int
    values: dict[Any, dict[int, np.ndarray]] = field(default_factory=dict)

    def put(self, key: Any, seed: int, index: int, value: float) -> None:
        column = self.values.setdefault(key, {}).get(seed)
        if column is None:
            column = self.values[key][seed] = np.full(self.n_arch, np.nan, np.float32)
        column[index] = value

    def arrays(self) -> dict[Any, np.ndarray]:
        return {key: np.stack([c[s] for s in sorted(c)], axis=1) for key, c in self.values.items()}


def convert(
    name: str, entries: Iterable[Entry], n_listed: int, source: Source, official: Official, expected: Expected
) -> Table:
    """Make the table of an archive that lists `n_listed` architectures.

    What is expected is checked if it lists the whole space; a smaller archive leaves NaN elsewhere. Raises
    `UserError` if an architecture that it lists has no runs, or if a check fails.
    """
    n_arch = official.space.n_arch
    measures, seconds, n_read = _Columns(n_arch), _Columns(n_arch), 0
    for index, schedules in entries:
        n_read += 1
        for schedule, epochs in official.schedules:
            if schedule in schedules:
                _take_accuracies(schedules[schedule], epochs, index, measures)
                if epochs == official.longest:
                    _take_seconds(schedules[schedule], index, seconds)
    if n_read != n_listed:
        raise incomplete(source.name, n_read, n_listed)
    if n_listed > n_arch or not measures.values:
        raise UserError(f"{source.name} lists {n_listed:,} architectures and has no accuracies of this search space")
    table = Table(
        name=name,
        search_space=official.space.name,
        measures=measures.arrays(),
        train_seconds=seconds.arrays(),
        parameters=official.parameters(),
        flops=official.flops(),
        seeds={measure: tuple(sorted(columns)) for measure, columns in measures.values.items()},
        sources=(source,),
    )
    verify(table, expected if n_listed == n_arch else Expected())
    return table


def _take_accuracies(runs: Trainings, epochs: int, index: int, measures: _Columns) -> None:
    """Copy the last epoch of every seed."""
    for (trained_on, metric), (dataset, split) in _METRICS.items():
        for seed in runs.dataset_seed.get(trained_on, ()):
            run: Training = runs.all_results[trained_on, seed]
            if run.epochs != epochs:
                raise UserError(f"architecture {index}: a run of {run.epochs} epochs lies among those of {epochs}")
            key = f"{metric}@{epochs - 1}"
            if key in run.eval_acc1es:
                measures.put(Measure(dataset, split, epochs), seed, index, run.eval_acc1es[key] / 100)
                measures.put(Measure(dataset, split, epochs, "loss"), seed, index, run.eval_losses[key])
    for trained_on, dataset in _TRAINING.items():
        for seed in runs.dataset_seed.get(trained_on, ()):
            run = runs.all_results[trained_on, seed]
            accuracies, losses = (getattr(run, name, None) or {} for name in ("train_acc1es", "train_losses"))
            if epochs - 1 in accuracies and epochs - 1 in losses:
                measures.put(Measure(dataset, "train", epochs), seed, index, accuracies[epochs - 1] / 100)
                measures.put(Measure(dataset, "train", epochs, "loss"), seed, index, losses[epochs - 1])


def _take_seconds(runs: Trainings, index: int, seconds: _Columns) -> None:
    """Add up every seed's seconds of training."""
    for (trained_on, seed), run in runs.all_results.items():
        if run.train_times:
            seconds.put(trained_on.lower(), seed, index, sum(run.train_times.values()))


def is_converted(name: str, path: Path | None) -> bool:
    """Whether the archive at `path`, or any archive if none is given, has been converted before."""
    if path is None:
        return bool(_converted(name))
    try:
        return path.exists() and _kept_at(name, path).exists()
    except OSError:
        return False


def load_archive(name: str, path: Path | None, what: str, build: Callable[[Path], Table]) -> Table:
    """Load the table of the archive at `path`, converting it the first time.

    Without a path the newest converted table serves. Raises `UserError` if there is neither; `what` describes the
    archive to the user.
    """
    if path is None:
        kept = _converted(name)
        if not kept:
            raise UserError(f"table {name!r} is made from an archive that you have: give it with --archive ({what})")
        return Table.load(max(kept, key=lambda file: file.stat().st_mtime_ns))
    if not path.exists():
        raise UserError(f"there is no archive {path} (expected: {what})")
    try:
        check_place(name, path, what)
        return load_or_build(_kept_at(name, path), lambda: build(path))
    except OSError as error:
        raise UserError(f"cannot read {error.filename or path}: {error.strerror or error}") from error


def _converted(name: str) -> list[Path]:
    return list((cache_dir() / "tables").glob(f"{name}-{'?' * _IDENTITY}.npz"))


def _kept_at(name: str, path: Path) -> Path:
    return cache_dir() / "tables" / f"{name}-{_identity(path)}.npz"


def _identity(path: Path) -> str:
    """A short text that changes with the archive: names, sizes and times of its files (gigabytes are not hashed)."""
    digest = hashlib.sha256(f"{BUILD}".encode())
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        facts = file.stat()
        digest.update(f"{file.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:_IDENTITY]


def require_trust(path: Path, trust: bool) -> None:
    """Refuse to open a pickle that the user has not said to trust."""
    if not trust:
        raise UserError(
            f"{path} holds pickles, which can run any code when they are opened: if you trust where it comes from, say "
            "so with --trust-archive"
        )


@contextmanager
def unpickling(failed: str) -> Iterator[None]:
    """Turn what an archive's objects raise, which can be anything, into a `UserError` that begins with `failed`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{failed} ({type(error).__name__}: {error})") from error


def progress(name: str, indices: Iterable[int], total: int) -> Iterator[int]:
    """Count the architectures on stderr, where that is a terminal."""
    from tqdm import tqdm

    yield from tqdm(indices, total=total, desc=f"reading {name}", unit="arch", disable=None)
