"""Differences between methods on the same seeds: by tau-b, and by what else a search cares for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.report.page import Block, Heading, Paragraph, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import TAU, Method, Scored
from bench.report.text import NOT_KNOWN, by_column, interval, listed, number
from bench.stats.intervals import Estimate, paired_difference
from bench.stats.metrics import Metric, named

_FEW = 10  # pairs without a difference that are listed with the reason
FURTHER = named(("spearman_rho", "kendall_tau_b_top_10_percent", "regret"))
_HEADS = ("rho", "tau-b, true top 10\u00a0%", "regret, percent points")
ALL_PAIRS = 5  # methods of which all pairs are compared; of more, every method with two of them


@dataclass(frozen=True)
class Paired:
    """A metric of one method minus that of another, by one column of their scores."""

    values: tuple[float, ...]  # of the common seeds
    difference: Estimate  # their mean and its interval over seeds


@dataclass(frozen=True)
class Difference:
    """Tau-b of method a minus that of method b on the seeds that both have."""

    a: str
    b: str
    scores: str  # the ranking of a
    seeds: tuple[int, ...]
    by_score: Paired | None
    by_column: Mapping[str, Paired]  # by each other column that both have
    further: Mapping[str, Paired | None]  # by the score, in each of `FURTHER`
    reason: str = ""  # why there is no difference


@dataclass(frozen=True)
class Differences:
    """Within the main rankings, and within each further ranking."""

    pairs: tuple[Difference, ...]  # all, or of every method to those of `compared_with`
    compared_with: tuple[str, ...]  # labels; empty for all pairs


def differences(study: StudyRuns) -> Differences | None:
    """Of all pairs in a group, or of many methods those with the two of `standards`."""
    pairs: list[Difference] = []
    compared_with: list[str] = []
    for name in dict.fromkeys(method.group for method in study.methods):
        group = [method for method in study.methods if method.group == name]
        chosen = list(combinations(group, 2))
        if len(group) > ALL_PAIRS:
            against = standards(group)
            compared_with += [method.label for method in against]
            chosen = [(a, b) for n, b in enumerate(against) for a in group if a not in against[: n + 1]]
        pairs += [difference(a, b) for a, b in chosen]
    return Differences(tuple(pairs), tuple(compared_with)) if study.methods else None


def standards(methods: Sequence[Method]) -> list[Method]:
    """The unchanged method with most variants, and the best other unchanged one; the first where all are changed."""
    unchanged = [method for method in methods if not method.is_changed]
    if not unchanged:
        return list(methods[:1])
    first = max(unchanged, key=lambda method: len(variants_of(method, methods)))
    return [first, *[method for method in unchanged if method is not first][:1]]


def variants_of(standard: Method, methods: Sequence[Method]) -> list[Method]:
    """The same method with other settings, under the same preset."""
    return [m for m in methods if m.is_changed and (m.name, m.preset) == (standard.name, standard.preset)]


def difference(a: Method, b: Method) -> Difference:
    """Tau-b of method a minus that of method b, paired by seed, if both scored the same architectures."""
    of_a, of_b = ({scored.seed: scored for scored in method.seeds} for method in (a, b))
    common = tuple(seed for seed in of_a if seed in of_b)

    def nothing(seeds: tuple[int, ...], reason: str) -> Difference:
        return Difference(a.label, b.label, a.scores, seeds, None, {}, {}, reason)

    if len(common) < 2:
        return nothing(common, f"{len(common) or 'no'} common seed{'' if common else 's'}: two are needed")
    if any(of_a[seed].architectures != of_b[seed].architectures for seed in common):
        return nothing(common, "they scored different architectures")
    pairs = [(of_a[seed], of_b[seed]) for seed in common]
    defined = [pair for pair in pairs if all(math.isfinite(one.value(TAU)) for one in pair)]
    seeds = tuple(one.seed for one, _ in defined)
    by_score = _paired(defined, "")
    if by_score is None:
        return nothing(seeds, "tau is undefined for a constant score")
    columns = {name: _paired(defined, name) for name in a.columns[1:] if name in b.columns[1:]}
    by_column = {name: found for name, found in columns.items() if found}
    further = {metric.name: _paired(defined, "", metric) for metric in FURTHER}
    return Difference(a.label, b.label, a.scores, seeds, by_score, by_column, further)


def _paired(pairs: Sequence[tuple[Scored, Scored]], column: str, metric: Metric = TAU) -> Paired | None:
    """None where the metric is not defined for both in two seeds."""
    values = [(a.value(metric, column), b.value(metric, column)) for a, b in pairs]
    if len(values) < 2 or not all(math.isfinite(x) and math.isfinite(y) for x, y in values):
        return None
    found = paired_difference([x for x, _ in values], [y for _, y in values])
    return Paired(tuple(x - y for x, y in values), found)


# --------------------------------------------------------------------------------------------------------------- words


def blocks(numbers: Differences) -> Sequence[Block]:
    """One table, or why there is none."""
    heading = Heading("Differences between methods on the same seeds")
    if not numbers.pairs:
        return [heading, Paragraph("None: there is one method only.")]
    rows, left_out = numbers.pairs, ""
    without = [one for one in rows if one.reason]
    if len(without) > _FEW:
        rows = tuple(one for one in rows if not one.reason)
        left_out = f" {len(without)} pairs have none: {listed(list(dict.fromkeys(one.reason for one in without)))}."
    if not rows:
        return [heading, Paragraph(f"None can be told.{left_out}")]
    columns = tuple(dict.fromkeys(name for one in rows for name in one.by_column))
    head = ("a", "b", "scores", "common seeds", "tau-b of a minus tau-b of b")
    few = ""
    if numbers.compared_with:
        few = f" Of more than {ALL_PAIRS} methods not all pairs are listed, but every method against "
        few += f"{listed(numbers.compared_with)}."
    return [
        heading,
        TextTable(
            (*head, *(f"the same {by_column(name)}" for name in columns), *_HEADS),
            tuple(_row(one, columns) for one in rows),
        ),
        Paragraph(
            "The mean over common seeds with its 95 % t-interval, which is about further seeds on these architectures. "
            "No correction for the number of pairs. The last columns are by the score; less regret is better. Main and "
            "further rankings, such as inherited and retrained scores, are not set against each other." + few + left_out
        ),
    ]


def _row(one: Difference, columns: Sequence[str]) -> tuple[str, ...]:
    found = [one.by_score, *(one.by_column.get(name) for name in columns)]
    cells = [_cell(paired.difference) if paired else NOT_KNOWN for paired in found]
    for metric in FURTHER:
        paired, scale = one.further.get(metric.name), 100 if metric.name == "regret" else 1
        cells.append(_cell(paired.difference, scale) if paired else NOT_KNOWN)
    return one.a, one.b, one.scores, str(len(one.seeds)), *([one.reason, *cells[1:]] if one.reason else cells)


def _cell(one: Estimate, scale: float = 1) -> str:
    return f"{number(scale * one.value)}\n{interval(scale * one.ci_low, scale * one.ci_high)}"


SECTION = Section("differences", differences, blocks)
