"""What beginning a run is, whatever its method: which run a job asks for, its settings, and the record at its end.

No torch here: a search of the ground truth takes less time than importing it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.provenance import versions
from bench.study.jobs import Job
from bench.study.preset import method_config
from bench.study.records import MethodRef, RunRecord
from bench.study.spec import PlannedRun, Study, load_study, run_directory
from bench.study.store import RECORD
from mngnas.errors import UserError
from mngnas.methods.base import Method
from mngnas.methods.info import TOLD, Cost, MethodInfo
from mngnas.methods.registry import MethodEntry, check_space, method_entry
from mngnas.settings import Settings
from mngnas.spaces import space_named

if TYPE_CHECKING:
    from bench.truth import Table
    from bench.truth.oracle import TableOracle

RUN, SEARCH = "run", "search"  # kinds of work


def job_of(study_directory: Path, run: PlannedRun, folders: tuple[Path, ...] = ()) -> Job:
    """The job that makes a run of a study; `folders` are those of the user's own methods."""
    arguments = {"method": run.method, "changes": dict(run.changes), "seed": run.seed}
    work = SEARCH if method_entry(run.method, folders).info.kind == "searcher" else RUN
    return Job(run_directory(study_directory, run), work, RECORD, arguments)


def now() -> str:
    """As a record has it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Begun:
    """A run that is to be done."""

    study: Study
    directory: Path
    run: PlannedRun
    entry: MethodEntry
    config: Settings

    @property
    def info(self) -> MethodInfo:
        """What the method says of itself."""
        return self.entry.info

    @property
    def identity(self) -> str:
        """Of everything that decides the numbers; a checkpoint of another run is refused."""
        study = self.study.identity
        if self.info.kind not in TOLD:
            del study["table_checksum"]
        content = [study, self.run.name, asdict(self.config)]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def record(
        self,
        method: Method,
        device: str,
        started: str,
        commit: tuple[str, bool],
        *,
        ranking_costs: Mapping[str, Cost] | None = None,
        oracle: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        """What it leaves behind besides scores."""
        study, preset, outcome = self.study, self.study.preset, method.outcome()
        others = set(preset.methods)
        config = {name: value for name, value in preset.settings.items() if name not in others}
        config[self.info.name] = asdict(self.config)
        head, dirty = commit
        return RunRecord(
            method=MethodRef(self.info.name, dict(self.run.changes), self.info.label, self.info.kind, self.info.paper),
            seed=self.run.seed,
            benchmark=study.benchmark,
            space=study.space,
            dataset=study.dataset,
            images=study.images,
            preset=preset.name,
            changes=study.changes,
            config=config,
            protocol=study.protocol,
            table_checksum=study.table_checksum,
            steps=method.steps,
            cost=outcome.cost,
            ranking_costs=dict(ranking_costs or {}),
            proposal=tuple(method.space.to_index(arch) for arch in outcome.proposal),
            oracle=oracle,
            diary=outcome.diary,
            device=device,
            versions=versions(),
            commit=head,
            dirty=dirty,
            started=started,
            scores_sha256="",
        )


def begin(job: Job, before: str = "") -> Begun:
    """The run of a job; raises `UserError` for one that was changed, or whose method does not run there.

    The job's directory is named like the run, with `before` before it.
    """
    try:
        run = PlannedRun(**job.arguments)
    except TypeError as error:
        raise UserError(f"{job.directory} does not say which run it is") from error
    if before + run.name != job.directory.name:
        raise UserError(f"{job.directory} is to hold another run, {run.name}: its job.json was changed")
    return begun(load_study(job.directory.parent), job.directory, run)


def begun(study: Study, directory: Path, run: PlannedRun) -> Begun:
    """A run of a study; raises `UserError`, see `begin`."""
    entry = method_entry(run.method, study.method_folders)
    check_space(entry, space_named(study.space))
    return Begun(study, directory, run, entry, method_config(entry, study.preset, run.changes))


def oracle_of(study: Study, seed: int | None = None) -> "TableOracle":
    """What a method that may ask the ground truth is handed; raises `UserError` if the table is not the study's."""
    from bench.truth.oracle import TableOracle

    table = _table(study.benchmark, study.mirror, study.archive)
    if table.checksum != study.table_checksum:
        raise UserError(f"this study was made with another table {study.benchmark!r}")
    return TableOracle(table, study.dataset, seed=seed)


@lru_cache(maxsize=1)
def _table(benchmark: str, mirror: str | None, archive: str | None) -> "Table":
    """The ground truth, read once for all runs of a process; a run that asks nothing does not open it."""
    from bench.truth import load_table

    return load_table(benchmark, mirror=mirror, path=Path(archive) if archive else None)
