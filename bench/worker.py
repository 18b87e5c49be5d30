"""One run, in a process of its own: train a supernet, score the architectures, leave a record.

    python -m bench.worker STUDY_DIR STRATEGY SEED

It goes on from its last checkpoint, tells its parent how far it is by JSON lines on standard output, and never opens
the ground-truth table: what it is trained and scored by is in the study's file alone.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.files import write_atomically
from bench.protocol import Preset, curve_sample, final_archs, retrained_archs, search_config
from bench.provenance import commit, device_name, versions
from bench.records import (
    Curve,
    RunRecord,
    RunScores,
    ScoreSet,
    is_finished,
    save_run,
    scores_digest,
)
from bench.study import Study, load_study, run_directory
from mngnas.datasets import ImageData, load_images
from mngnas.download import locked
from mngnas.errors import UserError
from mngnas.retraining import retrained_scores
from mngnas.scoring import Scorer
from mngnas.space import live_graph, to_index, to_rank
from mngnas.strategies import Search, make_strategy
from mngnas.supernet import Skeleton, Supernet
from mngnas.training import Trainer

CHECKPOINT, WEIGHTS, LOCK = "checkpoint.pt", "supernet.pt", ".lock"
_SECONDS_BETWEEN_CHECKPOINTS = 20.0
_CHUNK = 200  # architectures scored between two looks at the clock

Report = Callable[[str, float, float], None]  # phase, share of the run done, estimated seconds left


def execute(study_directory: Path, strategy: str, seed: int, report: Report, checkpoint_seconds: float) -> None:
    """Bring one run of a study to its end, from its last checkpoint; nothing to do if it has its record."""
    study = load_study(study_directory)
    directory = run_directory(study_directory, strategy, seed)
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / LOCK):  # a worker of a killed parent may still be at it
        if not is_finished(directory):
            _Run(study, directory, strategy, seed, report, checkpoint_seconds).finish()


class _Run:
    """The state of one run between two checkpoints."""

    def __init__(
        self, study: Study, directory: Path, strategy: str, seed: int, report: Report, checkpoint_seconds: float
    ) -> None:
        self.study, self.directory, self.seed, self.report = study, directory, seed, report
        self.strategy = strategy
        self.preset, self.device = study.preset, torch.device(study.device)
        data = prepared_images(study, self.device)
        self.images = data.train.name
        self.trainer = make_trainer(self.preset, data, strategy, seed, self.device)
        self.scorer = Scorer(self.trainer.supernet, self.preset.scoring, data.valid, data.train)
        self.curve_archs = curve_sample(self.preset)
        self.curve: list[list[Any]] = []  # [passes, images, seconds, accuracies, losses] per point
        self.archs = final_archs(self.preset)
        self.lives = sorted({live_graph(arch) for arch in self.archs}, key=to_rank)
        self.scored: list[list[float]] = []  # [accuracy, loss] of the first of `lives`
        self.score_seconds = 0.0
        self.sample = retrained_archs(self.preset)
        self.retrained: list[list[float]] = []  # [accuracy, loss] of the first of `sample`
        self.retraining_seconds = 0.0
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.seconds_per_score = 0.0
        self.checkpoint_seconds, self.saved_at = checkpoint_seconds, time.monotonic()
        self._resume()

    def finish(self) -> None:
        """Train, score, write the record."""
        self._train()
        self._score()
        self._retrain()
        scores = RunScores(self._sets(), self._curve())
        buffer = io.BytesIO()
        torch.save(self.trainer.scored.state_dict(), buffer)
        write_atomically(self.directory / WEIGHTS, buffer.getvalue())
        save_run(self.directory, self._record(scores), scores)
        (self.directory / CHECKPOINT).unlink(missing_ok=True)

    def _train(self) -> None:
        trainer = self.trainer
        points = np.linspace(0, 1, self.preset.curve.points + 1)
        self.report("training", 0.0, float("nan"))
        while True:
            if len(self.curve) < len(points) and (trainer.spent >= points[len(self.curve)] or trainer.done):
                self._add_point()
                self._save()
            if trainer.done:
                return
            trainer.step()
            self._save_if_due()
            self._tell("training")

    def _add_point(self) -> None:
        trainer, began = self.trainer, time.perf_counter()
        scores = self.scorer(self.curve_archs, trainer.scored)
        self.seconds_per_score = (time.perf_counter() - began) / len(self.curve_archs)
        spent: list[Any] = [trainer.passes, trainer.images_seen, trainer.seconds]
        self.curve.append([*spent, scores.accuracy.tolist(), scores.loss.tolist()])

    def _score(self) -> None:
        while len(self.scored) < len(self.lives):
            began = time.perf_counter()
            chunk = self.lives[len(self.scored) : len(self.scored) + _CHUNK]
            scores = self.scorer(chunk, self.trainer.scored)
            self.scored += np.stack([scores.accuracy, scores.loss], axis=1).tolist()
            seconds = time.perf_counter() - began
            self.score_seconds += seconds
            self.seconds_per_score = seconds / len(chunk)
            self._save_if_due()
            self._tell("scoring")

    def _retrain(self) -> None:
        trainer, config = self.trainer, self.preset.retraining
        while len(self.retrained) < len(self.sample):
            began = time.perf_counter()
            scores = retrained_scores(
                trainer.scored,
                self.sample[len(self.retrained)],
                trainer.strategy.retraining_loss,
                trainer.retraining_batch,
                config,
                self.scorer,
            )
            self.retrained.append([float(scores.accuracy[0]), float(scores.loss[0])])
            self.retraining_seconds += time.perf_counter() - began
            self._save_if_due()
            self._tell("retraining")

    def _tell(self, phase: str) -> None:
        """Report with an estimate of the seconds left, from the speeds seen so far."""
        trainer = self.trainer
        train_total = trainer.seconds / trainer.spent if trainer.spent else 0.0
        points_left = self.preset.curve.points + 1 - len(self.curve)
        scores_left = points_left * len(self.curve_archs) + len(self.lives) - len(self.scored)
        scores_total = (self.preset.curve.points + 1) * len(self.curve_archs) + len(self.lives)
        # Until one has been retrained, as long as its passes of training.
        passes = self.preset.retraining.steps * trainer.strategy.retraining_price
        guess = passes * trainer.seconds / trainer.passes if trainer.passes else 0.0
        each = self.retraining_seconds / len(self.retrained) if self.retrained else guess
        left = train_total * (1 - trainer.spent) + scores_left * self.seconds_per_score
        left += (len(self.sample) - len(self.retrained)) * each
        total = train_total + scores_total * self.seconds_per_score + len(self.sample) * each
        self.report(phase, 1 - left / total if total else 0.0, left)

    def _sets(self) -> dict[str, ScoreSet]:
        sets = {"inherited": self._inherited()}
        if self.sample:
            rows = np.array(self.retrained)
            sets["retrained"] = ScoreSet(np.array([to_index(arch) for arch in self.sample]), rows[:, 0], rows[:, 1])
        return sets

    def _inherited(self) -> ScoreSet:
        """Every architecture gets the scores of its live graph."""
        place = {live: i for i, live in enumerate(self.lives)}
        rows = np.array(self.scored)[[place[live_graph(arch)] for arch in self.archs]]
        return ScoreSet(np.array([to_index(arch) for arch in self.archs]), rows[:, 0], rows[:, 1])

    def _curve(self) -> Curve:
        passes, images, seconds, accuracy, loss = zip(*self.curve, strict=True)
        return Curve(
            np.array([to_index(arch) for arch in self.curve_archs]),
            np.array(passes, dtype=np.float64),
            np.array(images, dtype=np.int64),
            np.array(seconds, dtype=np.float64),
            np.array(accuracy),
            np.array(loss),
        )

    def _record(self, scores: RunScores) -> RunRecord:
        study, trainer = self.study, self.trainer
        head, dirty = commit()
        config = asdict(self.preset)
        return RunRecord(
            benchmark=study.benchmark,
            dataset=study.dataset,
            images=self.images,
            strategy=self.strategy,
            seed=self.seed,
            preset=config.pop("name"),
            config=config,
            protocol=study.protocol,
            table_checksum=study.table_checksum,
            steps=trainer.steps,
            passes=trainer.passes,
            images_seen=trainer.images_seen,
            train_seconds=round(trainer.seconds, 3),
            score_seconds=round(self.score_seconds, 3),
            device=device_name(study.device),
            versions=versions(),
            commit=head,
            dirty=dirty,
            started=self.started,
            scores_sha256=scores_digest(scores),
            retraining_passes=len(self.sample) * self.preset.retraining.steps * trainer.strategy.retraining_price,
            retraining_seconds=round(self.retraining_seconds, 3),
            diagnostics=trainer.strategy.diagnostics(),
        )

    def _save_if_due(self) -> None:
        if time.monotonic() - self.saved_at >= self.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        state = {
            "trainer": self.trainer.state_dict(),
            "curve": self.curve,
            "scored": self.scored,
            "score_seconds": self.score_seconds,
            "retrained": self.retrained,
            "retraining_seconds": self.retraining_seconds,
            "started": self.started,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.directory / CHECKPOINT, buffer.getvalue())
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        path = self.directory / CHECKPOINT
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.trainer.load_state_dict(state["trainer"])
        except Exception as error:  # torch raises many kinds for a file that is none of its own
            raise UserError(f"{path} is not a checkpoint of this run; delete it to start again ({error})") from error
        self.curve, self.scored = state["curve"], state["scored"]
        self.score_seconds, self.started = state["score_seconds"], state["started"]
        self.retrained, self.retraining_seconds = state["retrained"], state["retraining_seconds"]


def prepared_images(study: Study, device: torch.device) -> ImageData:
    """The study's pictures at its resolution, on the device."""
    data = load_images(study.dataset, study.mirror)
    if data.train.name != study.images:
        raise UserError(f"this study was made with {study.images}, but {data.train.name} is what was found")
    factor = study.preset.images.shrink
    return ImageData(*(part.shrunk(factor).to(device) for part in (data.train, data.valid, data.test)))


def make_trainer(preset: Preset, data: ImageData, strategy: str, seed: int, device: torch.device) -> Trainer:
    """A supernet that has seen nothing yet, with its strategy and optimiser."""
    skeleton = Skeleton(classes=data.train.classes, in_channels=data.train.pixels.shape[1], **asdict(preset.supernet))
    supernet = Supernet(skeleton, seed).to(device)
    search = search_config(preset)
    return Trainer(
        supernet,
        make_strategy(strategy, preset.mngnas),
        preset.training,
        data.train,
        preset.augmentation,
        seed,
        Search(Scorer(supernet, search, data.valid, data.train), search.images / preset.training.batch_size / 3),
    )


def main() -> None:
    """The process: its last line says how it ended; a user's mistake is told in the parent's one line."""
    torch.set_num_threads(1)  # several runs share the machine; on networks this small two threads are slower than one
    told = [0.0]

    def report(phase: str, share: float, left: float) -> None:
        if time.monotonic() - told[0] >= 0.5:
            told[0] = time.monotonic()
            print(json.dumps({"phase": phase, "share": share, "left": left}), flush=True)

    try:
        seconds = float(os.environ.get("MNGNAS_BENCH_CHECKPOINT_SECONDS", _SECONDS_BETWEEN_CHECKPOINTS))
        execute(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), report, seconds)
    except UserError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(2)
    except BrokenPipeError:  # the parent is gone
        os._exit(1)


if __name__ == "__main__":
    main()
