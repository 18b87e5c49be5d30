"""Published figures: each once, each with its source and how it was seen."""

import math
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import bench.tables
from bench.tables.published import SEEN, SPLITS, papers
from mngnas.spaces import space_named

CONTENT = tomllib.loads((Path(bench.tables.__file__).parent / "published.toml").read_text(encoding="utf-8"))
FIELDS = {"paper", "label", "method", "arch", "best", "runs", "seen", "source", *SPLITS}


def test_each_figure_is_there_once_and_is_read():
    raw = Counter(
        (row["paper"], row["label"], dataset, split)
        for row in CONTENT["rows"]
        for split in SPLITS
        for dataset in row.get(split, {})
    )
    assert set(raw.values()) == {1}
    read = {(paper.name, row.label, *place) for paper in papers() for row in paper.rows for place in row.figures}
    assert read == set(raw)


def test_every_row_says_how_and_where_it_was_seen():
    assert {row["seen"] for row in CONTENT["rows"]} == set(SEEN)
    assert len({one.sign for one in SEEN.values()}) == len(SEEN)
    for row in CONTENT["rows"]:
        assert set(row) <= FIELDS
        assert row["source"]
        assert row["paper"] in {paper.name for paper in papers()}
        assert bool(row.get("method")) + bool(row.get("arch")) + row.get("best", False) == 1


@pytest.mark.parametrize("paper", papers(), ids=lambda paper: paper.name)
def test_figures_are_fractions_of_known_columns(paper):
    assert set(paper.searched) <= set(paper.datasets)
    assert set(paper.seconds) == set(paper.searched)
    for row in paper.rows:
        assert set(row.figures) <= set(paper.places)
        for figure in row.figures.values():
            assert 0.1 < figure.mean < 0.95
            assert math.isnan(figure.sd) or 0 <= figure.sd < 0.1
        if row.arch_str:
            space = space_named(paper.space)
            assert space.to_str(space.parse(row.arch_str)) == row.arch_str


def test_parts_of_a_row_keep_their_own_marks():
    (row,) = (row for row in papers()[0].rows if row.method == "random-search")
    assert row.figures["cifar10", "test"].seen == "quoted"
    assert row.figures["cifar100", "test"].seen == "remembered"
    assert (row.figures["cifar10", "test"].mean, row.figures["cifar10", "test"].sd) == (0.937, 0.0036)
    assert row.runs == 500
