"""Scores against a table in one call."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from bench.scores.read import read_predictions
from bench.stats.evaluation import Evaluation
from bench.stats.evaluation import evaluate as compare
from bench.stats.metrics import METRICS
from bench.truth.lookup import index_of
from bench.truth.table import Table, default_target
from mngnas.errors import UserError

_SEED = 0  # of the bootstrap


def evaluate(
    scores: Mapping[object, float] | ArrayLike | str | Path,
    table: Table,
    dataset: str,
    *,
    split: str | None = None,
    epochs: int | None = None,
    resamples: int = 1000,
) -> Evaluation:
    """Compare scores, higher is better, with the table's mean accuracy; intervals are over architectures.

    `scores` is a mapping of architectures (in any form that `query` takes) to numbers, all numbers in official order
    `[n_arch]` with NaN where there is none, or the path of a score file that `run_bench.py evaluate` reads. The target
    is that of `dataset` and `split` (by default the test set, if the table has it), after the longest training unless
    `epochs` says otherwise. The same scores give
    the same intervals. The answer's `estimates` holds value, ci_low and ci_high by the name of the metric,
    "kendall_tau_b" for example. Raises `UserError`.
    """
    target = default_target(table, dataset, split, epochs)
    index, score = _indexed(scores, table)
    return compare(
        *(index, score, table.mean(target)),
        metrics=METRICS.values(),
        connected=table.space.connected,
        live=table.space.is_canonical,
        resamples=resamples,
        rng=np.random.default_rng(_SEED),
    )


def _indexed(scores: Mapping[object, float] | ArrayLike | str | Path, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Official indices and scores, `[m]` each."""
    space = table.space
    if isinstance(scores, str | Path):
        read = read_predictions(scores, space=space)
        return read.arch_index, read.score
    if isinstance(scores, Mapping):
        index = np.array([index_of(space, arch) for arch in scores], dtype=np.int64)
        return index, np.array(list(scores.values()), dtype=np.float64)
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (space.n_arch,):
        raise UserError(f"scores in official order have the shape [{space.n_arch}], not {list(values.shape)}")
    index = np.flatnonzero(~np.isnan(values))
    return index, values[index]
