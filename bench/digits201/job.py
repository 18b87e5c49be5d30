"""The build of digits201 as jobs of the study's executor: one job is some chunks of one seed."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.digits201.build import Chunk, Progress, chunks, progress_of, train_chunks
from bench.files import write_atomically
from bench.study.executor import Executor
from bench.study.executor import Progress as JobProgress
from bench.study.jobs import Job, Status
from bench.study.work import Report
from mngnas.errors import UserError

_CHUNKS_A_JOB = 8  # about a minute of one core; a process takes seconds to start
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
    for seed in dict.fromkeys(task.seed for task in missing):
        mine = [task.number for task in missing if task.seed == seed]
        for start in range(0, len(mine), _CHUNKS_A_JOB):
            numbers = mine[start : start + _CHUNKS_A_JOB]
            name = f"seed{seed}-from{numbers[0]:04}-to{numbers[-1]:04}-{len(numbers)}"
            arguments = {"seed": seed, "chunks": numbers, "device": device}
            jobs.append(Job(directory / "jobs" / name, "digits201", _RESULT, arguments))
    failures = executor.run(jobs, on_progress)
    if failures:
        raise UserError(f"{len(failures)} of {len(jobs)} parts failed: {failures[0].reason}; the same command goes on")
    return progress_of(directory, chunks(seeds, limit))


def execute(job: Job, report: Report) -> None:
    """Train the job's chunks; each is a file of its own in the folder of the build."""
    wanted, done = set(job.arguments["chunks"]), list[Chunk]()
    tasks = [task for task in chunks([job.arguments["seed"]]) if task.number in wanted]

    def progress(task: Chunk) -> None:
        done.append(task)
        report(Status("training", len(done) / len(tasks)))

    train_chunks(job.directory.parent.parent, tasks, progress, device=job.arguments["device"])
    write_atomically(job.directory / _RESULT, b"")
