"""What MNGNAS writes down, on a small log made by hand, and the way of a diary through JSON."""

import json
import math

import pytest
import torch

from mngnas.methods.info import Column, Diary, DiaryLine, DiaryPanel, DiaryPlot, DiaryTable
from mngnas.methods.mngnas.diary import GuidanceSums, diary_of
from mngnas.methods.mngnas.distillation import Guidance


def entry(spent, teachers, alpha, loss, entropy=0.5, at_cap=0.25):
    return {
        "spent": spent,
        "teachers": teachers,
        "alpha": alpha,
        "loss": loss,
        "entropy": entropy,
        "at_cap": at_cap,
        "distances": alpha,
    }


LOG = [
    entry(0.30, [0], [[1.0], [1.0]], 4.0, entropy=0.0, at_cap=0.0),
    entry(0.40, [0, 1], [[0.4, 0.6], [0.5, 0.5]], 3.0, at_cap=0.5),
    entry(0.60, [0, 1], [[0.6, 0.4], [0.7, 0.3]], 2.0, entropy=0.7, at_cap=1.0),
    entry(0.90, [1, 2], [[0.2, 0.8], [0.1, 0.9]], 1.0, entropy=0.1),
]
ROUNDS = [
    {"spent": 0.25, "arch_index": 7, "loss": 2.0, "perturbation_distance": 0.5, "retraining_distance": 0.0},
    {"spent": 0.35, "arch_index": 11, "loss": 1.5, "perturbation_distance": 0.7, "retraining_distance": 0.3},
    {"spent": 0.65, "arch_index": 13, "loss": 1.25, "retraining_distance": 0.1},
]


def test_numbers_are_means_over_the_log_and_the_rounds():
    """The first round's retraining has no teacher yet, so its distance is left out."""
    assert dict(diary_of(LOG, ROUNDS).numbers) == {
        "distance to the teacher": 2.5,
        "distance after the last round": 1.0,
        "entropy after the last round, nats": 0.1,
        "at the cap after the last round, %": 25.0,
        "distance of retrained candidates": 0.2,
        "distance of the winner to its neighbours": 0.6,
    }


def test_the_table_has_a_row_for_each_round_and_what_followed_it():
    (table,) = diary_of(LOG, ROUNDS).tables
    assert [tuple(row) for row in table.rows] == [
        (0, 0.25, 7, 2.0, 0.0, 0.0),
        (1, 0.35, 11, 1.5, 0.75, 0.6),
        (2, 0.65, 13, 1.25, 0.25, 0.1),
    ]
    assert len(table.columns) == 6
    assert table.columns[2].kind == "arch"


def test_the_plot_has_a_line_for_each_teacher_where_it_was_in_the_pool():
    (plot,) = diary_of(LOG, ROUNDS).plots
    assert [panel.title for panel in plot.panels] == ["mean over stages", "stage 1", "stage 2"]
    assert list(plot.marks) == [25.0, 35.0, 65.0]
    mean, first, _ = plot.panels
    assert [line.label for line in mean.lines] == ["teacher 0", "teacher 1", "teacher 2"]
    assert [list(line.x) for line in mean.lines] == [[30.0, 40.0, 60.0], [40.0, 60.0, 90.0], [90.0]]
    assert [list(line.y) for line in mean.lines] == [[1.0, 0.45, 0.65], [0.55, 0.35, 0.15], [0.85]]
    assert [list(line.y) for line in first.lines] == [[1.0, 0.4, 0.6], [0.6, 0.4, 0.2], [0.8]]


def test_without_rounds_there_is_nothing_and_without_guidance_no_plot():
    assert diary_of([], []) == Diary()
    unguided = diary_of([], ROUNDS)
    assert unguided.plots == ()
    assert unguided.numbers["distance to the teacher"] is None
    assert unguided.numbers["distance of retrained candidates"] == 0.2
    assert [row[4:] for row in unguided.tables[0].rows] == [(None, None)] * 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_not_measured(bad):
    found = diary_of([*LOG[:3], entry(0.9, [1], [[1.0], [1.0]], bad)], ROUNDS)
    assert found.numbers["distance after the last round"] is None
    assert found.numbers["at the cap after the last round, %"] == 25.0


@pytest.mark.parametrize("made", [Diary(), diary_of(LOG, ROUNDS), diary_of([], ROUNDS)])
def test_a_diary_goes_through_json(made):
    text = json.dumps(made.to_json(), allow_nan=False)
    back = Diary.from_json(json.loads(text))
    assert json.dumps(back.to_json(), allow_nan=False) == text
    assert back.numbers == dict(made.numbers)
    assert back.numbers_note == made.numbers_note
    for one, other in zip(back.tables, made.tables, strict=True):
        assert (one.title, list(one.columns), one.note) == (other.title, list(other.columns), other.note)
        assert [list(row) for row in one.rows] == [list(row) for row in other.rows]
    for one, other in zip(back.plots, made.plots, strict=True):
        assert (one.title, one.x_label, one.y_label, one.note) == (
            *(other.title, other.x_label, other.y_label, other.note),
        )
        assert [panel.title for panel in one.panels] == [panel.title for panel in other.panels]
        assert one.panels[1].lines[0].y == list(other.panels[1].lines[0].y)
        assert list(one.marks) == list(other.marks)


def test_what_is_not_finite_becomes_none():
    """JSON has no such number."""
    nan, inf = math.nan, math.inf
    made = Diary(
        {"a": nan, "b": inf, "c": 1.0, "d": None},
        "note",
        (DiaryTable("t", (Column("x"), Column("y", "text")), ((nan, "nan"), (2, None))),),
        (DiaryPlot("p", "x", "y", (DiaryPanel("q", (DiaryLine("l", (0.0, inf), (nan, 1.0)),)),), (-inf,)),),
    )
    found = made.to_json()
    json.dumps(found, allow_nan=False)
    assert found["numbers"] == {"a": None, "b": None, "c": 1.0, "d": None}
    assert found["tables"][0]["rows"] == [[None, "nan"], [2, None]]
    assert found["plots"][0]["panels"][0]["lines"][0] == {"label": "l", "x": [0.0, None], "y": [None, 1.0]}
    assert found["plots"][0]["marks"] == [None]
    assert Diary.from_json(found).tables[0].columns[1] == Column("y", "text")


def test_sums_are_means_over_paths():
    sums = GuidanceSums()
    for loss, alpha in ((1.0, [[0.5, 0.5]]), (2.0, [[1.0, 0.0]])):
        leaf = torch.tensor(loss, requires_grad=True)
        sums.add(Guidance(leaf, torch.tensor(alpha), torch.tensor(loss - 1), torch.tensor([[loss, 0.0]])))
    assert sums.count == 2
    found = sums.means()
    assert found["loss"] == 1.5
    assert found["alpha"] == [[0.75, 0.25]]
    assert found["at_cap"] == 0.5
    assert found["distances"] == [[1.5, 0.0]]
    assert found["entropy"] == pytest.approx(math.log(2) / 2, rel=1e-6)
    assert not sums.values["loss"].requires_grad
