"""One predictor's scores, wherever they come from: a study, a file, somebody's repository, a closed form.

All of them have the shape `[n_seed, n_arch]` in the order of the official index, so that whatever compares predictors
(the leaderboard, tables, pictures) need not know where a score was found.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.report.runs import comparable_runs, former_tables
from bench.report.scores import preset_of
from bench.scores.read import Predictions
from bench.stats.evaluation import ceiling_pairs
from bench.study.records import Run
from bench.truth.table import Measure, Table
from bench.truth.target import Target
from mngnas.ranks import midranks
from mngnas.spaces import Space

CLOSED_FORM, CEILING, FILE, COMBINED = "closed form", "ceiling", "file", "combined"  # kinds that are no method's


@dataclass(frozen=True, eq=False)
class Entry:
    """One predictor: its scores of every architecture, and what is known of how they were made."""

    name: str  # as one selects it, "spos" or a file's name; not unique
    label: str  # as tables and pictures show it
    kind: str  # of the method ("supernet", "gradient", "training-free", "searcher", ...), or one of the four above
    source: str  # where the scores are: a study's directory, a file, repository@commit
    ranking: str  # "inherited", "retrained", ...; "" where there is one only
    column: str  # of the scores; "" where it has no name
    protocol: Mapping[str, str]  # how they were made, in the order in which it is told
    seeds: tuple[int, ...]  # of the rows of `scores`; () where they are no seeds of a method
    scores: np.ndarray  # float64 [n_seed, n_arch], higher is better, NaN: not scored; infinities rank last and first
    passes: float = math.nan  # of one seed, training and scoring, mean over seeds; NaN where it is not known
    seconds: float = math.nan  # the same
    asked: bool = False  # whether it was allowed to ask the ground truth
    against: np.ndarray | None = field(default=None, repr=False)  # [n_seed, n_arch], what a ceiling is to predict

    @cached_property
    def scored(self) -> np.ndarray:
        """Which architectures every seed scored, bool `[n_arch]`."""
        return np.asarray(~np.isnan(self.scores).any(axis=0))

    @property
    def is_reference(self) -> bool:
        """Whether it is computed from the table, and so belongs to no method."""
        return self.kind in (CLOSED_FORM, CEILING)


def told_apart(entries: Sequence[Entry]) -> list[Entry]:
    """The same with their source in the label where another has the same label."""
    labels = Counter(one.label for one in entries)
    return [replace(one, label=f"{one.label} ({one.source})") if labels[one.label] > 1 else one for one in entries]


# ------------------------------------------------------------------------------------------------------------- studies


def study_entries(
    directory: Path, table: Table, target: Measure, column: str | None = None, given: Sequence[Run] = ()
) -> list[Entry]:
    """Each method variant and ranking of a study's finished runs; by the ranking's first column, or by `column`.

    A ranking without that column is left out. `given` and errors as in `bench.report.runs.comparable_runs`.
    """
    found = []
    by_group = comparable_runs(directory, table, target, given)
    several = len({preset for *_, preset in by_group}) > 1
    for runs in by_group.values():
        for number, ranking in enumerate(dict.fromkeys(name for run in runs for name in run.scores.rankings)):
            having = [run for run in runs if ranking in run.scores.rankings]
            name = column or next(iter(having[0].scores.rankings[ranking].columns))
            having = [run for run in having if name in run.scores.rankings[ranking].columns]
            if having:
                found.append(_of_runs(directory, having, ranking, name, number > 0, several, table))
    return found


def _of_runs(
    directory: Path, runs: Sequence[Run], ranking: str, column: str, further: bool, several: bool, table: Table
) -> Entry:
    record = runs[0].record
    scores = np.full((len(runs), record.search_space.n_arch), np.nan)
    for row, run in zip(scores, runs, strict=True):
        found = run.scores.rankings[ranking]
        values = found.columns[column]
        row[found.arch_index] = np.where(np.isnan(values), -np.inf, values)  # scored, and to no avail: last
    costs = [(run.record.cost, run.record.ranking_costs.get(ranking)) for run in runs]
    former = former_tables(runs, table)
    label = record.method.full_label + (f", {ranking}" if further else "")
    return Entry(
        name=record.method.variant,
        label=f"{label} ({preset_of(record)})" if several else label,
        kind=record.method.kind,
        source=str(directory),
        ranking=ranking,
        column=column,
        protocol=_protocol(record.config, record.images, preset_of(record))
        | ({"made with the table's state": ", ".join(former)} if former else {}),
        seeds=tuple(run.record.seed for run in runs),
        scores=scores,
        passes=float(np.mean([own.passes + (scoring.passes if scoring else 0) for own, scoring in costs])),
        seconds=float(np.mean([own.seconds + (scoring.seconds if scoring else 0) for own, scoring in costs])),
        asked=any(run.record.oracle is not None for run in runs),
    )


_TOLD = (  # of a record's settings: section, setting, what it is called here
    ("supernet", "channels", "width"),
    ("supernet", "cells", "cells a stage"),
    ("training", "batch_size", "batch"),
    ("scoring", "images", "images scored"),
    ("scoring", "batch_norm", "BatchNorm"),
)


def _protocol(config: Mapping[str, Any], images: str, preset: str) -> dict[str, str]:
    found = {"images": images, "preset": preset}
    for section, setting, name in _TOLD:
        if (value := config.get(section, {}).get(setting)) is not None:
            found[name] = f"{value:,}" if isinstance(value, int) else str(value)
    return found


# --------------------------------------------------------------------------------------------------------------- files


def prediction_entry(
    found: Predictions, space: Space, *, name: str, label: str, source: str, kind: str = FILE, **about: Any
) -> Entry:
    """One score column of a file; `about` are further fields of the entry."""
    scores = np.full((1, space.n_arch), np.nan)
    scores[0, found.arch_index] = found.score
    fields = {"ranking": "", "column": found.score_column or "", "protocol": {}, "seeds": ()} | about
    return Entry(name=name, label=label, kind=kind, source=source, scores=scores, **fields)


# -------------------------------------------------------------------------------------------------------- closed forms


def reference_entries(table: Table, dataset: str, target: Target) -> list[Entry]:
    """Parameter count, FLOPs where they rank otherwise, and the ceiling (`ceiling_pairs`), where there is one.

    Costs count for a predictor: more is better.
    """
    source = f"table {table.name}"
    parameters, flops = table.parameters.get(dataset), table.flops.get(dataset)
    costs = [("parameters", "parameter count", parameters), ("flops", "FLOPs", flops)]
    if parameters is not None and flops is not None and np.array_equal(midranks(parameters), midranks(flops)):
        costs = [("parameters", "parameter count = FLOPs", parameters)]
    found = [
        Entry(name, label, CLOSED_FORM, source, "", name, {}, (), values.astype(np.float64)[None])
        for name, label, values in costs
        if values is not None
    ]
    label, pairs = ceiling_pairs(target.of_seeds.astype(np.float64), target.true, target.valid)
    if pairs:
        scores, against = (np.stack(part) for part in zip(*pairs, strict=True))
        scores = np.where(np.isfinite(scores) & np.isfinite(against), scores, np.nan)
        found.append(Entry("ceiling", f"ceiling: {label}", CEILING, source, "", "", {}, (), scores, against=against))
    return found
