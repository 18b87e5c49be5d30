"""The command line, one file a command. A user's mistake is answered with one line and exit status 2."""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from bench.cli import brief, data, evaluate, listing, pack, report, run, speed
from bench.cli.options import PROGRAM, Parser, defaults
from mngnas.errors import UserError

COMMANDS = (listing, data, run, evaluate, report, brief, pack, speed)  # in the order of --help


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _end_like_ctrl_c()
        options = _parser().parse_args(given or defaults()["command"].split())
        options.command(options)
    except UserError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{PROGRAM}: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


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
