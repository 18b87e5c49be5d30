"""`run_bench.py status`: how a study goes, also one that runs elsewhere."""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import Commands
from bench.cli.terminal import line

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from bench.study.watch import RunState

    Show = Callable[[Sequence[RunState]], None]

_SECONDS = 2.0  # between two looks at a terminal
_SECONDS_PLAIN = 30.0  # elsewhere


def add(commands: Commands) -> None:
    """Add the command."""
    text = "show how a study goes, on this machine or on a cluster"
    parser = commands.add_parser("status", help=text, description=text)
    parser.add_argument("study", type=Path, metavar="DIR")
    parser.add_argument("--follow", action="store_true", help="go on until all runs are done or have failed")
    parser.add_argument("--tensorboard", action="store_true", help="write what the runs say for TensorBoard as well")
    parser.add_argument("--tensorboard-dir", type=Path, metavar="OUT", help="default: DIR/tensorboard")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Look once, or until there is nothing more to see."""
    from bench.study.watch import Board, run_states

    board = None
    if options.tensorboard or options.tensorboard_dir:
        board = Board(options.study, options.tensorboard_dir or options.study / "tensorboard")
    states = run_states(options.study)
    if not options.follow:
        _print(states)
    else:
        with _live(states) if sys.stdout.isatty() else _told_now_and_then(states) as show:
            while not _is_over(states):
                time.sleep(_SECONDS)
                states = run_states(options.study)
                show(states)
                if board:
                    board.update()
    if board:
        board.update()
        print(line(f"for TensorBoard: tensorboard --logdir {board.out}"))


def _print(states: "Sequence[RunState]") -> None:
    from bench.study.watch import summary

    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(_table(states))
        return
    for one in _sorted(states):
        print(line("  ".join(filter(None, _cells(one)))))
    print(line(summary(states)))


@contextmanager
def _live(states: "Sequence[RunState]") -> "Iterator[Show]":
    """A table that changes."""
    from rich.live import Live

    with Live(_table(states), auto_refresh=False) as live:
        yield lambda now: live.update(_table(now), refresh=True)


@contextmanager
def _told_now_and_then(states: "Sequence[RunState]") -> "Iterator[Show]":
    """A line at first, at the end, and every half minute."""
    from bench.study.watch import summary

    print(line(summary(states)), flush=True)
    told = [time.monotonic()]

    def show(now: "Sequence[RunState]") -> None:
        if time.monotonic() - told[0] >= _SECONDS_PLAIN or _is_over(now):
            told[0] = time.monotonic()
            print(line(summary(now)), flush=True)

    yield show


def _is_over(states: "Sequence[RunState]") -> bool:
    from bench.study.watch import DONE, FAILED

    return all(one.state in (DONE, FAILED) for one in states)


def _table(states: "Sequence[RunState]") -> "RichTable":
    from rich.table import Table as RichTable
    from rich.text import Text

    from bench.study.watch import summary

    table = RichTable(title=summary(states), title_justify="left", box=None, padding=(0, 1))
    for name in ("run", "state", "phase", "done", "left", "watched", "note"):
        table.add_column(name, overflow="fold" if name == "note" else "ellipsis", no_wrap=name != "note")
    for one in _sorted(states):
        table.add_row(*(Text(line(cell)) for cell in _cells(one)))
    return table


def _sorted(states: "Sequence[RunState]") -> "list[RunState]":
    """What needs somebody first."""
    from bench.study.watch import STATES

    return sorted(states, key=lambda one: STATES.index(one.state))


def _cells(one: "RunState") -> tuple[str, ...]:
    from bench.study.executor import duration
    from bench.study.watch import DONE, SILENT, WORKING

    at_work = one.state in (WORKING, SILENT)
    watched = ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in one.watched.items())
    note = one.note
    if one.state == SILENT:
        note = f"no word for {duration(one.silence)} {note}".strip()
    return (
        one.name,
        one.state,
        one.phase if at_work else "",
        f"{100 * one.share:.0f} %" if at_work else "",
        f"{duration(one.left)} left" if at_work and one.state != DONE and math.isfinite(one.left) else "",
        watched,
        note,
    )
