"""What a run leaves behind: one immutable JSON record, and its scores per architecture in an .npz beside it.

A record says what was done and with what; it holds no correlation. Those are computed from the scores and the ground
truth each time a report is made, so a better metric needs no new run.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import npz_bytes, write_atomically
from mngnas.errors import UserError
from mngnas.space import N_ARCH

FORMAT = 1  # of the record; one of another format is refused
RECORD, SCORES, SHORT = "record.json", "scores.npz", "short.json"


@dataclass(frozen=True, eq=False)
class ScoreSet:
    """One-shot results of `n` architectures, in the order of `arch_index`."""

    arch_index: np.ndarray  # int64 [n], official indices
    accuracy: np.ndarray  # float64 [n], fraction of the scored images
    loss: np.ndarray  # float64 [n], mean cross-entropy in nats


@dataclass(frozen=True, eq=False)
class Curve:
    """The same sample of `m` architectures scored at `p` moments of training."""

    arch_index: np.ndarray  # int64 [m]
    passes: np.ndarray  # float64 [p], forward-backward passes spent so far
    images: np.ndarray  # int64 [p], training images seen so far, each path's batch counted
    seconds: np.ndarray  # float64 [p], of training alone
    accuracy: np.ndarray  # float64 [p, m]
    loss: np.ndarray  # float64 [p, m]


@dataclass(frozen=True, eq=False)
class RunScores:
    """Everything per architecture that a run measured."""

    sets: Mapping[str, ScoreSet]  # "inherited", and "retrained" where the preset wants a sample; never mixed
    curve: Curve


@dataclass(frozen=True)
class RunRecord:
    """What was run. All fields are JSON types, or lists and dictionaries of them."""

    benchmark: str  # name of the ground-truth table
    dataset: str
    images: str  # what the pixels were, for example "CIFAR-10 (JPEG)"
    strategy: str
    seed: int
    preset: str  # name of the preset; `config` has its contents
    config: dict[str, Any]
    protocol: int  # bench.protocol.VERSION
    table_checksum: str
    steps: int  # optimiser steps of the supernet
    passes: float  # forward-backward passes of one batch spent, teachers' and search's forwards included (1/3 each)
    images_seen: int  # training images, each path's batch counted
    train_seconds: float
    score_seconds: float
    device: str  # "cpu: <model>, 1 thread" or the GPU's name
    versions: dict[str, str]
    commit: str  # "unknown" outside a git checkout
    dirty: bool  # whether the checkout differed from that commit
    started: str  # ISO 8601, UTC
    scores_sha256: str
    retraining_passes: float = 0.0  # of the whole "retrained" sample, not part of `passes`
    retraining_seconds: float = 0.0
    diagnostics: dict[str, Any] = field(default_factory=dict)  # by the strategy; lists over time and the like
    format: int = FORMAT


@dataclass(frozen=True)
class Run:
    """A finished run with its scores."""

    directory: Path
    record: RunRecord
    scores: RunScores


def scores_to_arrays(scores: RunScores) -> dict[str, np.ndarray]:
    """The arrays of `RunScores` by name."""
    arrays = {f"curve_{name}": values for name, values in vars(scores.curve).items()}
    for name, one in scores.sets.items():
        arrays |= {f"{name}_{column}": values for column, values in vars(one).items()}
    return arrays


def _scores_from_arrays(arrays: Mapping[str, np.ndarray]) -> RunScores:
    curve = Curve(**{column: arrays[f"curve_{column}"] for column in Curve.__dataclass_fields__})
    names = [name.removesuffix("_arch_index") for name in arrays if name.endswith("_arch_index")]
    sets = {
        name: ScoreSet(**{column: arrays[f"{name}_{column}"] for column in ScoreSet.__dataclass_fields__})
        for name in names
        if name != "curve"
    }
    return RunScores(sets, curve)


def scores_digest(scores: RunScores) -> str:
    """SHA-256 of all names, shapes and numbers, except the curve's seconds: no two runs have those in common."""
    digest = hashlib.sha256()
    for name, values in sorted(scores_to_arrays(scores).items()):
        if name == "curve_seconds":
            continue
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def save_run(directory: Path, record: RunRecord, scores: RunScores) -> None:
    """Write the scores, then the record: a directory with a record is a finished run. Never overwrites a record."""
    if (directory / RECORD).exists():
        raise UserError(f"{directory / RECORD} exists; records are not overwritten")
    write_atomically(directory / SCORES, npz_bytes(scores_to_arrays(scores), compressed=True))
    write_atomically(directory / RECORD, json.dumps(asdict(record), indent=1, sort_keys=True).encode())


def is_finished(directory: Path) -> bool:
    """Whether the run in this directory has its record."""
    return (directory / RECORD).exists()


def load_run(directory: Path) -> Run:
    """Read a finished run; raises `UserError` if it is incomplete, of another format, or if its scores were changed."""
    try:
        content = json.loads((directory / RECORD).read_text())
        if content.get("format") != FORMAT:
            raise UserError(f"{directory / RECORD} has format {content.get('format')}, not {FORMAT}")
        record = RunRecord(**content)
        with np.load(directory / SCORES, allow_pickle=False) as file:
            scores = _scores_from_arrays({name: file[name] for name in file.files})
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{directory} does not hold a readable run ({type(error).__name__}: {error})") from error
    if scores_digest(scores) != record.scores_sha256:
        raise UserError(f"{directory / SCORES} is not the file that its record describes")
    return Run(directory, record, scores)


def load_runs(study: Path) -> list[Run]:
    """Every finished run of a study, one directory each, in the order of their names; raises `UserError` if none is."""
    if not study.is_dir():
        raise UserError(f"there is no study directory {study}")
    runs = [load_run(path.parent) for path in sorted(study.glob(f"*/{RECORD}"))]
    if not runs:
        raise UserError(f"{study} holds no finished run (no */{RECORD})")
    return runs


@dataclass(frozen=True)
class ShortTraining:
    """What `bench.short` found: scores of architectures that were each trained alone, from scratch, briefly."""

    steps: int
    learning_rate: float  # at the start
    by_index: dict[int, tuple[float, float]]  # accuracy and loss on validation images, by official index

    @property
    def scores(self) -> ScoreSet:
        """The same as arrays, indices ascending."""
        index = sorted(self.by_index)
        accuracy, loss = np.array([self.by_index[i] for i in index], dtype=np.float64).reshape(-1, 2).T
        return ScoreSet(np.array(index, dtype=np.int64), accuracy, loss)


def save_short(study: Path, short: ShortTraining) -> None:
    """Write STUDY/short.json: steps, learning rate, and by official index [accuracy, loss]."""
    scores = {str(index): short.by_index[index] for index in sorted(short.by_index)}
    content = {"steps": short.steps, "learning_rate": short.learning_rate, "scores": scores}
    write_atomically(study / SHORT, (json.dumps(content, indent=1) + "\n").encode())


def load_short(study: Path) -> ShortTraining | None:
    """What `save_short` wrote, None if nothing; raises `UserError` for a file that cannot be read."""
    path = study / SHORT
    try:
        content = json.loads(path.read_text())
        by_index = {int(i): (float(accuracy), float(loss)) for i, (accuracy, loss) in content["scores"].items()}
        if not all(0 <= index < N_ARCH for index in by_index):
            raise ValueError(f"an index is outside 0..{N_ARCH - 1}")
        return ShortTraining(int(content["steps"]), float(content["learning_rate"]), by_index)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is not readable ({type(error).__name__}: {error}): delete it") from error
