"""Cream: the board, the match, the guided loss and the meta network's gradient."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.methods.supernet.cream import Seat, admit, guided_loss, soft_cross_entropy
from mngnas.methods.supernet_method import Step
from mngnas.seeds import Stream, generator
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import SHORT, Case, bits, case, make, make_task, run, weights


def seat(accuracy, flops=10, arch=(0,)):
    return Seat(accuracy, flops, arch, torch.zeros(1), torch.zeros(1))


def shown(board):
    return [(one.accuracy, one.arch) for one in board]


# ---------------------------------------------------------------------------------------------------------- the board


def test_who_gets_a_seat():
    board = [seat(0.6, arch=(1,)), seat(0.4, arch=(2,))]
    full = [(0.6, (1,)), (0.4, (2,))]
    assert shown(admit(board, seat(0.1, arch=(3,)), 3, 0.05)) == [*full, (0.1, (3,))]  # there is room
    assert shown(admit(board, seat(0.46, 99, (3,)), 2, 0.05)) == [(0.6, (1,)), (0.46, (3,))]  # by more than the gap
    assert shown(admit(board, seat(0.44, 99, (3,)), 2, 0.05)) == full
    assert shown(admit(board, seat(0.44, 9, (3,)), 2, 0.05)) == [(0.6, (1,)), (0.44, (3,))]  # better and cheaper
    assert shown(admit(board, seat(0.44, 10, (3,)), 2, 0.05)) == full  # no cheaper
    assert shown(admit(board, seat(0.39, 1, (3,)), 2, 0.05)) == full  # no better
    assert shown(admit(board, seat(0.5, arch=(1,)), 2, 0.05)) == full  # it sits there already, and did better
    assert shown(admit(board, seat(0.7, arch=(2,)), 2, 0.05)) == [(0.7, (2,)), (0.6, (1,))]
    assert shown(admit(board, seat(0.6, 99, (3,)), 2, 0.05)) == [(0.6, (1,)), (0.6, (3,))]  # the earlier stays first
    assert shown(admit([], seat(0.0), 1, 0.05)) == [(0.0, (0,))]


def test_the_board_is_sorted_unique_and_never_too_long():
    rng, board, best = np.random.default_rng(0), [], 0.0
    for _ in range(500):
        new = seat(rng.integers(0, 100) / 100, int(rng.integers(50)), (int(rng.integers(30)),))
        board, best = admit(board, new, 10, 0.05), max(best, new.accuracy)
        accuracies = [one.accuracy for one in board]
        assert accuracies == sorted(accuracies, reverse=True)
        assert len({one.arch for one in board}) == len(board) <= 10
        assert board[0].accuracy >= best - 0.05


def test_training_fills_the_board_after_its_start():
    method = make(case("cream[start=0.5,gap=0.0,every=1000]"))
    while method.spent < 0.5:
        assert method.board == []
        method.advance()
    before = method.supernet(method.task.training_batch(method.steps).images, path_of(method)).logits
    method.advance()
    (first,) = method.board
    batch = method.task.training_batch(method.steps - 1)
    assert first.arch == TOPOLOGY.canonical(path_of(method, method.steps - 1))
    assert first.accuracy == pytest.approx((before.argmax(1) == batch.labels).float().mean().item())
    assert first.flops == TOPOLOGY.flops(np.array([path_of(method, method.steps - 1)]), SHORT, 8)[0]
    assert torch.equal(first.images, batch.images[:4])
    torch.testing.assert_close(first.outputs, before[:4].softmax(1).detach())
    run(method)
    assert len(method.board) == 10
    assert list(method.proposal()) == [one.arch for one in method.board]


def path_of(method, number=None):
    """The path of a step, by default the next."""
    rng = generator(0, Stream.STEP, method.steps if number is None else number)
    return TOPOLOGY.sample_uniform(rng, 1)[0]


# ------------------------------------------------------------------------------------------------------- the guidance


def test_the_guided_loss():
    guidance, cross_entropy = torch.tensor(3.0), torch.tensor(1.0)
    assert guided_loss(torch.tensor(0.0), guidance, cross_entropy) == cross_entropy
    assert guided_loss(torch.tensor(1.0), guidance, cross_entropy) == 2.0
    assert guided_loss(torch.tensor(0.5), guidance, cross_entropy) == pytest.approx((0.5 * 3 + 1.5) / 2)


def test_soft_labels_that_are_hard_give_the_cross_entropy():
    logits = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(5)
    torch.testing.assert_close(
        soft_cross_entropy(logits, F.one_hot(labels, 10).float()), F.cross_entropy(logits, labels)
    )


def with_board():
    """A method with some seats and a meta network that prefers some."""
    method = make(case("cream[every=1000]"))
    while len(method.board) < 5:
        method.advance()
    with torch.no_grad():
        method.meta.weight.copy_(torch.randn(method.meta.weight.shape, generator=torch.Generator().manual_seed(1)))
    return method


def test_the_best_match_teaches_and_not_the_last():
    method, places = with_board(), set()
    for arch in TOPOLOGY.sample_uniform(np.random.default_rng(0), 20):
        scores = []
        images = torch.cat([one.images for one in method.board])
        with torch.no_grad():
            outputs = method.supernet(images, arch).logits.softmax(1).split(4)
            for mine, one in zip(outputs, method.board, strict=True):
                scores.append(method.meta((mine - one.outputs).flatten()).item())
        place, degree = method.match(method.differences(arch))
        assert place == int(np.argmax(scores))
        assert 0 < degree < 1
        assert degree.item() == pytest.approx(1 / (1 + np.exp(-max(scores))), rel=1e-5)
        places.add(place)
    assert len(places) > 2


def test_before_it_has_learnt_the_best_path_teaches():
    method = make(Case("cream"))
    while len(method.board) < 3:
        method.advance()
    with torch.no_grad():
        method.meta.weight.zero_()
    place, degree = method.match(method.differences((3,) * 6))
    assert (place, degree.item()) == (0, 0.5)


def test_a_step_with_a_board_by_hand():
    method = with_board()
    batch, net, n = method.task.training_batch(99), method.supernet, len(method.board)
    (arch,) = TOPOLOGY.sample_uniform(np.random.default_rng(3), 1)
    place, degree = method.match(method.differences(arch))
    with torch.no_grad():
        target = net(batch.images, method.board[place].arch).logits.softmax(1)
    net.zero_grad()
    logits, m = net(batch.images, arch).logits, degree.item()
    distilled = -(target * logits.log_softmax(1)).sum() / len(target)
    ((m * distilled + (2 - m) * F.cross_entropy(logits, batch.labels)) / 2).backward()
    expected = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    result = method.step(Step(99, batch, np.random.default_rng(3), 0.9))
    for gradient, parameter in zip(expected, net.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-6)
    assert result.loss.item() == pytest.approx(F.cross_entropy(logits, batch.labels).item())
    assert result.passes == pytest.approx(1 + 1 / 3 + 4 * n / 16 / 3)
    assert result.images == 16


# --------------------------------------------------------------------------------------------------- the meta network


def test_the_gradient_in_the_degree_is_that_of_finite_differences():
    method = make(Case("cream"), task=make_task(skeleton=SHORT))
    net = method.supernet.double()
    batch, valid = (
        Batch(one.images.double(), one.labels)
        for one in (method.task.training_batch(0), method.task.validation_batch(0))
    )
    student, teacher, rate = (3, 1, 2, 3, 4, 1), (3,) * 6, 0.3
    before = bits(net.state_dict())
    found = method.meta_gradient(batch, valid, student, teacher, 0.4, rate)
    assert bits(net.state_dict()) == before
    target = net(batch.images, teacher).logits.softmax(1).detach()

    def loss(degree):
        twin = copy.deepcopy(net)
        twin.zero_grad()
        (degree * soft_cross_entropy(twin(batch.images, student).logits, target)).backward()
        with torch.no_grad():
            for weight in twin.parameters():
                if weight.grad is not None:
                    weight -= rate * weight.grad
            return F.cross_entropy(twin(valid.images, student).logits, valid.labels).item()

    assert found == pytest.approx((loss(0.4 + 1e-5) - loss(0.4 - 1e-5)) / 2e-5, rel=1e-5)
    assert found != 0


def test_an_update_of_the_meta_network():
    """By the chain rule: the slope in the degree, the sigmoid's, the teacher's difference. It leaves the weights."""
    method = with_board()
    step = Step(1000, method.task.training_batch(5), np.random.default_rng(3), 0.5)
    (arch,) = TOPOLOGY.sample_uniform(np.random.default_rng(3), 1)
    differences = method.differences(arch)
    place, degree = method.match(differences)
    m, teacher = degree.item(), method.board[place].arch
    slope = method.meta_gradient(step.batch, method.task.validation_batch(1000), arch, teacher, m, 0.1 * 0.5)
    expected = method.meta.weight.detach() - 0.01 * slope * m * (1 - m) * differences[place]
    before, n = weights(method), len(method.board)
    result = method.step(step)
    torch.testing.assert_close(method.meta.weight.detach(), expected)
    assert torch.equal(weights(method), before)
    assert result.passes == pytest.approx(1 + 1 / 3 + 4 * n / 16 / 3 + 2 + 1 / 3)
    assert result.images == 32


def test_with_a_rate_of_zero_the_meta_network_stays():
    assert not run(make(case("cream[meta_rate=0.0]"))).meta.weight.any()
    assert run(make(Case("cream"))).meta.weight.any()
