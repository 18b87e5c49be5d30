"""REINFORCE: the closed-form gradient, the baseline, Adam, and that it learns."""

import numpy as np
import pytest
import torch

from mngnas.methods.base import SearchTask
from mngnas.methods.info import Answer
from mngnas.methods.searcher import Query
from mngnas.methods.searchers.reinforce import Reinforce, ReinforceConfig, policy_gradient, probabilities
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ToyOracle, run


def reinforce(seed=0, **config):
    return Reinforce(ReinforceConfig(**config), SearchTask(TOPOLOGY, seed), ToyOracle())


def told(method, arch, accuracy):
    method._take(Query(arch, Answer(accuracy, 1.0)))


def test_the_gradient_is_that_of_automatic_differentiation():
    logits, arch = np.random.default_rng(0).normal(size=(6, 5)), (4, 0, 2, 3, 1, 1)
    leaf = torch.tensor(logits, requires_grad=True)
    log_p = leaf.log_softmax(dim=1)[torch.arange(6), torch.tensor(arch)].sum()
    (-1.7 * log_p).backward()
    np.testing.assert_allclose(policy_gradient(logits, arch, 1.7), leaf.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_the_gradient_is_zero_where_there_is_no_option():
    logits = np.array([[0.0, 1.0, -np.inf], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(probabilities(logits).sum(axis=1), 1)
    gradient = policy_gradient(logits, (1, 2), 2.0)
    assert gradient[0, 2] == 0
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)


def test_the_baseline_is_the_moving_average_without_its_bias():
    """After k rewards: sum of .9^(k-i) r_i over sum of .9^(k-i); in percent, the newest among them."""
    method, rewards = reinforce(), [0.2, 0.9, 0.4, 0.6]
    for accuracy in rewards:
        told(method, (0,) * 6, accuracy)
    weights = 0.9 ** np.arange(len(rewards))[::-1]
    assert method.baseline == pytest.approx(100 * (weights * rewards).sum() / weights.sum())


def test_the_first_reward_moves_nothing():
    """It is its own baseline."""
    method = reinforce()
    before = method.logits.copy()
    told(method, (1,) * 6, 0.7)
    np.testing.assert_array_equal(method.logits, before)


def test_steps_are_those_of_adam():
    method = reinforce(learning_rate=0.05)
    leaf = torch.tensor(method.logits.copy(), requires_grad=True)
    adam = torch.optim.Adam([leaf], lr=0.05)
    rng, rewards = np.random.default_rng(3), []
    for arch in TOPOLOGY.sample_uniform(rng, 12):
        rewards.append(100 * rng.random())
        weights = 0.9 ** np.arange(len(rewards))[::-1]
        advantage = rewards[-1] - (weights * rewards).sum() / weights.sum()
        adam.zero_grad()
        (-advantage * leaf.log_softmax(dim=1)[torch.arange(6), torch.tensor(arch)].sum()).backward()
        adam.step()
        told(method, arch, rewards[-1] / 100)
    np.testing.assert_allclose(method.logits, leaf.detach().numpy(), rtol=1e-9)


def test_draws_follow_the_softmax():
    method, n = reinforce(), 4000
    method.logits = np.random.default_rng(0).normal(size=(6, 5))
    drawn = np.array([method.propose([], np.random.default_rng([5, i])) for i in range(n)])
    counts = np.stack([np.bincount(drawn[:, place], minlength=5) for place in range(6)])
    expected = n * probabilities(method.logits)
    assert ((counts - expected) ** 2 / expected).sum() < 51.2  # the 99.9 % quantile of 24 degrees


def test_a_resumed_one_has_the_same_distribution():
    method, other = reinforce(seconds=100.0), reinforce(seconds=100.0)
    other.load_state_dict(run(method).state_dict())
    np.testing.assert_array_equal(method.logits, other.logits)


def test_it_learns_what_pays():
    class Convolutions(ToyOracle):
        def knows(self, arch):  # noqa: ARG002
            return True

        def query(self, arch):
            return Answer(arch.count(3) / 6, 1.0)

    method = Reinforce(ReinforceConfig(300.0, learning_rate=0.05), SearchTask(TOPOLOGY, 0), Convolutions())
    run(method)
    assert (probabilities(method.logits).argmax(axis=1) == 3).all()
