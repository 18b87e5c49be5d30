"""MNGNAS as a whole: rounds, the pool, what costs what, and what switching parts off leaves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mngnas.data.images import scoring_batch
from mngnas.errors import UserError
from mngnas.methods.mngnas.distillation import Teacher, feature_distance
from mngnas.methods.mngnas.mngnas import ABLATIONS, Mngnas, MngnasConfig
from mngnas.methods.registry import STRATEGIES
from mngnas.nets.cell_supernet import Skeleton, Supernet
from mngnas.spaces.topology import from_index, live_graph, neighbours
from mngnas.train.loop import TrainingConfig
from tests.test_training import learnable_images, make_trainer, train, weights

CONFIG = TrainingConfig(passes=200, batch_size=16)
SMALL = MngnasConfig(warmup=0.2, rounds=3, pool=2, candidates=2, search_share=0.1, retraining_share=0.15)


@pytest.fixture(scope="module")
def trained():
    return train(make_trainer(Mngnas(SMALL), config=CONFIG))


def test_rounds_come_when_they_are_due(trained):
    history = trained.strategy.history
    starts = [entry["spent"] for entry in history]
    assert len(starts) == 3
    for spent, due in zip(starts, (0.2, 0.2 + 0.8 / 3, 0.2 + 1.6 / 3), strict=True):
        assert due <= spent < due + 0.2
    for entry in history:
        assert entry["evaluations"] >= 4
        assert len(entry["retrained"]) == 2
        assert entry["arch_index"] in [index for index, _ in entry["retrained"]]
        assert 1 <= len(entry["pool"]) <= 2


def test_the_winner_of_a_round_has_the_lowest_loss_after_retraining(trained):
    for entry in trained.strategy.history:
        losses = dict(map(tuple, entry["retrained"]))
        assert losses[entry["arch_index"]] == min(losses.values())


def test_every_pass_is_counted(trained):
    """Sets of five, teachers' forwards, and the rounds add up to what the loop says was spent."""
    strategy, total = trained.strategy, 0.0
    rounds = sum(entry["passes"] for entry in strategy.history)
    images = trained.images_seen / CONFIG.batch_size
    assert images == 5 * trained.steps
    guided = [entry for entry in strategy.log if entry["teachers"]]
    assert guided
    total = images + rounds
    assert total < trained.passes <= total + trained.steps * 2 / 3 + 1e-6  # two teachers at most, 1/3 each


def test_teachers_are_frozen_while_the_supernet_goes_on():
    trainer = make_trainer(Mngnas(SMALL), config=CONFIG)
    while not trainer.strategy.pool:
        trainer.step()
    teacher = trainer.strategy.pool[0]
    before = [p.clone() for p in teacher.network.parameters()]
    student = weights(trainer)
    for _ in range(3):
        trainer.step()
    assert all(torch.equal(p, old) for p, old in zip(teacher.network.parameters(), before, strict=True))
    assert not torch.equal(student, weights(trainer))


def test_without_rounds_it_is_fairnas_bit_for_bit():
    plain, fair = (train(make_trainer(name, config=CONFIG)) for name in ("mngnas-plain", "fairnas"))
    assert torch.equal(weights(plain), weights(fair))
    assert plain.passes == fair.passes


def test_guiding_the_retraining_only_leaves_the_supernets_steps_as_they_are():
    """Up to the time that rounds take from the budget, and with it the learning rate, the steps are FairNAS's."""
    one = make_trainer(Mngnas(replace(SMALL, guides="retraining")), config=CONFIG)
    two = make_trainer(Mngnas(replace(SMALL, guides="retraining", weight=5.0)), config=CONFIG)
    train(one)
    train(two)
    assert one.strategy.log == []
    assert one.steps == two.steps
    both = train(make_trainer(Mngnas(SMALL), config=CONFIG))
    assert not torch.equal(weights(one), weights(both))


def test_guidance_changes_what_is_learnt(trained):
    other = train(make_trainer(Mngnas(replace(SMALL, weight=0.0)), config=CONFIG))
    assert not torch.equal(weights(trained), weights(other))


def test_with_lambda_0_teachers_cost_but_have_no_say():
    """Whoever is in the pool, the supernet learns the same, and each teacher's forward pass is paid for."""
    ended = []
    for exchanged in (False, True):
        trainer = make_trainer(STRATEGIES["mngnas-unguided"].make(SMALL), config=CONFIG)
        while not trainer.strategy.pool:
            trainer.step()
        if exchanged:
            teacher = trainer.strategy.pool[0]
            other = Supernet(teacher.network.skeleton, 9)
            trainer.strategy.pool = [Teacher(teacher.number, teacher.arch, other, teacher.loss)]
        before = trainer.passes
        trainer.step()
        assert trainer.passes - before == pytest.approx(5 + 1 / 3)
        ended.append(weights(trainer))
    assert torch.equal(*ended)


def test_the_log_is_complete(trained):
    for entry in trained.strategy.log:
        alpha = np.array(entry["alpha"])
        assert alpha.shape == (3, len(entry["teachers"]))
        np.testing.assert_allclose(alpha.sum(1), 1, atol=1e-4)
        assert (alpha <= max(SMALL.cap, 1 / len(entry["teachers"])) + 1e-4).all() or len(entry["teachers"]) == 1
        assert 0 <= entry["at_cap"] <= 1
        assert 0 <= entry["entropy"] <= np.log(2) + 1e-4
        assert entry["loss"] > 0
    assert [entry["spent"] for entry in trained.strategy.log] == sorted(e["spent"] for e in trained.strategy.log)


def test_perturbation_brings_neighbours_features_together_on_other_images():
    """The stated aim of the step, on images that were not trained on: with it the distance is lower than without."""
    held_out = scoring_batch(learnable_images(60, seed=5)).images
    found = {}
    for weight in (0.0, 5.0):
        config = replace(SMALL, rounds=1, perturbation_weight=weight, perturbation_share=0.3, retraining_share=0.0)
        trainer = make_trainer(Mngnas(config), config=replace(CONFIG, passes=400))
        while not trainer.strategy.pool:
            trainer.step()
        teacher = trainer.strategy.pool[0]
        with torch.no_grad():
            own = teacher.network(held_out, teacher.arch).features
            others = [teacher.network(held_out, near).features for near in neighbours(teacher.arch)]
            found[weight] = np.mean([feature_distance(own, other).item() for other in others])
    assert found[5.0] < 0.9 * found[0.0]


def test_the_pool_keeps_the_best_and_drops_near_duplicates():
    strategy = Mngnas(MngnasConfig(pool=2))

    def offer(number, arch, loss):
        strategy._admit(Teacher(number, arch, Supernet(Skeleton(4, 1), 0), loss))
        return [teacher.number for teacher in strategy.pool]

    assert offer(0, (3, 3, 3, 3, 3, 3), 1.0) == [0]
    assert offer(1, (3, 3, 3, 3, 3, 2), 1.1) == [0]  # one edge away and worse
    assert offer(2, (3, 3, 3, 3, 3, 1), 0.9) == [2]  # one edge away and better
    assert offer(3, (2, 2, 3, 3, 3, 3), 1.5) == [2, 3]
    assert offer(4, (1, 1, 2, 3, 3, 3), 1.2) == [2, 4]  # the worst goes
    assert offer(5, (1, 2, 1, 3, 1, 3), 9.9) == [2, 4]


def test_teachers_are_as_large_as_asked_for():
    trainer = train(make_trainer(STRATEGIES["mngnas-large"].make(SMALL), config=CONFIG))
    found = [live_graph(from_index(entry["arch_index"])) for entry in trainer.strategy.history]
    assert len(found) == 3
    for live in found:
        assert 9 * live.count(3) + live.count(2) >= 27


@pytest.mark.parametrize("ablation", [a.name for a in ABLATIONS])
def test_every_ablation_runs_and_differs_from_the_default(ablation):
    strategy = STRATEGIES[f"mngnas-{ablation}"].make(SMALL)
    assert strategy.config != SMALL or ablation == "k2"
    trainer = train(make_trainer(strategy, config=replace(CONFIG, passes=60)))
    assert trainer.done
    assert len(strategy.pool) <= strategy.config.pool
    taught = [live_graph(teacher.arch) for teacher in strategy.pool]
    assert len(set(taught)) == len(taught)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"guides": "al"}, "unknown mngnas.guides 'al'"),
        ({"perturbation": "on"}, "unknown mngnas.perturbation 'on'"),
        ({"coefficients": "mean"}, "unknown coefficients 'mean'"),
        ({"warmup": 1.0}, "warmup must be in 0..1"),
        ({"size": 1.1}, "mngnas.size = 1.1 is outside 0..1"),
        ({"pool": 9}, "mngnas.pool = 9 is outside 1..8"),
        ({"retraining_share": 0.9}, "are more than warmup leaves"),
    ],
)
def test_bad_configurations_are_refused(bad, message):
    with pytest.raises(UserError) as caught:
        MngnasConfig(**bad)
    assert message in str(caught.value)


def test_a_supernet_without_a_search_is_an_error_of_ours():
    trainer = make_trainer(Mngnas(replace(SMALL, warmup=0.0)), config=CONFIG)
    trainer.search = None
    with pytest.raises(AssertionError, match="needs validation images"):
        train(trainer)


def test_from_index_is_what_the_history_means(trained):
    for entry in trained.strategy.history:
        assert live_graph(from_index(entry["arch_index"])) == from_index(entry["arch_index"])


def test_a_falling_weight_guides_less_and_less():
    """With it the last steps are nearly unguided; the first are guided as before."""
    config = replace(SMALL, rounds=1, perturbation="off", candidates=1)
    constant, falling, off = (
        train(make_trainer(Mngnas(replace(config, **changes)), config=CONFIG))
        for changes in ({}, {"schedule": "falling"}, {"weight": 0.0})
    )
    apart = [(weights(one) - weights(off)).norm().item() for one in (constant, falling)]
    assert 0 < apart[1] < apart[0]


def test_teachers_keep_the_wanted_number_of_edges_apart():
    trainer = train(make_trainer(Mngnas(replace(SMALL, pool=3, apart=4)), config=CONFIG))
    pools = [[from_index(index) for _, index, _ in entry["pool"]] for entry in trainer.strategy.history]
    assert max(map(len, pools)) > 1
    for pool in pools:
        graphs = [live_graph(arch) for arch in pool]
        for place, one in enumerate(graphs):
            for other in graphs[:place]:
                assert sum(a != b for a, b in zip(one, other, strict=True)) >= 4
