"""The work of brief stand-alone training: one job is some architectures, each trained from scratch and scored."""

import math
import time

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.study.brief import PART_RESULT, read_part, write_part
from bench.study.jobs import Job, Status
from bench.study.spec import load_study
from bench.study.task import make_task
from bench.study.work import Report
from mngnas.errors import UserError
from mngnas.nets.build import build_supernet
from mngnas.seeds import BRIEF_TRAINING, retraining_batches
from mngnas.settings import RetrainingConfig
from mngnas.train.loop import train
from mngnas.train.scoring import Scorer

_PART = "scores.part.json"


def execute(job: Job, report: Report) -> None:
    """Train and score the job's architectures; what is found is written after each."""
    torch.set_num_threads(1)
    study = load_study(job.directory.parent)
    steps, wanted = int(job.arguments["steps"]), [int(index) for index in job.arguments["archs"]]
    config = RetrainingConfig(steps=steps, learning_rate=study.preset.training.learning_rate)
    task = make_task(study, BRIEF_TRAINING)
    scorer = Scorer(build_supernet(task.space, task.skeleton, 0), task.scoring, task.images.valid, task.images.train)
    found: dict[str, list[float]] = _found(job, steps)
    began, had = time.monotonic(), len(found)
    for index in wanted:
        if str(index) in found:
            continue
        arch = task.space.from_index(index)
        network = build_supernet(task.space, task.skeleton, BRIEF_TRAINING + index).to(task.device)

        def backward(step: int) -> Tensor | None:
            batch = task.training_batch(step, retraining_batches(task.seed))
            F.cross_entropy(network(batch.images, arch).logits, batch.labels).backward()  # noqa: B023
            return None

        train(network.parameters(), config, steps, backward)
        scores = scorer([arch], network)
        found[str(index)] = [float(scores.accuracy[0]), float(scores.loss[0])]
        if not math.isfinite(found[str(index)][1]):
            raise UserError(
                f"architecture {index} diverged: its loss is not finite after {steps:,} steps of brief training; "
                "try a smaller learning rate"
            )
        write_part(job.directory / _PART, steps, found)
        left = (time.monotonic() - began) / (len(found) - had) * (len(wanted) - len(found))
        report(Status("training", len(found) / len(wanted), left))
    write_part(job.directory / PART_RESULT, steps, {str(index): found[str(index)] for index in wanted})


def _found(job: Job, steps: int) -> dict[str, list[float]]:
    """What an earlier process of this job found."""
    part = read_part(job.directory / _PART)
    return dict(part["scores"]) if part.get("steps") == steps else {}
