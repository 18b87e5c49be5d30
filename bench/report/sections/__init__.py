"""The topics of a report, in the order in which they appear.

A topic is one file here, which holds its numbers, its words and its pictures and ends with a `SECTION`
(`bench.report.page.Section`), and one line in `SECTIONS`.
"""

from typing import Any

from bench.report.page import Section
from bench.report.sections import (
    agreement,
    alike,
    best_scored,
    bias,
    brief,
    clouds,
    costs,
    curves,
    diary,
    differences,
    drawn_picks,
    opening,
    picks,
    rankings,
    reading,
    references,
    retraining,
    scatter,
    settings,
    tau_by_cost,
    tops,
    trace,
    traits,
    transfer,
    variants,
)

SECTIONS: tuple[Section[Any], ...] = (
    opening.SECTION,
    rankings.SECTION,
    references.SECTION,
    variants.SECTION,
    differences.SECTION,
    tops.SECTION,
    transfer.SECTION,
    picks.SECTION,
    drawn_picks.SECTION,
    trace.SECTION,
    clouds.SECTION,
    best_scored.SECTION,
    curves.SECTION,
    tau_by_cost.SECTION,
    agreement.SECTION,
    brief.SECTION,
    retraining.SECTION,
    traits.SECTION,
    bias.SECTION,
    diary.SECTION,
    costs.SECTION,
    alike.SECTION,
    scatter.SECTION,
    reading.SECTION,
    settings.SECTION,
)
