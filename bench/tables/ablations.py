"""What each part of a method is worth: its variants against it on the same seeds."""

from collections.abc import Iterator
from functools import partial

from bench.report.page import Csv, CsvRow, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import TAU
from bench.report.sections.differences import Paired
from bench.report.sections.variants import Gain, Variants, variants
from bench.report.text import NOT_KNOWN, by_column, interval, number
from bench.stats.intervals import SeedSpread, seed_spread
from bench.tables.render import PaperTable
from bench.tables.studies import Studied


def ablation_table(study: Studied) -> PaperTable | None:
    """Of the unchanged method that has most variants; None where none has two."""
    found = study.runs.once(variants)
    if found is None:
        return None
    name = f"ablations-{'-'.join(study.names)}"
    columns = ("", *found.columns)
    head = (
        *("method", "seeds", "tau-b"),
        *(f"tau-b {by_column(column or found.score)},\nminus that of {found.standard}" for column in columns),
    )
    own = _taus(study.runs)
    first = (found.standard, *_own(own[found.standard]), *("0" for _ in columns))
    rows = (first, *(_row(line, own, columns) for line in found.lines))
    csv = Csv(name, CSV_HEADER, partial(csv_rows, found, own))
    title = (
        f"Variants of {found.standard} and other methods against it: {study.record.benchmark}, {study.record.dataset}"
    )
    return PaperTable(name, title, TextTable(head, rows), _notes(study, found), csv)


def _taus(study: StudyRuns) -> dict[str, SeedSpread]:
    """Over all seeds of each main ranking, by label."""
    found = {}
    for method in study.methods:
        if method.is_main and (values := [value for value in method.values(TAU) if value == value]):
            found[method.label] = seed_spread(values)
    return found


def _own(spread: SeedSpread) -> tuple[str, str]:
    return str(spread.n), number(spread.mean) + (f"\n{interval(spread.ci_low, spread.ci_high)}" if spread.n > 1 else "")


def _row(line: Gain, own: dict[str, SeedSpread], columns: tuple[str, ...]) -> tuple[str, ...]:
    return line.label, *_own(own[line.label]), *(_cell(line.by(column)) for column in columns)


def _cell(paired: Paired | None) -> str:
    if paired is None:
        return NOT_KNOWN
    one = paired.difference
    return f"{number(one.value)}\n{interval(one.ci_low, one.ci_high)}\nn = {one.n}"


def _notes(study: Studied, found: Variants) -> tuple[str, ...]:
    note = (
        "Means over seeds with their 95 % t-interval; differences are paired by seed, over the n seeds that both have: "
        f"below zero the variant ranks worse than {found.standard}. No correction for the number of variants."
    )
    left_out = (f"Not shown: {'; '.join(found.left_out)}.",) if found.left_out else ()
    return note, *left_out, f"Study {study.setting}; target: {study.runs.target}."


CSV_HEADER = ("method", "minus", "column", "value", "ci_low", "ci_high", "n")


def csv_rows(found: Variants, own: dict[str, SeedSpread]) -> Iterator[CsvRow]:
    """Of each method tau-b itself (minus nothing), then its differences by each column."""
    for label in (found.standard, *(line.label for line in found.lines)):
        yield label, "", found.score, own[label].mean, own[label].ci_low, own[label].ci_high, own[label].n
    for line in found.lines:
        for column in ("", *found.columns):
            if (paired := line.by(column)) is not None:
                one = paired.difference
                yield line.label, found.standard, column or found.score, one.value, one.ci_low, one.ci_high, one.n
