"""The runs of a study beside their ground truth, sorted into methods.

One score set of one strategy is a `Method`; "inherited" and "retrained" scores are different methods and nothing joins
them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.stats.metrics import kendall_tau_b
from bench.study.records import Run, RunRecord, load_runs
from bench.truth.table import Measure, Table
from mngnas.errors import UserError, unknown

_ONE_OF_EACH = ("benchmark", "dataset", "images", "protocol", "table_checksum")  # in a study


@dataclass(frozen=True, eq=False)
class Scored:
    """One score set of one run, for the n of its architectures that have a ground truth."""

    run: Run
    arch_index: np.ndarray  # int64 [n]
    accuracy: np.ndarray  # [n]
    loss: np.ndarray  # [n]
    true: np.ndarray  # [n]

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.run.record.seed

    @property
    def usable(self) -> bool:
        """Whether there are scores, and all are finite."""
        return bool(len(self.true) and np.isfinite(self.accuracy).all())

    def part(self, keep: np.ndarray) -> "Scored":
        """The architectures where `keep`, bool `[n]`, holds."""
        return Scored(self.run, self.arch_index[keep], self.accuracy[keep], self.loss[keep], self.true[keep])


@dataclass(frozen=True, eq=False)
class Method:
    """All runs of a strategy, seen through one of their score sets."""

    label: str  # as shown in tables and pictures
    strategy: str  # as given on the command line
    preset: str
    score_set: str  # "inherited" or "retrained"
    seeds: tuple[Scored, ...]  # in the order of the seeds

    @property
    def diagnostics(self) -> dict[str, Any]:
        """What the strategy wrote down in the first seed; once, beside the inherited scores."""
        return self.seeds[0].run.record.diagnostics if self.score_set == "inherited" else {}


@dataclass(frozen=True, eq=False)
class StudyRuns:
    """The runs of a study beside their ground truth."""

    directory: Path
    runs: tuple[Run, ...]
    table: Table
    target: Measure
    truth: np.ndarray  # [15625], NaN where unknown
    methods: tuple[Method, ...]  # inherited scores first, then the highest tau-b first
    parameters: np.ndarray  # [15625]
    flops: np.ndarray  # [15625]


def read_runs(directory: Path, table: Table, target: Measure) -> StudyRuns:
    """Load the finished runs below `directory`; raises `UserError` for runs that do not belong into one table."""
    runs = load_runs(directory)
    for name in _ONE_OF_EACH:
        values = sorted({str(getattr(run.record, name)) for run in runs})
        if len(values) > 1:
            raise UserError(f"{directory} mixes runs of {len(values)} {name} values ({', '.join(values)}): one only")
    first = runs[0].record
    if first.table_checksum != table.checksum:
        raise UserError(
            f"the runs in {directory} were made with a table {first.benchmark!r} of checksum "
            f"{first.table_checksum[:12]}, and this table {table.name!r} has {table.checksum[:12]}"
        )
    if target.kind != "accuracy" or target.dataset != first.dataset:
        raise UserError(f"target '{target}' is not an accuracy on {first.dataset}, where the runs were trained")
    for name, column in (("parameters", table.parameters), ("flops", table.flops)):
        if first.dataset not in column:
            raise UserError(f"table {table.name!r}, {name}: {unknown('data set', first.dataset, column)}")
    truth = table.mean(target)
    methods = _methods(directory, runs, truth)
    if not any(len(scored.true) for method in methods for scored in method.seeds):
        raise UserError(f"no architecture scored in {directory} has a {target}")
    costs = table.parameters[first.dataset], table.flops[first.dataset]
    return StudyRuns(directory, tuple(runs), table, target, truth, methods, *costs)


def _changed(one: RunRecord, other: RunRecord) -> list[str]:
    """The entries of the preset in which two runs differ; an option that is younger than a run had its default."""
    changed = [key for key in one.config | other.config if one.config.get(key) != other.config.get(key)]
    if changed:  # rare, and the first to need the dataclasses that know the defaults
        from bench.study.preset import preset_from_dict

        if preset_from_dict(one.preset, one.config) == preset_from_dict(other.preset, other.config):
            return []
    return changed


def _methods(directory: Path, runs: Sequence[Run], truth: np.ndarray) -> tuple[Method, ...]:
    groups: dict[tuple[str, str, str], dict[int, Scored]] = {}
    configs: dict[tuple[str, str], Run] = {}
    presets = {run.record.preset for run in runs}
    labels = _labels()
    for run in runs:
        record = run.record
        other = configs.setdefault((record.strategy, record.preset), run).record
        if changed := _changed(other, record):
            raise UserError(
                f"{directory}: seeds {other.seed} and {record.seed} of {record.strategy!r} differ in {changed[0]!r}"
            )
        for name, found in run.scores.sets.items():
            seeds = groups.setdefault((name, record.strategy, record.preset), {})
            if record.seed in seeds:
                raise UserError(f"{directory} holds seed {record.seed} of {record.strategy!r} twice")
            scored = Scored(run, found.arch_index, found.accuracy, found.loss, truth[found.arch_index])
            seeds[record.seed] = scored.part(np.isfinite(scored.true))
    methods = []
    for (name, strategy, preset), seeds in groups.items():
        label = labels.get(strategy, strategy) + (f" ({preset})" if len(presets) > 1 else "")
        label += f", {name}" if name != "inherited" else ""
        methods.append(Method(label, strategy, preset, name, tuple(seeds[seed] for seed in sorted(seeds))))

    def place(method: Method) -> tuple[bool, str, float, str]:
        taus = [value_of(kendall_tau_b, one, one.accuracy) for one in method.seeds]
        defined = [tau for tau in taus if math.isfinite(tau)]
        best_first = -float(np.mean(defined)) if defined else 2.0
        return method.score_set != "inherited", method.score_set, best_first, method.label

    return tuple(sorted(methods, key=place))


def _labels() -> dict[str, str]:
    from mngnas.methods.registry import STRATEGIES  # imports torch

    return {name: entry.label for name, entry in STRATEGIES.items()}


def value_of(function: Callable[[np.ndarray, np.ndarray], float], scored: Scored, predicted: np.ndarray) -> float:
    """The metric; NaN for no architectures, or for scores that are not finite: a run that diverged is not left out."""
    return function(predicted, scored.true) if len(predicted) and np.isfinite(predicted).all() else math.nan
