"""Brief stand-alone training of some of a study's architectures: a ranking to tune by that never saw the table.

Each architecture gets a network of its own, which is trained from scratch for some batches as the study's preset has
them, and scored on the validation images that its supernets are scored on. How well a method's scores agree with these
tells how well it ranks as far as brief training can tell. No ground truth is needed, so settings may be chosen by it.

STUDY/brief.json holds what was found so far; the jobs that find it are in STUDY/brief-<n>/ while they last.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import add_seal, digest_of, is_as_sealed, read_bounded, seal_path, write_atomically
from bench.study.executor import Executor, Progress
from bench.study.jobs import Job, read_json
from bench.study.preset import final_archs
from bench.study.scores import Scores
from bench.study.spec import load_study
from mngnas.errors import UserError
from mngnas.seeds import Sample, sample_generator
from mngnas.spaces import space_named

BRIEF = "brief.json"
_FORMER = "short.json"  # its name before version 0.2
PART_RESULT = "scores.json"
_ARCHS_A_JOB = 10  # a process takes seconds to start


@dataclass(frozen=True)
class BriefTraining:
    """Scores of architectures that were each trained alone, from scratch, briefly."""

    steps: int
    learning_rate: float  # at the start; it falls to zero along a cosine, without weight decay
    by_index: dict[int, tuple[float, float]]  # accuracy and loss on validation images, by official index

    @property
    def scores(self) -> Scores:
        """The same as arrays, indices ascending."""
        index = sorted(self.by_index)
        accuracy, loss = np.array([self.by_index[i] for i in index], dtype=np.float64).reshape(-1, 2).T
        return Scores(np.array(index, dtype=np.int64), {"accuracy": accuracy, "minus_loss": -loss})


def save_brief(study: Path, brief: BriefTraining) -> None:
    """Write STUDY/brief.json; raises `UserError`."""
    scores = {str(index): brief.by_index[index] for index in sorted(brief.by_index)}
    content = {"steps": brief.steps, "learning_rate": brief.learning_rate, "scores": scores}
    try:
        add_seal(study / BRIEF, *_earlier(study / BRIEF), _digest(content))
        write_atomically(study / BRIEF, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise UserError(f"cannot write {study / BRIEF}: {error.strerror or error}") from error


def _digest(content: object) -> str:
    """Of numbers, however they are written down."""
    return digest_of(json.dumps(content, sort_keys=True).encode())


def _earlier(path: Path) -> list[str]:
    """The digest of a file that has no seal yet."""
    return (
        [_digest(json.loads(read_bounded(path).decode("utf-8")))]
        if path.exists() and not seal_path(path).exists()
        else []
    )


def load_brief(study: Path) -> BriefTraining | None:
    """What `save_brief` wrote, None if nothing; raises `UserError` for a file that cannot be read."""
    path = next((study / name for name in (BRIEF, _FORMER) if (study / name).exists()), None)
    if path is None:
        return None
    try:
        content = json.loads(read_bounded(path).decode("utf-8"))
        if not is_as_sealed(path, _digest(content)):
            raise ValueError("it was changed after it was written")
        by_index = by_index_of(content)
        if not all(index >= 0 and 0 <= accuracy <= 1 for index, (accuracy, _) in by_index.items()):
            raise ValueError("an index is negative or an accuracy is no fraction")
        return BriefTraining(int(content["steps"]), float(content["learning_rate"]), by_index)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{path} is not readable ({type(error).__name__}: {error}): delete it") from error


def by_index_of(content: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    """Accuracy and loss by official index; raises ValueError, TypeError and the like for what is none."""
    found = {int(i): (float(accuracy), float(loss)) for i, (accuracy, loss) in content["scores"].items()}
    if not all(math.isfinite(number) for pair in found.values() for number in pair):
        raise ValueError("a number is not finite")
    return found


def write_part(path: Path, steps: int, scores: Mapping[str, list[float]]) -> None:
    """Write what a job has found so far, with a digest."""
    content = {"steps": steps, "scores": dict(scores)}
    write_atomically(path, json.dumps(content | {"sha256": _digest(content)}).encode())


def read_part(path: Path) -> dict[str, Any]:
    """What `write_part` wrote; empty if there is nothing, or nothing that is whole: it is done again."""
    content = read_json(path)
    try:
        known = content.pop("sha256", None)
        by_index_of(content)
        return content if set(content) == {"steps", "scores"} and known in (None, _digest(content)) else {}
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        return {}


def brief_archs(study: Path, n: int) -> list[int]:
    """Official indices of n random connected architectures that the study's runs score; fewer if it has no more.

    In a fixed random order: those of a smaller n are the first of a larger one.
    """
    about = load_study(study)
    space = space_named(about.space)
    scored = np.array([space.to_index(arch) for arch in final_archs(space, about.preset)])
    scored = np.sort(scored[space.connected[scored]])
    return [int(index) for index in sample_generator(Sample.BRIEF).permutation(scored)[:n]]


def train_briefly(
    study: Path, n: int, steps: int, executor: Executor, on_progress: Callable[[Progress], None]
) -> BriefTraining:
    """Train n architectures, each for `steps` batches; those that the file has are kept.

    The learning rate is the preset's. Raises `UserError` if the study has a brief training of another length, and if a
    training failed; what the others found is kept.
    """
    learning_rate = load_study(study).preset.training.learning_rate
    brief = load_brief(study) or BriefTraining(steps, learning_rate, {})
    if (brief.steps, brief.learning_rate) != (steps, learning_rate):
        raise UserError(
            f"{study} has brief trainings of {brief.steps} steps at {brief.learning_rate}, not {steps} at"
            f" {learning_rate}: delete its {BRIEF} or ask for the same"
        )
    brief = _collected(study, brief)
    missing = [index for index in brief_archs(study, n) if index not in brief.by_index]
    jobs = []
    for start in range(0, len(missing), _ARCHS_A_JOB):
        archs = missing[start : start + _ARCHS_A_JOB]
        arguments = {"archs": archs, "steps": steps}
        jobs.append(Job(study / f"brief-{archs[0]}-{len(archs)}-{steps}", "brief training", PART_RESULT, arguments))
    try:
        failures = executor.run(jobs, on_progress)
    finally:
        brief = _collected(study, brief)
    if failures:
        raise UserError(f"brief training failed: {failures[0].reason}; the same command goes on")
    return brief


def _collected(study: Path, brief: BriefTraining) -> BriefTraining:
    """Take in what finished jobs left, and remove them."""
    found = dict(brief.by_index)
    parts = [path.parent for path in study.glob(f"brief-*/{PART_RESULT}")]
    for part in parts:
        content = read_part(part / PART_RESULT)
        if content.get("steps") == brief.steps:
            found |= by_index_of(content)
    if found != brief.by_index:
        brief = replace(brief, by_index=found)
        save_brief(study, brief)
    for part in parts:
        shutil.rmtree(part, ignore_errors=True)
    return brief
