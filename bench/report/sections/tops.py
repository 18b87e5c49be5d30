"""How well each method ranks at the top, where a search looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.report.page import Block, Heading, Paragraph, Section, TextTable
from bench.report.runs import StudyRuns, correlations
from bench.report.scores import CORRELATIONS, OfMethod, measured
from bench.report.text import count, over_seeds
from bench.stats.intervals import OverSeeds
from bench.stats.metrics import named

RESAMPLED = CORRELATIONS[2:]
PLAIN = named(("precision_at_top_5_percent", "best_rank_at_10", "regret", "accuracy_of_best"))


@dataclass(frozen=True)
class TopRow(OfMethod):
    """How well a method ranks at the top."""

    seeds: tuple[int, ...]
    metrics: Mapping[str, OverSeeds]  # by the names in bench.stats.metrics


@dataclass(frozen=True)
class Tops:
    """Every ranking of the study."""

    rows: tuple[TopRow, ...]


def tops(study: StudyRuns) -> Tops | None:
    """Of every method that ranks."""
    rows = []
    for method in study.methods:
        found = study.once(correlations)[method.place]
        metrics = {m.name: found[m.name] for m in RESAMPLED}
        metrics |= {m.name: measured(method.seeds, m) for m in PLAIN}
        rows.append(TopRow(*method.identity, method.seed_numbers, metrics))
    return Tops(tuple(rows)) if rows else None


def blocks(numbers: Tops) -> Sequence[Block]:
    """One table."""
    return [
        Heading("At the top, where a search looks"),
        TextTable(
            (
                *("method", "scores", "tau-b, true top 10\u00a0%", "tau-b, true top 1\u00a0%", "P@top 5\u00a0%"),
                *("best true rank of the top 10", "regret, percent points", "accuracy of the best, %"),
            ),
            tuple(map(_row, numbers.rows)),
        ),
        Paragraph(
            "Tops, ranks and regret are among the architectures that the row is computed from, so those of a sample "
            "cannot be compared with those of all. P@top 5 %: the share of the predicted top 5 % that is in the true "
            "top 5 %; random choice gives 0.05. Best true rank: of the ten highest scores, 1 = the best. Regret: the "
            "best true accuracy minus that of the highest score, which is the last column."
        ),
    ]


def _row(row: TopRow) -> tuple[str, ...]:
    m = row.metrics
    return (
        *(row.label, f"{row.scores}\nn = {count(m['regret'].n)}"),
        *(over_seeds(m[metric.name], show_n=True) for metric in RESAMPLED),
        over_seeds(m["precision_at_top_5_percent"]),
        over_seeds(m["best_rank_at_10"], digits=1) + f"\nof {count(m['best_rank_at_10'].n)}",
        over_seeds(m["regret"], digits=2, scale=100),
        over_seeds(m["accuracy_of_best"], digits=2, scale=100),
    )


SECTION = Section("tops", tops, blocks)
