"""The build of digits201 as jobs of the study's executor: a job is the chunks that are trained side by side."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.digits201.build import Progress, chunks, progress_of, together, train_chunks
from bench.files import write_atomically
from bench.study.executor import Executor
from bench.study.executor import Progress as JobProgress
from bench.study.jobs import Job, Status
from bench.study.work import Report
from mngnas.errors import UserError

_RESULT = "done"


def build(
    directory: Path,
    seeds: Sequence[int],
    limit: int | None,
    device: str,
    executor: Executor,
    on_progress: Callable[[JobProgress], None],
) -> Progress:
    """Train all chunks that `directory` lacks; `limit` as in `build.chunks`. Raises `UserError`."""
    missing = [task for task in chunks(seeds, limit) if not task.path(directory).exists()]
    jobs = []
    for group in together(missing):
        number, theirs = group[0].number, [task.seed for task in group]
        name = f"chunk{number:04}-seeds{'-'.join(map(str, theirs))}"
        arguments = {"number": number, "seeds": theirs, "device": device}
        jobs.append(Job(directory / "jobs" / name, "digits201", _RESULT, arguments))
    failures = executor.run(jobs, on_progress)
    if failures:
        raise UserError(f"{len(failures)} of {len(jobs)} parts failed: {failures[0].reason}; the same command goes on")
    return progress_of(directory, chunks(seeds, limit))


def execute(job: Job, report: Report) -> None:
    """Train the job's chunks; each is a file of its own in the folder of the build."""
    tasks = [task for task in chunks(job.arguments["seeds"]) if task.number == job.arguments["number"]]
    train_chunks(
        job.directory.parent.parent,
        tasks,
        lambda share: report(Status("training", share)),
        device=job.arguments["device"],
    )
    write_atomically(job.directory / _RESULT, b"")
