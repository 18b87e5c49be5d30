"""How alike the seeds of a method rank: no ground truth is needed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bench.report.page import Block, Heading, Paragraph, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import Method, OfMethod, ranked
from bench.report.text import by_column, count, number
from bench.stats.metrics import kendall_tau_b
from bench.study.scores import Scores

MOST_SEEDS = 10  # of a method that are paired with each other


@dataclass(frozen=True)
class Agreement(OfMethod):
    """Tau-b between the scores of every two seeds, over the architectures that both scored."""

    seeds: tuple[int, ...]
    taus: Mapping[str, tuple[float, ...]]  # by column, the score first; pairs (0, 1), (0, 2), ... of `seeds`
    means: Mapping[str, float]  # by column, over the pairs where it is defined
    n: tuple[int, ...]  # architectures of each pair


@dataclass(frozen=True)
class Agreements:
    """Of all methods with two seeds or more."""

    rows: tuple[Agreement, ...]


def agreements(study: StudyRuns) -> Agreements | None:
    """Of every method with two seeds or more; of many seeds the first `MOST_SEEDS`."""
    found = tuple(_agreement(method) for method in study.methods if len(method.seeds) > 1)
    return Agreements(found) if found else None


def _agreement(method: Method) -> Agreement:
    seeds = method.seeds[:MOST_SEEDS]
    scores = [scored.all_scores for scored in seeds]
    pairs = [tau_between(a, b, {name: name for name in method.columns}) for a, b in combinations(scores, 2)]
    taus = {name: tuple(pair[name] for pair, _ in pairs) for name in method.columns}
    return Agreement(
        *method.identity,
        seeds=tuple(scored.seed for scored in seeds),
        taus=taus,
        means={name: _mean(values) for name, values in taus.items()},
        n=tuple(n for _, n in pairs),
    )


def tau_between(a: Scores, b: Scores, columns: Mapping[str, str]) -> tuple[dict[str, float], int]:
    """Tau-b of columns of a and the columns of b that they are paired with, and the number of common architectures."""
    in_a: np.ndarray | slice = slice(None)
    in_b: np.ndarray | slice = slice(None)
    n = len(a.arch_index)
    if not np.array_equal(a.arch_index, b.arch_index):
        common, in_a, in_b = np.intersect1d(a.arch_index, b.arch_index, assume_unique=True, return_indices=True)
        n = len(common)
    found = {}
    for name, other in columns.items():
        x, y = ranked(a.columns[name])[in_a], ranked(b.columns[other])[in_b]
        found[name] = kendall_tau_b(x, y) if n and np.isfinite(x).all() and np.isfinite(y).all() else math.nan
    return found, n


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if math.isfinite(value)]
    return float(np.mean(defined)) if defined else math.nan


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Agreements) -> Sequence[Block]:
    """One table."""
    columns = tuple(dict.fromkeys(name for row in numbers.rows for name in list(row.taus)[1:]))
    return [
        Heading("Agreement of seeds"),
        TextTable(
            (
                *("method", "scores", "pairs of seeds", "architectures", "tau-b by the score"),
                *(f"tau-b {by_column(name)}" for name in columns),
            ),
            tuple(_row(row, columns) for row in numbers.rows),
        ),
        Paragraph(
            "Tau-b between the scores of two seeds over all architectures that both scored, also those without a "
            "ground truth; the mean over the pairs where it is defined. It needs no ground truth, so it may be used to "
            "choose hyper-parameters; high agreement is necessary for ranking well and not sufficient, as all seeds "
            f"may make the same mistakes. Of more than {MOST_SEEDS} seeds the first {MOST_SEEDS} are paired."
        ),
    ]


def _row(row: Agreement, columns: Sequence[str]) -> tuple[str, ...]:
    score, *others = row.means
    cells = (number(row.means[name]) if name in others else "" for name in columns)
    return row.label, row.scores, str(len(row.n)), count(row.n), number(row.means[score]), *cells


SECTION = Section("agreement", agreements, blocks)
