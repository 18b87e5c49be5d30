"""The work of retraining: one job trains a supernet again, others take architectures from it, or from scratch."""

import json
import time
from collections.abc import Callable

import torch

from bench.files import write_atomically
from bench.provenance import device_name
from bench.study.begin import begin, begun
from bench.study.brief_work import Alone, finite
from bench.study.jobs import Job
from bench.study.parts import one_by_one
from bench.study.retrain import GUIDED, SCRATCH, SUPERNET, TRAINED, steps_of
from bench.study.run import train_again, trained
from bench.study.spec import PlannedRun, Study, load_study
from bench.study.task import make_task
from bench.study.work import Report
from mngnas.methods.supernet_method import SupernetMethod
from mngnas.seeds import BRIEF_TRAINING, stand_alone_weights
from mngnas.train.scoring import Scores

Train = Callable[[int, int], Scores]  # official index, steps -> scores [1]


def train_supernet(job: Job, report: Report) -> None:
    """Train the supernet of a run again; it stays in the job's directory."""
    torch.set_num_threads(1)
    weights = train_again(begin(job, SUPERNET), report)
    write_atomically(job.directory / TRAINED, json.dumps({"weights": weights}).encode())


def execute(job: Job, report: Report) -> None:
    """Train each of the job's architectures for each of its lengths; what is found is written after each one."""
    torch.set_num_threads(1)
    study = load_study(job.directory.parent)
    price, train = _from_scratch(job, study) if job.arguments["way"] == SCRATCH else _from_supernet(job, study)
    names = ("way", "run", "seed", "weights", "lengths")
    about = {name: job.arguments[name] for name in names} | {"price": price, "device": device_name(study.device)}

    def find(index: int) -> dict[str, list[float]]:
        found = {}
        for passes in job.arguments["lengths"]:
            began, steps = time.perf_counter(), steps_of(passes, price)
            scores = finite(train(index, steps), index, steps)
            seconds = round(time.perf_counter() - began, 3)
            # Six digits: less than a picture in an accuracy, and no more than float32 has in a loss.
            found[str(passes)] = [round(float(scores.accuracy[0]), 6), float(f"{scores.loss[0]:.6g}"), seconds]
        return found

    one_by_one(job, about, find, report)


def _from_scratch(job: Job, study: Study) -> tuple[float, Train]:
    """First weights that no run, table or brief training has."""
    seed = int(job.arguments["seed"])
    alone = Alone(make_task(study, seed))
    first = BRIEF_TRAINING + seed
    return 1.0, lambda index, steps: alone.trained(index, stand_alone_weights(first, index), steps)


def _from_supernet(job: Job, study: Study) -> tuple[float, Train]:
    run = PlannedRun(**job.arguments["of"])
    method = trained(begun(study, job.directory.parent / (SUPERNET + run.name), run))
    assert isinstance(method, SupernetMethod)
    guided = job.arguments["way"] == GUIDED

    def train(index: int, steps: int) -> Scores:
        found = method.retrained(method.space.from_index(index), steps, guided=guided)
        return Scores(found["accuracy"], -found["minus_loss"])

    return method.retraining_price() if guided else 1.0, train
