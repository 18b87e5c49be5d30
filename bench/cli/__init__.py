"""The command line, one file a command. A user's mistake is answered with one line and exit status 2."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType

from bench.cli import (
    agree,
    brief,
    data,
    evaluate,
    leaderboard,
    listing,
    pack,
    query,
    report,
    retrain,
    run,
    speed,
    status,
    tables,
)
from bench.cli.options import PROGRAM, Parser, defaults
from bench.cli.terminal import line, streams
from mngnas.errors import UserError

# In the order of --help.
COMMANDS = (
    *(listing, data, run, status, query, evaluate, leaderboard),
    *(report, tables, brief, agree, retrain, pack, speed),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with streams():
        try:
            _end_like_ctrl_c()
            _run(given)
        except UserError as error:
            return _told(error)
        except OSError as error:
            if isinstance(error, BrokenPipeError):  # the reader of our output, `head` for example, has seen enough
                return 0
            place = f"{error.filename}: " if error.filename else ""
            return _told(f"{place}{error.strerror or error or type(error).__name__}")
        except MemoryError:
            return _told("there is not enough memory for this")
        except KeyboardInterrupt:
            print(f"\n{PROGRAM}: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
            return 130
    return 0


def _run(given: list[str]) -> None:
    """Do what is asked, and see to it that all output has gone where it goes."""
    for number, text in enumerate(given, 1):
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise UserError(f"argument {number} is no text: {text[:40]!r}")
    try:
        options = _parser().parse_args(given or defaults()["command"].split())
        options.command(options)
    except SystemExit:  # of --help
        sys.stdout.flush()
        raise
    sys.stdout.flush()


def _told(message: object) -> int:
    """Say in one line what is wrong; returns the exit status."""
    print(line(f"{PROGRAM}: {message}"), file=sys.stderr)
    return 2


def _parser() -> Parser:
    parser = Parser(PROGRAM, description=f"Without a command: {defaults()['command']}")
    commands = parser.add_subparsers(metavar="command", required=True, parser_class=Parser)
    for command in COMMANDS:
        command.add(commands)
    return parser


def _end_like_ctrl_c() -> None:
    """A terminal that closes and a polite kill stop the processes at work as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            try:
                signal.signal(getattr(signal, name), interrupt)
            except ValueError:  # not the main thread: a test, or another program's
                return
