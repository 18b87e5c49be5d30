"""Rows that combine others."""

import numpy as np
import pytest

from bench.board.combine import combined
from bench.board.entries import CLOSED_FORM, COMBINED
from mngnas.errors import UserError
from tests.board.made import entry_of


def test_an_aggregate_is_of_what_all_have(monkeypatch):
    seen = []
    monkeypatch.setattr("bench.board.combine.aggregate", lambda s, how: seen.append((s, how)) or s.sum(axis=0))
    rows = [
        entry_of([3, 1, 2, 9], name="a", passes=2.0),
        entry_of([1, -np.inf, 5], name="b", passes=3.0),
        entry_of([1, 2, 3], name="asked", asked=True),
        entry_of([1, 2, 3], name="parameters", kind=CLOSED_FORM),
    ]
    found = combined(rows, "vote")
    ((ranks, how),) = seen
    assert ranks.tolist() == [[3, 1, 2], [2, 1, 3]]
    assert (how, found.kind, found.passes) == ("vote", COMBINED, 5.0)
    assert found.scores[0, :4].tolist()[:3] == [5, 2, 5]
    assert found.scored.sum() == 3
    with pytest.raises(UserError, match="1 rows match 'a'; two are needed"):
        combined(rows, "vote", ["a"])
    with pytest.raises(UserError, match="share no architecture"):
        combined([rows[0], entry_of([1], [7])], "vote")
