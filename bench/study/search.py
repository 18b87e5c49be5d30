"""One run of a searcher: ask until the simulated time is spent, leave a record.

It is light: no pictures, and no torch but for a checkpoint or a method that needs it. One process does many of them
(`bench.study.executor`) with one table.
"""

import time
from functools import lru_cache

from bench.provenance import commit, cpu_name
from bench.study.begin import begin, now, oracle_of
from bench.study.checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint
from bench.study.jobs import Job, Status
from bench.study.scores import RunScores
from bench.study.store import save_run
from bench.study.work import Report, checkpoint_seconds
from mngnas.methods.base import SearchTask
from mngnas.methods.searcher import Searcher
from mngnas.spaces import space_named


def execute(job: Job, report: Report) -> None:
    """Bring the search to its end, from its last checkpoint if there is one."""
    run = begin(job)
    study, search_class = run.study, run.entry.load()
    oracle = oracle_of(study, run.run.seed)
    assert issubclass(search_class, Searcher), "searches alone are work of this kind"
    method = search_class(run.config, SearchTask(space_named(study.space), run.run.seed), oracle)
    started, (head, dirty) = now(), _commit()
    if (state := load_checkpoint(run.directory, run.identity, "cpu")) is not None:
        method.load_state_dict(state["method"])
        started, dirty = state["started"], state["dirty"] or dirty or state["commit"] != head
        head = state["commit"]
    saved_at, every = time.monotonic(), checkpoint_seconds()
    while not method.done:
        method.advance()
        report(Status("searching", method.spent))
        if time.monotonic() - saved_at >= every:
            about = {"started": started, "commit": head, "dirty": dirty}
            save_checkpoint(run.directory, about | {"method": method.state_dict()}, run.identity)
            saved_at = time.monotonic()
    record = run.record(method, cpu_name(1), started, (head, dirty), oracle=oracle.about())
    save_run(run.directory, record, RunScores({}, None, method.outcome().trace))
    remove_checkpoints(run.directory)


@lru_cache(maxsize=1)
def _commit() -> tuple[str, bool]:
    """Of the sources when this process began with them."""
    return commit()
