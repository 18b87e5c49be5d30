"""Jobs on a SLURM cluster: one array, an element a run, submitted by submitit; the state of everything is files.

A run's directory says how far it is, wherever it is worked on: its result, error.json, lease and heartbeat
(`bench.study.jobs`). What is added here is STUDY/slurm/queue.json, which element of which array was to do it, and one
`squeue` now and then for which of them are still in the queue. A run that is done, or whose element is in the queue, is
never submitted again, and if two elements should meet in one directory the lease lets one of them work.

An element that is preempted, or nears its time limit, is put back into the queue by submitit, which catches the signal
that SLURM sends before; the run goes on from its last checkpoint. An element that is killed is gone: the same command
submits its run again.
"""

import getpass
import json
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.files import read_bounded, write_atomically
from bench.study.executor import ONE_THREAD, Failure, Progress, bundles, python_path, reason_of
from bench.study.jobs import ERROR, Job, Lease, load_status, read_json, wait_until_free
from bench.study.work import CORES_VARIABLE
from mngnas.errors import UserError, unknown
from mngnas.settings import Settings, setting, shown

FOLDER, QUEUE = "slurm", "queue.json"
_SECONDS_BETWEEN_LOOKS = 5.0
_LOOKS_BEFORE_GONE = 2  # a result may reach this machine after the element has left the queue
_MOST_IN_AN_ARRAY = 1000  # SLURM's own default limit is 1,001
_KIND = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_TIMEOUTS = 10_000  # how often an element may reach its time limit; each time it has gone on by as much


@dataclass(frozen=True)
class SlurmConfig(Settings):
    """What an element of the array asks the cluster for."""

    section = "slurm"
    partition: str = ""  # "": the cluster's default
    minutes: int = setting(240, 1, 100_000)  # time limit; a run that needs more is put back and goes on
    memory_gb: float = setting(4.0, above=0, high=10_000)
    cpus: int = setting(1, 1, 1024)
    gpus: int = setting(0, 0, 64)
    at_once: int = setting(100, 1, 100_000)  # elements at work at a time
    account: str = ""
    qos: str = ""
    setup: str = ""  # a shell command before each element, "module load cuda" for example
    srun: bool = True  # start through srun


def slurm_config(path: Path | None, changes: Mapping[str, Any]) -> SlurmConfig:
    """What a .toml file says, with changes; raises `UserError` for what it should not have."""
    content: dict[str, Any] = {}
    if path is not None:
        try:
            content = tomllib.loads(read_bounded(path).decode("utf-8"))
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise UserError(f"{path} is not TOML ({error})") from error
    content |= changes
    known = {one.name: one for one in fields(SlurmConfig)}
    for name, value in content.items():
        if name not in known:
            raise unknown("entry of slurm", name, known)
        wanted = type(known[name].default)
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise UserError(f"slurm.{name} = {shown(value)} is no {_KIND[wanted]}")
    return SlurmConfig(**content)


@dataclass(frozen=True)
class Element:
    """What one element of the array does; it is pickled, and run on another machine."""

    directories: tuple[str, ...]

    def __call__(self) -> int:
        """Do the jobs; returns the exit status that a process of its own would have."""
        from bench.study import work

        return work.main(*map(Path, self.directories))

    def checkpoint(self) -> Any:
        """Called by submitit before the element is put back into the queue: nothing is to be remembered."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass(frozen=True)
class SlurmExecutor:
    """Submits what is neither done nor in the queue, and waits for all; Ctrl-C ends the waiting, not the jobs."""

    config: SlurmConfig
    wait: bool = True  # False: submit and return

    def run(self, jobs: Sequence[Job], on_progress: Callable[[Progress], None]) -> list[Failure]:
        """Have all jobs done; without waiting there are no failures to tell."""
        _require_slurm()
        if not jobs:
            return []
        study = jobs[0].directory.parent
        self._submit(study, jobs)
        if not self.wait:
            on_progress(_progress(jobs, [], elements_of(study), states()))
            return []
        failures: dict[str, Failure] = {}
        missing: dict[str, int] = {}  # looks at which a job was neither done nor in the queue
        while True:
            known = states()
            elements = elements_of(study)
            for job in jobs:
                if job.name in failures or job.is_done or elements.get(job.name) in known:
                    missing.pop(job.name, None)
                    continue
                missing[job.name] = missing.get(job.name, 0) + 1
                if missing[job.name] >= _LOOKS_BEFORE_GONE or (job.directory / ERROR).exists():
                    failures[job.name] = Failure(job, _why(job, study, elements.get(job.name, "")))
            on_progress(_progress(jobs, list(failures.values()), elements, known))
            if all(job.is_done or job.name in failures for job in jobs):
                return list(failures.values())
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _submit(self, study: Path, jobs: Sequence[Job]) -> None:
        """One array of all that is to be done; two commands at once do not submit the same."""
        folder = study / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        lease = Lease(folder)
        wait_until_free(lease)
        try:
            known, elements = states(), elements_of(study)
            wanted = [job for job in jobs if not job.is_done and elements.get(job.name) not in known]
            if not wanted:
                return
            for job in wanted:
                job.save()
            groups = bundles(wanted, self.config.at_once)
            for some in (
                groups[start : start + _MOST_IN_AN_ARRAY] for start in range(0, len(groups), _MOST_IN_AN_ARRAY)
            ):
                for group, element in zip(some, self._array(some, folder), strict=True):
                    elements |= dict.fromkeys((job.name for job in group), element)
                write_atomically(folder / QUEUE, json.dumps(elements, indent=1).encode())
        finally:
            lease.release()

    def _array(self, groups: Sequence[Sequence[Job]], folder: Path) -> list[str]:
        """Submit; returns the name of each element in the queue, "1234_0"."""
        submitit = _submitit()
        executor = submitit.AutoExecutor(folder=folder.resolve(), cluster="slurm", slurm_max_num_timeout=_TIMEOUTS)
        executor.update_parameters(**self._parameters(folder.resolve().parent.name))
        try:
            with executor.batch():
                submitted = [
                    executor.submit(Element(tuple(str(job.directory.resolve()) for job in group))) for group in groups
                ]
        except (subprocess.CalledProcessError, submitit.core.utils.FailedJobError, OSError) as error:
            said = str(getattr(error, "output", "") or error).strip().splitlines()
            raise UserError(f"SLURM did not take the jobs: {said[-1] if said else type(error).__name__}") from error
        return [str(job.job_id) for job in submitted]

    def _parameters(self, name: str) -> dict[str, Any]:
        """As submitit takes them."""
        config = self.config
        own = {"PYTHONPATH": python_path(), CORES_VARIABLE: str(config.cpus)}
        setup = [f"export {name}={value}" for name, value in (ONE_THREAD | own).items()]
        found: dict[str, Any] = {
            "name": name[:60] or "study",
            "timeout_min": config.minutes,
            "mem_gb": config.memory_gb,
            "cpus_per_task": config.cpus,
            "slurm_array_parallelism": config.at_once,
            "slurm_use_srun": config.srun,
            "slurm_setup": setup + ([config.setup] if config.setup else []),
            "slurm_additional_parameters": {"requeue": True},
        }
        if config.gpus:
            found["gpus_per_node"] = config.gpus
        asked = {name: getattr(config, name) for name in ("partition", "account", "qos")}
        additional = {name: value for name, value in asked.items() if value}
        found["slurm_additional_parameters"] |= additional
        return found


# ---------------------------------------------------------------------------------------------- what the queue says


def states() -> dict[str, str]:
    """The state, "RUNNING" for example, of every element of this user that is in the queue, by its name "1234_0"."""
    command = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"squeue does not answer ({type(error).__name__})") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise UserError(f"squeue does not answer: {said[-1] if said else f'exit status {done.returncode}'}")
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if len(line.split(maxsplit=1)) == 2)


def elements_of(study: Path) -> dict[str, str]:
    """The element that does a run, by the run's name; of a study that was never submitted there are none."""
    return {str(name): str(element) for name, element in read_json(study / FOLDER / QUEUE).items()}


def _progress(
    jobs: Sequence[Job], failures: Sequence[Failure], elements: dict[str, str], known: dict[str, str]
) -> Progress:
    done = [job for job in jobs if job.is_done]
    working = [job for job in jobs if known.get(elements.get(job.name, "")) == "RUNNING" and not job.is_done]
    waiting = len(jobs) - len(done) - len(failures) - len(working)
    said = [(job, load_status(job.directory)) for job in working]
    left = max((status.left for _, status in said), default=float("nan")) if not waiting else float("nan")
    return Progress(len(jobs), len(done), len(failures), waiting, said, left)


def _why(job: Job, study: Path, element: str) -> str:
    """Why a job is neither done nor in the queue."""
    if (job.directory / ERROR).exists() or not job.directory.is_dir():
        return reason_of(job, "")
    log = study / FOLDER / f"{element}_0_log.err"
    return f"its element {element} left the queue without a result; the same command submits it again ({log})"


def _require_slurm() -> None:
    """Raise `UserError` where there is no SLURM, or no submitit."""
    if shutil.which("sbatch") is None or shutil.which("squeue") is None:
        raise UserError("executor slurm: this machine has no sbatch and squeue; the default executor is local")
    _submitit()


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise UserError("executor slurm needs submitit: pip install 'mngnas-bench[slurm]'") from error
    return submitit
