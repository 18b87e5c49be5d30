"""How a study goes, read from its files alone: on this machine or on any that sees them."""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.study.events import last_events, read_events
from bench.study.jobs import ERROR, LEASE, STALE_SECONDS, STATUS, age_of, load_status, read_json
from bench.study.spec import load_study, run_directory
from bench.study.store import RECORD, packed_names
from mngnas.errors import UserError

DONE, WORKING, SILENT, QUEUED, FAILED, WAITING = "done", "working", "silent", "queued", "failed", "waiting"
STATES = (FAILED, SILENT, WORKING, QUEUED, WAITING, DONE)  # what needs somebody first


@dataclass(frozen=True)
class RunState:
    """One run."""

    name: str
    state: str  # one of `STATES`; SILENT: somebody has it, and has said nothing for long
    phase: str = ""
    share: float = 0.0  # 0..1
    left: float = math.nan  # estimated seconds
    silence: float = math.nan  # seconds since its last heartbeat
    watched: Mapping[str, float] = field(default_factory=dict)  # loss, learning rate, ... as they were last
    note: str = ""  # why it failed, or what is with it


def run_states(directory: Path) -> list[RunState]:
    """Every run of a study, in its order; raises `UserError` for what is no study."""
    study = load_study(directory)
    packed, queued = packed_names(directory), _queue(directory)
    return [_state(run_directory(directory, run), packed, queued) for run in study.runs]


def _state(run: Path, packed: frozenset[str], queued: Mapping[str, str]) -> RunState:
    if run.name in packed or (run / RECORD).exists():
        return RunState(run.name, DONE, share=1.0, left=0.0)
    in_queue = queued.get(run.name, "")
    if (run / LEASE).exists():
        status, silence = load_status(run), age_of(run, run / STATUS)
        watched = _watched(last_events(run).get("training", {}))
        state = SILENT if STALE_SECONDS < silence < math.inf else WORKING
        return RunState(run.name, state, status.phase, status.share, status.left, silence, watched, in_queue)
    if in_queue:
        return RunState(run.name, QUEUED, note=in_queue)
    if reason := read_json(run / ERROR).get("reason"):
        return RunState(run.name, FAILED, note=str(reason))
    return RunState(run.name, WAITING)


def _watched(event: Mapping[str, Any]) -> dict[str, float]:
    known = ("time", "event", "steps", "spent", "passes", "seconds")
    return {name: float(value) for name, value in event.items() if name not in known and isinstance(value, int | float)}


def _queue(directory: Path) -> dict[str, str]:
    """What SLURM says of the runs that were submitted; nothing where there is none that answers."""
    from bench.study.slurm import elements_of, states

    elements = elements_of(directory)
    if not elements or shutil.which("squeue") is None:
        return {}
    try:
        known = states()
    except UserError:
        return {}
    return {name: f"{element} {known[element]}" for name, element in elements.items() if element in known}


def summary(states: Sequence[RunState]) -> str:
    """One line: how many of each."""
    counts = {state: sum(one.state == state for one in states) for state in reversed(STATES)}
    return f"{len(states)} runs: " + ", ".join(f"{n} {state}" for state, n in counts.items() if n)


class Board:
    """Hands the events of a study's runs to TensorBoard, each once while it lasts."""

    def __init__(self, directory: Path, out: Path) -> None:
        """Raises `UserError` where tensorboard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("--tensorboard needs tensorboard: pip install 'mngnas-bench[tensorboard]'") from error
        if out.exists() and any(out.iterdir()):
            raise UserError(f"{out} is not empty: remove it, or choose another --tensorboard-dir")
        self.directory, self.out, self._writer = directory, out, SummaryWriter
        self._runs: dict[str, tuple[Any, int]] = {}  # writer, and the place in the file of events

    def update(self) -> int:
        """Hand over what is new; returns how many numbers that were."""
        n = 0
        for run in load_study(self.directory).runs:
            writer, offset = self._runs.get(run.name, (None, 0))
            events, offset = read_events(run_directory(self.directory, run), offset)
            if events and writer is None:
                writer = self._writer(str(self.out / run.name))
            for event in events:
                step = event.get("steps")
                if event["event"] in ("training", "point") and isinstance(step, int):
                    numbers = {key: value for key, value in event.items() if isinstance(value, float)}
                    for name, value in numbers.items():
                        writer.add_scalar(f"{event['event']}/{name}", value, step)
                    n += len(numbers)
            if writer is not None:
                writer.flush()
                self._runs[run.name] = writer, offset
        return n
