"""What any method should be compared with: parameter count, FLOPs, and the ceiling of one more training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.report.page import Block, Heading, Paragraph, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import GENERATOR_SEED
from bench.report.text import estimate
from bench.stats.evaluation import ReferenceRow, reference_rows
from bench.truth.target import validation_of


@dataclass(frozen=True)
class References:
    """The rows "parameters", "flops" and "ceiling"."""

    rows: tuple[ReferenceRow, ...]


def references(study: StudyRuns) -> References:
    """Over the architectures that all main rankings have."""
    true = np.where(study.common, study.truth, np.nan)
    of_seeds = np.where(study.common[:, None], study.table.values(study.target), np.nan)
    rng = np.random.default_rng(GENERATOR_SEED)
    options: dict[str, Any] = {"resamples": study.resamples, "rng": rng}
    valid = validation_of(study.table, study.target)
    rows = reference_rows(true, study.parameters, study.flops, of_seeds, valid=valid, **options)
    return References(rows)


def blocks(numbers: References) -> Sequence[Block]:
    """One table."""
    return [
        Heading("Reference rows: no search needed"),
        TextTable(
            ("predictor", "architectures", "Kendall tau-b", "Spearman rho"),
            tuple(map(_row, numbers.rows)),
        ),
        Paragraph(
            "Computed from the table over the architectures that all runs scored. A method below the parameter count "
            "tells less than counting does. The ceiling is what training every architecture once more would give, or "
            "where the table has one seed, what its validation accuracy tells of its test accuracy. "
            "Intervals are over architectures."
        ),
    ]


def _row(row: ReferenceRow) -> tuple[str, ...]:
    tau, rho = row.estimates["kendall_tau_b"], row.estimates["spearman_rho"]
    return f"ceiling: {row.label}" if row.name == "ceiling" else row.label, f"{tau.n:,}", estimate(tau), estimate(rho)


SECTION = Section("references", references, blocks)
