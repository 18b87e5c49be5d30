"""The first words of a report: who ranks best and by how much, and what to beware of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.page import Block, Paragraph, Section
from bench.report.runs import StudyRuns, former_tables
from bench.report.scores import TAU, Method
from bench.report.sections.differences import difference
from bench.report.sections.settings import about
from bench.report.text import count, interval, number
from bench.stats.intervals import Estimate, OverSeeds, paired_difference
from bench.study.spec import NO_IMAGES


@dataclass(frozen=True)
class Leader:
    """The main ranking with the highest mean tau-b of all methods that asked no ground truth."""

    label: str
    tau: OverSeeds  # without an interval over architectures
    over_parameters: Estimate | None  # tau-b minus the parameter count's on the same architectures; None: one seed
    parameters: float  # the parameter count's tau-b, the mean over seeds
    next: str  # label of the second best; "" where there is none
    next_tau: float
    over_next: Estimate | None  # on the seeds that both have; None where it is not known
    why_not: str  # why it is not known


@dataclass(frozen=True)
class Opening:
    """What the results table shows in one sentence, and the warnings."""

    sentence: str
    leader: Leader | None  # None where nothing ranks
    warnings: tuple[str, ...]


def opening(study: StudyRuns) -> Opening:
    """From taus and records."""
    main = [method for method in study.methods if method.is_main and not method.asked]
    ranks = [method for method in main if any(map(math.isfinite, method.values(TAU)))]
    leader = _leader(study, ranks) if ranks else None
    return Opening(_sentence(study, leader, len(main)), leader, tuple(_warnings(study)))


def _leader(study: StudyRuns, ranks: Sequence[Method]) -> Leader:
    """`ranks` begins with the highest mean."""
    first = ranks[0]
    pairs = [(scored.value(TAU), study.tau_of_parameters(scored)) for scored in first.seeds]
    defined = [pair for pair in pairs if all(map(math.isfinite, pair))]
    over_parameters = paired_difference(*zip(*defined, strict=True)) if len(defined) > 1 else None
    gain = difference(first, ranks[1]) if len(ranks) > 1 else None
    return Leader(
        first.label,
        OverSeeds.of(first.values(TAU), [len(scored.true) for scored in first.seeds]),
        over_parameters,
        float(np.mean([cost for _, cost in defined])) if defined else math.nan,
        next=ranks[1].label if gain else "",
        next_tau=_mean(ranks[1]) if gain else math.nan,
        over_next=gain.by_score.difference if gain and gain.by_score else None,
        why_not=gain.reason if gain else "",
    )


def _mean(method: Method) -> float:
    return OverSeeds.of(method.values(TAU)).spread.mean


def _sentence(study: StudyRuns, leader: Leader | None, n_methods: int) -> str:
    images = study.runs[0].record.images
    if leader is None:
        looked = "" if images == NO_IMAGES else f"; the images are {images}"
        return f"No method of this study gives a ranking of architectures{looked}."
    spread = leader.tau.spread
    seeds = f"{spread.n} seed{'s' * (spread.n != 1)}"
    who = f"Of {n_methods} methods {leader.label} ranks best" if leader.next else f"{leader.label} ranks"
    text = (
        f"{who} with a Kendall tau-b of {number(spread.mean)} (mean of {seeds}, {count(leader.tau.n)} architectures) "
        f"against the mean {study.target}, images {images}: "
    )
    compared = [_against_next(leader)] if leader.next else []
    if math.isfinite(leader.parameters):
        compared.append(_against_parameters(leader))
    return text.removesuffix(": ") + "." if not compared else f"{text}{', and '.join(compared)}."


def _against_next(leader: Leader) -> str:
    if leader.over_next is None:
        return f"whether that is more than {leader.next}, {number(leader.next_tau)}, cannot be told ({leader.why_not})"
    return _compared(leader.over_next, leader.next)


def _against_parameters(leader: Leader) -> str:
    what = f"the parameter count, {number(leader.parameters)}"
    if leader.over_parameters is None:
        side = "above" if leader.tau.spread.mean > leader.parameters else "not above"
        return f"it is {side} {what}, without an interval over seeds"
    return _compared(leader.over_parameters, what)


def _compared(one: Estimate, what: str) -> str:
    seeds = f"95 % over {one.n} seeds {interval(one.ci_low, one.ci_high)}"
    gap = number(abs(one.value))
    if one.ci_low > 0:
        return f"it is {gap} above {what} ({seeds})"
    if one.ci_high < 0:
        return f"it is {gap} below {what} ({seeds})"
    side = "above" if one.value >= 0 else "below"
    return f"it cannot be told apart from {what} ({gap} {side}, {seeds})"


def _warnings(study: StudyRuns) -> list[str]:
    facts, n_arch = study.once(about), study.space.n_arch
    seeds = {frozenset(group.seeds) for group in study.groups}
    former = former_tables(study.runs, study.table)
    few = min((len(scored.true) for m in study.methods if m.is_main for scored in m.seeds), default=facts.n_known)
    warnings = {
        f"Made with uncommitted changes, so the commit does not say all: {'; '.join(facts.dirty_runs)}.": bool(
            facts.dirty_runs
        ),
        f"The runs come from {len(facts.commits)} commits.": len(facts.commits) > 1,
        f"The runs come from {len(facts.devices)} devices: their seconds cannot be compared.": len(facts.devices) > 1,
        f"Runs made with another state of the table (checksum {' and '.join(former)}) are evaluated with this one "
        f"({study.table.checksum[:12]}): they asked it nothing, so no score depends on it.": bool(former),
        "The methods have different seeds; see the tables.": len(seeds) > 1,
        f"Only {facts.n_known:,} of {n_arch:,} architectures have a ground truth; the others are left out.": (
            facts.n_known < n_arch
        ),
        "Not all architectures with a ground truth were scored: the numbers are those of a sample.": (
            few < facts.n_known
        ),
    }
    return [text for text, applies in warnings.items() if applies]


def blocks(numbers: Opening) -> Sequence[Block]:
    """One sentence, then the warnings."""
    return [Paragraph(numbers.sentence, "lead"), *(Paragraph(text, "warning") for text in numbers.warnings)]


SECTION = Section("opening", opening, blocks)
