"""Studies that are given together: what was made with the same settings is one study of more seeds or methods."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report.runs import StudyRuns, former_tables, read_runs
from bench.report.scores import group_of, preset_of
from bench.study.records import Run, RunRecord
from bench.study.store import load_runs
from bench.truth.table import Table, default_target


@dataclass(frozen=True, eq=False)
class Studied:
    """Runs that one preset made on one data set, of one directory or of several."""

    names: tuple[str, ...]  # of the directories
    runs: StudyRuns

    @property
    def record(self) -> RunRecord:
        """Of the first run: benchmark, data set, pictures, preset and protocol are those of all."""
        return self.runs.runs[0].record

    @property
    def setting(self) -> str:
        """Name, pictures and preset, and whether the table has changed since."""
        former = ", made with another state of the table, on which no score depends" * bool(
            former_tables(self.runs.runs, self.runs.table)
        )
        return f"{self.name}: {self.record.images}, preset {preset_of(self.record)}{former}"

    @property
    def name(self) -> str:
        """Of the directories."""
        return " and ".join(self.names)


def read_studies(tables: Mapping[Path, Table], resamples: int) -> tuple[Studied, ...]:
    """The studies in these directories beside their tables of ground truth, in this order.

    Two of them are joined if everything that decides numbers is equal and none of their runs contradict each other;
    a run that stands in both is taken once. Targets are test accuracies after the longest training. Raises `UserError`
    for a directory without finished runs and for runs that do not belong together.
    """
    found: list[tuple[list[Path], list[Run]]] = []
    for directory, table in tables.items():
        runs = load_runs(directory)
        _study(directory, runs, table, resamples)  # raises for a study that is not one
        alike = (one for one in found if tables[one[0][0]].checksum == table.checksum)
        same = next((one for one in alike if _belong_together(one[1], runs)), None)
        if same is None:
            found.append(([directory], runs))
        else:
            same[0].append(directory)
            known = {(group_of(run.record), run.record.seed) for run in same[1]}
            same[1].extend(run for run in runs if (group_of(run.record), run.record.seed) not in known)
    last_parts = [directory.resolve().name for directory in tables]
    names = {
        one: name if last_parts.count(name) == 1 else str(one) for one, name in zip(tables, last_parts, strict=True)
    }
    return tuple(
        Studied(
            tuple(names[one] for one in directories), _study(directories[0], runs, tables[directories[0]], resamples)
        )
        for directories, runs in found
    )


def _study(directory: Path, runs: Sequence[Run], table: Table, resamples: int) -> StudyRuns:
    return read_runs(directory, table, default_target(table, runs[0].record.dataset), resamples, runs)


def _belong_together(one: Sequence[Run], other: Sequence[Run]) -> bool:
    if _shared(one[0].record) != _shared(other[0].record):
        return False
    known = {(group_of(run.record), run.record.seed): run.record for run in one}
    settings = {group_of(run.record): run.record.config for run in one}
    for record in (run.record for run in other):
        if settings.get(group_of(record), record.config) != record.config:
            return False
        twin = known.get((group_of(record), record.seed))
        if twin is not None and (twin.scores_sha256, twin.proposal) != (record.scores_sha256, record.proposal):
            return False
    return True


def _shared(record: RunRecord) -> tuple[Any, ...]:
    """What decides the numbers of all runs of a study."""
    about = record.benchmark, record.space, record.dataset, record.images, record.protocol
    config = {name: value for name, value in record.config.items() if name not in (record.method.name, "description")}
    return *about, preset_of(record), json.dumps(config, sort_keys=True)


def by_truth(studies: Sequence[Studied]) -> list[list[Studied]]:
    """Those that are compared with the same ground truth together."""
    found: dict[tuple[str, str, str], list[Studied]] = {}
    for one in studies:
        key = one.record.benchmark, one.record.dataset, one.runs.table.checksum
        found.setdefault(key, []).append(one)
    return list(found.values())
