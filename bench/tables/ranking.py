"""The ranking table: every predictor against one ground truth, by several metrics, with both intervals."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.board.entries import Entry, reference_entries, study_entries
from bench.board.standings import GENERATOR_SEED, SHOWN, TAU, Board, Standing, standings
from bench.report.page import Csv, CsvRow, TextTable
from bench.report.text import NOT_KNOWN, STAR, over_seeds, starred
from bench.stats.intervals import OverSeeds
from bench.stats.metrics import Metric
from bench.tables.comparison import pictures
from bench.tables.render import PaperTable
from bench.tables.studies import Studied
from bench.truth.target import Target, accuracy_target

_IN_PERCENT = ("precision_at_top_5_percent", "regret")


def entries_of(studies: Sequence[Studied]) -> list[Entry]:
    """The rankings of all of them; the source is the study's name."""
    return [
        entry
        for one in studies
        for entry in study_entries(Path(one.name), one.runs.table, one.runs.target, given=one.runs.runs)
    ]


def target_of(study: Studied, dataset: str | None = None) -> Target:
    """The mean test accuracy after the longest training, by default on the study's own data set."""
    return accuracy_target(study.runs.table, dataset or study.record.dataset, "test", None)


def ranking_table(studies: Sequence[Studied], others: Sequence[Entry], resamples: int) -> PaperTable | None:
    """Of studies against one ground truth, and of other entries; None where nothing ranks.

    The highest tau-b comes first. Differences between the methods of a study are pictures.
    """
    first = studies[0]
    entries = [*entries_of(studies), *others]
    if not entries:
        return None
    table, dataset, target = first.runs.table, first.record.dataset, target_of(first)
    references = reference_entries(table, dataset, target)
    board = standings([*entries, *references], target, table.space, with_archs=SHOWN, resamples=resamples)
    name = f"ranking-{first.record.benchmark}-{dataset}"
    head = ("predictor", "n", *(_head(metric) for metric in SHOWN), "tau-b,\nlive only", "budget")
    rows = tuple(map(_row, board.rows))
    csv = Csv(name, CSV_HEADER, partial(csv_rows, board))
    title = f"Ranking of the {table.space.label} space against {target.label} ({first.record.benchmark})"
    notes = _notes(board, studies)
    shown = tuple(picture for study in studies for picture in pictures(study))
    return PaperTable(name, title, TextTable(head, rows), notes, csv, shown)


def _head(metric: Metric) -> str:
    label = metric.label.replace("Kendall ", "").replace(", ", ",\n")
    return label + (",\n%" if metric.name in _IN_PERCENT else "")


def _row(row: Standing) -> tuple[str, ...]:
    entry = row.entry
    seeds = f"{len(entry.seeds)} {'seed' if len(entry.seeds) == 1 else 'seeds'}" if entry.seeds else ""
    about = "; ".join(filter(None, (entry.source, entry.ranking, seeds)))
    label = entry.label if entry.is_reference else f"{starred(entry.label, entry.asked)}\n{about}"
    cells = [cell(row.all.metrics[metric.name], metric) for metric in SHOWN]
    return label, f"{row.all.n:,}", *cells, cell(row.live.metrics[TAU.name], TAU), _budget(entry)


def cell(one: OverSeeds, metric: Metric) -> str:
    """The mean and its intervals; without those of seeds where there is one set of scores."""
    percent = metric.name in _IN_PERCENT
    lines = over_seeds(one, digits=2 if percent else 3, scale=100 if percent else 1).split("\n")
    return "\n".join(line for line in lines if NOT_KNOWN not in line or line == NOT_KNOWN)


def _budget(entry: Entry) -> str:
    lines = [f"{entry.passes:,.0f} passes"] if math.isfinite(entry.passes) and entry.passes else []
    lines += [f"{entry.seconds:,.0f} s"] if math.isfinite(entry.seconds) else []
    return "\n".join(lines)


def _notes(board: Board, studies: Sequence[Studied]) -> tuple[str, ...]:
    text = (
        "Means over seeds. “seeds”: 95 % t-interval of the mean over seeds; “archs”: 95 % bootstrap interval of it "
        f"over architectures ({board.resamples:,} resamples, generator seed {GENERATOR_SEED}). Top 10 %: inside the "
        "true top. P@top 5 %: share of the predicted top 5 % that is in the true one. Regret, in percent points: the "
        "best accuracy among the n architectures of the row minus that of the highest score. Live only: each network "
        "once, whatever dead edges its string has. Budget: of one seed, scoring included; seconds of the machine that "
        "the record names."
    )
    partial_ = any(row.is_partial for row in board.rows)
    more = " Rows of different n are of different architectures, and not compared." if partial_ else ""
    asked = f" {STAR}" if any(row.entry.asked for row in board.rows) else ""
    protocols = sorted({one.record.protocol for one in studies})
    mixed = " They are of protocols " + " and ".join(map(str, protocols)) + "." if len(protocols) > 1 else ""
    return text + more + asked, f"Studies. {'. '.join(one.setting for one in studies)}.{mixed}"


CSV_HEADER = (
    "predictor",
    "kind",
    "source",
    "scores",
    "architectures",
    "metric",
    "over",
    "value",
    "ci_low",
    "ci_high",
    "n",
)


def csv_rows(board: Board) -> Iterator[CsvRow]:
    """Of each metric a line for the interval over seeds (n seeds) and one for that over architectures; fractions."""
    for row in board.rows:
        entry = row.entry
        about = entry.label, entry.kind, entry.source, entry.ranking or entry.column
        for which, part in (("all", row.all), ("live", row.live)):
            for name, one in part.metrics.items():
                s, a = one.spread, one.architectures
                yield *about, which, name, "seeds", s.mean, s.ci_low, s.ci_high, s.n
                if a is not None:
                    yield *about, which, name, "architectures", a.value, a.ci_low, a.ci_high, a.n
