"""Brief stand-alone training of some of a study's architectures: a ranking to tune by that never saw the table.

Each architecture gets a network of its own, which is trained from scratch for some batches as the study's preset has
them, and scored on the validation images that its supernets are scored on. How well a method's scores agree with these
tells how well it ranks as far as brief training can tell. No ground truth is needed, so settings may be chosen by it.

STUDY/brief.json holds what was found so far; the jobs that find it are in STUDY/brief-<n>/ while they last.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.study.executor import Executor, Progress
from bench.study.jobs import Job
from bench.study.parts import RESULT, Part, load_sealed, save_sealed, take_in
from bench.study.preset import final_archs
from bench.study.scores import Scores
from bench.study.spec import load_study
from mngnas.errors import UserError
from mngnas.seeds import Sample, sample_generator
from mngnas.spaces import space_named

BRIEF = "brief.json"
_FORMER = "short.json"  # its name before version 0.2
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
    save_sealed(study / BRIEF, content, indent=1)


def load_brief(study: Path) -> BriefTraining | None:
    """What `save_brief` wrote, None if nothing; raises `UserError` for a file that cannot be read."""
    path = next((study / name for name in (BRIEF, _FORMER) if (study / name).exists()), None)
    return load_sealed(path, _parsed) if path else None


def _parsed(content: Mapping[str, Any]) -> BriefTraining:
    by_index = _by_index(content["scores"])
    if not all(index >= 0 and 0 <= accuracy <= 1 for index, (accuracy, _) in by_index.items()):
        raise ValueError("an index is negative or an accuracy is no fraction")
    return BriefTraining(int(content["steps"]), float(content["learning_rate"]), by_index)


def _by_index(scores: Mapping[Any, Any]) -> dict[int, tuple[float, float]]:
    """Accuracy and loss by official index; raises ValueError, TypeError and the like for what is none."""
    found = {int(i): (float(accuracy), float(loss)) for i, (accuracy, loss) in scores.items()}
    if not all(math.isfinite(number) for pair in found.values() for number in pair):
        raise ValueError("a number is not finite")
    return found


def brief_archs(study: Path, n: int, among: np.ndarray | None = None) -> list[int]:
    """Official indices of n random connected architectures that the study's runs score; fewer if it has no more.

    In a fixed random order: those of a smaller n are the first of a larger one. `among`, bool `[n_arch]`, leaves out
    others.
    """
    about = load_study(study)
    space = space_named(about.space)
    scored = np.array([space.to_index(arch) for arch in final_archs(space, about.preset)])
    scored = np.sort(scored[space.connected[scored]])
    order = sample_generator(Sample.BRIEF).permutation(scored)
    return [int(index) for index in (order if among is None else order[among[order]])[:n]]


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
    brief = _with_parts(study, brief)
    missing = [index for index in brief_archs(study, n) if index not in brief.by_index]
    jobs = []
    for start in range(0, len(missing), _ARCHS_A_JOB):
        archs = missing[start : start + _ARCHS_A_JOB]
        arguments = {"archs": archs, "steps": steps}
        jobs.append(Job(study / f"brief-{archs[0]}-{len(archs)}-{steps}", "brief training", RESULT, arguments))
    try:
        failures = executor.run(jobs, on_progress)
    finally:
        brief = _with_parts(study, brief, failed=False)
    if failures:
        raise UserError(f"brief training failed: {failures[0].reason}; the same command goes on")
    return brief


def _with_parts(study: Path, brief: BriefTraining, *, failed: bool = True) -> BriefTraining:
    """Take in what jobs left."""
    found = dict(brief.by_index)

    def keep(parts: Sequence[Part]) -> None:
        for part in parts:
            if part.about == {"steps": brief.steps}:
                found.update(_by_index(part.found))
        if found != brief.by_index:
            save_brief(study, replace(brief, by_index=found))

    take_in(study, "brief-*", keep, failed=failed)
    return replace(brief, by_index=found)
