"""`run_bench.py speed`: how fast this machine trains and scores, beside a plain loop."""

import argparse

from bench.cli.options import Commands, add_device, check_device, positive


def add(commands: Commands) -> None:
    """Add the command."""
    text = "measure training, scoring and metrics on this machine, beside a plain loop"
    parser = commands.add_parser("speed", help=text, description=text)
    parser.add_argument("--seconds", type=positive, default=10, help="for each measurement (default: 10)")
    add_device(parser)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Print the table, each line as soon as it is known."""
    from bench.speed.measure import measure, table

    check_device(options.device)
    for line in table(measure(options.device, float(options.seconds)), options.device):
        print(line, flush=True)
