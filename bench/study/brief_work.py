"""The work of brief stand-alone training: one job is some architectures, each trained from scratch and scored."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.study.jobs import Job
from bench.study.parts import one_by_one
from bench.study.spec import load_study
from bench.study.task import make_task
from bench.study.work import Report
from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.nets.build import build_supernet
from mngnas.seeds import BRIEF_TRAINING, retraining_batches
from mngnas.settings import RetrainingConfig
from mngnas.train.loop import train
from mngnas.train.scoring import Scorer, Scores


def execute(job: Job, report: Report) -> None:
    """Train and score the job's architectures; what is found is written after each."""
    torch.set_num_threads(1)
    steps, task = int(job.arguments["steps"]), make_task(load_study(job.directory.parent), BRIEF_TRAINING)
    alone = Alone(task)

    def find(index: int) -> list[float]:
        scores = alone.trained(index, BRIEF_TRAINING + index, steps)
        return [float(scores.accuracy[0]), float(scores.loss[0])]

    one_by_one(job, {"steps": steps}, find, report)


class Alone:
    """Trains single architectures from scratch, at the learning rate of a study's supernets."""

    def __init__(self, task: Task) -> None:
        self.task, self.recipe = task, RetrainingConfig(learning_rate=task.training.learning_rate)
        supernet = build_supernet(task.space, task.skeleton, 0)
        self.scorer = Scorer(supernet, task.scoring, task.images.valid, task.images.train)

    def trained(self, index: int, seed: int, steps: int) -> Scores:
        """Scores `[1]` of an architecture after some steps; `seed` is that of its first weights. Raises `UserError`.

        All see the same batches.
        """
        task, arch = self.task, self.task.space.from_index(index)
        network = build_supernet(task.space, task.skeleton, seed).to(task.device)

        def backward(step: int) -> Tensor | None:
            batch = task.training_batch(step, retraining_batches(task.seed))
            F.cross_entropy(network(batch.images, arch).logits, batch.labels).backward()
            return None

        train(network.parameters(), self.recipe, steps, backward)
        return finite(self.scorer([arch], network), index, steps)


def finite(scores: Scores, index: int, steps: int) -> Scores:
    """The scores; raises `UserError` where training went wrong."""
    if not np.isfinite(scores.loss).all():
        raise UserError(
            f"architecture {index} diverged: its loss is not finite after {steps:,} steps of training alone; "
            "try a smaller learning rate"
        )
    return scores
