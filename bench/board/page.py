"""The leaderboard for people: lines for a terminal, blocks of a page, and the numbers as a table of plain cells."""

import csv
import io
import math
from collections.abc import Iterator, Sequence

from bench.board.entries import Entry
from bench.board.pictures import pictures
from bench.board.standings import GENERATOR_SEED, SHOWN, TAU, Board, Part, Standing
from bench.report.page import Block, CsvRow, Facts, Folded, Heading, Paragraph, TextTable
from bench.report.text import NOT_KNOWN, STAR, count, interval, number, over_seeds, starred
from bench.stats.intervals import MANY_PAIRS, OverSeeds

_FEWER = "†"  # marks rows that lack architectures
_REGRET = "regret"
_SHORT = dict(zip((m.name for m in SHOWN), ("tau-b", "rho", "tau top 10 %", "P@top 5 %", "regret, %"), strict=True))


def _label(row: Standing) -> str:
    return starred(row.entry.label, row.entry.asked) + f" {_FEWER}" * row.is_partial


def _shown(metric: str, value: float) -> str:
    return number(100 * value, 2) if metric == _REGRET else number(value)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else ""


# ------------------------------------------------------------------------------------------------------------ terminal

_LONGEST_LABEL = 48


def lines(board: Board) -> Iterator[str]:
    """The table on a terminal: every row once, tau-b also of the live architectures."""
    yield f"{len(board.rows)} rows against {board.target.label}, {_architectures(board)}"
    head = ("", "method", "kind", "tau-b", "over seeds", "over architectures", "live", *list(_SHORT.values())[1:])
    table = [(*head, "n", "seeds", "passes", "seconds")]
    table += [_cells(place, row) for place, row in enumerate(board.rows, 1)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        words = (
            f"{c:<{w}}" if at in (1, 2) else f"{c:>{w}}" for at, (c, w) in enumerate(zip(cells, widths, strict=True))
        )
        yield "  ".join(words).rstrip()
    yield f"live: tau-b of those of the {board.n_live:,} architectures that are their own canonical form"
    yield from _notes(board)


def _cells(place: int, row: Standing) -> tuple[str, ...]:
    tau, label = row.all.metrics[TAU.name], _label(row)
    archs = tau.architectures
    return (
        str(place),
        label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 3]}...",
        row.entry.kind,
        number(tau.spread.mean),
        _ends(tau.spread.ci_low, tau.spread.ci_high),
        _ends(archs.ci_low, archs.ci_high) if archs else "",
        number(row.live.metrics[TAU.name].spread.mean),
        *(_shown(name, row.all.metrics[name].spread.mean) for name in list(_SHORT)[1:]),
        f"{row.all.n:,}",
        str(len(row.entry.seeds) or ""),
        _amount(row.entry.passes),
        _amount(row.entry.seconds),
    )


def _ends(low: float, high: float) -> str:
    return interval(low, high) if math.isfinite(low + high) else ""


def _architectures(board: Board) -> str:
    if board.common:
        return f"on the {board.n_common:,} architectures that all rows share"
    return f"{board.n_known:,} architectures have it"


def _notes(board: Board) -> list[str]:
    notes = []
    if any(row.is_partial for row in board.rows):
        shared = f", or with --common on the {board.n_common:,} that all rows share" if board.n_common > 1 else ""
        notes.append(f"{_FEWER} Scored on fewer architectures than another row: compare with care{shared}.")
    if any(row.entry.asked for row in board.rows):
        notes.append(STAR)
    return notes


# ---------------------------------------------------------------------------------------------------------------- page


def title(board: Board) -> str:
    """Of the page."""
    return f"Leaderboard: {board.target.label}"


def blocks(board: Board, command: str) -> list[Block]:
    """The page: who leads, the table on all architectures and on the live ones, and how each row was made."""
    return [
        Paragraph(_lead(board), "lead"),
        *(Paragraph(note, "warning") for note in _notes(board)),
        Heading("All architectures" if not board.common else "The architectures that all rows share"),
        _table(board.rows, live=False),
        Paragraph(_explained(board)),
        Heading("Pictures"),
        *pictures(board),
        Heading("Live architectures only"),
        _table(sorted(board.rows, key=_best_live_first), live=True),
        Paragraph(
            f"{board.n_live:,} architectures are their own canonical form: of all that differ in dead edges only, "
            "which no one-shot score can tell apart, one each. Papers compute correlations with and without the others."
        ),
        Heading("How the scores were made"),
        TextTable(("method", "kind", "source", "protocol"), tuple(map(_origin, board.rows))),
        Folded("How this page was made", (Facts((("command", command), ("rows", str(len(board.rows))))),)),
    ]


def _lead(board: Board) -> str:
    leader = next((row for row in board.rows if not row.entry.is_reference and not row.entry.asked), None)
    about = f"{len(board.rows)} predictors of {board.target.label}, {_architectures(board)}."
    if leader is None:
        return about
    tau = leader.all.metrics[TAU.name]
    return f"{about} {leader.entry.label} ranks best: Kendall tau-b {number(tau.spread.mean)} (n = {count(tau.n)})."


def _best_live_first(row: Standing) -> tuple[bool, float]:
    tau = row.live.metrics[TAU.name].spread.mean
    return not math.isfinite(tau), -tau if math.isfinite(tau) else 0.0


def _table(rows: Sequence[Standing], *, live: bool) -> TextTable:
    metrics = (m.label if m.name != _REGRET else "regret, percent points" for m in SHOWN)
    body = tuple(_page_row(place, row, row.of(live=live)) for place, row in enumerate(rows, 1))
    return TextTable(("", "method", *metrics, "architectures", "budget of a seed"), body)


def _page_row(place: int, row: Standing, part: Part) -> tuple[str, ...]:
    entry, n_seed = row.entry, len(row.entry.seeds)
    by = f"by {entry.column}" if entry.column and entry.column not in entry.label and not entry.is_reference else ""
    about = ", ".join(filter(None, (entry.kind, entry.ranking, by)))
    seeds = f"\n{n_seed} seed{'s' * (n_seed > 1)}" if n_seed else ""
    budget = [f"{_amount(entry.passes)} passes"] * math.isfinite(entry.passes)
    budget += [f"{_amount(entry.seconds)} s"] * math.isfinite(entry.seconds)
    metrics = (_metric(m.name, part.metrics[m.name], entry) for m in SHOWN)
    return str(place), f"{_label(row)}\n{about}", *metrics, f"{part.n:,}{seeds}", "\n".join(budget)


def _metric(name: str, found: OverSeeds, entry: Entry) -> str:
    scale, digits = (100, 2) if name == _REGRET else (1, 3)
    text = over_seeds(found, scale=scale, digits=digits)
    if len(entry.seeds) > 1:
        return text
    return "\n".join(one for one in text.split("\n") if not one.startswith("seeds "))


def _explained(board: Board) -> str:
    many = any(len(row.entry.seeds) > MANY_PAIRS for row in board.rows)
    first_order = f" Of more than {MANY_PAIRS} seeds the bootstrap is to first order (docs/protocol.md)." * many
    return (
        f"Means over seeds, the highest tau-b first. “seeds”: 95 % t-interval of the mean over seeds; “archs”: 95 % "
        f"bootstrap interval of the same mean over architectures ({board.resamples:,} resamples, generator seed "
        f"{GENERATOR_SEED}). Tops and regret are among the architectures of the row. The budget is "
        "training and scoring, seconds each on its own machine; where it is empty it is not known, or none."
        + first_order
    )


def _origin(row: Standing) -> tuple[str, ...]:
    entry = row.entry
    protocol = "; ".join(f"{name}: {value}" for name, value in entry.protocol.items())
    seeds = f"; seeds {', '.join(map(str, entry.seeds))}" if entry.seeds else ""
    return (
        entry.label,
        entry.kind,
        entry.source,
        (protocol + seeds).removeprefix("; ") or NOT_KNOWN * bool(not entry.is_reference),
    )


# ----------------------------------------------------------------------------------------------------------------- CSV

_ABOUT = ("place", "method", "name", "kind", "source", "ranking", "column", "architectures", "fewer", "asked", "seeds")


def to_csv(board: Board) -> str:
    """Every number of the page: a row for each predictor, on all architectures and on the live ones."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = ("", "_seeds_low", "_seeds_high", "_archs_low", "_archs_high")
    writer.writerow((*_ABOUT, "n", *(m.name + end for m in SHOWN for end in numbers), "passes", "seconds", "protocol"))
    for place, row in enumerate(board.rows, 1):
        for live in (False, True):
            writer.writerow(_csv_row(place, row, live))
    return text.getvalue()


def _csv_row(place: int, row: Standing, live: bool) -> CsvRow:
    entry, part = row.entry, row.of(live=live)
    numbers: list[str | float] = []
    for metric in SHOWN:
        found = part.metrics[metric.name]
        spread, archs = found.spread, found.architectures
        ends = (spread.ci_low, spread.ci_high, *((archs.ci_low, archs.ci_high) if archs else (math.nan, math.nan)))
        numbers += [_plain(one) for one in (spread.mean, *ends)]
    return (
        *(place, entry.label, entry.name, entry.kind, entry.source, entry.ranking, entry.column),
        *("live" if live else "all", int(row.is_partial), int(entry.asked), " ".join(map(str, entry.seeds))),
        *(part.n, *numbers, _plain(entry.passes), _plain(entry.seconds)),
        "; ".join(f"{name}: {value}" for name, value in entry.protocol.items()),
    )


def _plain(value: float) -> str | float:
    return value if math.isfinite(value) else ""
