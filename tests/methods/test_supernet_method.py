"""The loop of supernet methods, what it lets a method do, the steps of SPOS and FairNAS, and retraining."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.methods.registry import method_entry
from mngnas.methods.supernet_method import INHERITED, RETRAINED, Step, SupernetMethod
from mngnas.nets.build import build_supernet, fair_set_step
from mngnas.seeds import Stream, generator, retraining_batches
from mngnas.settings import SCORES, RetrainingConfig
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ARCHS, METHODS, Case, all_scores, bits, case, done, make, make_task, run, weights
from tests.train.pictures import learnable_data

ARCH = (3, 1, 2, 4, 3, 1)


def method_of(name, seed=0, config=None, **training):
    entry = method_entry(name).load()
    return entry(config or entry.Config(), make_task(seed, **training))


class Recording(SupernetMethod):
    """Keeps the steps that it is given; each takes 1.5 passes."""

    def step(self, step):
        self.given = [*getattr(self, "given", []), step]
        return replace(self.train_paths(step.batch, [ARCH]), passes=1.5)


# --------------------------------------------------------------------------------------------------------- the loop


def test_a_step_is_given_its_batch_its_generator_and_its_place():
    method = Recording(Recording.Config(), make_task(4, passes=10))
    run(method)
    assert [step.number for step in method.given] == list(range(7))
    assert [step.spent for step in method.given] == pytest.approx([0.15 * n for n in range(7)])
    for number, step in enumerate(method.given):
        assert torch.equal(step.batch.images, method.task.training_batch(number).images)
        assert step.rng.random() == generator(4, Stream.STEP, number).random()
    assert (method.passes, method.images_seen, method.steps) == (10.5, 7 * 16, 7)
    assert method.spent == 1
    cost = method.outcome().cost
    assert (cost.passes, cost.images, cost.queries) == (10.5, 112, 0)
    assert cost.seconds > 0


def test_the_learning_rate_follows_the_cosine_of_what_is_spent():
    method, rates = method_of("spos", passes=4, batch_size=8, learning_rate=0.2), []
    while not method.done:
        method.advance()
        rates.append(method.optimizer.torch.param_groups[0]["lr"])
    assert rates == pytest.approx([0.1 * (1 + np.cos(np.pi * k / 4)) for k in range(4)])


def test_the_gradient_is_clipped():
    def norm(method):
        method.advance()
        return torch.cat([p.grad.flatten() for p in method.supernet.parameters() if p.grad is not None]).norm().item()

    assert norm(method_of("fairnas", clip=0.0)) > 0.1
    assert norm(method_of("fairnas", clip=1e-3)) == pytest.approx(1e-3, rel=1e-3)


def test_gradients_of_a_step_do_not_stay_for_the_next():
    method = method_of("spos")
    method.advance()
    rng, batch = generator(0, Stream.STEP, 1), method.task.training_batch(1)
    (arch,) = TOPOLOGY.sample_uniform(rng, 1)
    method.supernet.zero_grad()
    F.cross_entropy(method.supernet(batch.images, arch).logits, batch.labels).backward()
    alone = [None if p.grad is None else p.grad.clone() for p in method.supernet.parameters()]
    method.optimizer.update = lambda _spent: None
    method.advance()
    for parameter, expected in zip(method.supernet.parameters(), alone, strict=True):
        assert (parameter.grad is None) == (expected is None)
        assert expected is None or torch.equal(parameter.grad, expected)


def test_bfloat16_follows_float32():
    exact, mixed = (run(method_of("fairnas", bfloat16=low), 2) for low in (False, True))
    assert exact.task.training_batch(0).images.dtype == torch.float32
    assert mixed.task.training_batch(0).images.dtype == torch.bfloat16
    a, b, start = weights(exact), weights(mixed), weights(method_of("fairnas"))
    assert not torch.equal(a, b)
    assert torch.cosine_similarity(a - start, b - start, dim=0) > 0.9


def test_further_batches_are_no_steps_own():
    method = run(method_of("spos"), 2)
    seen = [method.further_batch(number).images for number in range(3)]
    assert torch.equal(seen[0], method.task.training_batch(0, 3 * 1_000_003).images)
    own = [method.task.training_batch(number).images for number in range(5)]
    assert not any(torch.equal(one, other) for one in seen for other in own)
    method.advance()
    assert not torch.equal(method.further_batch(0).images, seen[0])


# ------------------------------------------------------------------------------------------------------------- papers


def step_of(method, seed=5):
    return Step(0, method.task.training_batch(0), np.random.default_rng(seed), 0.0)


def test_a_fairnas_step_adds_up_the_gradients_of_its_five_paths():
    method = method_of("fairnas")
    step = step_of(method)
    result = method.step(step)
    together = [p.grad.clone() for p in method.supernet.parameters()]
    method.supernet.zero_grad()
    alone = []
    archs = TOPOLOGY.sample_strictly_fair(np.random.default_rng(5))
    for arch in archs:
        loss = F.cross_entropy(method.supernet(step.batch.images, arch).logits, step.batch.labels)
        loss.backward()
        alone.append(loss.item())
    assert sorted(map(sorted, zip(*archs, strict=True))) == [[0, 1, 2, 3, 4]] * 6
    for a, p in zip(together, method.supernet.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad)
    assert result.loss.item() == pytest.approx(np.mean(alone), rel=1e-5)
    assert (result.passes, result.images) == (5, 80)


def test_a_spos_step_trains_one_uniform_path():
    method = method_of("spos")
    result = method.step(step_of(method))
    (arch,) = TOPOLOGY.sample_uniform(np.random.default_rng(5), 1)
    trained = [bool(g.abs().amax() > 0) for g in method.supernet.cells[0].conv3x3.weight.grad]
    assert trained == [op == 3 for op in TOPOLOGY.canonical(arch)]
    assert any(trained)
    assert (result.passes, result.images) == (1, 16)


def test_a_loss_of_ones_own_is_what_is_minimised_but_not_what_is_told():
    method = method_of("fairnas")
    step, archs = step_of(method), TOPOLOGY.sample_strictly_fair(np.random.default_rng(0))
    plain = method.train_paths(step.batch, archs)
    gradients = [p.grad.clone() for p in method.supernet.parameters()]
    method.supernet.zero_grad()
    seen = []

    def twice(arch, output, loss):
        seen.append((arch, tuple(f.shape[1] for f in output.features)))
        return 2 * loss

    found = method.train_fair_set(step.batch, archs, twice)
    assert found.loss == plain.loss
    assert (found.passes, found.images) == (plain.passes, plain.images) == (5, 80)
    assert seen == [(arch, (4, 8, 16)) for arch in archs]
    for parameter, expected in zip(method.supernet.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * expected)


# --------------------------------------------------------------------------------------------------------- retraining


def retrained(method, arch=ARCH, **changes):
    """Inherited minus retrained loss of one architecture."""
    method.task = replace(method.task, retraining=RetrainingConfig(archs=1, **changes))
    found = [-method.scores(name, [arch])["minus_loss"] for name in (INHERITED, RETRAINED)]
    return (found[0] - found[1]).item()


def test_retraining_is_of_a_copy_and_lowers_the_loss():
    method = run(method_of("fairnas", passes=60))
    before, scores = weights(method).clone(), bits(all_scores(method))
    gain = retrained(method, steps=30)
    assert gain > 0.05
    assert torch.equal(weights(method), before)
    assert retrained(method, steps=30) == gain
    method.task = replace(method.task, retraining=make_task().retraining)
    assert bits(all_scores(method)) == scores
    assert retrained(method, steps=3) != gain


def test_retraining_by_hand():
    """SGD with Nesterov momentum, clipping and a cosine from the inherited weights, on batches of their own."""
    method = run(method_of("spos", passes=10))
    recipe = RetrainingConfig(archs=1, steps=4, learning_rate=0.03, momentum=0.8, weight_decay=0.01, clip=0.5)
    method.task = replace(method.task, retraining=recipe)
    found = method.scores(RETRAINED, [ARCH])
    network = build_supernet(TOPOLOGY, method.task.skeleton, 0)
    network.load_state_dict(method.supernet.state_dict())
    optimizer = torch.optim.SGD(network.parameters(), 0.03, 0.8, weight_decay=0.01, nesterov=True)
    for step in range(4):
        batch = method.task.training_batch(step, retraining_batches(0))
        optimizer.zero_grad()
        F.cross_entropy(network(batch.images, ARCH).logits, batch.labels).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.param_groups[0]["lr"] = 0.03 * (1 + np.cos(np.pi * step / 4)) / 2
        optimizer.step()
    expected = method.scorer([ARCH], network)
    np.testing.assert_allclose(found["minus_loss"], -expected.loss, rtol=1e-5)
    np.testing.assert_array_equal(found["accuracy"], expected.accuracy)


def test_the_batches_of_retraining_are_none_of_the_supernets():
    task = make_task()
    first = task.training_batch(0, retraining_batches(0)).images
    assert not any(torch.equal(first, task.training_batch(step).images) for step in range(20))


def test_each_architecture_is_retrained_alone():
    method = done(Case("fairnas")).method
    both = method.scores(RETRAINED, ARCHS[:2])["minus_loss"]
    alone = [method.scores(RETRAINED, [arch])["minus_loss"].item() for arch in ARCHS[:2]]
    assert both.tolist() == alone


def test_the_ranking_of_retrained_weights_says_its_price():
    method = method_of("fairnas", passes=60)
    method.task = replace(method.task, retraining=RetrainingConfig(archs=0))
    assert [ranking.name for ranking in method.rankings()] == [INHERITED]
    method.task = replace(method.task, retraining=RetrainingConfig(archs=7, steps=11))
    before = method.rankings()[1]
    assert (before.archs, before.chunk, before.passes_each, before.seconds_each) == (7, 1, 11, 0)
    run(method)
    assert method.rankings()[1].seconds_each == pytest.approx(11 * method.seconds / method.passes)


# ------------------------------------------------------------------------------------------------- several supernets


def test_each_architecture_is_scored_with_its_own_network():
    """The hook of few-shot supernets: scores are those of two supernets, each asked alone."""
    method = done(Case("toy-few-shot")).method
    found = method.scores(INHERITED, ARCHS)
    mine = [method.network_of(arch) is method.supernet for arch in ARCHS]
    assert 2 < sum(mine) < 10
    for arch, first, accuracy, minus_loss in zip(ARCHS, mine, found["accuracy"], found["minus_loss"], strict=True):
        own, other = (method.supernet, method.second) if first else (method.second, method.supernet)
        alone = method.scorer([arch], own)
        assert (alone.accuracy[0], -alone.loss[0]) == (accuracy, minus_loss)
        if any(TOPOLOGY.canonical(arch)):
            assert method.scorer([arch], other).loss[0] != alone.loss[0]


def test_each_architecture_is_retrained_from_its_own_network():
    method = done(Case("toy-few-shot")).method
    arch = next(arch for arch in ARCHS if method.network_of(arch) is method.second)
    found = method.scores(RETRAINED, [arch])["minus_loss"].item()
    as_one = METHODS["spos"].load()(METHODS["spos"].load().Config(), method.task)
    as_one.supernet.load_state_dict(method.second.state_dict())
    assert as_one.scores(RETRAINED, [arch])["minus_loss"].item() == found
    as_one.supernet.load_state_dict(method.supernet.state_dict())
    assert as_one.scores(RETRAINED, [arch])["minus_loss"].item() != found


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("own_loss", [False, True])
def test_each_path_is_trained_in_its_own_network(fast, own_loss):
    """Where fair sets are computed at once, too: that is one network's affair, so such sets go path by path."""
    method = make(case("toy-few-shot"))
    method._fair_set = fair_set_step(method.supernet) if fast else None
    batch, archs = method.task.training_batch(0), TOPOLOGY.sample_strictly_fair(np.random.default_rng(1))
    owners = [method.network_of(arch) for arch in archs]
    assert len(set(owners)) == 2
    loss = (lambda _arch, _output, loss: loss,) if own_loss else ()
    method.train_fair_set(batch, archs, *loss)
    for network in set(owners):
        found = [p.grad for p in network.parameters()]
        network.zero_grad()
        for arch, owner in zip(archs, owners, strict=True):
            if owner is network:
                F.cross_entropy(network(batch.images, arch).logits, batch.labels).backward()
        for parameter, gradient in zip(network.parameters(), found, strict=True):
            assert (parameter.grad is None) == (gradient is None)
            assert gradient is None or torch.equal(parameter.grad, gradient)


def test_extra_parameters_are_trained_and_saved():
    method = run(make(case("toy-few-shot[paths=5]")), 3)
    start = make(case("toy-few-shot[paths=5]"))
    moved = [not torch.equal(a, b) for a, b in zip(method.extra_parameters(), start.extra_parameters(), strict=True)]
    assert any(moved)
    start.load_state_dict(method.state_dict())
    for one, other in zip(method.extra_parameters(), start.extra_parameters(), strict=True):
        assert torch.equal(one, other)
    in_optimizer = {id(p) for group in method.optimizer.torch.param_groups for p in group["params"]}
    assert {id(p) for p in method.extra_parameters()} <= in_optimizer


def test_a_method_without_a_step_is_an_error():
    class Empty(SupernetMethod):
        pass

    with pytest.raises(NotImplementedError):
        Empty(Empty.Config(), make_task()).advance()


def test_scores_are_by_the_tasks_images():
    """One picture more or less would be seen."""
    data = learnable_data(valid=80)
    small = method_of("spos")
    large = method_entry("spos").load()(small.config, make_task(data=data))
    assert torch.equal(weights(small), weights(large))
    assert bits(small.scores(INHERITED, ARCHS)) != bits(large.scores(INHERITED, ARCHS))


def test_the_score_is_the_column_that_the_task_says():
    found = {}
    for score in SCORES:
        task = make_task()
        spos = method_entry("spos").load()
        method = spos(spos.Config(), replace(task, scoring=replace(task.scoring, score=score)))
        found[score] = method.scores(INHERITED, ARCHS)
        assert next(iter(found[score])) == score
    for name in SCORES:
        assert found["accuracy"][name].tolist() == found["minus_loss"][name].tolist()
