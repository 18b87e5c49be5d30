"""Short stand-alone training of some of a study's architectures: a ranking to tune by that never saw the table.

Each architecture gets a network of its own, which is trained from scratch for some batches as the study's preset has
them, and scored on the validation images that its supernets are scored on. How well a method's scores agree with these
tells how well it ranks as far as short training can tell. No ground truth is needed, so hyper-parameters may be chosen
by it.

STUDY/short.json holds what was found so far, see `bench.study.records.ShortTraining`.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from bench.stats.evaluation import disconnected
from bench.study.preset import final_archs
from bench.study.records import SHORT, ShortTraining, load_short, save_short
from bench.study.spec import load_study
from mngnas.errors import UserError
from mngnas.spaces.topology import from_index, to_index

_SEED = 1_000_000_007  # of the batches and weights: no run's


def short_archs(study: Path, n: int) -> list[int]:
    """Official indices of n random connected architectures that the study's runs score; fewer if it has no more.

    In a fixed random order: those of a smaller n are the first of a larger one.
    """
    scored = np.array([to_index(arch) for arch in final_archs(load_study(study).preset)])
    scored = np.sort(scored[~disconnected()[scored]])
    return [int(index) for index in np.random.default_rng(0).permutation(scored)[:n]]


def train_short(study: Path, n: int, steps: int, parallel: int, show: Callable[[str], None]) -> ShortTraining:
    """Train n architectures, `parallel` at a time, each for `steps` batches; those that the file has are kept.

    The learning rate is the preset's, falling to zero along a cosine, without weight decay. `show` gets a line of
    progress after each. Raises `UserError` if the study has a short training of another length.
    """
    import torch

    from bench.study.run import prepared_images

    about = load_study(study)
    learning_rate = about.preset.training.learning_rate
    short = load_short(study) or ShortTraining(steps, learning_rate, {})
    if (short.steps, short.learning_rate) != (steps, learning_rate):
        raise UserError(
            f"{study / SHORT} holds trainings of {short.steps} steps at {short.learning_rate}, not {steps} at"
            f" {learning_rate}: delete it or ask for the same"
        )
    wanted = short_archs(study, n)
    missing = [index for index in wanted if index not in short.by_index]
    if not missing:
        return short
    prepared_images(about, torch.device("cpu"))  # what is wrong with them is told here, in one line
    began = time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(parallel, len(missing)), spawn, _begin, (study, steps))
    try:
        futures = {pool.submit(_train, index): index for index in missing}
        for done, future in enumerate(as_completed(futures), start=1):
            short.by_index[futures[future]] = future.result()
            save_short(study, short)
            left = (time.monotonic() - began) / done * (len(missing) - done)
            show(f"{len(wanted) - len(missing) + done} of {len(wanted)} architectures trained; time left: {left:.0f} s")
    except OSError as error:
        raise UserError(f"cannot write {study / SHORT}: {error.strerror or error}") from error
    except BrokenExecutor as error:  # killed, for want of memory for example
        raise UserError("a process that trains ended without a word; the same command goes on") from error
    finally:
        pool.shutdown(cancel_futures=True)
    return short


class _Worker:
    """The study's pictures and scorer in a process of the pool."""

    def __init__(self, study: Path, steps: int) -> None:
        import torch

        from bench.study.run import make_trainer, prepared_images
        from mngnas.train.retraining import RetrainingConfig
        from mngnas.train.scoring import Scorer

        torch.set_num_threads(1)
        about = load_study(study)
        device = torch.device(about.device)
        data = prepared_images(about, device)
        self.config = RetrainingConfig(steps=steps, learning_rate=about.preset.training.learning_rate)
        self.trainer = make_trainer(about.preset, data, "fairnas", _SEED, device)  # never trained: for its batches
        self.scorer = Scorer(self.trainer.supernet, about.preset.scoring, data.valid, data.train)

    def train(self, index: int) -> tuple[float, float]:
        from mngnas.nets.cell_supernet import Supernet
        from mngnas.train.retraining import retrained_scores

        trainer = self.trainer
        scratch = Supernet(trainer.supernet.skeleton, _SEED + index).to(trainer.images.pixels.device)
        loss, batch = trainer.strategy.retraining_loss, trainer.retraining_batch
        scores = retrained_scores(scratch, from_index(index), loss, batch, self.config, self.scorer)
        return float(scores.accuracy[0]), float(scores.loss[0])


_worker: _Worker  # of this process


def _begin(study: Path, steps: int) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _worker = _Worker(study, steps)


def _end_with(parent: int) -> None:
    """A killed parent cannot stop its pool."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _train(index: int) -> tuple[float, float]:
    return _worker.train(index)
