"""Every number in the tables of a report: methods in, frozen dataclasses out."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np

from bench.report.agreement import Agreement, WithShort, agreements, with_short
from bench.report.operations import OperationsRow, operations
from bench.report.picks import Pick, picks
from bench.report.runs import Method, Scored, StudyRuns, value_of
from bench.report.students import GuidedRow, guided
from bench.stats.evaluation import ReferenceRow, disconnected, reference_rows
from bench.stats.intervals import Estimate, OverSeeds, bootstrap_mean, paired_difference
from bench.stats.metrics import METRICS, InTop, Metric, kendall_tau_b, named
from mngnas.spaces.topology import N_ARCH, from_index, to_str

GENERATOR_SEED = 0  # of every bootstrap in a report
SHOWN = named(
    (
        *("kendall_tau_b", "spearman_rho", "kendall_tau_b_top_10_percent", "kendall_tau_b_top_1_percent"),
        *("precision_at_top_5_percent", "best_rank_at_10", "regret", "accuracy_of_best"),
    )
)
_RESAMPLED = SHOWN[:4]  # those that the bootstrap has from counts; the others would take minutes
_TAU = METRICS["kendall_tau_b"]
ALL_PAIRS = 5  # methods of which all pairs are compared; of more, every method with those of `_STANDARDS`
_STANDARDS = ("mngnas", "fairnas")  # strategies; the first method where none is there


@dataclass(frozen=True)
class ResultRow:
    """How well a method ranks, and what it cost."""

    label: str
    strategy: str
    preset: str
    score_set: str
    seeds: tuple[int, ...]
    is_sample: bool  # whether some architecture with a ground truth has no score
    metrics: Mapping[str, OverSeeds]  # by the names in bench.stats.metrics
    tau_connected: OverSeeds  # without the architectures that join input and output nowhere
    tau_by_loss: OverSeeds  # minus the loss as the score
    tau_of_parameters: Estimate  # of the parameter count, over the same architectures
    passes: OverSeeds  # for retrained scores with those of the whole sample's retraining
    images_seen: OverSeeds
    train_seconds: OverSeeds  # likewise
    score_seconds: OverSeeds
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Tau-b of method a minus that of method b on the seeds that both have."""

    a: str
    b: str
    seeds: tuple[int, ...]
    difference: Estimate | None
    reason: str = ""  # why there is no difference
    values: tuple[float, ...] = ()  # of the seeds
    by_loss: Estimate | None = None  # the same with minus the loss as the score
    values_by_loss: tuple[float, ...] = ()


@dataclass(frozen=True)
class TeacherRow:
    """A round of search in a method's first seed: the teacher that it made, and the guided training that follows."""

    label: str
    strategy: str
    seed: int
    round: int  # from 0; the teacher's number
    spent: float  # share of the budget before the round
    arch_index: int
    arch_str: str
    loss: float  # validation loss of the snapshot, nats
    true_accuracy: float  # of the ground truth, NaN where unknown
    at_cap: float  # share of steps and stages in which a coefficient meets the cap; NaN without guidance
    entropy: float  # of the coefficients, mean over stages, nats


@dataclass(frozen=True)
class Results:
    """Every number in the tables of a report."""

    rows: tuple[ResultRow, ...]
    references: tuple[ReferenceRow, ...]
    differences: tuple[Difference, ...]  # of all pairs, or of every method to those of `compared_with`
    compared_with: tuple[str, ...]  # labels; empty for all pairs
    teachers: tuple[TeacherRow, ...]
    guided: tuple[GuidedRow, ...]  # of the methods that guide
    picks: tuple[Pick, ...]  # of all methods
    agreements: tuple[Agreement, ...]  # of those with two seeds or more
    short: WithShort | None  # if the study has short stand-alone trainings
    operations: tuple[OperationsRow, ...]  # of the ground truth and of all methods
    resamples: int


def evaluate_study(study: StudyRuns, resamples: int = 1000) -> Results:
    """All results; the reference rows are over the architectures that every run scored with inherited weights."""
    common = np.isfinite(study.truth)
    for method in study.methods:
        for scored in method.seeds if method.score_set == "inherited" else ():
            common &= np.isin(np.arange(N_ARCH), scored.arch_index)
    if common.sum() < 2:  # different samples
        common = np.isfinite(study.truth)
    true = np.where(common, study.truth, np.nan)
    of_seeds = np.where(common[:, None], study.table.values(study.target), np.nan)
    rng = np.random.default_rng(GENERATOR_SEED)
    references = reference_rows(true, study.parameters, study.flops, of_seeds, resamples=resamples, rng=rng)
    rows = tuple(_result_row(study, method, resamples, common, references[0]) for method in study.methods)
    differences, compared_with = _differences(study.methods, rows)
    return Results(
        *(rows, references, differences, compared_with),
        teachers=tuple(_teachers(study)),
        guided=guided(study),
        picks=picks(study),
        agreements=agreements(study),
        short=with_short(study, resamples, rng),
        operations=operations(study, common),
        resamples=resamples,
    )


def _result_row(
    study: StudyRuns, method: Method, resamples: int, common: np.ndarray, parameter_count: ReferenceRow
) -> ResultRow:
    seeds = method.seeds
    connected = [scored.part(~disconnected()[scored.arch_index]) for scored in seeds]
    if all(np.array_equal(np.sort(scored.arch_index), np.flatnonzero(common)) for scored in seeds):
        of_parameters = parameter_count.estimates[_TAU.name]
    else:
        costs = [study.parameters[scored.arch_index].astype(float) for scored in seeds]
        of_parameters = _bootstrap_mean(seeds, costs, study.truth, _TAU, resamples)
    records = [scored.run.record for scored in seeds]
    retrained = method.score_set == "retrained"
    return ResultRow(
        *(method.label, method.strategy, method.preset, method.score_set),
        seeds=tuple(scored.seed for scored in seeds),
        is_sample=any(len(scored.true) < np.isfinite(study.truth).sum() for scored in seeds),
        metrics=MappingProxyType({m.name: _measured(study, seeds, m, resamples) for m in SHOWN}),
        tau_connected=OverSeeds.of(
            [value_of(kendall_tau_b, s, s.accuracy) for s in connected], [len(s.true) for s in connected]
        ),
        tau_by_loss=OverSeeds.of([value_of(kendall_tau_b, s, -s.loss) for s in seeds], [len(s.true) for s in seeds]),
        tau_of_parameters=of_parameters,
        passes=OverSeeds.of([r.passes + r.retraining_passes * retrained for r in records]),
        images_seen=OverSeeds.of([float(record.images_seen) for record in records]),
        train_seconds=OverSeeds.of([r.train_seconds + r.retraining_seconds * retrained for r in records]),
        score_seconds=OverSeeds.of([record.score_seconds for record in records]),
        devices=tuple(dict.fromkeys(record.device for record in records)),
    )


def _measured(study: StudyRuns, seeds: Sequence[Scored], metric: Metric, resamples: int) -> OverSeeds:
    scores = [scored.accuracy for scored in seeds]
    values = [value_of(metric.function, scored, scored.accuracy) for scored in seeds]
    n = [_looked_at(metric, scored.true) for scored in seeds]
    if metric not in _RESAMPLED:
        return OverSeeds.of(values, n)
    return OverSeeds.of(values, n, _bootstrap_mean(seeds, scores, study.truth, metric, resamples))


def _looked_at(metric: Metric, true: np.ndarray) -> int:
    return int(metric.function.members(true).sum()) if isinstance(metric.function, InTop) and len(true) else len(true)


def _bootstrap_mean(
    seeds: Sequence[Scored], scores: Sequence[np.ndarray], truth: np.ndarray, metric: Metric, resamples: int
) -> Estimate:
    """Of the mean over the seeds where the metric is defined, by the same resamples for all methods."""
    pairs = []
    for scored, values in zip(seeds, scores, strict=True):
        if math.isfinite(value_of(metric.function, scored, values)):
            everywhere = np.full(N_ARCH, np.nan)
            everywhere[scored.arch_index] = values
            pairs.append((everywhere, truth))
    if not pairs:
        return Estimate(math.nan, math.nan, math.nan, 0)
    return bootstrap_mean(pairs, metric, resamples=resamples, rng=np.random.default_rng(GENERATOR_SEED))


def _differences(
    methods: Sequence[Method], rows: Sequence[ResultRow]
) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """Within each score set all pairs, or of many methods those with `_STANDARDS`; then also the labels of these."""
    found: list[Difference] = []
    standards: list[str] = []
    for score_set in dict.fromkeys(method.score_set for method in methods):
        group = [pair for pair in zip(methods, rows, strict=True) if pair[0].score_set == score_set]
        pairs = list(combinations(group, 2))
        if len(group) > ALL_PAIRS:
            against = [pair for name in _STANDARDS for pair in group if pair[0].strategy == name] or group[:1]
            standards += [method.label for method, _ in against]
            pairs = [(a, b) for n, b in enumerate(against) for a in group if a not in against[: n + 1]]
        found += [difference(*a, *b) for a, b in pairs]
    return tuple(found), tuple(standards)


def difference(method_a: Method, row_a: ResultRow, method_b: Method, row_b: ResultRow) -> Difference:
    """Tau-b of method a minus that of method b, paired by seed, if both scored the same architectures."""
    a, b = ({scored.seed: scored for scored in method.seeds} for method in (method_a, method_b))
    taus_a, taus_b = (dict(zip(row.seeds, _taus(row), strict=True)) for row in (row_a, row_b))
    common = tuple(seed for seed in a if seed in b)
    found = partial(Difference, row_a.label, row_b.label)
    if len(common) < 2:
        return found(common, None, f"{len(common) or 'no'} common seed{'' if common else 's'}: two are needed")
    if not all(np.array_equal(np.sort(a[s].arch_index), np.sort(b[s].arch_index)) for s in common):
        return found(common, None, "they scored different architectures")
    defined = tuple(seed for seed in common if np.isfinite([taus_a[seed], taus_b[seed]]).all())
    if len(defined) < 2:
        return found(defined, None, "tau is undefined for a constant score")
    estimates, values = [], []
    for score in range(2):
        of_a, of_b = ([taus[seed][score] for seed in defined] for taus in (taus_a, taus_b))
        estimates.append(paired_difference(of_a, of_b))
        values.append(tuple(x - y for x, y in zip(of_a, of_b, strict=True)))
    return found(defined, estimates[0], "", values[0], estimates[1], values[1])


def _taus(row: ResultRow) -> list[tuple[float, float]]:
    """Of each seed, by accuracy and by loss."""
    return list(zip(row.metrics[_TAU.name].values, row.tau_by_loss.values, strict=True))


def _teachers(study: StudyRuns) -> Iterator[TeacherRow]:
    """The rounds of every method that keeps a diary of them."""
    for method in study.methods:
        rounds = method.diagnostics.get("rounds", ())
        for number, one in enumerate(rounds):
            end = rounds[number + 1]["spent"] if number + 1 < len(rounds) else 1.0
            log = method.diagnostics.get("guidance", ())
            follows = [entry for entry in log if one["spent"] < entry["spent"] <= end]
            index = one["arch_index"]
            yield TeacherRow(
                *(method.label, method.strategy, method.seeds[0].seed, number, one["spent"]),
                *(index, to_str(from_index(index)), one["loss"], float(study.truth[index])),
                at_cap=_mean(follows, "at_cap"),
                entropy=_mean(follows, "entropy"),
            )


def _mean(log: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([entry[name] for entry in log])) if log else math.nan
