"""Figures of the search tables of other papers, from published.toml, each with its source and how it was seen.

What nobody here has seen in print, and could not compute either, is not in the file.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

SPLITS = ("valid", "test")


@dataclass(frozen=True)
class Seen:
    """How a figure was seen."""

    sign: str  # beside the figure
    text: str


SEEN: Mapping[str, Seen] = {
    "quoted": Seen("†", "as other papers quote it"),
    "recomputed": Seen("‡", "recomputed: the architectures that the paper names, looked up in the benchmark"),
    "remembered": Seen(
        "§",
        "from memory, not seen in print; a simulation of the search on the benchmark’s numbers, 500 runs, gave the "
        "same within .2 point",
    ),
}

Place = tuple[str, str]  # data set and split


@dataclass(frozen=True)
class Figure:
    """One cell of a published table; a fraction."""

    mean: float
    sd: float  # over runs; NaN where none is given
    seen: str  # a key of `SEEN`
    source: str


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table."""

    label: str
    method: str  # the name of the same method here; "" where it is no method
    arch_str: str  # the one cell that the row is about; "" for others
    is_best: bool  # whether it is the best of each column
    runs: int | None  # None where it is not known
    figures: Mapping[Place, Figure]


@dataclass(frozen=True)
class Paper:
    """A published table: what is searched on what, and its rows."""

    name: str
    title: str
    citation: str
    space: str  # name of the search space
    datasets: Mapping[str, str]  # name here -> as papers write it
    searched: tuple[str, ...]  # data sets that were searched on; a cell found on the only one is looked up on all
    seconds: Mapping[str, float]  # simulated, that a searcher of the table had, by the data set searched on
    rows: tuple[PublishedRow, ...]

    @property
    def transfers(self) -> bool:
        """Whether cells are found on one data set and looked up on all."""
        return len(self.searched) < len(self.datasets)

    @property
    def places(self) -> tuple[Place, ...]:
        """The columns."""
        return tuple((dataset, split) for dataset in self.datasets for split in SPLITS)


@lru_cache(maxsize=1)
def papers() -> tuple[Paper, ...]:
    """Every published table in the order of the file."""
    text = (resources.files("bench.tables") / "published.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    return tuple(_paper(about, content["rows"]) for about in content["papers"])


def _paper(about: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Paper:
    labels = dict.fromkeys(row["label"] for row in rows if row["paper"] == about["name"])
    own = [[row for row in rows if (row["paper"], row["label"]) == (about["name"], label)] for label in labels]
    return Paper(**{**about, "searched": tuple(about["searched"])}, rows=tuple(map(_row, own)))


def _row(parts: list[Mapping[str, Any]]) -> PublishedRow:
    """Parts of a row are those of its figures that were seen in the same way."""
    first = parts[0]
    figures: dict[Place, Figure] = {}
    for part in parts:
        for split in SPLITS:
            for dataset, (mean, *sd) in part.get(split, {}).items():
                spread = sd[0] / 100 if sd else math.nan
                figures[dataset, split] = Figure(mean / 100, spread, part["seen"], part["source"])
    about = first.get("method", ""), first.get("arch", ""), first.get("best", False), first.get("runs")
    return PublishedRow(first["label"], *about, figures)
