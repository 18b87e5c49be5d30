"""MNGNAS as a whole: rounds, the pool, what costs what, and what switching parts off leaves."""

import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.data.images import scoring_batch
from mngnas.errors import UserError
from mngnas.methods.mngnas.distillation import Combination, Teacher, feature_distance, guide, teacher_features
from mngnas.methods.mngnas.mngnas import Mngnas, MngnasConfig
from mngnas.methods.registry import method_entry, parse_variant
from mngnas.methods.supernet_method import INHERITED, RETRAINED, Step
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.seeds import Stream, generator
from mngnas.settings import RetrainingConfig
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY, live_graph
from tests.methods.cases import ARCHS, bits, make_task, run, weights
from tests.train.pictures import learnable_images

SMALL = MngnasConfig(
    sampling="fair",
    part=1.0,
    warmup=0.2,
    rounds=3,
    pool=2,
    candidates=2,
    search_share=0.1,
    retraining_share=0.15,
    perturbation_share=0.1,
)
PASSES = 200


def mngnas(config=SMALL, passes=PASSES, seed=0):
    return Mngnas(config, make_task(seed, passes=passes))


@cache
def ended(config=SMALL, passes=PASSES):
    """Trained to the end, once for all tests; not to be changed."""
    return run(mngnas(config, passes))


def with_a_pool(config=SMALL, passes=PASSES):
    """Just after the first round."""
    method = mngnas(config, passes)
    while not method.pool:
        method.advance()
    return method


def canonical_of(index):
    return TOPOLOGY.canonical(TOPOLOGY.from_index(index))


# ------------------------------------------------------------------------------------------------------------- rounds


def test_rounds_come_when_they_are_due():
    history = ended().history
    starts = [entry["spent"] for entry in history]
    assert len(starts) == 3
    for spent, due in zip(starts, (0.2, 0.2 + 0.8 / 3, 0.2 + 1.6 / 3), strict=True):
        assert due <= spent < due + 0.2
    for entry in history:
        assert entry["evaluations"] >= 4
        assert len(entry["retrained"]) == 2
        assert entry["arch_index"] in [index for index, _ in entry["retrained"]]
        assert 1 <= len(entry["pool"]) <= 2
        assert TOPOLOGY.from_index(entry["arch_index"]) == canonical_of(entry["arch_index"])


def test_the_winner_of_a_round_has_the_lowest_loss_after_retraining():
    for entry in ended().history:
        losses = dict(map(tuple, entry["retrained"]))
        assert losses[entry["arch_index"]] == min(losses.values())


def test_the_candidates_of_a_round_are_the_best_of_its_search():
    """With the supernet as it was: the evolution is repeated by its own generator."""
    config = replace(SMALL, rounds=1, perturbation="off")
    method, seen = mngnas(config), []
    scorer = method.search_scorer

    def noting(archs, network=None):
        found = scorer(archs, network)
        if network is None:
            seen.extend(zip(found.loss, archs, strict=True))
        return found

    method.search_scorer = noting
    while not method.pool:
        method.advance()
    entry = method.history[0]
    assert entry["evaluations"] == len(seen) == len({arch for _, arch in seen})
    best = [TOPOLOGY.to_index(arch) for _, arch in sorted(seen, key=lambda pair: pair[0])[:2]]
    assert [index for index, _ in entry["retrained"]] == best


def test_every_pass_is_counted():
    """Sets of five, teachers' forward passes, and the rounds add up to what was spent."""
    method = ended()
    rounds = sum(entry["passes"] for entry in method.history)
    sets = method.images_seen / 16
    assert sets == 5 * method.steps
    teachers, pools = 0.0, [(entry["spent"], len(entry["pool"])) for entry in method.history]
    again = mngnas()
    while not again.done:
        again.advance()
        teachers += len(again.pool) / 3
    assert len(pools) == 3
    assert method.passes == pytest.approx(sets + rounds + teachers)


def test_a_round_by_hand():
    """What a round says that it took: scores of its search, steps of retraining and perturbation, the last score."""
    method = with_a_pool()
    (entry,), price = method.history, 40 / 16 / 3
    assert method.search_price == pytest.approx(price)
    retraining = int(0.15 * PASSES / 3 / 2)  # steps of two candidates, without a pool at a pass each
    perturbation = int(0.1 * PASSES / 3 / 3)  # steps of the winner and two neighbours
    assert (retraining, perturbation) == (5, 2)
    expected = entry["evaluations"] * price + 2 * retraining + 2 * price + 3 * perturbation + price
    assert entry["passes"] == pytest.approx(expected)


# --------------------------------------------------------------------------------------------------------- the pool


def test_teachers_are_frozen_while_the_supernet_goes_on():
    method = with_a_pool()
    teacher = method.pool[0]
    before = [p.clone() for p in teacher.network.parameters()]
    student = weights(method)
    run(method, 3)
    assert all(torch.equal(p, old) for p, old in zip(teacher.network.parameters(), before, strict=True))
    assert not any(p.requires_grad for p in teacher.network.parameters())
    assert not torch.equal(student, weights(method))


def test_the_pool_keeps_the_best_and_drops_near_duplicates():
    method = mngnas(replace(SMALL, pool=2))

    def offer(number, arch, loss):
        method._admit(Teacher(number, arch, CellSupernet(Skeleton(4, 1), 0), loss))
        return [teacher.number for teacher in method.pool]

    assert offer(0, (3, 3, 3, 3, 3, 3), 1.0) == [0]
    assert offer(1, (3, 3, 3, 3, 3, 2), 1.1) == [0]  # one edge away and worse
    assert offer(2, (3, 3, 3, 3, 3, 1), 0.9) == [2]  # one edge away and better
    assert offer(3, (2, 2, 3, 3, 3, 3), 1.5) == [2, 3]
    assert offer(4, (1, 1, 2, 3, 3, 3), 1.2) == [2, 4]  # the worst goes
    assert offer(5, (1, 2, 1, 3, 1, 3), 9.9) == [2, 4]


@pytest.mark.parametrize("apart", [1, 4])
def test_teachers_keep_the_wanted_number_of_edges_apart(apart):
    method = ended(replace(SMALL, pool=3, apart=apart))
    pools = [[canonical_of(index) for _, index, _ in entry["pool"]] for entry in method.history]
    assert max(map(len, pools)) > 1
    for pool in pools:
        for place, one in enumerate(pool):
            for other in pool[:place]:
                assert sum(a != b for a, b in zip(one, other, strict=True)) >= apart


def test_the_best_teachers_stay():
    for entry in ended().history:
        losses = [loss for *_, loss in entry["pool"]]
        assert len(losses) == len(set(losses))
    made = {}
    for number, entry in enumerate(ended().history):
        made[number] = entry["loss"]
        for kept, _, loss in entry["pool"]:
            assert loss == made[kept]


# ------------------------------------------------------------------------------------------------- switching parts off


def test_without_rounds_it_is_fairnas_bit_for_bit():
    fair = method_entry("fairnas").load()
    other = run(fair(fair.Config(), make_task(passes=100)))
    plain = run(mngnas(MngnasConfig(rounds=0, sampling="fair"), 100))
    assert torch.equal(weights(plain), weights(other))
    assert plain.passes == other.passes
    assert bits(plain.scores(RETRAINED, ARCHS[:1])) == bits(other.scores(RETRAINED, ARCHS[:1]))


def test_without_rounds_and_fairness_it_is_spos_bit_for_bit():
    single = method_entry("spos").load()
    other = run(single(single.Config(), make_task(passes=20)))
    plain = run(mngnas(MngnasConfig(rounds=0), 20))
    assert torch.equal(weights(plain), weights(other))


def test_until_the_first_round_it_is_fairnas():
    fair = method_entry("fairnas").load()
    other = run(fair(fair.Config(), make_task(passes=PASSES)), 8)
    assert torch.equal(weights(run(mngnas(), 8)), weights(other))
    assert other.spent == 0.2


def test_guiding_the_retraining_only_leaves_the_supernets_steps_as_they_are():
    """Up to the passes that rounds take from the budget, and with them the learning rate, the steps are FairNAS's."""
    one, two = ended(replace(SMALL, guides="retraining")), ended(replace(SMALL, guides="retraining", weight=5.0))
    assert one.log == []
    assert one.steps == two.steps
    assert not torch.equal(weights(one), weights(ended()))
    method = with_a_pool(replace(SMALL, guides="retraining"))
    archs = TOPOLOGY.sample_strictly_fair(generator(0, Stream.STEP, method.steps))
    batch = method.task.training_batch(method.steps)
    method.supernet.zero_grad()
    method.train_paths(batch, archs)
    expected = [p.grad.clone() for p in method.supernet.parameters()]
    method.supernet.zero_grad()
    method.step(Step(method.steps, batch, generator(0, Stream.STEP, method.steps), method.spent))
    for parameter, gradient in zip(method.supernet.parameters(), expected, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_guidance_changes_what_is_learnt():
    assert not torch.equal(weights(ended()), weights(ended(replace(SMALL, weight=0.0))))


def test_with_lambda_0_teachers_cost_but_have_no_say():
    """Whoever is in the pool, the supernet learns the same, and each teacher's forward pass is paid for."""
    found = []
    for exchanged in (False, True):
        method = with_a_pool(replace(SMALL, weight=0.0))
        if exchanged:
            teacher = method.pool[0]
            other = CellSupernet(teacher.network.skeleton, 9)
            method.pool = [Teacher(teacher.number, teacher.arch, other, teacher.loss)]
        before = method.passes
        method.advance()
        assert method.passes - before == pytest.approx(5 + 1 / 3)
        found.append(weights(method))
    assert torch.equal(*found)


def test_a_guided_step_by_hand():
    """Cross-entropy and lambda times the distance to the combined teacher, path by path."""
    config = replace(SMALL, weight=3.0)
    method = with_a_pool(config)
    method.rounds_done = config.rounds
    batch, network = method.task.training_batch(7), method.supernet
    network.zero_grad()
    archs = TOPOLOGY.sample_strictly_fair(generator(0, Stream.STEP, 7))
    seen = teacher_features(method.pool, batch)
    for arch in archs:
        output = network(batch.images, arch)
        guidance = guide(output, live_graph(arch), seen, Combination(cap=0.6))
        (F.cross_entropy(output.logits, batch.labels) + 3.0 * guidance.loss).backward()
    expected = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    result = method.step(Step(7, batch, generator(0, Stream.STEP, 7), 0.75))
    assert result.passes == pytest.approx(5 + 1 / 3)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


SINGLE = replace(SMALL, sampling="uniform")


def gradients_of(method, spent=0.9):
    """Of a step, and what it cost; the pool is there and no round is due."""
    method.rounds_done = method.config.rounds
    method.supernet.zero_grad()
    result = method.step(Step(7, method.task.training_batch(7), generator(0, Stream.STEP, 7), spent))
    return {name: p.grad for name, p in method.supernet.named_parameters() if p.grad is not None}, result.passes


def test_a_part_of_the_batch_is_paid_for_in_part():
    method = with_a_pool(replace(SINGLE, part=0.25))
    _, passes = gradients_of(method)
    assert passes == pytest.approx(1 + 1 / 4 / 3)


def counting_teachers(method):
    """How many pictures the teachers are shown at a time, as a list that grows."""
    shown = []
    for teacher in method.pool:
        teacher.network.register_forward_pre_hook(lambda _, given: shown.append(len(given[0])))
    return shown


def test_teachers_look_at_the_parts_of_some_steps_at_once_and_those_steps_have_their_own_pictures():
    method = with_a_pool(replace(SMALL, part=0.25, rounds=1))
    since, shown, seen = method.pool_since, counting_teachers(method), []
    assert (method.at_once, method.pictures) == (4, 4)
    assert method.steps == since + 1  # the teachers have seen what they need for three more
    whole = method.step
    method.step = lambda step: (seen.append(step.batch.images.clone()), whole(step))[1]
    run(method, 3)
    assert shown == []
    run(method, 1)
    assert shown == [16]
    run(method, 4)
    assert shown == [16, 16]
    for number, images in enumerate(seen, start=since + 1):
        assert torch.equal(images, method.task.training_batch(number).images)


def test_a_step_is_guided_by_what_teachers_see_of_its_own_pictures():
    method = with_a_pool(replace(SMALL, part=0.25, rounds=1))
    run(method, 3)
    number = method.steps
    assert (number - method.pool_since) % 4 == 0
    for n in range(number, number + 4):
        batch = method.training_batch(n)
        seen = method.teachers_see(Step(n, batch, np.random.default_rng(0), 0.5))
        images = torch.cat([method.task.training_batch(m).images[:4] for m in range(number, number + 4)])
        teacher = method.pool[0]
        features = teacher.network(images, teacher.arch).features[0][4 * (n - number) : 4 * (n - number) + 4]
        expected = F.batch_norm(features, None, None, training=True).permute(0, 2, 3, 1).flatten()
        torch.testing.assert_close(seen.stages[0][0], expected)


@pytest.mark.parametrize("steps", range(5))
def test_a_run_that_goes_on_in_the_middle_of_such_steps_ends_with_the_same_bits(steps):
    config = replace(SMALL, part=0.25, sampling="uniform")
    method = with_a_pool(config)
    run(method, steps)
    other = mngnas(config)
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    for one in (method, other):
        run(one, 6)
    assert method.passes == other.passes
    assert bits(weights(method)) == bits(weights(other))


def test_guidance_ends_when_it_is_said_to_and_rounds_come_before():
    config = replace(SINGLE, until=0.6)
    method = ended(config)
    due = [0.2 + 0.4 * n / 3 for n in range(3)]
    assert [entry["spent"] for entry in method.history] == pytest.approx(due, abs=0.05)
    assert max(entry["spent"] for entry in method.log) <= 0.65
    assert not ended(replace(SINGLE, until=0.2)).history
    assert gradients_of(with_a_pool(config), 0.61)[1] == 1
    assert gradients_of(with_a_pool(config), 0.59)[1] > 1


def test_perturbation_brings_neighbours_features_together_on_other_images():
    """The stated aim of the step, on images that were not trained on: with it the distance is lower than without."""
    held_out = scoring_batch(learnable_images(60, seed=5)).images
    found = {}
    for weight in (0.0, 5.0):
        config = replace(SMALL, rounds=1, perturbation_weight=weight, perturbation_share=0.3, retraining_share=0.0)
        (teacher,) = with_a_pool(config, 400).pool
        with torch.no_grad():
            own = teacher.network(held_out, teacher.arch)
            others = [teacher.network(held_out, near) for near in TOPOLOGY.neighbours(teacher.arch)]
            found[weight] = np.mean([feature_distance(own, other).item() for other in others])
    assert found[5.0] < 0.9 * found[0.0]


# --------------------------------------------------------------------------------------------------------- retraining


def test_the_pool_guides_retraining_and_its_price_is_counted():
    config = MngnasConfig(warmup=0.2, rounds=2, candidates=1, search_share=0.1, perturbation="off")
    method = run(mngnas(config, 150))
    method.task = replace(method.task, retraining=RetrainingConfig(archs=1, steps=30))
    assert method.pool
    arch, batch = (3, 1, 2, 4, 3, 1), method.task.training_batch(0)
    assert method.retraining_price() == 1 + len(method.pool) / 3
    assert method.rankings()[1].passes_each == pytest.approx(30 * (1 + len(method.pool) / 3))
    loss, guidance = method.retraining_loss(method.supernet, arch, batch)
    output = method.supernet(batch.images, arch)
    expected = guide(output, live_graph(arch), teacher_features(method.pool, batch), Combination()).loss
    assert guidance == expected > 0
    torch.testing.assert_close(loss, F.cross_entropy(output.logits, batch.labels) + expected)
    guided = method.scores(RETRAINED, [arch])["minus_loss"]
    method.config = replace(config, guides="supernet")
    assert method.retraining_price() == 1
    loss, guidance = method.retraining_loss(method.supernet, arch, batch)
    assert guidance == 0
    torch.testing.assert_close(loss, F.cross_entropy(output.logits, batch.labels))
    assert method.scores(RETRAINED, [arch])["minus_loss"] != guided
    assert guided > method.scores(INHERITED, [arch])["minus_loss"]


# ---------------------------------------------------------------------------------------------------------- the diary


def test_the_log_is_complete():
    log = ended().log
    assert log
    for entry in log:
        alpha = np.array(entry["alpha"])
        assert alpha.shape == np.array(entry["distances"]).shape == (3, len(entry["teachers"]))
        np.testing.assert_allclose(alpha.sum(1), 1, atol=1e-4)
        assert (alpha <= max(SMALL.cap, 1 / len(entry["teachers"])) + 1e-4).all() or len(entry["teachers"]) == 1
        assert 0 <= entry["at_cap"] <= 1
        assert 0 <= entry["entropy"] <= np.log(2) + 1e-4
        assert entry["loss"] > 0
    assert [entry["spent"] for entry in log] == sorted(entry["spent"] for entry in log)


def test_its_diary_has_the_rounds_and_the_coefficients():
    diary = ended().outcome().diary
    (table,), (plot,) = diary.tables, diary.plots
    assert len(table.rows) == 3
    assert [row[2] for row in table.rows] == [entry["arch_index"] for entry in ended().history]
    assert len(plot.panels) == 4
    assert len(plot.marks) == 3
    assert all(value is None or value >= 0 for value in diary.numbers.values())
    assert diary.numbers["distance of the winner to its neighbours"] is not None
    assert mngnas().outcome().diary.numbers == {}


# -------------------------------------------------------------------------------------------------------- its settings


def test_former_names_are_variants_of_today():
    """What was an entry of a list is a change of settings; some options are gone, and their names stay for records."""
    gone = {
        "mngnas-large": "size",
        "mngnas-logits": "logits",
        "mngnas-current": "current",
        "mngnas-falling": "schedule",
    }
    former = method_entry("mngnas").info.former
    assert len(former) == 21
    assert set(gone) < set(former)
    for name, variant in former.items():
        base, changes = parse_variant(variant)
        assert base == "mngnas"
        assert changes
        if name in gone:
            with pytest.raises(TypeError, match=gone[name]):
                MngnasConfig(**changes)
        else:
            made = MngnasConfig(**changes)
            assert all(getattr(made, field) == value for field, value in changes.items())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"guides": "al"}, "unknown mngnas.guides 'al'; available: both, supernet, retraining"),
        ({"perturbation": "on"}, "unknown mngnas.perturbation 'on'"),
        ({"coefficients": "mean"}, "unknown mngnas.coefficients 'mean'"),
        ({"sampling": "single"}, "unknown mngnas.sampling 'single'"),
        ({"warmup": 1.0}, "mngnas.warmup = 1.0 must be at least 0 and at most 0.999"),
        ({"cap": 0.0}, "mngnas.cap = 0.0 must be above 0 and at most 1"),
        ({"pool": 9}, "mngnas.pool = 9 must be at least 1 and at most 8"),
        ({"retraining_share": 0.9}, "are more than warmup leaves"),
    ],
)
def test_bad_configurations_are_refused(bad, message):
    with pytest.raises(UserError) as caught:
        MngnasConfig(**bad)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
