"""How well architectures rank after short trainings of their own, against the length of these.

A study keeps no weights, so the supernets of chosen runs are trained again, with the same settings and seeds. Then the
same random architectures are trained one by one, in each of three ways: from the supernet's weights with what the
method adds to the loss (`SupernetMethod.retraining_loss`), from the same weights by the cross-entropy alone, and from
scratch. Each length is a training of its own, with its own cosine; 0 passes are the first weights as they are.
Lengths are passes, not steps: what guides is paid for (`SupernetMethod.retraining_price`).

STUDY/retrain.json holds what was found so far. While they last, the jobs that find it are in STUDY/retrain-<...>/, and
the supernets in STUDY/supernet-<run>/.
"""

import copy
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.study.brief import brief_archs
from bench.study.executor import Executor, Failure, Progress
from bench.study.jobs import Job, read_json
from bench.study.parts import RESULT, Part, load_sealed, save_sealed, take_in
from bench.study.records import MethodRef
from bench.study.spec import PlannedRun, Study, load_study
from bench.study.store import RECORD, packed_names
from mngnas.errors import UserError, unknown
from mngnas.methods.info import MethodInfo
from mngnas.methods.registry import method_entry, select, split_outside_brackets
from mngnas.settings import HUGE

RETRAINED = "retrain.json"
GUIDED, UNGUIDED, SCRATCH = "guided", "unguided", "scratch"
WAYS = (GUIDED, UNGUIDED, SCRATCH)
SUPERNET = "supernet-"  # before the name of a run: the directory in which its supernet is trained again
TRAINED = "trained.json"  # there: it is
_PASSES_A_JOB = 5_000  # a process takes seconds to start

Measured = tuple[float, float, float]  # validation accuracy (a fraction), loss (nats), seconds of training and scoring


@dataclass(frozen=True)
class Line:
    """One way of training, with one seed."""

    way: str  # one of `WAYS`
    run: str  # by name: whose supernet; "" from scratch, which is the same for all methods
    seed: int


@dataclass(frozen=True)
class Found:
    """What was found along one line."""

    price: float  # passes of one step
    weights: str  # digest of the supernet's, see `bench.study.run.train_again`; "" from scratch
    by_passes: dict[int, dict[int, Measured]]  # passes of an architecture -> official index -> what came of it
    device: str = ""  # whose seconds these are

    def steps(self, passes: int) -> int:
        """Batches that so many passes pay for."""
        return steps_of(passes, self.price)


def steps_of(passes: int, price: float) -> int:
    """As many steps of `price` passes as there are in `passes`."""
    return math.floor(passes / price + 1e-9)


Retrained = dict[Line, Found]


# ------------------------------------------------------------------------------------------------------------ the file


def save_retrained(study: Path, retrained: Retrained) -> None:
    """Write STUDY/retrain.json; raises `UserError`."""
    archs = sorted({i for found in retrained.values() for one in found.by_passes.values() for i in one})
    lines = [
        asdict(line)
        | {"price": found.price, "weights": found.weights, "device": found.device}
        | {"passes": {str(n): _columns(archs, found.by_passes[n]) for n in sorted(found.by_passes)}}
        for line, found in sorted(retrained.items(), key=lambda one: (one[0].seed, one[0].run, one[0].way))
    ]
    save_sealed(study / RETRAINED, {"archs": archs, "lines": lines})


def _columns(archs: Sequence[int], measured: Mapping[int, Measured]) -> dict[str, list[float | None]]:
    """Of each architecture one number or none."""
    rows = [measured.get(index, (None, None, None)) for index in archs]
    return {name: [row[place] for row in rows] for place, name in enumerate(("accuracy", "loss", "seconds"))}


def load_retrained(study: Path) -> Retrained | None:
    """What `save_retrained` wrote, None if nothing; raises `UserError` for a file that cannot be read."""
    return load_sealed(study / RETRAINED, _parsed) if (study / RETRAINED).exists() else None


def _parsed(content: Mapping[str, Any]) -> Retrained:
    retrained: Retrained = {}
    archs = [int(index) for index in content["archs"]]
    for one in content["lines"]:
        by_passes = {}
        for passes, columns in one["passes"].items():
            rows = zip(archs, *(columns[name] for name in ("accuracy", "loss", "seconds")), strict=True)
            by_passes[int(passes)] = {index: _measured(numbers) for index, *numbers in rows if numbers[0] is not None}
        line, price = Line(str(one["way"]), str(one["run"]), int(one["seed"])), float(one["price"])
        if line.way not in WAYS or not 1 <= price < HUGE or min(archs, default=0) < 0:
            raise ValueError(f"{line} at {price} passes a step is none")
        retrained[line] = Found(price, str(one["weights"]), by_passes, str(one["device"]))
    return retrained


def _measured(numbers: Sequence[float]) -> Measured:
    accuracy, loss, seconds = map(float, numbers)
    if not (0 <= accuracy <= 1 and math.isfinite(loss) and 0 <= seconds < HUGE):
        raise ValueError("an accuracy is no fraction or a number is not finite")
    return accuracy, loss, seconds


# -------------------------------------------------------------------------------------------------------- what is asked


def runs_to_retrain(
    directory: Path, strategies: str | None = None, seeds: Sequence[int] | None = None
) -> list[PlannedRun]:
    """The finished runs of a study whose supernets are to be trained again.

    `strategies` are names, variants and patterns, separated by commas. Without them: the methods that guide retraining,
    unchanged ones if there are; else all supernets that never saw the ground truth. Raises `UserError` where there is
    none.
    """
    study, packed = load_study(directory), packed_names(directory)
    finished = [run for run in study.runs if run.name in packed or (directory / run.name / RECORD).exists()]
    runs = [run for run in finished if _has_supernet(study, run)]
    if not runs:
        raise UserError(f"{directory} has no finished run of a supernet")
    if strategies is None:
        runs = _by_default(study, runs)
    else:
        variants = {_variant(run): run for run in runs}
        picked = []
        for pattern in split_outside_brackets(strategies):
            wanted = [MethodRef(*one).variant for one in select(pattern, study.method_folders)]
            if not any(variant in variants for variant in wanted):
                raise unknown("strategy", pattern.strip(), variants)
            picked += wanted
        runs = [run for run in runs if _variant(run) in picked]
    known = sorted({run.seed for run in runs})
    runs = [run for run in runs if seeds is None or run.seed in seeds]
    if not runs:
        raise UserError(f"{directory} has none of these seeds, but {', '.join(map(str, known))}")
    return runs


def _variant(run: PlannedRun) -> str:
    return MethodRef(run.method, run.changes).variant


def _has_supernet(study: Study, run: PlannedRun) -> bool:
    info: MethodInfo = method_entry(run.method, study.method_folders).info
    if info.kind in ("training-free", "searcher"):
        return False
    from mngnas.methods.supernet_method import SupernetMethod

    return issubclass(method_entry(run.method, study.method_folders).load(), SupernetMethod)


def guides(study: Study, run: PlannedRun) -> bool:
    """Whether the run's method has a loss of retraining of its own."""
    from mngnas.methods.supernet_method import SupernetMethod

    method: Any = method_entry(run.method, study.method_folders).load()
    return method.retraining_loss is not SupernetMethod.retraining_loss


def _by_default(study: Study, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    guiding = [run for run in runs if guides(study, run)]
    plain = [run for run in runs if method_entry(run.method, study.method_folders).info.kind == "supernet"]
    return [run for run in guiding if not run.changes] or guiding or plain or list(runs)


def retrained_archs(directory: Path, n: int, known: np.ndarray) -> list[int]:
    """Official indices of n architectures: those of `brief_archs` that are `known`, bool `[n_arch]`.

    Raises `UserError` if there are fewer than two.
    """
    archs = brief_archs(directory, n, known)
    if len(archs) < 2:
        raise UserError(f"{directory} scores fewer than two connected architectures that have a ground truth")
    return archs


# ------------------------------------------------------------------------------------------------------------- the work


def retrain(
    directory: Path,
    runs: Sequence[PlannedRun],
    archs: Sequence[int],
    lengths: Sequence[int],
    executor: Executor,
    on_progress: Callable[[Progress], None],
) -> Retrained:
    """Train the architectures for each of `lengths` in passes, in every way; what the file has is kept.

    Raises `UserError` if something failed; what the others found is kept.
    """
    study = load_study(directory)
    run_of = {line: run for run in runs for line in _lines_of(study, run)}
    scratch = [Line(SCRATCH, "", seed) for seed in dict.fromkeys(run.seed for run in runs)]
    retrained = _with_parts(directory, load_retrained(directory) or {})
    failures: list[Failure] = []
    try:
        supernets = [
            Job(directory / (SUPERNET + run.name), "supernet", TRAINED, asdict(run))
            for run in runs
            if any(_missing(retrained.get(line), archs, lengths) for line, of in run_of.items() if of == run)
        ]
        failures += executor.run(supernets, on_progress)
        weights = {line: _weights(directory, line, retrained.get(line)) for line in run_of}
        jobs: list[Job] = []
        for line in (*(line for line in run_of if weights[line]), *scratch):
            about = asdict(line) | {"of": asdict(run_of[line]) if line.run else None, "weights": weights.get(line, "")}
            jobs += _jobs(directory, about, _missing(retrained.get(line), archs, lengths))
        failures += executor.run(jobs, on_progress)
    finally:
        retrained = _with_parts(directory, retrained, failed=False)
    if failures:
        raise UserError(f"retraining failed: {failures[0].reason}; the same command goes on")
    for run in runs:
        shutil.rmtree(directory / (SUPERNET + run.name), ignore_errors=True)
    return retrained


def _lines_of(study: Study, run: PlannedRun) -> list[Line]:
    return [Line(way, run.name, run.seed) for way in ((GUIDED, UNGUIDED) if guides(study, run) else (UNGUIDED,))]


def _weights(directory: Path, line: Line, found: Found | None) -> str:
    """Digest of the supernet that was trained again for a line, "" if none was; raises `UserError` for another one."""
    weights = str(read_json(directory / (SUPERNET + line.run) / TRAINED).get("weights", ""))
    if weights and found and weights != found.weights:
        raise UserError(
            f"{directory / RETRAINED} is of another supernet of {line.run}: it was trained on another kind of processor"
            " or on a GPU; delete it to start again"
        )
    return weights


def _missing(found: Found | None, archs: Sequence[int], lengths: Sequence[int]) -> dict[tuple[int, ...], list[int]]:
    """The architectures that lack some lengths, by which these are."""
    missing: dict[tuple[int, ...], list[int]] = {}
    for index in archs:
        lacks = tuple(n for n in lengths if found is None or index not in found.by_passes.get(n, {}))
        if lacks:
            missing.setdefault(lacks, []).append(index)
    return missing


def _jobs(directory: Path, about: Mapping[str, Any], missing: Mapping[tuple[int, ...], Sequence[int]]) -> list[Job]:
    jobs = []
    for lengths, archs in missing.items():
        at_once = max(1, _PASSES_A_JOB // max(1, sum(lengths)))
        for start in range(0, len(archs), at_once):
            arguments = {**about, "lengths": list(lengths), "archs": list(archs[start : start + at_once])}
            digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()[:8]
            place = directory / f"retrain-{about['run'] or 'seed' + str(about['seed'])}-{about['way']}-{digest}"
            jobs.append(Job(place, "retraining", RESULT, arguments))
    return jobs


def _with_parts(directory: Path, retrained: Retrained, *, failed: bool = True) -> Retrained:
    """Take in what jobs left; lines and lengths that others found remain."""
    found = copy.deepcopy(retrained)

    def keep(parts: Sequence[Part]) -> None:
        for part in parts:
            about = part.about
            line = Line(about["way"], about["run"], about["seed"])
            of_line = found.setdefault(line, Found(about["price"], about["weights"], {}, about["device"]))
            for index, of_lengths in part.found.items() if of_line.weights == about["weights"] else ():
                for passes, numbers in of_lengths.items():
                    of_line.by_passes.setdefault(int(passes), {})[index] = _measured(numbers)
        if found != retrained:
            save_retrained(directory, found)

    take_in(directory, "retrain-*", keep, failed=failed)
    return found
