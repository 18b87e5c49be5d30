"""Ranks and their aggregation against scipy and brute force."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from mngnas.errors import UserError
from mngnas.ranks import AGGREGATIONS, aggregate, majority, midranks


def some_scores(n_ranking=3, n=40, seed=0):
    return np.random.default_rng(seed).integers(0, 12, (n_ranking, n)).astype(np.float64)


def test_infinities_are_first_and_last_and_nan_is_minus_infinity():
    assert midranks([2.0, -np.inf, np.inf, np.nan, 2.0]).tolist() == [3.5, 1.5, 5, 1.5, 3.5]
    np.testing.assert_array_equal(midranks(some_scores()[0]), stats.rankdata(some_scores()[0]))


def test_majority_is_the_number_of_pairs_won():
    scores = some_scores()
    won = np.zeros(scores.shape[1])
    for a, b in product(range(scores.shape[1]), repeat=2):
        votes = sum(np.sign(one[a] - one[b]) for one in scores)
        won[a] += (1.0 if votes > 0 else 0.5 if votes == 0 else 0.0) if a != b else 0.0
    np.testing.assert_array_equal(majority(scores), won)
    np.testing.assert_array_equal(aggregate(scores, "vote"), won)


def test_votes_are_the_same_in_blocks(monkeypatch):
    scores = some_scores(n=50)
    whole = majority(scores)
    monkeypatch.setattr("mngnas.ranks._BLOCK", 130)
    np.testing.assert_array_equal(majority(scores), whole)


def test_a_majority_is_right_where_one_ranking_errs():
    truth = np.arange(30.0)
    np.testing.assert_array_equal(midranks(aggregate([truth, truth**3, -truth], "vote")), midranks(truth))


def test_ranks_are_summed_as_published():
    scores = some_scores(4)
    ranks = np.stack([stats.rankdata(one) for one in scores])
    n = scores.shape[1]
    np.testing.assert_allclose(aggregate(scores, "mean-rank"), ranks.mean(0) / n)
    np.testing.assert_allclose(aggregate(scores, "mean-log-rank"), np.log(ranks / n).sum(0) / 4)


@pytest.mark.parametrize("how", AGGREGATIONS)
def test_only_orders_count_and_one_ranking_is_itself(how):
    scores = some_scores()
    expected = midranks(aggregate(scores, how))
    np.testing.assert_array_equal(midranks(aggregate(np.exp(scores) * 3, how)), expected)
    np.testing.assert_array_equal(midranks(aggregate(scores[:, ::-1], how)), expected[::-1])
    np.testing.assert_array_equal(midranks(aggregate(scores[:1], how)), midranks(scores[0]))
    last = np.full((2, 5), np.nan)
    last[:, 2] = 1
    assert aggregate(last, how).argmax() == 2


def test_what_cannot_be_aggregated_is_refused_in_one_line():
    with pytest.raises(UserError, match="unknown way to aggregate 'votes'; did you mean 'vote'"):
        aggregate(some_scores(), "votes")
    for wrong in (np.zeros(3), np.zeros((0, 4)), np.zeros((2, 0))):
        with pytest.raises(UserError, match="must have the shape"):
            aggregate(wrong, "vote")
