"""One run: advance a method to its end, score architectures, leave a record.

It goes on from its last checkpoint, and knows nothing of what a method is inside. It opens no ground truth unless the
method is supervised: such a one is handed an oracle and has that in its record. Searchers are run by
`bench.study.search`.
"""

import hashlib
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from bench.files import write_atomically
from bench.provenance import commit, device_name
from bench.study.begin import Begun, begin, now, oracle_of
from bench.study.checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint
from bench.study.events import Events
from bench.study.jobs import Job, Status
from bench.study.preset import Preset, curve_archs, final_archs, ranking_archs
from bench.study.records import RunRecord
from bench.study.scores import Curve, RunScores, Scores
from bench.study.store import save_run
from bench.study.task import make_task
from bench.study.work import Report, checkpoint_seconds
from mngnas.errors import UserError
from mngnas.methods.base import Columns, Method, Ranking
from mngnas.methods.info import TOLD, Cost
from mngnas.spaces import Arch

METHOD_STATE = "method.pt"
TRAINING = "training"
_SECONDS_BETWEEN_REPORTS, _SECONDS_BETWEEN_EVENTS = 0.5, 5.0


def execute(job: Job, report: Report) -> None:
    """Bring the run of a study to its end."""
    torch.set_num_threads(1)  # several runs share the machine; on networks this small two threads are slower than one
    _Run(begin(job), report).finish()


def train_again(begun: Begun, report: Report) -> str:
    """Only the training of a run: nothing is scored, and its last checkpoint is what is left.

    Returns a digest of the weights: on the same kind of processor the same bits come out.
    """
    run = _Run(begun, report, scores=False)
    run.train()
    digest = hashlib.sha256()
    for one in _weights(run.method):
        digest.update(one.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def trained(begun: Begun) -> Method:
    """The method as `train_again` left it; raises `UserError` if it did not come to its end there."""
    method = _Run(begun, lambda _status: None, scores=False).method
    if not method.done:
        raise UserError(f"{begun.directory} holds no trained supernet: it was changed; delete it to start again")
    return method


class _Run:
    """The state of one run between two checkpoints."""

    def __init__(self, begun: Begun, report: Report, *, scores: bool = True) -> None:
        self.begun, self.directory, self.run, self.report = begun, begun.directory, begun.run, report
        self.preset: Preset = begun.study.preset
        self.task = make_task(begun.study, self.run.seed)
        self.oracle = oracle_of(begun.study) if begun.info.kind in TOLD else None
        self.method: Method = begun.entry.load()(begun.config, self.task, *([self.oracle] if self.oracle else []))
        self.space = self.task.space
        self.curve_archs = curve_archs(self.space, self.preset)
        self.moments = np.linspace(0, 1, self.preset.curve.points + 1) if scores else np.empty(0)
        self.scores_at_the_end = scores
        self.curve: list[dict[str, Any]] = []  # one entry a point: costs so far, and columns
        self.scored: dict[str, dict[str, list[float]]] = {}  # ranking -> column -> of the first of its architectures
        self.ranking_seconds: dict[str, float] = {}
        self.seconds_each: dict[str, float] = {}  # of scoring one architecture, lately
        self.started = now()
        self.commit = commit()
        self.distinct: dict[tuple[int, bool], list[Arch]] = {}  # what rankings score, see `_distinct`
        self.events = Events(self.directory)
        self.phase, self.said_at = "", 0.0
        self.saved_at, self.told_at, self.checkpoint_seconds = time.monotonic(), 0.0, checkpoint_seconds()
        self._resume()

    def train(self) -> None:
        """Advance to the end, and keep what is there then."""
        self._advance()
        self._save()

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
        self.events.write("done")

    # -------------------------------------------------------------------------------------------- advancing and scoring

    def _advance(self) -> None:
        method, points = self.method, self.moments
        self.events.write("began", steps=method.steps, spent=method.spent)
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
        means = {f"mean {name}": float(values.mean()) for name, values in columns.items()}
        self.events.write("point", steps=self.method.steps, spent=self.method.spent, **means)

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
        if time.monotonic() - self.told_at < _SECONDS_BETWEEN_REPORTS:
            return
        self.told_at = time.monotonic()
        self._say(phase)
        method, total, left = self.method, 0.0, 0.0
        if phase == TRAINING and method.spent:
            total = method.outcome().cost.seconds / method.spent
            left = total * (1 - method.spent)
        for place, ranking in enumerate(method.rankings() if self.scores_at_the_end else ()):
            each = self.seconds_each.get(ranking.name, ranking.seconds_each)
            wanted = len(self._distinct(ranking))
            missing = wanted - len(next(iter(self.scored.get(ranking.name, {}).values()), ()))
            if place == 0:  # the curve's points
                points = self.preset.curve.points + 1
                wanted += points * len(self.curve_archs)
                missing += max(0, points - len(self.curve)) * len(self.curve_archs) * (phase == TRAINING)
            total, left = total + wanted * each, left + missing * each
        self.report(Status(phase, 1 - left / total if total else 0.0, left))

    def _say(self, phase: str) -> None:
        """Leave an event now and then."""
        if phase != self.phase:
            self.phase = phase
            self.events.write("phase", phase=phase)
        if self.told_at - self.said_at < _SECONDS_BETWEEN_EVENTS:
            return
        self.said_at, method = self.told_at, self.method
        if phase == TRAINING:
            cost = method.outcome().cost
            about = {"steps": method.steps, "spent": method.spent, "passes": cost.passes, "seconds": cost.seconds}
            self.events.write("training", **about, **method.watched())
        else:
            scored, of = (sum(counts) for counts in zip(*map(self._scored, method.rankings()), strict=True))
            self.events.write("scoring", phase=phase, scored=scored, of=of)

    def _scored(self, ranking: Ranking) -> tuple[int, int]:
        """How many architectures have their scores, and how many are to have them."""
        return len(next(iter(self.scored.get(ranking.name, {}).values()), ())), len(self._distinct(ranking))

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
        costs = {
            r.name: Cost(
                round(r.passes_each * len(self._distinct(r)), 6), 0, round(self.ranking_seconds.get(r.name, 0.0), 3)
            )
            for r in self.method.rankings()
        }
        device = device_name(self.begun.study.device)
        oracle = self.oracle.about() if self.oracle else None
        return self.begun.record(self.method, device, self.started, self.commit, ranking_costs=costs, oracle=oracle)

    # ---------------------------------------------------------------------------------------------------- checkpoints

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
        save_checkpoint(self.directory, state, self.begun.identity)
        self.saved_at = time.monotonic()

    def _resume(self) -> None:
        state = load_checkpoint(self.directory, self.begun.identity, self.task.device)
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
