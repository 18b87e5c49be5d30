"""One run: advance a method to its end, score architectures, leave a record.

It goes on from its last checkpoint, and it opens no ground truth unless the method is a searcher, which is handed an
oracle and has that in its record. It knows nothing of what a method is inside.
"""

import hashlib
import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.files import write_atomically
from bench.provenance import commit, device_name, versions
from bench.study.checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint
from bench.study.jobs import Job, Status
from bench.study.preset import (
    Preset,
    curve_archs,
    final_archs,
    method_config,
    ranking_archs,
)
from bench.study.records import MethodRef, RunRecord
from bench.study.scores import Curve, RunScores, Scores
from bench.study.spec import PlannedRun, Study, load_study, run_directory
from bench.study.store import RECORD, save_run
from bench.study.task import make_task
from bench.study.work import Report, checkpoint_seconds
from mngnas.errors import UserError
from mngnas.methods.base import Columns, Method, Ranking
from mngnas.methods.info import Cost
from mngnas.methods.registry import method_entry
from mngnas.methods.searcher import Searcher
from mngnas.spaces import Arch

METHOD_STATE = "method.pt"
TRAINING = "training"


def job_of(study_directory: Path, run: PlannedRun) -> Job:
    """The job that makes a run of a study."""
    arguments = {"method": run.method, "changes": dict(run.changes), "seed": run.seed}
    return Job(run_directory(study_directory, run), "run", RECORD, arguments)


def execute(job: Job, report: Report) -> None:
    """Bring the run of a study to its end."""
    torch.set_num_threads(1)  # several runs share the machine; on networks this small two threads are slower than one
    try:
        run = PlannedRun(**job.arguments)
    except TypeError as error:
        raise UserError(f"{job.directory} does not say which run it is") from error
    if run.name != job.directory.name:
        raise UserError(f"{job.directory} is to hold another run, {run.name}: its job.json was changed")
    _Run(load_study(job.directory.parent), job.directory, run, report).finish()


class _Run:
    """The state of one run between two checkpoints."""

    def __init__(self, study: Study, directory: Path, run: PlannedRun, report: Report) -> None:
        self.study, self.directory, self.run, self.report = study, directory, run, report
        entry = method_entry(run.method, study.method_folders)
        if reason := entry.info.not_in.get(study.space):
            raise UserError(f"{run.method} does not run in {study.space}: {reason}")
        self.info, self.config = entry.info, method_config(entry, study.preset, run.changes)
        self.task = make_task(study, run.seed)
        self.preset: Preset = study.preset
        self.oracle = None
        method_class = entry.load()
        if issubclass(method_class, Searcher):
            self.oracle = _oracle(study)
            self.method: Method = method_class(self.config, self.task, self.oracle)
        else:
            self.method = method_class(self.config, self.task)
        self.space = self.task.space
        self.curve_archs = curve_archs(self.space, self.preset)
        self.curve: list[dict[str, Any]] = []  # one entry a point: costs so far, and columns
        self.scored: dict[str, dict[str, list[float]]] = {}  # ranking -> column -> of the first of its architectures
        self.ranking_seconds: dict[str, float] = {}
        self.seconds_each: dict[str, float] = {}  # of scoring one architecture, lately
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.commit = commit()
        self.distinct: dict[tuple[int, bool], list[Arch]] = {}  # what rankings score, see `_distinct`
        self.saved_at, self.told_at, self.checkpoint_seconds = time.monotonic(), 0.0, checkpoint_seconds()
        self._resume()

    def finish(self) -> None:
        """Advance, score, write the record."""
        self._advance()
        self._refuse_broken_weights()
        for ranking in self.method.rankings():
            self._score(ranking)
        buffer = io.BytesIO()
        torch.save(self.method.state_dict(), buffer)
        write_atomically(self.directory / METHOD_STATE, buffer.getvalue())
        scores = RunScores(self._rankings(), self._curve(), self.method.outcome().trace)
        save_run(self.directory, self._record(), scores, self.preset.scoring.images)
        remove_checkpoints(self.directory)

    # -------------------------------------------------------------------------------------------- advancing and scoring

    def _advance(self) -> None:
        method, points = self.method, np.linspace(0, 1, self.preset.curve.points + 1)
        if method.done and not method.steps:  # nothing will change, so there is no curve
            return
        self._tell(TRAINING)
        while True:
            due = len(self.curve) < len(points) and method.spent >= points[len(self.curve)]
            if due or (method.done and len(self.curve) < len(points)):
                self._refuse_broken_weights()
                self._add_point()
                self._save()
            if method.done:
                return
            method.advance()
            self._save_if_due()
            self._tell(TRAINING)

    def _add_point(self) -> None:
        """Score the sample by the main ranking; a method without one has the costs alone."""
        main, began = next(iter(self.method.rankings()), None), time.perf_counter()
        columns: Columns = {}
        if main:
            found = self.method.scores(main.name, self.curve_archs)
            columns = self.method.complete(main.name, self.curve_archs, found)
            self.seconds_each[main.name] = (time.perf_counter() - began) / len(self.curve_archs)
        cost = self.method.outcome().cost
        self._refuse_nonsense(columns)
        self.curve.append(asdict(cost) | {"columns": {name: values.tolist() for name, values in columns.items()}})

    def _score(self, ranking: Ranking) -> None:
        archs = self._distinct(ranking)
        done = self.scored.setdefault(ranking.name, {})
        while (start := len(next(iter(done.values()), ()))) < len(archs):
            began = time.perf_counter()
            chunk = archs[start : start + ranking.chunk]
            columns = self.method.scores(ranking.name, chunk)
            self._refuse_nonsense(columns)
            for name, values in columns.items():
                done.setdefault(name, []).extend(values.tolist())
            seconds = time.perf_counter() - began
            self.ranking_seconds[ranking.name] = self.ranking_seconds.get(ranking.name, 0.0) + seconds
            self.seconds_each[ranking.name] = seconds / len(chunk)
            self._save_if_due()
            self._tell(f"scoring, {ranking.name}")

    def _archs(self, ranking: Ranking) -> list[Arch]:
        return ranking_archs(self.space, ranking.archs) if ranking.archs else final_archs(self.space, self.preset)

    def _distinct(self, ranking: Ranking) -> list[Arch]:
        """What is scored: canonical forms once, in order of rank, in which neighbours share most."""
        key = ranking.archs, ranking.by_canonical
        if key not in self.distinct:
            archs = self._archs(ranking)
            if ranking.by_canonical:
                archs = sorted({self.space.canonical(arch) for arch in archs}, key=self.space.to_rank)
            self.distinct[key] = archs
        return self.distinct[key]

    def _refuse_nonsense(self, columns: Any) -> None:
        """Weights that are not finite make losses that are not: there is nothing left to rank."""
        loss = columns.get("minus_loss", np.zeros(1))
        if not np.isfinite(loss).all():
            raise self._diverged(f"{(~np.isfinite(loss)).sum()} of {len(loss)} losses are not finite")

    def _refuse_broken_weights(self) -> None:
        """The first loss that is not finite leaves such weights; they are looked at before anything is kept."""
        if not all(bool(torch.isfinite(one).all()) for one in _weights(self.method)):
            raise self._diverged("its weights are not finite")

    def _diverged(self, how: str) -> UserError:
        return UserError(
            f"{self.run.name} diverged: {how} after {100 * self.method.spent:.0f} % of the budget (step"
            f" {self.method.steps:,}); try a smaller learning rate"
        )

    def _tell(self, phase: str) -> None:
        """Report, twice a second at most, with an estimate of the seconds left from the speeds seen so far."""
        if time.monotonic() - self.told_at < 0.5:
            return
        self.told_at = time.monotonic()
        method, total, left = self.method, 0.0, 0.0
        if phase == TRAINING and method.spent:
            total = method.outcome().cost.seconds / method.spent
            left = total * (1 - method.spent)
        for place, ranking in enumerate(method.rankings()):
            each = self.seconds_each.get(ranking.name, ranking.seconds_each)
            wanted = len(self._distinct(ranking))
            missing = wanted - len(next(iter(self.scored.get(ranking.name, {}).values()), ()))
            if place == 0:  # the curve's points
                points = self.preset.curve.points + 1
                wanted += points * len(self.curve_archs)
                missing += max(0, points - len(self.curve)) * len(self.curve_archs) * (phase == TRAINING)
            total, left = total + wanted * each, left + missing * each
        self.report(Status(phase, 1 - left / total if total else 0.0, left))

    # --------------------------------------------------------------------------------------------------- what is left

    def _rankings(self) -> dict[str, Scores]:
        """Every architecture gets the scores of its canonical form, where these are what was scored."""
        found = {}
        for ranking in self.method.rankings():
            archs = self._archs(ranking)
            columns = {name: np.array(values) for name, values in self.scored[ranking.name].items()}
            if ranking.by_canonical:
                place = {arch: i for i, arch in enumerate(self._distinct(ranking))}
                order = [place[self.space.canonical(arch)] for arch in archs]
                columns = {name: values[order] for name, values in columns.items()}
            columns = dict(self.method.complete(ranking.name, archs, columns))
            found[ranking.name] = Scores(self._indices(archs), columns)
        return found

    def _indices(self, archs: Sequence[Arch]) -> np.ndarray:
        return np.array([self.space.to_index(arch) for arch in archs], dtype=np.int64)

    def _curve(self) -> Curve | None:
        if not self.curve or not self.curve[0]["columns"]:
            return None
        return Curve(
            self._indices(self.curve_archs),
            np.array([point["passes"] for point in self.curve], dtype=np.float64),
            np.array([point["images"] for point in self.curve], dtype=np.int64),
            np.array([point["seconds"] for point in self.curve], dtype=np.float64),
            np.array([point["queries"] for point in self.curve], dtype=np.int64),
            {name: np.array([point["columns"][name] for point in self.curve]) for name in self.curve[0]["columns"]},
        )

    def _record(self) -> RunRecord:
        study, outcome = self.study, self.method.outcome()
        settings = self.preset.settings
        others = set(self.preset.methods)
        config = {name: value for name, value in settings.items() if name not in others}
        config[self.info.name] = asdict(self.config)
        costs = {
            r.name: Cost(
                round(r.passes_each * len(self._distinct(r)), 6), 0, round(self.ranking_seconds.get(r.name, 0.0), 3)
            )
            for r in self.method.rankings()
        }
        head, dirty = self.commit
        return RunRecord(
            method=MethodRef(self.info.name, dict(self.run.changes), self.info.label, self.info.kind, self.info.paper),
            seed=self.run.seed,
            benchmark=study.benchmark,
            space=study.space,
            dataset=study.dataset,
            images=study.images,
            preset=self.preset.name,
            changes=study.changes,
            config=config,
            protocol=study.protocol,
            table_checksum=study.table_checksum,
            steps=self.method.steps,
            cost=outcome.cost,
            ranking_costs=costs,
            proposal=tuple(self.space.to_index(arch) for arch in outcome.proposal),
            oracle=self.oracle.about() if self.oracle else None,
            diary=outcome.diary,
            device=device_name(study.device),
            versions=versions(),
            commit=head,
            dirty=dirty,
            started=self.started,
            scores_sha256="",
        )

    # ---------------------------------------------------------------------------------------------------- checkpoints

    @property
    def _identity(self) -> str:
        """Of everything that decides the numbers; a checkpoint of another run is refused."""
        content = [self.study.identity, self.run.name, asdict(self.config)]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def _save_if_due(self) -> None:
        if time.monotonic() - self.saved_at >= self.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        self._refuse_broken_weights()
        state = {
            "method": self.method.state_dict(),
            "curve": self.curve,
            "scored": self.scored,
            "ranking_seconds": self.ranking_seconds,
            "started": self.started,
            "commit": list(self.commit),
        }
        save_checkpoint(self.directory, state, self._identity)
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        state = load_checkpoint(self.directory, self._identity, self.task.device)
        if state is None:
            return
        self.method.load_state_dict(state["method"])
        self.curve, self.scored = state["curve"], state["scored"]
        self.ranking_seconds, self.started = state["ranking_seconds"], state["started"]
        head, dirty = state["commit"]
        self.commit = head, dirty or self.commit != (head, dirty)  # two versions of the sources are none


def _weights(method: Method) -> Iterator[torch.Tensor]:
    """Everything that a method trains: the parameters and statistics of its networks, and parameters of its own."""
    for held in vars(method).values():
        for one in held if isinstance(held, list | tuple) else held.values() if isinstance(held, dict) else (held,):
            if isinstance(one, torch.nn.Module):
                yield from (value for value in one.state_dict().values() if value.is_floating_point())
            elif isinstance(one, torch.nn.Parameter):
                yield one.detach()


def _oracle(study: Study) -> Any:
    """What a searcher may ask."""
    from bench.truth import load_table
    from bench.truth.oracle import TableOracle

    table = load_table(study.benchmark, mirror=study.mirror, path=Path(study.archive) if study.archive else None)
    if table.checksum != study.table_checksum:
        raise UserError(f"this study was made with another table {study.benchmark!r}")
    return TableOracle(table, study.dataset)
