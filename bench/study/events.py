"""What happens in a run, one JSON object a line: for people who watch, and for TensorBoard; no number is read from it.

Every line has `time` (ISO 8601, UTC) and `event`:

    began       `steps` and `spent` so far: more than 0 when the run goes on from a checkpoint
    phase       `phase` begins: "training", "scoring, inherited", ...
    training    now and then: `steps`, `spent` (0..1), `passes`, `seconds`, and what the method watches (`loss`, ...)
    scoring     now and then: `phase`, `scored` of `of` architectures
    point       a point of the curve: `steps`, `spent`, and the mean of each column of scores
    done        the record is there

A run that was killed has said a few steps more than its checkpoint knows, and says them again.
"""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS = "events.jsonl"
_END = 1 << 16  # bytes that are looked at for what was said last


class Events:
    """Adds lines to a run's file; a disk that is full is told by the work itself."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / EVENTS

    def write(self, event: str, **fields: Any) -> None:
        """Add one line."""
        content = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **fields}
        with suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(content, default=float) + "\n")


def read_events(directory: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The events of a run from a place in its file on, and the place after them; a line in the making is left."""
    try:
        with (directory / EVENTS).open("rb") as file:
            file.seek(offset)
            content = file.read()
    except OSError:
        return [], offset
    whole = content[: content.rfind(b"\n") + 1]
    return [found for line in whole.splitlines() if (found := _event(line))], offset + len(whole)


def last_events(directory: Path) -> dict[str, dict[str, Any]]:
    """What was said last of each kind of event, as far as the end of the file shows."""
    try:
        size = (directory / EVENTS).stat().st_size
    except OSError:
        return {}
    return {found["event"]: found for found in read_events(directory, max(0, size - _END))[0]}


def _event(line: bytes) -> dict[str, Any] | None:
    """One line, None for a broken one."""
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) and isinstance(content.get("event"), str) else None
