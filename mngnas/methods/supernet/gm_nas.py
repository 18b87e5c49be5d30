"""GM-NAS: supernets are split where operations' gradients on the shared weights disagree most.

Hu, Wang, Hong, Li, Hsieh & Feng, "Generalizing Few-Shot NAS with Gradient Matching", ICLR 2022, section 3. For an
edge and each operation on it, the gradient of the loss by the weights that paths share (those of the other edges'
operations and of the reductions), the edge fixed to that operation, on random paths and batches. d_ij = 1 - cosine of
the gradients of operations i and j, averaged. The five operations of an edge fall into groups of two and three so that
the distances between the groups sum up to most; the edge with the largest such cut is split. Twice: four supernets.

Public code (skhu101/GM-NAS), with single random paths: splits after 20 and 40 epochs of a supernet, then 50 more; 100
batches an edge and split, each with a path of its own that joins input and output; batch 64 (48 as in few-shot NAS),
SGD .025 -> .001 along one cosine over a supernet's whole life, which parts inherit with the optimiser, weight decay
1e-4. Weights may be drawn anew after the last split ("restart").
Kept here: the ratio 20 : 2 x 20 : 4 x 50, the measure, the cosine over a supernet's life (with `restart` it starts
anew, too). Ours: everything that all methods share; momentum starts at zero at a split; the parts take turns. The
gradients that are measured cost passes like any others and are paid out of the budget, so there are as many batches as
a share of it pays, at least one and at most the code's 100.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.methods.info import Column, Diary, DiaryTable, MethodInfo
from mngnas.methods.split_method import SplitMethod, Territory, divided, sample
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.nets.build import build_supernet
from mngnas.nets.cell import CellWeights
from mngnas.nets.supernet import Supernet
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch

_LIFE = (0.0, 20 / 90, 40 / 90, 1.0)  # how old a supernet is when each phase begins, and at the end
_SMALLER_GROUP = 2  # of the two groups of operations


@dataclass(frozen=True)
class GmNasConfig(Settings):
    """When to split, what a split may cost, and what comes after; shares are of the whole budget."""

    section = "gm-nas"
    first_split: float = setting(20 / 260, above=0, high=0.999)
    second_split: float = setting(60 / 260, above=0, high=0.999)
    measuring: float = setting(0.06, 0, 1)  # share for the gradients of both levels of splits; the code's 8,000 passes
    batches: int = setting(100, 1)  # an edge and split, at most
    restart: bool = False  # draw all weights anew after the second split

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.first_split >= self.second_split:
            raise UserError(f"gm-nas: second_split = {self.second_split} is not after first_split = {self.first_split}")


@dataclass(frozen=True)
class Cut:
    """The best way to divide the operations of an edge."""

    position: int
    groups: tuple[tuple[int, ...], tuple[int, ...]]
    distance: float  # the sum of d between the groups


class GmNas(SplitMethod):
    """A supernet that is split twice, each part where it should be."""

    info = MethodInfo(
        name="gm-nas",
        label="GM-NAS",
        paper="Hu et al. 2022",
        description="four supernets, split where the operations' gradients on shared weights disagree most",
        kind="supernet",
        not_in={"nats-bench-size": "its choices are widths, not operations with weights of their own"},
    )
    Config = GmNasConfig

    def __init__(self, config: GmNasConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config: GmNasConfig = config
        self.history: list[list[Any]] = []  # one row a split

    def step(self, step: Step) -> StepResult:
        """One forward-backward pass; before it the gradients of a split that is due."""
        due = (step.spent >= self.config.first_split) + (step.spent >= self.config.second_split)
        measured = self._split(step) if due and len(self.networks) < 2**due else 0
        result = self.train_in_turn(step)
        each = len(step.batch.labels)
        return replace(result, passes=result.passes + measured, images=result.images + measured * each)

    def course(self, spent: float) -> float:
        """One cosine over the life of a supernet, or over its last phase if its weights are new there."""
        first, second = self.config.first_split, self.config.second_split
        if self.config.restart and len(self.networks) == 4:
            return max(0.0, spent - second) / (1 - second)
        return float(np.interp(spent, (0.0, first, second, 1.0), _LIFE))

    # ------------------------------------------------------------------------------------------------------- splitting

    def _split(self, step: Step) -> int:
        """Split every network on its best edge; returns the passes that measuring took."""
        edges = [[e for e, own in enumerate(part) if len(own) == self.space.sizes[e]] for part in self.territories]
        prices = [sum(self.space.sizes[e] for e in own) for own in edges]  # of one batch an edge
        share = self.config.measuring * self.task.training.passes / 2
        batches = min(self.config.batches, max(1, int(share / sum(prices))))
        parts, number = [], 0
        for network, territory, own in zip(self.networks, self.territories, edges, strict=True):
            cuts = []
            for position in own:
                theirs = [self.further_batch(number + n) for n in range(batches)]
                number += batches
                cuts.append(best_cut(position, self.distances(network, territory, position, theirs, step.rng)))
            cut = max(cuts, key=lambda one: one.distance)
            parts.append(divided(territory, cut.position, cut.groups))
            self.history.append([step.spent, cut.position, [list(group) for group in cut.groups], cut.distance])
        self.split(parts)
        if self.config.restart and len(self.networks) == 4:
            for network in self.networks:
                fresh = build_supernet(self.space, self.task.skeleton, int(step.rng.integers(2**31)))
                network.load_state_dict(fresh.state_dict())
        return batches * sum(prices)

    def distances(
        self,
        network: Supernet,
        territory: Territory,
        position: int,
        batches: Sequence[Batch],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """How far the gradients of a position's options are apart, `[n_option, n_option]`, the mean over batches."""
        found = []
        for batch in batches:
            path = self._connected(territory, rng)
            paths = [(*path[:position], option, *path[position + 1 :]) for option in territory[position]]
            found.append(cosine_distances(torch.stack([shared_gradient(network, p, position, batch) for p in paths])))
        return np.asarray(np.mean(found, axis=0))

    def _connected(self, territory: Territory, rng: np.random.Generator) -> Arch:
        """A path that joins input and output: others have no gradient."""
        while True:
            path = sample(rng, territory)
            if self.space.connected[self.space.to_index(path)]:
                return path

    # ------------------------------------------------------------------------------------------------ diary and state

    def diary(self) -> Diary:
        """Where it was split."""
        options = self.space.options
        rows = [
            [spent, self.space.positions[at], " | ".join(", ".join(options[at][o] for o in g) for g in groups), cut]
            for spent, at, groups, cut in self.history
        ]
        columns = [Column("budget spent", "percent"), Column("edge", "text"), Column("groups", "text"), Column("cut")]
        note = "The cut is the sum of the gradients' distances between the two groups; six pairs, each 0 to 2."
        return Diary(tables=[DiaryTable("Splits", columns, rows, note)] if rows else [])

    def state_dict(self) -> dict[str, Any]:
        """The networks', and where they were split."""
        return super().state_dict() | {"history": self.history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.history = state["history"]


def shared_gradient(network: Supernet, path: Arch, position: int, batch: Batch) -> Tensor:
    """The loss's gradient by the weights that a path shares whatever its operation at `position`, flat.

    These are the other edges' operations and the reductions, without stem and head; what a path does not use is zero.
    """
    assert isinstance(network, CellWeights)
    of_edges, others = list(network.cells.parameters()), list(network.reductions.parameters())
    loss = F.cross_entropy(network(batch.images, path).logits, batch.labels)
    found = torch.autograd.grad(loss, [*of_edges, *others], materialize_grads=True)
    for gradient in found[: len(of_edges)]:  # [n_edge, ...]
        gradient[position] = 0
    return torch.cat([gradient.flatten() for gradient in found])


def cosine_distances(gradients: Tensor) -> np.ndarray:
    """1 - cosine of each pair of rows `[n, m]`, 0..2; from a row of zeros 1 to any other row and 0 to another such."""
    unit = F.normalize(gradients.double(), dim=1)
    distances = (1 - unit @ unit.T).clamp_(min=0)
    zero = ~gradients.any(1)
    distances[zero[:, None] & zero] = 0
    return distances.fill_diagonal_(0).cpu().numpy()


def best_cut(position: int, distances: np.ndarray) -> Cut:
    """Of all ways to take two options out `[n_option, n_option]` the one with the largest sum of distances between."""
    options = range(len(distances))
    groups = [(pair, tuple(o for o in options if o not in pair)) for pair in combinations(options, _SMALLER_GROUP)]
    return max((Cut(position, two, float(distances[np.ix_(*two)].sum())) for two in groups), key=lambda c: c.distance)
