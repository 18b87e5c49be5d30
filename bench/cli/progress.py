"""Progress on standard error: one line that changes on a terminal, a line now and then elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.cli.terminal import line
from bench.study.executor import Progress, progress_line

_SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """What an executor tells its progress to."""
    terminal, told = sys.stderr.isatty(), [0.0]

    def show(progress: Progress) -> None:
        text = progress_line(progress)
        if terminal:
            width = max(20, _columns() - 1)
            text = line(text)
            print(f"\r{text[:width]:<{width}}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - told[0] >= _SECONDS_BETWEEN_LINES:
            told[0] = time.monotonic()
            print(line(text), file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if terminal:
            print(file=sys.stderr)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80  # some have none
    except (OSError, ValueError):
        return 80
