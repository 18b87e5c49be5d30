"""ENAS: the controller as a distribution, its baseline and its gradient against enumeration."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from mngnas.methods.gradient.enas import Controller, reinforce
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import make_task, run
from tests.methods.gradient_cases import method_of, step_of

ALL = torch.as_tensor(TOPOLOGY.all_archs.astype(np.int64))


def controller(positions=6, options=5, scale=10.0):
    """Weights large enough that draws are far from uniform."""
    found = Controller(positions, options, np.random.default_rng(0))
    with torch.no_grad():
        for parameter in found.parameters():
            parameter *= scale
    return found


def test_probabilities_over_the_space_sum_to_one():
    logs = controller()(ALL).detach()
    assert logs.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert logs.exp().max() > 3 / 15_625


def test_forced_decoding_gives_the_probability_of_what_was_drawn():
    net = controller()
    drawn = net.draw(50, np.random.default_rng(2))
    assert drawn.shape == (50, 6)
    step_by_step = net._decode(50, lambda position, _logs: drawn[:, position])[1]
    alone = torch.cat([net(row[None]) for row in drawn])
    torch.testing.assert_close(net(drawn), alone, rtol=1e-12, atol=0)
    torch.testing.assert_close(net(drawn), step_by_step, rtol=0, atol=0)


def test_draws_have_the_frequencies_that_it_says():
    net, n = controller(positions=2, options=4), 4000
    drawn = net.draw(n, np.random.default_rng(3))
    counts = torch.bincount(4 * drawn[:, 0] + drawn[:, 1], minlength=16)
    pairs = torch.tensor([(a, b) for a in range(4) for b in range(4)])
    expected = n * net(pairs).detach().exp().numpy()
    assert chisquare(counts.numpy(), expected * n / expected.sum()).pvalue > 1e-4


def test_greedy_takes_the_likeliest_option_at_each_step():
    net = controller()
    found = net.greedy()
    for position in range(6):
        others = found.repeat(5, 1)
        others[:, position] = torch.arange(5)
        # probabilities of prefixes: sums over what may follow
        prefixes = [net(ALL[(ALL[:, : position + 1] == row[: position + 1]).all(1)]).logsumexp(0) for row in others]
        assert int(torch.stack(prefixes).argmax()) == found[position]


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_the_mean_gradient_is_that_of_the_expected_reward(baseline):
    """Over all 625 architectures of four positions, with the entropy's share in the reward."""
    net, entropy = controller(positions=4), 0.3
    archs = torch.cartesian_prod(*[torch.arange(5)] * 4)
    accuracy = torch.as_tensor(np.random.default_rng(5).random(len(archs)))
    logs = net(archs)
    expected_reward = (logs.exp() * (accuracy - entropy * logs)).sum()  # accuracy and entropy
    expected = torch.autograd.grad(expected_reward, list(net.parameters()), retain_graph=True)
    rewards = accuracy - entropy * logs.detach()
    surrogate = (logs.detach().exp() * reinforce(logs, rewards, baseline)).sum()
    found = torch.autograd.grad(surrogate, list(net.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, -other, rtol=1e-9, atol=1e-12)


def test_the_baseline_is_the_moving_average_of_all_rewards_so_far(monkeypatch):
    method = method_of("enas", draws=5, every=1, candidates=1, entropy=0.0, baseline_decay=0.8)
    rewards = iter(np.random.default_rng(0).random(10).tolist())
    given = []

    def accuracy(*_):
        given.append(next(rewards))
        return given[-1]

    used = []

    def watched(logs, rewards, baseline):
        used.append(baseline)
        return reinforce(logs, rewards, baseline)

    monkeypatch.setattr("mngnas.methods.gradient.enas.batch_accuracy", accuracy)
    monkeypatch.setattr("mngnas.methods.gradient.enas.reinforce", watched)
    for number in range(2):
        method.architecture_step(method.task.validation_batch(number), step_of(method, number))
    k = len(given)
    expected = 0.8**k * 0.1 + sum(0.2 * 0.8 ** (k - 1 - i) * r for i, r in enumerate(given))
    assert method.baseline == pytest.approx(expected, rel=1e-12)
    after_five = 0.8**5 * 0.1 + sum(0.2 * 0.8 ** (4 - i) * r for i, r in enumerate(given[:5]))
    assert used == pytest.approx([0.1, after_five], rel=1e-12)  # never a function of the draws that it judges


def test_the_controller_learns_what_is_rewarded(monkeypatch):
    """Architectures with 3x3 convolutions: their share among draws rises."""
    task = make_task(passes=100_000)
    method = method_of("enas", task, every=1, learning_rate=0.02)
    monkeypatch.setattr("mngnas.methods.gradient.enas.batch_accuracy", lambda _m, arch, _b: arch.count(3) / 6)
    for number in range(60):
        method.architecture_optimizer.zero_grad()
        method.architecture_step(task.validation_batch(0), step_of(method, number))
        method.architecture_optimizer.step()
    drawn = method.controller.draw(500, np.random.default_rng(0))
    assert (drawn == 3).double().mean() > 0.4


def test_the_weights_step_trains_a_drawn_path():
    method = method_of("enas", candidates=1)
    (arch,) = method.controller.draw(1, step_of(method).rng).tolist()
    assert method.weight_step(step_of(method)).passes == 1
    first = [p.grad.clone() for p in method.supernet.parameters() if p.grad is not None]
    method.supernet.zero_grad()
    method.train_paths(step_of(method).batch, [tuple(arch)])
    again = [p.grad for p in method.supernet.parameters() if p.grad is not None]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert all(p.grad is None for p in method.architecture_parameters)


def test_what_steps_cost():
    """Every fourth step has twenty forward passes besides."""
    method = method_of("enas", candidates=1)
    spent = [0.0]
    for _ in range(8):
        method.advance()
        spent.append(method.passes)
    third = 20 / 3
    assert np.diff(spent) == pytest.approx([1, 1, 1, 1 + third] * 2)


def test_it_proposes_the_most_accurate_of_its_draws():
    method = run(method_of("enas", candidates=10))
    (found,) = method.proposal()
    rng = np.random.default_rng([0, 3, method.steps - 1])
    drawn = [tuple(row) for row in method.controller.draw(10, rng).tolist()]
    accuracies = method.search_scorer(drawn).accuracy
    assert found == drawn[int(accuracies.argmax())]
