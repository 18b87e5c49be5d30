"""A study: one directory, one preset, methods x seeds as processes side by side.

    STUDY/study.json                    what all runs of the study have in common
    STUDY/<strategy>-seed<n>/           one run: record.json and scores.npz at its end, checkpoint.pt until then
    STUDY/report/                       made anew from the runs at any time

The same command goes on where a killed or interrupted one stopped, and adds runs to a study if it asks for more.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.files import write_atomically
from bench.protocol import VERSION, Preset, preset_from_dict
from bench.records import is_finished
from mngnas.errors import UserError

STUDY = "study.json"


@dataclass(frozen=True)
class Study:
    """What all runs of a study have in common."""

    benchmark: str
    dataset: str
    images: str  # what the pixels are, for example "CIFAR-10 (JPEG)"
    preset: Preset
    table_checksum: str
    device: str  # "cpu" or "cuda"
    mirror: str | None = None  # where the pictures may come from; the only field that may change later
    protocol: int = VERSION


def run_directory(study: Path, strategy: str, seed: int) -> Path:
    """Where a run of the study lies."""
    return study / f"{strategy}-seed{seed}"


def open_study(directory: Path, study: Study) -> None:
    """Begin a study in `directory`, or make sure that the one there is the same; raises `UserError` if it is not."""
    path = directory / STUDY
    if path.exists():
        known = load_study(directory)
        for name in ("benchmark", "dataset", "images", "device", "protocol", "table_checksum", "preset"):
            if getattr(known, name) != getattr(study, name):
                raise UserError(
                    f"{directory} is a study with another {name.replace('_', ' ')}"
                    + _difference(getattr(known, name), getattr(study, name))
                    + ": choose another --out"
                )
    elif directory.is_dir() and any(directory.iterdir()):
        raise UserError(f"{directory} is neither empty nor a study: choose another --out")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(study), indent=1).encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _difference(known: object, wanted: object) -> str:
    if isinstance(known, Preset) and isinstance(wanted, Preset):
        sections = [name for name in vars(known) if getattr(known, name) != getattr(wanted, name)]
        return f" (they differ in {', '.join(sections)})"
    return f" ({known}, not {wanted})"


def load_study(directory: Path) -> Study:
    """Read what `open_study` wrote; raises `UserError`."""
    path = directory / STUDY
    try:
        content = json.loads(path.read_text())
        preset = content.pop("preset")
        return Study(preset=preset_from_dict(preset.pop("name"), preset), **content)
    except FileNotFoundError as error:
        raise UserError(f"{directory} is not a study: it has no {STUDY}") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is not readable ({type(error).__name__}: {error})") from error


@dataclass
class _Worker:
    """A run's process and what it last said."""

    name: str
    process: subprocess.Popen
    began: float = field(default_factory=time.monotonic)
    said: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        """Keep the last line that the process said, until it ends."""
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                try:
                    self.said = json.loads(line)
                except ValueError:
                    continue  # not one of ours

    def wait(self) -> int:
        """The exit status, once all that was said has been heard."""
        self.listener.join()
        return self.process.wait()


def run_study(directory: Path, jobs: Sequence[tuple[str, int]], parallel: int, show: Callable[[str], None]) -> None:
    """Run (strategy, seed) pairs, `parallel` at a time, each in a process with one thread; finished ones are kept.

    `show` gets a line of progress, with the time left, about every second. If a run fails the others are stopped (they
    keep their checkpoints) and `UserError` tells why.
    """
    waiting = [job for job in jobs if not is_finished(run_directory(directory, *job))]
    finished, working = len(jobs) - len(waiting), list[_Worker]()
    durations: list[float] = []
    try:
        while waiting or working:
            while waiting and len(working) < parallel:
                working.append(_start(directory, *waiting.pop(0)))
            time.sleep(0.2)
            for worker in [w for w in working if w.process.poll() is not None]:
                working.remove(worker)
                if worker.wait() != 0:
                    raise UserError(f"run {worker.name} failed: {_reason(directory, worker)}")
                finished += 1
                durations.append(time.monotonic() - worker.began)
            show(_line(working, len(waiting), finished, len(jobs), parallel, durations))
    finally:
        for worker in working:
            worker.process.terminate()
        for worker in working:
            worker.wait()


def _start(directory: Path, strategy: str, seed: int) -> _Worker:
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    name = run_directory(directory, strategy, seed).name
    log = directory / f"{name}.log"
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", str(directory), strategy, str(seed)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | one | {"PYTHONPATH": path},
        )
    return _Worker(name, process)


def _reason(directory: Path, worker: _Worker) -> str:
    if "error" in worker.said:
        return str(worker.said["error"])
    lines = (directory / f"{worker.name}.log").read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "it said nothing"
    return f"exit status {worker.process.returncode}, {last} (all of it: {directory / (worker.name + '.log')})"


def _line(
    working: Sequence[_Worker], waiting: int, finished: int, total: int, parallel: int, durations: Sequence[float]
) -> str:
    """One line: how many runs are done, how far the working ones are, and about how long it will take."""
    lefts = [float(w.said.get("left", "nan")) for w in working]
    whole = [*durations, *(time.monotonic() - w.began + left for w, left in zip(working, lefts, strict=True))]
    text = "unknown"
    if all(left == left for left in lefts) and whole:
        mean = sum(whole) / len(whole)
        ends = sorted(lefts) or [0.0]
        for _ in range(waiting):  # each waiting run starts where a process is free first
            ends = sorted([*ends[1:], ends[0] + mean] if len(ends) >= parallel else [*ends, mean])
        text = duration(ends[-1])
    parts = [f"{w.name} {w.said.get('phase', 'starting')} {100 * w.said.get('share', 0):.0f} %" for w in working]
    return f"{finished} of {total} runs done; {', '.join(parts) or 'none running'}; time left: {text}"


def duration(seconds: float) -> str:
    """A duration for people: "40 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
