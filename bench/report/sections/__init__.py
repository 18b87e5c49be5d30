"""The topics of a report, in the order in which they appear.

A topic is one file here, which holds its numbers, its words and its pictures and ends with a `SECTION`
(`bench.report.page.Section`), and one line in `SECTIONS`.
"""

from typing import Any

from bench.report.page import Section
from bench.report.sections import (
    agreement,
    best_scored,
    brief,
    clouds,
    costs,
    curves,
    diary,
    differences,
    opening,
    picks,
    rankings,
    reading,
    references,
    settings,
    tops,
    trace,
    traits,
    variants,
)

SECTIONS: tuple[Section[Any], ...] = (
    opening.SECTION,
    rankings.SECTION,
    references.SECTION,
    variants.SECTION,
    differences.SECTION,
    tops.SECTION,
    picks.SECTION,
    trace.SECTION,
    clouds.SECTION,
    best_scored.SECTION,
    curves.SECTION,
    agreement.SECTION,
    brief.SECTION,
    traits.SECTION,
    diary.SECTION,
    costs.SECTION,
    reading.SECTION,
    settings.SECTION,
)
