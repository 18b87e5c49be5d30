"""The builder of the benchmark "digits201"; its protocol is `bench.truth.sources.digits201.Protocol`.

One network is trained for each of the 6,466 classes of architectures that NAS-Bench-201 holds to be the same, in one
fixed random order, chunk by chunk: any finished part is a fair sample. A chunk is one seed's share, one file, written
under its name only when it is complete, so a build goes on after a kill. Processes may share a folder if each is given
chunks of its own; if two train the same chunk, the later file replaces an equal one. What is finished can be collected
in one small file, from which the build goes on elsewhere.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.files import npz_bytes, write_atomically
from bench.truth.checks import Expected, verify
from bench.truth.sources.digits201 import DATASET, NAME, PROTOCOL, SIDE, SPLITS, Protocol
from bench.truth.table import Measure, Source, Table
from mngnas.data.npz import read_npz
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY, benchmark_classes

if TYPE_CHECKING:
    from mngnas.train.side_by_side import Course, SideBySideScores

SEEDS = tuple(range(8))
_KINDS = ("accuracy", "loss")
_SIDE_BY_SIDE = 4  # seeds: 0 to 3 or 4 to 7, whichever are asked for, so that the same bits come back


def representatives() -> np.ndarray:
    """The official indices to be trained `[6466]`, the smallest of each class, in the order of the build."""
    return np.random.default_rng(201).permutation(np.unique(benchmark_classes()))


# ------------------------------------------------------------------------------------------------------- building


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some architectures with one seed; one file."""

    seed: int
    number: int
    archs: np.ndarray  # official indices

    def path(self, directory: Path) -> Path:
        """Its file."""
        return directory / f"seed{self.seed}-chunk{self.number:04}.npz"

    @property
    def company(self) -> tuple[int, ...]:
        """The seeds with which its own is trained side by side."""
        first = self.seed - self.seed % _SIDE_BY_SIDE
        return tuple(range(first, first + _SIDE_BY_SIDE))


@dataclass(frozen=True)
class Progress:
    """How far the build in a folder is, in trainings: an architecture times a seed."""

    done: int
    wanted: int


def chunks(seeds: Sequence[int] = SEEDS, limit: int | None = None, protocol: Protocol = PROTOCOL) -> list[Chunk]:
    """What is to be trained, all seeds of the first architectures first; `limit`: only so many classes, rounded up.

    A chunk is the same whatever the seeds and the limit. Raises `UserError` for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit {limit} is not a positive number of architectures")
    order = representatives()
    count = math.ceil(min(limit or len(order), len(order)) / protocol.chunk)
    parts = [order[i * protocol.chunk : (i + 1) * protocol.chunk] for i in range(count)]
    return [Chunk(seed, number, archs) for number, archs in enumerate(parts) for seed in seeds]


def progress_of(directory: Path, tasks: Sequence[Chunk]) -> Progress:
    """How much of these chunks is finished."""
    done = sum(len(task.archs) for task in tasks if task.path(directory).exists())
    return Progress(done, sum(len(task.archs) for task in tasks))


def together(tasks: Sequence[Chunk]) -> list[list[Chunk]]:
    """The chunks in the groups that are trained side by side."""
    groups: dict[tuple[int, tuple[int, ...]], list[Chunk]] = {}
    for task in tasks:
        groups.setdefault((task.number, task.company), []).append(task)
    return list(groups.values())


def train_chunks(
    directory: Path,
    tasks: Sequence[Chunk],
    progress: Callable[[float], None] = lambda _share: None,
    *,
    device: str = "cpu",
    protocol: Protocol = PROTOCOL,
) -> None:
    """Train the chunks that `directory` lacks, in this process; `progress` hears the share of the work that is done.

    Run it again after a kill. A chunk has the same bits whoever trains it on the same machine. Raises `UserError` for a
    chunk's file that is broken or of another protocol.
    """
    directory.mkdir(parents=True, exist_ok=True)
    trainer, groups, done = None, together(tasks), 0

    def within(share: float) -> None:
        progress((done + share) / len(groups))

    for group in groups:
        missing = []
        for task in group:
            if task.path(directory).exists():
                read_chunk(task.path(directory), protocol)  # refuses another protocol's
            else:
                missing.append(task)
        if missing:
            trainer = trainer or Trainer(protocol, device)
            trained = trainer.train(group[0].archs, group[0].company, within)
            for task in missing:
                write_chunk(task.path(directory), trained[task.seed], protocol)
        done += 1
        within(0)


class Trainer:
    """The pictures on the device, and what is trained on them; raises `UserError` for a GPU that is not there."""

    def __init__(self, protocol: Protocol, device: str) -> None:
        import torch

        from mngnas.data.datasets import load_images
        from mngnas.train.side_by_side import Recipe

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(f"device {device!r}: PyTorch sees no CUDA device here")
        p, images = protocol, load_images(DATASET)
        self.protocol, self.device = protocol, torch.device(device)
        self._recipe = Recipe(
            p.epochs[-1] * p.steps_per_epoch, p.batch_size, p.learning_rate, p.momentum, p.weight_decay
        )
        self._pictures = [getattr(images, split).to(self.device) for split in ("train", *SPLITS)]
        self._courses: dict[tuple[int, ...], Course] = {}

    def train(
        self, archs: np.ndarray, seeds: tuple[int, ...], progress: Callable[[float], None] = lambda _share: None
    ) -> dict[int, dict[str, np.ndarray]]:
        """By seed the arrays of a chunk's file; `archs` are official indices."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # more are slower on networks this small, and would change the last bits
        found = []
        try:
            start = time.process_time()
            for index in archs:
                found.append(self._scores(int(index), seeds))
                progress(len(found) / len(archs))
            seconds = time.process_time() - start
        finally:
            torch.set_num_threads(threads)
        accuracy, loss = (np.stack([getattr(one, kind) for one in found], axis=-1) for kind in _KINDS)
        return {
            seed: {
                "archs": archs.astype(np.int32),
                "accuracy": accuracy[:, :, place],  # float32 [epochs, split, architecture]
                "loss": loss[:, :, place],
                "seconds": np.array(seconds / len(archs) / len(seeds)),  # of the processor, for one training
                "torch": np.array(f"{torch.__version__} {self.device.type}"),
            }
            for place, seed in enumerate(seeds)
        }

    def _scores(self, index: int, seeds: tuple[int, ...]) -> "SideBySideScores":
        from mngnas.settings import Augmentation
        from mngnas.train.side_by_side import course_of, train_side_by_side

        p = self.protocol
        if seeds not in self._courses:
            # Each seed tests with noise of its own, so that the mean over seeds is over noise as well.
            train, *tests = self._pictures
            self._courses[seeds] = course_of(seeds, self._recipe, train, tests, Augmentation(noise=p.noise))
        test_after = [epochs * p.steps_per_epoch for epochs in p.epochs]
        arch = TOPOLOGY.from_index(index)
        return train_side_by_side(arch, p.skeleton, self._recipe, self._courses[seeds], test_after)


def write_chunk(path: Path, arrays: dict[str, np.ndarray], protocol: Protocol) -> None:
    """Write a chunk's file, whole or not at all."""
    write_atomically(path, npz_bytes({"protocol": np.array(protocol.checksum), **arrays}))


def read_chunk(path: Path, protocol: Protocol) -> dict[str, np.ndarray]:
    """Read a chunk's file; raises `UserError` if it is something else or of another protocol."""
    try:
        chunk = read_npz(path)
        found = str(chunk["protocol"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a chunk of trainings ({type(error).__name__}): delete it") from error
    if found != protocol.checksum:
        raise UserError(f"{path} is of another protocol ({found}, not {protocol.checksum}): choose another folder")
    return chunk


# --------------------------------------------------------------------------------------------- chunks in one file


def collect(directory: Path, path: Path, protocol: Protocol = PROTOCOL) -> int:
    """Put the finished chunks of `directory` into one compressed file; returns how many trainings these are."""
    found = _finished(directory, SEEDS, protocol)
    content = {
        "seed": np.array([task.seed for task, _ in found]),
        "number": np.array([task.number for task, _ in found]),
        **{name: np.array([chunk[name] for _, chunk in found]) for name in ("seconds", "torch")},
        **{kind: np.concatenate([chunk[kind] for _, chunk in found], axis=-1) for kind in _KINDS},
    }
    write_atomically(path, npz_bytes({"protocol": np.array(protocol.checksum), **content}, compressed=True))
    return sum(len(task.archs) for task, _ in found)


def spread(path: Path, directory: Path, protocol: Protocol = PROTOCOL) -> None:
    """Put the chunks of a file that `collect` wrote into `directory`, where they are missing; raises `UserError`."""
    content, known = read_chunk(path, protocol), {(t.seed, t.number): t for t in chunks(protocol=protocol)}
    directory.mkdir(parents=True, exist_ok=True)
    end = 0
    for i, key in enumerate(zip(content["seed"].tolist(), content["number"].tolist(), strict=True)):
        task = known[key]
        start, end = end, end + len(task.archs)
        if not task.path(directory).exists():
            arrays = {kind: content[kind][..., start:end] for kind in _KINDS}
            arrays |= {"archs": task.archs.astype(np.int32), "seconds": content["seconds"][i]}
            write_chunk(task.path(directory), arrays | {"torch": content["torch"][i]}, protocol)


def _finished(directory: Path, seeds: Sequence[int], protocol: Protocol) -> list[tuple[Chunk, dict[str, np.ndarray]]]:
    """The chunks of these seeds that are there, at least one; raises `UserError`."""
    tasks = [task for task in chunks(seeds, None, protocol) if task.path(directory).exists()]
    if not tasks:
        raise UserError(f"there are no finished trainings in {directory}: run `data build {NAME}` first")
    return [(task, read_chunk(task.path(directory), protocol)) for task in tasks]


# ------------------------------------------------------------------------------------------------------ the table


def assemble(directory: Path, protocol: Protocol = PROTOCOL, seeds: Sequence[int] = SEEDS) -> Table:
    """Make the table of the chunks in `directory` that are of these seeds.

    A class counts when it has all seeds that any class has; what is not trained yet, or not with all of them, is NaN.
    Every architecture has the numbers of its class's one training. Raises `UserError` if there is no chunk, or if one
    is of another protocol.
    """
    found = _finished(directory, seeds, protocol)
    seeds = tuple(sorted({task.seed for task, _ in found}))
    places = {
        Measure(DATASET, split, epochs, kind): (kind, i, j)
        for kind in _KINDS
        for i, epochs in enumerate(protocol.epochs)
        for j, split in enumerate(SPLITS)
    }
    measures = {measure: np.full((TOPOLOGY.n_arch, len(seeds)), np.nan, np.float32) for measure in places}
    seconds = np.full((TOPOLOGY.n_arch, len(seeds)), np.nan, np.float32)
    for task, chunk in found:
        at = task.archs, seeds.index(task.seed)
        for measure, (kind, i, j) in places.items():
            measures[measure][at] = chunk[kind][i, j]
        seconds[at] = chunk["seconds"]
    partly = np.isnan(seconds).any(axis=1)
    for values in (*measures.values(), seconds):
        values[partly] = np.nan
    made_with = ", ".join(sorted({one for _, chunk in found for one in str(chunk["torch"]).split(", ")}))
    classes = benchmark_classes()
    table = Table(
        name=NAME,
        search_space=TOPOLOGY.name,
        measures={measure: values[classes] for measure, values in measures.items()},
        train_seconds={DATASET: seconds[classes]},
        parameters={DATASET: TOPOLOGY.parameters(TOPOLOGY.all_archs, protocol.skeleton)},
        flops={DATASET: TOPOLOGY.flops(TOPOLOGY.all_archs, protocol.skeleton, SIDE)},
        seeds=dict.fromkeys(places, seeds),
        sources=(Source(NAME, "", "", "MIT", f"{_note(protocol)}{made_with}"),),
    )
    verify(table, Expected())
    return table


def unpack(table: Table, directory: Path, protocol: Protocol = PROTOCOL) -> None:
    """Put what a table holds into `directory` as chunks, where they are missing, so that a build goes on from it."""
    made_with = table.sources[0].note
    if not made_with.startswith(_note(protocol)):
        raise UserError(f"the table was made with another protocol ({made_with}): give another --table and --work")
    directory.mkdir(parents=True, exist_ok=True)
    seeds = table.seeds[Measure(DATASET, SPLITS[0], protocol.epochs[0])]
    for task in chunks(seeds, None, protocol):
        path, column = task.path(directory), seeds.index(task.seed)
        arrays = {
            kind: np.stack(
                [
                    [table.values(Measure(DATASET, split, epochs, kind))[task.archs, column] for split in SPLITS]
                    for epochs in protocol.epochs
                ]
            )
            for kind in _KINDS
        }
        if path.exists() or not np.isfinite(arrays["accuracy"]).all():
            continue
        about = {
            "archs": task.archs.astype(np.int32),
            "seconds": np.array(float(table.train_seconds[DATASET][task.archs[0], column])),
            "torch": np.array(made_with.removeprefix(_note(protocol))),
        }
        write_chunk(path, arrays | about, protocol)


def _note(protocol: Protocol) -> str:
    return f"protocol {protocol.checksum}, torch "
