"""How far students stayed from their teachers: diagnostics of guided training, over all seeds of a method."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.report.runs import StudyRuns
from bench.stats.intervals import OverSeeds


@dataclass(frozen=True)
class GuidedRow:
    """Means over seeds; distances are sums over stages of the mean squared difference of normalised features."""

    label: str
    strategy: str
    seeds: tuple[int, ...]
    loss: OverSeeds  # the supernet's paths to the combined teacher, mean over all guided training
    loss_at_end: OverSeeds  # the same after the last round, when the pool is largest
    entropy_at_end: OverSeeds  # of the coefficients then, nats
    at_cap_at_end: OverSeeds  # share of steps and stages then in which a coefficient meets the cap
    retraining_distance: OverSeeds  # retrained candidates to the combined teacher, mean over rounds with a pool
    perturbation_distance: OverSeeds  # a round's winner to its neighbours while they are trained, mean over rounds


def guided(study: StudyRuns) -> tuple[GuidedRow, ...]:
    """Every method whose runs kept a diary of guidance, by inherited scores."""
    rows = []
    for method in study.methods:
        diaries = [scored.run.record.diagnostics for scored in method.seeds]
        if method.score_set != "inherited" or not any(one.get("rounds") for one in diaries):
            continue
        last = [_last_stretch(one) for one in diaries]
        rows.append(
            GuidedRow(
                *(method.label, method.strategy, tuple(scored.seed for scored in method.seeds)),
                loss=_over([one["guidance"] for one in diaries], "loss"),
                loss_at_end=_over(last, "loss"),
                entropy_at_end=_over(last, "entropy"),
                at_cap_at_end=_over(last, "at_cap"),
                retraining_distance=_over([one["rounds"][1:] for one in diaries], "retraining_distance"),
                perturbation_distance=_over([one["rounds"] for one in diaries], "perturbation_distance"),
            )
        )
    return tuple(rows)


def _last_stretch(diary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [entry for entry in diary["guidance"] if entry["spent"] > diary["rounds"][-1]["spent"]]


def _over(seeds: Sequence[Sequence[Mapping[str, Any]]], name: str) -> OverSeeds:
    """Each seed's mean over its entries; NaN where nothing was measured."""
    values = [[entry[name] for entry in entries if name in entry] for entries in seeds]
    return OverSeeds.of([float(np.mean(one)) if one else math.nan for one in values])
