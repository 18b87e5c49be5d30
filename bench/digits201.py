"""The builder of the benchmark "digits201"; its protocol is `bench.tables.digits201.Protocol`.

One network is trained for each of the 6,466 classes of architectures that NAS-Bench-201 holds to be the same, in one
fixed random order, seed by seed and chunk by chunk: any finished part is a fair sample. A chunk is one file, written
under its name only when it is complete, so a build goes on after a kill, and several processes may share a folder.
"""

import math
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from bench.files import npz_bytes, write_atomically
from bench.metrics import kendall_tau_b
from bench.tables.checks import Expected
from bench.tables.checks import verify as check_range
from bench.tables.digits201 import DATASET, NAME, PATH, PROTOCOL, SPLITS, Protocol, costs, load
from bench.tables.table import Measure, Source, Table
from mngnas.errors import UserError
from mngnas.space import N_ARCH, all_archs, benchmark_classes, from_index, from_key, live_indices, to_index

SEEDS = (0, 1, 2, 3)
TARGET = Measure(DATASET, "test", PROTOCOL.epochs[-1])  # what rankings are measured against


def representatives() -> np.ndarray:
    """The official indices to be trained `[6466]`, the smallest of each class, in the order of the build."""
    return np.random.default_rng(201).permutation(np.unique(benchmark_classes()))


# ------------------------------------------------------------------------------------------------------- building


@dataclass(frozen=True)
class Progress:
    """How far the build in a folder is, in trainings: an architecture times a seed."""

    done: int
    wanted: int


def build(
    directory: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    limit: int | None = None,
    progress: bool = False,
    device: str = "cpu",
    protocol: Protocol = PROTOCOL,
) -> Progress:
    """Train what is missing in `directory`, seed by seed; `limit`: only so many classes, rounded up to whole chunks.

    Run it again after a kill, or at the same time in more processes: each takes chunks that nobody else has. It ends
    when nothing is left to take, so other processes may still be at work: see the result. A chunk has the same bits
    whoever trains it on the same machine. One thread a process. Raises `UserError`.
    """
    from tqdm import tqdm

    directory.mkdir(parents=True, exist_ok=True)
    tasks = [_Chunk(seed, number, archs) for seed in seeds for number, archs in _chunks(limit, protocol)]
    total = sum(len(task.archs) for task in tasks)
    trainer = None
    with tqdm(total=total, desc=NAME, unit="training", disable=not progress, initial=_count(directory, tasks)) as bar:
        for task in tasks:
            path = task.path(directory)
            with _claimed(path) as mine:
                if path.exists():
                    _read(path, protocol)  # refuses another protocol's
                elif mine:
                    trainer = trainer or _Trainer(protocol, device)
                    _write(path, trainer.train(task), protocol)
            bar.set_postfix_str(f"seed {task.seed}", refresh=False)
            bar.update(_count(directory, tasks) - bar.n)  # with what others have finished meanwhile
    return Progress(_count(directory, tasks), total)


@dataclass(frozen=True)
class _Chunk:
    seed: int
    number: int
    archs: np.ndarray  # official indices

    def path(self, directory: Path) -> Path:
        return directory / f"seed{self.seed}-chunk{self.number:04}.npz"


def _chunks(limit: int | None, protocol: Protocol) -> list[tuple[int, np.ndarray]]:
    """Number and architectures of each chunk; the same whatever the seeds and the limit."""
    if limit is not None and limit < 1:
        raise UserError(f"limit {limit} is not a positive number of architectures")
    order = representatives()
    count = math.ceil(min(limit or len(order), len(order)) / protocol.chunk)
    return [(i, order[i * protocol.chunk : (i + 1) * protocol.chunk]) for i in range(count)]


def _count(directory: Path, tasks: Sequence[_Chunk]) -> int:
    return sum(len(task.archs) for task in tasks if task.path(directory).exists())


@contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Whether this process may make `path`: nobody else is at it. The system drops the claim of a killed process.

    Where the system has no such locks (Windows) everybody may: the work is done twice, and the result is the same.
    """
    if path.exists():
        yield False
        return
    lock = path.with_suffix(".lock")
    with lock.open("w") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except BlockingIOError:
            yield False
            return
        yield True
        lock.unlink(missing_ok=True)  # a process that waits for the old file finds `path` in its place


class _Trainer:
    """The pictures on the device, and one chunk after another."""

    def __init__(self, protocol: Protocol, device: str) -> None:
        import torch

        from mngnas.datasets import load_images

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(f"device {device!r}: PyTorch sees no CUDA device here")
        self.protocol, self.device = protocol, torch.device(device)
        self.images = load_images(DATASET)

    def train(self, task: _Chunk) -> dict[str, np.ndarray]:
        """The arrays of a chunk's file."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more are slower on networks this small, and would change the last bits
        try:
            start = time.process_time()
            accuracy, loss = self._scores(task)
            seconds = time.process_time() - start
        finally:
            torch.set_num_threads(threads)
        return {
            "archs": task.archs.astype(np.int32),
            "accuracy": accuracy,  # float32 [epochs, split, architecture]
            "loss": loss,
            "seconds": np.array(seconds / len(task.archs)),  # of the processor, for one architecture
            "torch": np.array(f"{torch.__version__} {self.device.type}"),
        }

    def _scores(self, task: _Chunk) -> tuple[np.ndarray, np.ndarray]:
        from mngnas.images import Augmentation, scoring_batch
        from mngnas.standalone import Recipe, train_standalone
        from mngnas.supernet import Skeleton

        p, images = self.protocol, self.images
        found = train_standalone(
            [from_index(int(i)) for i in task.archs],
            Skeleton(p.channels, p.cells, images.train.classes, 1, p.stages, residual_reduction=False, affine=True),
            Recipe(p.epochs[-1] * p.steps_per_epoch, p.batch_size, p.learning_rate, p.momentum, p.weight_decay),
            task.seed,
            images.train.to(self.device),
            # Each seed tests with noise of its own, so that the mean over seeds is over noise as well.
            [scoring_batch(getattr(images, split).to(self.device), p.noise, task.seed) for split in SPLITS],
            Augmentation(noise=p.noise),
            [epochs * p.steps_per_epoch for epochs in p.epochs],
        )
        return found.accuracy, found.loss


def _write(path: Path, arrays: dict[str, np.ndarray], protocol: Protocol) -> None:
    write_atomically(path, npz_bytes({"protocol": np.array(protocol.checksum), **arrays}))


def _read(path: Path, protocol: Protocol) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            chunk = {key: file[key] for key in file.files}
        found = str(chunk["protocol"])
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a chunk of trainings ({type(error).__name__}): delete it") from error
    if found != protocol.checksum:
        raise UserError(f"{path} is of another protocol ({found}, not {protocol.checksum}): choose another folder")
    return chunk


# ------------------------------------------------------------------------------------------------------ the table


def assemble(directory: Path, protocol: Protocol = PROTOCOL) -> Table:
    """Make the table of all chunks in `directory`; what is not trained yet is NaN.

    Every architecture has the numbers of its class's one training. Raises `UserError` if there is no chunk, or if one
    is of another protocol.
    """
    paths = sorted(directory.glob("seed*-chunk*.npz"))
    if not paths:
        raise UserError(f"there are no finished trainings in {directory}: run `data build {NAME}` first")
    chunks = [(int(path.stem.partition("-")[0].removeprefix("seed")), _read(path, protocol)) for path in paths]
    seeds = tuple(sorted({seed for seed, _ in chunks}))
    places = {
        Measure(DATASET, split, epochs, kind): (kind, i, j)
        for kind in ("accuracy", "loss")
        for i, epochs in enumerate(protocol.epochs)
        for j, split in enumerate(SPLITS)
    }
    measures = {measure: np.full((N_ARCH, len(seeds)), np.nan, np.float32) for measure in places}
    seconds = np.full((N_ARCH, len(seeds)), np.nan, np.float32)
    for seed, chunk in chunks:
        at = chunk["archs"], seeds.index(seed)
        for measure, (kind, i, j) in places.items():
            measures[measure][at] = chunk[kind][i, j]
        seconds[at] = chunk["seconds"]
    parameters, flops = costs(all_archs(), protocol)
    made_with = ", ".join(sorted({str(chunk["torch"]) for _, chunk in chunks}))
    classes = benchmark_classes()
    table = Table(
        name=NAME,
        search_space="nas-bench-201",
        measures={measure: values[classes] for measure, values in measures.items()},
        train_seconds={DATASET: seconds[classes]},
        parameters={DATASET: parameters},
        flops={DATASET: flops},
        seeds=dict.fromkeys(places, seeds),
        sources=(Source(NAME, "", "", "MIT", f"{_note(protocol)}{made_with}"),),
    )
    check_range(table, Expected())
    return table


def unpack(table: Table, directory: Path, protocol: Protocol = PROTOCOL) -> None:
    """Put what a table holds into `directory` as chunks, where they are missing, so that a build goes on from it."""
    made_with = table.sources[0].note
    if not made_with.startswith(_note(protocol)):
        raise UserError(f"the table was made with another protocol ({made_with}): give another --table and --work")
    directory.mkdir(parents=True, exist_ok=True)
    for column, seed in enumerate(table.seeds[Measure(DATASET, SPLITS[0], protocol.epochs[0])]):
        for number, archs in _chunks(None, protocol):
            path = _Chunk(seed, number, archs).path(directory)
            arrays = {
                kind: np.stack(
                    [
                        [table.values(Measure(DATASET, split, epochs, kind))[archs, column] for split in SPLITS]
                        for epochs in protocol.epochs
                    ]
                )
                for kind in ("accuracy", "loss")
            }
            if path.exists() or not np.isfinite(arrays["accuracy"]).all():
                continue
            about = {
                "archs": archs.astype(np.int32),
                "seconds": np.array(float(table.train_seconds[DATASET][archs[0], column])),
                "torch": np.array(made_with.removeprefix(_note(protocol))),
            }
            _write(path, arrays | about, protocol)


def _note(protocol: Protocol) -> str:
    return f"protocol {protocol.checksum}, torch "


def finalise(directory: Path, path: Path = PATH) -> Table:
    """Assemble the table, check its known good and bad cells if it is complete, and write it; raises `UserError`."""
    table = assemble(directory)
    if np.isfinite(table.mean(TARGET)).all():
        check_known_cells(table)
    table.save(path)
    return table


# -------------------------------------------------------------------------------------------------- how good it is


def check_known_cells(table: Table, measure: Measure = TARGET) -> None:
    """Raise `UserError` unless all 3x3 is in the top quarter, all skip in the bottom one, no path at chance."""
    means = table.mean(measure)
    low, high = np.nanquantile(means, [0.25, 0.75])
    for key, what, bottom, top in (
        ("333333", "all 3x3 convolutions", high, 1.0),
        ("111111", "all skip connections", 0.12, low),
        ("000000", "no path from input to output", 0.05, 0.15),
    ):
        found = means[to_index(from_key(key))]
        if not bottom <= found <= top:
            raise UserError(f"{what}: {measure} is {found:.3f}, not in {bottom:.3f}..{top:.3f}")


@dataclass(frozen=True)
class Reliability:
    """How reproducibly a measure ranks the distinct live graphs that every seed has."""

    measure: Measure
    n_arch: int
    n_seed: int
    single: float  # tau-b between two seeds, mean over all pairs
    halves: float  # tau-b between the means of two disjoint halves of the seeds, mean over all ways to halve them
    parameters: float  # tau-b of the parameter count with the mean over all seeds, signed so that more is better
    sd_arch: float  # standard deviation, over architectures, of the mean over seeds
    sd_seed: float  # standard deviation over seeds, root mean square over architectures
    low: float  # 5 % quantile of the mean over seeds
    high: float  # 95 %


def reliability(table: Table, measure: Measure = TARGET) -> Reliability:
    """Reliability of a measure; needs two seeds of two architectures, otherwise raises `UserError`.

    An odd seed out goes to the second half.
    """
    values = table.values(measure)
    live = np.unique(live_indices())
    live = live[np.isfinite(values[live]).all(axis=1)]
    n_seed = values.shape[1]
    if len(live) < 2 or n_seed < 2:
        raise UserError(f"{measure}: {n_seed} seeds of {len(live)} architectures, but reliability needs two of two")
    x = values[live].astype(np.float64)

    def mean(seeds: Sequence[int]) -> np.ndarray:
        return np.round(x[:, list(seeds)].mean(axis=1), 6)  # as in `Table.mean`: equal sums are ties

    everyone = range(n_seed)
    splits = [(half, [s for s in everyone if s not in half]) for half in combinations(everyone, n_seed // 2)]
    low, high = np.quantile(mean(everyone), [0.05, 0.95])
    return Reliability(
        measure,
        len(live),
        n_seed,
        single=float(np.mean([kendall_tau_b(x[:, i], x[:, j]) for i, j in combinations(everyone, 2)])),
        halves=float(np.mean([kendall_tau_b(mean(a), mean(b)) for a, b in splits])),
        parameters=kendall_tau_b(table.parameters[DATASET][live], mean(everyone))
        * (1 if measure.kind == "accuracy" else -1),
        sd_arch=float(mean(everyone).std()),
        sd_seed=float(np.sqrt(x.var(axis=1, ddof=1).mean())),
        low=float(low),
        high=float(high),
    )


def summary(table: Table) -> str:
    """The reliability of every measure as a Markdown table."""
    lines = [
        "| measure | graphs | seeds | tau, one seed and another | tau, halves of the seeds | tau of parameters"
        " | sd over graphs | sd over seeds | 5 % to 95 % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in (reliability(table, measure) for measure in sorted(table.measures)):
        m = r.measure
        lines.append(
            f"| {m.split} {m.kind}, {m.epochs} epochs | {r.n_arch:,} | {r.n_seed} | {r.single:.3f} | {r.halves:.3f}"
            f" | {r.parameters:.3f} | {r.sd_arch:.4f} | {r.sd_seed:.4f} | {r.low:.3f} to {r.high:.3f} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class Verification:
    """Sampled architectures trained again with the table's seeds, against the table.

    Another chunk rounds otherwise, and training multiplies that: a repetition may differ from the table as much as
    another seed does, not more.
    """

    archs: tuple[int, ...]  # official indices
    n_training: int  # architectures times seeds
    difference: float  # again minus table, root mean square over trainings
    bias: float  # again minus table, mean over trainings
    sd_seed: float  # spread of the table's seeds, root mean square over the same architectures

    @property
    def reproduces(self) -> bool:
        """Whether two draws of that spread explain the difference: its size within a half, its mean within 4 sd."""
        two = self.sd_seed * math.sqrt(2)
        return self.difference <= 1.5 * two and abs(self.bias) <= 4 * two / math.sqrt(self.n_training)


def verify(
    n: int = 20,
    *,
    table: Table | None = None,
    sample_seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
    protocol: Protocol = PROTOCOL,
) -> Verification:
    """Train `n` random architectures again, all seeds of the table, and compare the final test accuracies.

    `table`: the one that comes with the repository, unless another is given. Raises `UserError` if it has fewer than
    `n` trained classes of two or more seeds.
    """
    from tqdm import tqdm

    table = table or load()
    measure = Measure(DATASET, "test", protocol.epochs[-1])
    values, seeds = table.values(measure), table.seeds[measure]
    trained = representatives()[np.isfinite(values[representatives()]).all(axis=1)]
    if not 0 < n <= len(trained) or len(seeds) < 2:
        raise UserError(f"cannot verify {n} architectures: the table has {len(trained):,} of {len(seeds)} seeds")
    archs = np.random.default_rng(sample_seed).permutation(trained)[:n]
    trainer, found = _Trainer(protocol, device), np.empty((n, len(seeds)))
    for column, seed in enumerate(tqdm(seeds, desc="verifying", unit="seed", disable=not progress)):
        for start in range(0, n, protocol.chunk):
            part = slice(start, start + protocol.chunk)
            found[part, column] = trainer.train(_Chunk(seed, -1, archs[part]))["accuracy"][-1, SPLITS.index("test")]
    expected = values[archs].astype(np.float64)
    difference = found - expected
    return Verification(
        tuple(archs.tolist()),
        difference.size,
        difference=float(np.sqrt((difference**2).mean())),
        bias=float(difference.mean()),
        sd_seed=float(np.sqrt(expected.var(axis=1, ddof=1).mean())),
    )
