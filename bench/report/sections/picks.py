"""The architecture that each method would take, and how good it truly is on every data set of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.page import Block, Heading, Paragraph, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import Method, OfMethod, RunGroup, ranked
from bench.report.text import NOT_KNOWN, STAR, interval, number, over_seeds, percent, starred
from bench.stats.intervals import OverSeeds


@dataclass(frozen=True)
class PickTruth:
    """How good a method's picks are on one data set, as fractions."""

    target: str
    best: float  # of the table
    accuracy: OverSeeds
    regret: OverSeeds  # `best` minus the accuracy


@dataclass(frozen=True)
class Pick(OfMethod):
    """Of each seed one architecture that has a ground truth, whatever that is.

    Of a ranking the one of highest score, of those that tie the one that the next columns rate highest; of a proposal
    (`scores` is "proposal") the first. A seed that has none, or no finite score, picks nothing.
    """

    asked: bool  # whether the method was allowed to ask the ground truth
    seeds: tuple[int, ...]
    arch_index: tuple[int | None, ...]
    arch_str: tuple[str | None, ...]
    n_better: int  # seeds in which an architecture without a ground truth would have been picked
    truth: Mapping[str, PickTruth]  # by data set


@dataclass(frozen=True)
class Picks:
    """Of all rankings, then of all methods that propose."""

    rows: tuple[Pick, ...]


def picks(study: StudyRuns) -> Picks:
    """On every data set with test accuracies: those after the longest training in the table."""
    by_score = [_pick(study, method, method.seed_numbers, _of_scores(study, method)) for method in study.methods]
    proposed = [
        _pick(study, group, group.seeds, _of_proposals(study, group), "proposal")
        for group in study.groups
        if any(record.proposal for record in group.records)
    ]
    return Picks((*by_score, *proposed))


Choice = tuple[int | None, bool]  # an official index, and whether one without a ground truth would come before it


def _of_scores(study: StudyRuns, method: Method) -> list[Choice]:
    found: list[Choice] = []
    for scored in method.seeds:
        everything = scored.all_scores
        best = _best(scored.arch_index, scored.columns)
        better = _best(everything.arch_index, {name: ranked(values) for name, values in everything.columns.items()})
        found.append((best, bool(np.isnan(study.truth[better]))) if scored.usable else (None, False))
    return found


def _best(index: np.ndarray, columns: Mapping[str, np.ndarray]) -> int:
    if not len(index):
        return 0
    rows = np.arange(len(index))
    for values in columns.values():  # the first is the most important one
        best = values[rows].max()
        rows = rows[values[rows] == best] if np.isfinite(best) else rows  # a column is all finite or all NaN
    return int(index[rows].min())


def _of_proposals(study: StudyRuns, group: RunGroup) -> list[Choice]:
    found: list[Choice] = []
    for record in group.records:
        known = [index for index in record.proposal if np.isfinite(study.truth[index])]
        found.append((known[0], known[0] != record.proposal[0]) if known else (None, False))
    return found


def _pick(
    study: StudyRuns, whose: Method | RunGroup, seeds: tuple[int, ...], choices: Sequence[Choice], scores: str = ""
) -> Pick:
    indices = tuple(index for index, _ in choices)
    on = {}
    for dataset, (target, truth) in study.once(_truths).items():
        accuracy = [np.nan if index is None else float(truth[index]) for index in indices]
        best = float(np.nanmax(truth))
        on[dataset] = PickTruth(target, best, OverSeeds.of(accuracy), OverSeeds.of([best - one for one in accuracy]))
    space = study.space
    return Pick(
        *(whose.label, whose.name, whose.strategy, whose.preset, scores or whose.scores, whose.place),
        asked=whose.asked,
        seeds=seeds,
        arch_index=indices,
        arch_str=tuple(None if index is None else space.to_str(space.from_index(index)) for index in indices),
        n_better=sum(better for _, better in choices),
        truth=on,
    )


def _truths(study: StudyRuns) -> dict[str, tuple[str, np.ndarray]]:
    """By data set the measure's name and its values `[n_arch]`."""
    measures = [m for m in sorted(study.table.measures) if (m.split, m.kind) == ("test", "accuracy")]
    return {m.dataset: (str(m), study.table.mean(m)) for m in measures}  # the longest training comes last


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Picks) -> Sequence[Block]:
    """One table."""
    rows = numbers.rows
    if not rows:
        return []
    truths = rows[0].truth
    best = ", ".join(f"{name} {percent(one.best)} %" for name, one in truths.items())
    return [
        Heading("The architecture that each method would pick"),
        TextTable(
            ("method", "scores", "architecture, first seed", *(f"{one.target}, %" for one in truths.values())),
            tuple(map(_row, rows)),
        ),
        Paragraph(_note(rows, best)),
    ]


def _note(rows: Sequence[Pick], best: str) -> str:
    but = " but for those marked *" if any(row.asked for row in rows) else ""
    text = (
        "The architecture of highest score, of those that tie the one that the next column rates highest (of lowest "
        f"loss, say). Scores never saw the table{but}. "
    )
    if any(row.scores == "proposal" for row in rows):
        text += "“proposal”: the architecture that the method itself ends with. "
    text += (
        "Means over the picks of all seeds with their 95 % t-interval over seeds. Regret, in percent points: the best "
        f"of the whole table ({best}) minus the pick."
    )
    n, n_better = sum(len(row.seeds) for row in rows), sum(row.n_better for row in rows)
    if n_better:
        text += (
            " The pick is among the architectures that have a ground truth: without that restriction "
            f"{n_better} of {n} picks would be others, whose accuracy nobody knows."
        )
    return text + (f" {STAR}" if any(row.asked for row in rows) else "")


def _row(pick: Pick) -> tuple[str, ...]:
    label = starred(pick.label, pick.asked)
    return label, pick.scores, pick.arch_str[0] or NOT_KNOWN, *map(_cell, pick.truth.values())


def _cell(one: PickTruth) -> str:
    regret = one.regret.spread
    low_to_high = f", {interval(100 * regret.ci_low, 100 * regret.ci_high, 2)}" if regret.n > 1 else ""
    return f"{over_seeds(one.accuracy, digits=2, scale=100)}\nregret {number(100 * regret.mean, 2)}{low_to_high}"


SECTION = Section("picks", picks, blocks)
