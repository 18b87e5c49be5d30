import json
from dataclasses import replace

import numpy as np
import pytest

from bench.truth import Measure, Table
from bench.truth.oracle import TableOracle
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY

N = TOPOLOGY.n_arch


@pytest.fixture
def table():
    """Accuracy and seconds are whole functions of the index; one architecture lacks a seed."""
    index = np.arange(N, dtype=np.float32)[:, None]
    accuracy = np.concatenate([index, index + 2], axis=1) / np.float32(2**15)
    accuracy[7, 1] = np.nan
    return Table(
        name="made-up",
        search_space=TOPOLOGY.name,
        measures={
            Measure("cifar10", "valid", 5): accuracy,
            Measure("cifar10", "valid", 5, "loss"): index,
            Measure("cifar10", "valid", 20): 1 - accuracy,
            Measure("cifar10", "test", 2): accuracy,
            Measure("other", "valid", 9): accuracy,
        },
        train_seconds={"cifar10-valid": 40 + index, "cifar10": 900 + index, "other": 1 + index},
    )


def test_answers_by_hand(table):
    oracle = TableOracle(table, "cifar10")
    first = oracle.query(TOPOLOGY.from_index(100))
    assert first.accuracy == pytest.approx(101 / 2**15, abs=1e-6)
    assert first.seconds == (40 + 100) * (5 + 0.35) / 20  # with one pass over as many validation pictures
    assert oracle.query(TOPOLOGY.from_index(7)).accuracy == pytest.approx(7 / 2**15, abs=1e-6)  # the only known seed
    assert oracle.query(TOPOLOGY.from_index(100)) == first


def test_every_architecture_has_its_own_row(table):
    oracle = TableOracle(table, "other")
    for index in range(0, N, 997):
        answer = oracle.query(TOPOLOGY.from_index(index))
        assert answer.accuracy == pytest.approx((index + 1) / 2**15, abs=1e-6)
        assert answer.seconds == 1 + index  # the only schedule is the longest


def test_another_measure_may_be_asked(table):
    oracle = TableOracle(table, "cifar10", Measure("cifar10", "test", 2))
    assert oracle.query(TOPOLOGY.from_index(3)).seconds == 903
    assert oracle.about()["clock"].startswith("training seconds of cifar10 x 2 / 2")


def test_it_says_what_it_is(table):
    about = TableOracle(table, "cifar10").about()
    assert (
        json.loads(json.dumps(about))
        == about
        == {
            "benchmark": "made-up",
            "table": table.checksum,
            "measure": "cifar10 valid accuracy after 5 epochs",
            "known": "15,625 of 15,625 architectures",
            "answer": "mean over trainings",
            "clock": "training seconds of cifar10-valid x 5.35 / 20, repeated questions too",
            "budget": 20000.0,
        }
    )


def test_a_run_is_told_one_of_the_trainings_the_same_whenever_it_asks(table):
    """Which one is drawn anew for each architecture and run; those that are not known are never drawn."""
    values = table.values(Measure("cifar10", "valid", 5)).astype(float)
    told = {}
    for seed in (0, 1):
        oracle = TableOracle(table, "cifar10", seed=seed)
        assert oracle.about()["answer"] == "one random training of each architecture"
        told[seed] = np.array([oracle.query(TOPOLOGY.from_index(i)).accuracy for i in range(2000)])
        again = TableOracle(table, "cifar10", seed=seed)
        assert again.query(TOPOLOGY.from_index(5)).accuracy == told[seed][5]
        first, second = np.abs(told[seed][:, None] - values[:2000]).T < 1e-6
        assert (first ^ second).sum() == 2000
        assert abs(second.mean() - 0.5) < 0.04
        assert first[7]
    assert 0.4 < np.mean(told[0] != told[1]) < 0.6


def test_where_there_is_one_training_it_is_the_answer(table):
    single = replace(table, measures={Measure("other", "valid", 9): table.values(Measure("other", "valid", 9))[:, :1]})
    drawn, mean = TableOracle(single, "other", seed=3), TableOracle(single, "other")
    assert drawn.about() == mean.about()
    for index in range(0, N, 1999):
        assert drawn.query(TOPOLOGY.from_index(index)) == mean.query(TOPOLOGY.from_index(index))


def test_the_budget_is_the_benchmarks_or_pays_for_as_many_questions(table):
    assert TableOracle(table, "cifar10").budget == 20_000
    assert TableOracle(table, "other").budget == pytest.approx(175 * (1 + np.arange(N)).mean())


def test_tables_that_cannot_be_asked(table):
    with pytest.raises(UserError, match="unknown data set 'cifar1'; did you mean 'cifar10'"):
        TableOracle(table, "cifar1")
    with pytest.raises(UserError, match="unknown split 'valid'; available: test"):
        TableOracle(
            replace(table, measures={Measure("cifar10", "test", 2): table.values(Measure("other", "valid", 9))}),
            "cifar10",
        )
    with pytest.raises(UserError, match="unknown training run 'other'; did you mean"):
        TableOracle(replace(table, train_seconds={"others": table.train_seconds["other"]}), "other")
    nothing = np.full_like(table.values(Measure("other", "valid", 9)), np.nan)
    with pytest.raises(UserError, match="cannot be asked: it has no other valid accuracy after 9 epochs with training"):
        TableOracle(replace(table, measures={Measure("other", "valid", 9): nothing}), "other")


def test_a_table_that_knows_some_architectures_only(table):
    gap, seconds = table.values(Measure("other", "valid", 9)).copy(), table.train_seconds["other"].copy()
    gap[3], seconds[5] = np.nan, np.nan
    some = replace(table, measures={Measure("other", "valid", 9): gap}, train_seconds={"other": seconds})
    oracle = TableOracle(some, "other")
    assert [oracle.knows(TOPOLOGY.from_index(index)) for index in (2, 3, 4, 5)] == [True, False, True, False]
    assert oracle.about()["known"] == "15,623 of 15,625 architectures"
    with pytest.raises(UserError, match="has no other valid accuracy after 9 epochs of architecture 3"):
        oracle.query(TOPOLOGY.from_index(3))


def test_the_real_table(nb201):
    oracle = TableOracle(nb201, "cifar10")
    assert str(oracle.measure) == "cifar10 valid accuracy after 12 epochs"
    answer = oracle.query(TOPOLOGY.from_index(0))
    assert answer.seconds == pytest.approx(12.35 * 7.221092998981476, abs=1e-4)
    assert 0 < answer.accuracy < 0.9
