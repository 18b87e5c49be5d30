"""Methods whose supernet is split on the way: several supernets, each with the architectures that it owns.

A territory says which options of every position a network owns; the networks' territories are disjoint and cover the
space. `split` gives every part a copy of the weights that it had so far. An architecture is scored, and retrained, with
the network that owns it as it is written: an operation on a dead edge changes no output, yet it may decide the owner.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mngnas.methods.base import Ranking, Task
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.nets.build import build_supernet
from mngnas.nets.supernet import Supernet
from mngnas.spaces import Arch, Space
from mngnas.train.loop import Sgd

Territory = tuple[tuple[int, ...], ...]  # for every position the options that are owned, ascending


def whole(space: Space) -> Territory:
    """All of a space."""
    return tuple(tuple(range(size)) for size in space.sizes)


def owns(territory: Territory, arch: Arch) -> bool:
    """Whether an architecture lies in it."""
    return all(option in options for option, options in zip(arch, territory, strict=True))


def divided(territory: Territory, position: int, groups: Sequence[Sequence[int]]) -> list[Territory]:
    """One territory for each group of the options at a position."""
    return [(*territory[:position], tuple(sorted(group)), *territory[position + 1 :]) for group in groups]


def sample(rng: np.random.Generator, territory: Territory) -> Arch:
    """One architecture, uniformly drawn."""
    return tuple(options[rng.integers(len(options))] for options in territory)


class SplitMethod(SupernetMethod):
    """One supernet at first, several in the end; single uniform paths, the networks by turns.

    `supernet` is always the first of `networks`. After a split the optimiser is a new one: momentum starts at zero.
    """

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        self.networks: list[Supernet] = [self.supernet]
        self.territories: list[Territory] = [whole(self.space)]

    def course(self, spent: float) -> float:
        """How far the learning rate is on its cosine, 0..1, at a share of the budget."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------- what it may use

    def train_in_turn(self, step: Step) -> StepResult:
        """One path in the territory of the network whose turn it is."""
        return self.train_paths(step.batch, [sample(step.rng, self.territories[step.number % len(self.territories)])])

    def split(self, parts: Sequence[Sequence[Territory]]) -> None:
        """Divide every network's territory into these parts; each part goes on from the network's weights."""
        networks: list[Supernet] = []
        for network, own in zip(self.networks, parts, strict=True):
            networks += [network, *(copy.deepcopy(network) for _ in own[1:])]
        self._hold(networks, [part for own in parts for part in own])

    def _hold(self, networks: Sequence[Supernet], territories: Sequence[Territory]) -> None:
        self.networks, self.territories = list(networks), list(territories)
        parameters = [parameter for network in networks for parameter in network.parameters()]
        self.optimizer = Sgd(parameters, self.task.training, fused=self.task.device.type == "cuda")

    # --------------------------------------------------------------------------------------------------- the procedure

    def update(self, step: Step) -> None:
        """By the learning rate of the phase; networks that were not trained in this step stay as they are."""
        self.optimizer.update(self.course(step.spent))

    def network_of(self, arch: Arch) -> Supernet:
        """The network that owns an architecture."""
        return next(net for net, own in zip(self.networks, self.territories, strict=True) if owns(own, arch))

    def rankings(self) -> Sequence[Ranking]:
        """As of every supernet, but each architecture has its own score: see the module."""
        return [replace(ranking, by_canonical=False) for ranking in super().rankings()]

    def state_dict(self) -> dict[str, Any]:
        """The first network's as every supernet's, and the others with all territories."""
        own = {
            "territories": [[list(options) for options in territory] for territory in self.territories],
            "others": [network.state_dict() for network in self.networks[1:]],
        }
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        networks = [self.supernet]
        for weights in state["others"]:
            networks.append(build_supernet(self.space, self.task.skeleton, 0).to(self.task.device))
            networks[-1].load_state_dict(weights)
        self._hold(networks, [tuple(map(tuple, territory)) for territory in state["territories"]])
        super().load_state_dict(state)
