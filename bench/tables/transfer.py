"""Transfer: the scores of networks trained on one data set against the ground truth of all of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from bench.board.entries import CLOSED_FORM, Entry, reference_entries
from bench.board.standings import GENERATOR_SEED, TAU, Standing, standings
from bench.report.page import Csv, CsvRow, TextTable
from bench.tables.ranking import cell, entries_of, target_of
from bench.tables.render import PaperTable
from bench.tables.studies import Studied
from bench.truth.table import Table

_RHO = "spearman_rho"


def datasets_of(table: Table) -> list[str]:
    """Those with test accuracies."""
    return sorted({one.dataset for one in table.measures if (one.split, one.kind) == ("test", "accuracy")})


def transfer_table(studies: Sequence[Studied], resamples: int) -> PaperTable | None:
    """Of studies on one data set; None where nothing ranks or the table knows one data set only."""
    first = studies[0]
    table, dataset = first.runs.table, first.record.dataset
    names, entries = datasets_of(table), entries_of(studies)
    if len(names) < 2 or not entries:
        return None
    own = target_of(first)
    truth = Entry("truth", f"{own.label} itself", CLOSED_FORM, f"table {table.name}", "", "", {}, (), own.true[None])
    closed = [one for one in reference_entries(table, dataset, own) if one.kind == CLOSED_FORM]
    entries += [*closed, truth]
    boards = {name: standings(entries, target_of(first, name), table.space, resamples=resamples).rows for name in names}
    columns = {name: {id(row.entry): row for row in rows} for name, rows in boards.items()}
    order = [row.entry for row in boards[dataset]]
    head = ("predictor", "n", *(f"{name}\n{what}" for name in names for what in (TAU.label, "Spearman rho")))
    rows = tuple(_row(entry, columns) for entry in order)
    name = f"transfer-{first.record.benchmark}-{dataset}"
    csv = Csv(name, CSV_HEADER, partial(csv_rows, order, columns))
    title = f"Scores of networks trained on {dataset} against the ground truth of each data set"
    return PaperTable(name, title, TextTable(head, rows), _notes(studies, names, resamples), csv)


Columns = Mapping[str, Mapping[int, Standing]]  # by data set and by the identity of an entry


def _row(entry: Entry, columns: Columns) -> tuple[str, ...]:
    found = [of[id(entry)].all for of in columns.values()]
    cells = [cell(part.metrics[name], TAU) for part in found for name in (TAU.name, _RHO)]
    n = "\n".join(f"{n:,}" for n in dict.fromkeys(part.n for part in found))
    return entry.label + ("" if entry.is_reference else f"\n{entry.source}"), n, *cells


def _notes(studies: Sequence[Studied], names: Sequence[str], resamples: int) -> tuple[str, ...]:
    targets = "; ".join(target_of(studies[0], name).label for name in names)
    return (
        f"Targets: {targets}. Means over seeds; “seeds”: 95 % t-interval over seeds; “archs”: 95 % bootstrap interval "
        f"over architectures ({resamples:,} resamples, generator seed {GENERATOR_SEED}). The row of the data set’s own "
        "accuracy says how far the best possible ranking on it would go on the others.",
        f"Studies. {'. '.join(one.setting for one in studies)}.",
    )


CSV_HEADER = ("predictor", "source", "data set", "metric", "over", "value", "ci_low", "ci_high", "n")


def csv_rows(order: Sequence[Entry], columns: Columns) -> Iterator[CsvRow]:
    """As in the ranking table."""
    for entry in order:
        for dataset, of in columns.items():
            for name in (TAU.name, _RHO):
                one = of[id(entry)].all.metrics[name]
                s, a = one.spread, one.architectures
                about = entry.label, entry.source, dataset, name
                yield *about, "seeds", s.mean, s.ci_low, s.ci_high, s.n
                if a is not None:
                    yield *about, "architectures", a.value, a.ci_low, a.ci_high, a.n
