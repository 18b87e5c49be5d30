"""The runs of a study beside their ground truth, sorted into methods; it refuses runs that are not comparable."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bench.report.scores import (
    CORRELATIONS,
    TAU,
    GroundTruth,
    Method,
    RunGroup,
    Scored,
    group_of,
    preset_of,
    resampled,
    scored_of,
)
from bench.stats.intervals import OverSeeds
from bench.stats.metrics import kendall_tau_b
from bench.study.records import Run, RunRecord
from bench.study.store import load_runs
from bench.truth.table import Measure, Table
from mngnas.errors import UserError, unknown
from mngnas.spaces import Space

_ONE_OF_EACH = ("benchmark", "space", "dataset", "images", "protocol")  # in a study
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class StudyRuns:
    """The runs of a study beside their ground truth."""

    directory: Path  # as it was given
    runs: tuple[Run, ...]
    table: Table
    target: Measure
    resamples: int  # of every bootstrap
    truth: np.ndarray  # [n_arch], NaN where unknown
    methods: tuple[Method, ...]  # main rankings first, then the highest tau-b first
    groups: tuple[RunGroup, ...]  # in the order of `methods`, then those that rank nothing
    parameters: np.ndarray  # [n_arch]
    flops: np.ndarray  # [n_arch]
    common: np.ndarray  # bool [n_arch], with a ground truth and scored by every main ranking
    scatter: tuple[str, ...] = ()  # the two rankings to draw against each other; by default the best two
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def space(self) -> Space:
        """The search space of the table."""
        return self.table.space

    def once(self, numbers: "Callable[[StudyRuns], _T]") -> _T:
        """What `numbers` gives for this study, computed at the first call: topics may use each other's numbers."""
        if numbers not in self._made:
            self._made[numbers] = numbers(self)
        found: _T = self._made[numbers]
        return found

    def tau_of_parameters(self, scored: Scored) -> float:
        """Tau-b of the parameter count over the same architectures; NaN if it is constant there."""
        key = scored.architectures
        if key not in self._made:
            costs = self.parameters[scored.arch_index]
            self._made[key] = kendall_tau_b(costs, scored.true) if len(costs) else math.nan
        return float(self._made[key])


def correlations(study: StudyRuns) -> tuple[Mapping[str, OverSeeds], ...]:
    """Of each method those of `CORRELATIONS` with both intervals, by name; take them by `study.once`."""
    n_arch = study.space.n_arch
    return tuple(resampled(method.seeds, CORRELATIONS, n_arch, study.resamples) for method in study.methods)


def read_runs(
    directory: Path, table: Table, target: Measure, resamples: int = 1000, given: Sequence[Run] = ()
) -> StudyRuns:
    """Load the finished runs below `directory`; raises `UserError` for runs that do not belong into one table.

    `given` as in `comparable_runs`.
    """
    by_group = comparable_runs(directory, table, target, given)
    runs = sorted((run for group in by_group.values() for run in group), key=lambda run: run.directory.name)
    first = runs[0].record
    for name, column in (("parameters", table.parameters), ("flops", table.flops)):
        if first.dataset not in column:
            raise UserError(f"table {table.name!r}, {name}: {unknown('data set', first.dataset, column)}")
    truth = table.mean(target)
    methods = _methods(by_group, truth)
    scored = [len(one.true) for method in methods for one in method.seeds]
    if not np.isfinite(truth).any() or (scored and not any(scored)):
        raise UserError(f"no architecture scored in {directory} has a {target}")
    costs = table.parameters[first.dataset], table.flops[first.dataset]
    groups, common = _groups(by_group, methods), _common(methods, truth)
    return StudyRuns(directory, tuple(runs), table, target, resamples, truth, methods, groups, *costs, common)


def former_tables(runs: Sequence[Run], table: Table) -> tuple[str, ...]:
    """Checksums, shortened, of other states of the table, with which some runs were made."""
    return tuple(sorted({run.record.table_checksum[:12] for run in runs} - {table.checksum[:12]}))


def comparable_runs(
    directory: Path, table: Table, target: Measure, given: Sequence[Run] = ()
) -> dict[tuple[str, str, str], list[Run]]:
    """The finished runs below `directory`, those that differ in their seeds only together, in the order of the seeds.

    Runs that are `given`, of several directories say, are taken in their place. Raises `UserError` for runs that do not
    belong into one table, for another data set, and for another table than the one that they were made with: of another
    benchmark, or with other numbers where one of the runs asked them. All other scores hold for any numbers.
    """
    runs = list(given) or load_runs(directory)
    for name in _ONE_OF_EACH:
        values = sorted({str(getattr(run.record, name)) for run in runs})
        if len(values) > 1:
            raise UserError(f"{directory} mixes runs of {len(values)} {name} values ({', '.join(values)}): one only")
    first = runs[0].record
    for record in (run.record for run in runs):
        if first.benchmark != table.name or (record.oracle is not None and record.table_checksum != table.checksum):
            raise UserError(
                f"the runs in {directory} were made with a table {first.benchmark!r} of checksum "
                f"{record.table_checksum[:12]}, and this table {table.name!r} has {table.checksum[:12]}"
            )
    if target.kind != "accuracy" or target.dataset != first.dataset:
        raise UserError(f"target '{target}' is not an accuracy on {first.dataset}, where the runs were trained")
    return runs_by_group(directory, runs)


def runs_by_group(directory: Path | str, runs: Sequence[Run]) -> dict[tuple[str, str, str], list[Run]]:
    """Runs that differ in their seeds only, in the order of the seeds; `directory` is for messages.

    Raises `UserError` for a seed that is there twice, and for seeds whose settings differ.
    """
    groups: dict[tuple[str, str, str], dict[int, Run]] = {}
    for run in runs:
        record = run.record
        seeds = groups.setdefault(group_of(record), {})
        variant = record.method.variant
        if record.seed in seeds:
            raise UserError(f"{directory} holds seed {record.seed} of {variant!r} twice")
        for other in list(seeds.values())[:1]:
            if changed := _changed(other.record.config, record.config):
                raise UserError(
                    f"{directory}: seeds {other.record.seed} and {record.seed} of {variant!r} differ in {changed!r}"
                )
        seeds[record.seed] = run
    return {key: [seeds[seed] for seed in sorted(seeds)] for key, seeds in groups.items()}


def _changed(one: Mapping[str, Any], other: Mapping[str, Any], place: str = "") -> str:
    """The first setting that both have and in which they differ; "" if there is none."""
    for key in one:
        if key not in other or (not place and key == "description"):
            continue
        a, b = one[key], other[key]
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if found := _changed(a, b, f"{place}{key}."):
                return found
        elif a != b:
            return f"{place}{key}"
    return ""


def _methods(by_group: Mapping[tuple[str, str, str], Sequence[Run]], truth: np.ndarray) -> tuple[Method, ...]:
    several = len({key[2] for key in by_group}) > 1
    found, known = [], GroundTruth(truth)
    for runs in by_group.values():
        record = runs[0].record
        rankings = list(dict.fromkeys(name for run in runs for name in run.scores.rankings))
        for number, name in enumerate(rankings):
            seeds = tuple(scored_of(run, name, known) for run in runs if name in run.scores.rankings)
            label = _label(record, several) + (f", {name}" if number else "")
            asked = any(run.record.oracle is not None for run in runs)
            about = record.method.name, record.method.variant, preset_of(record), name
            found.append(Method(label, *about, 0, number == 0, asked, seeds))

    def order(method: Method) -> tuple[bool, str, float, str]:
        defined = [tau for tau in method.values(TAU) if math.isfinite(tau)]
        best_first = -float(np.mean(defined)) if defined else 2.0
        return not method.is_main, method.group, best_first, method.label

    ordered = sorted(found, key=order)
    return tuple(
        Method(*method.identity[:-1], place, method.is_main, method.asked, method.seeds)
        for place, method in enumerate(ordered)
    )


def _groups(by_group: Mapping[tuple[str, str, str], Sequence[Run]], methods: Sequence[Method]) -> tuple[RunGroup, ...]:
    several = len({key[2] for key in by_group}) > 1
    places = {group_of(method.seeds[0].run.record): method.place for method in methods if method.is_main}
    silent = [key for key in by_group if key not in places]
    places |= {key: len(methods) + number for number, key in enumerate(silent)}
    found = []
    for key in sorted(by_group, key=places.__getitem__):
        record = by_group[key][0].record
        about = record.method.name, record.method.variant, preset_of(record), ""
        found.append(RunGroup(_label(record, several), *about, places[key], tuple(by_group[key])))
    return tuple(found)


def _label(record: RunRecord, several_presets: bool) -> str:
    return record.method.full_label + (f" ({preset_of(record)})" if several_presets else "")


def _common(methods: Sequence[Method], truth: np.ndarray) -> np.ndarray:
    """What every main ranking scored; all that is known where that is next to nothing: different samples."""
    known = np.isfinite(truth)
    common: np.ndarray = known.copy()
    for method in methods:
        for scored in method.seeds if method.is_main else ():
            mask = np.zeros(len(truth), dtype=bool)
            mask[scored.arch_index] = True
            common &= mask
    return common if common.sum() >= 2 else known
