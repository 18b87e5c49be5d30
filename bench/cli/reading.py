"""What the commands that read score files share: options, reading, and messages that stay short."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.truth import TABLES
from mngnas.errors import UserError

if TYPE_CHECKING:
    from bench.board.parts import ScoreTable

LONGEST_MESSAGE = 280  # characters; with the program's name before it the line stays below 300


def add_reading(parser: argparse.ArgumentParser) -> None:
    """How score files are read."""
    parser.add_argument("--column", help="which score, where the file has several: a name, a.b, or all")
    parser.add_argument("--digits-order", metavar="ORDER", help="what operation numbers mean: official or naslib")
    parser.add_argument("--lower-is-better", action="store_true", help="turn the sign of the scores")
    parser.add_argument("--allow-unreadable", action="store_true", help="read the rest where many rows are unreadable")


def read_tables(places: Sequence[Path], options: argparse.Namespace, dataset: str) -> "list[ScoreTable]":
    """The tables in files and folders of scores."""
    from bench.board.parts import score_tables
    from bench.scores.read import Predictions, read_score_columns
    from mngnas.spaces import space_named

    space = space_named(TABLES[options.benchmark].space)

    def read(path: Path) -> tuple[Predictions, ...]:
        return read_score_columns(
            path,
            options.column,
            space=space,
            digits_order=options.digits_order,
            lower_is_better=options.lower_is_better,
            allow_unreadable=options.allow_unreadable,
            dataset=dataset,
            datasets={name for source in TABLES.values() for name in source.datasets},
        )

    return score_tables(places, read)


def spelled(options: argparse.Namespace) -> str | None:
    """The data set as the benchmark spells it, however the user did: CIFAR-10, ImageNet16_120."""
    from bench.scores.choose import dataset_letters

    if options.dataset is None or options.benchmark not in TABLES:
        return options.dataset  # type: ignore[no-any-return]
    known = TABLES[options.benchmark].datasets
    meant = dataset_letters(options.dataset)
    return next((name for name in known if dataset_letters(name) == meant), str(options.dataset))


@contextmanager
def short_messages() -> Iterator[None]:
    """A mistake in what a file holds is one line, whatever the file holds."""
    from bench.scores.text import one_line

    try:
        yield
    except UserError as error:
        raise UserError(one_line(str(error), LONGEST_MESSAGE)) from error
