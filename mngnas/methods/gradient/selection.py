"""How SETN and ENAS choose in the end: the best of some likely architectures by their accuracy with inherited weights.

The authors' code scores each candidate on one validation batch of 512 pictures of its own (D-X-Y/AutoDL-Projects,
search-cell.py), so that two candidates differ by a point or two through their pictures alone. Here all are scored on
the same pictures, those by which every method searches (a preset's section [search]); `pictures = "own batch"` does it
as that code does, with validation batches of the training's size. Candidates are forward passes out of the budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mngnas.data.images import Batch
from mngnas.errors import UserError
from mngnas.methods.gradient_method import ArchitectureMethod, GradientConfig
from mngnas.settings import setting
from mngnas.spaces import Arch


@dataclass(frozen=True)
class SelectionConfig(GradientConfig):
    """Among how many architectures and by which pictures."""

    candidates: int = setting(100, 1, 10_000)
    pictures: str = setting("search", among=("search", "own batch"))


def selection_price(method: ArchitectureMethod) -> float:
    """Passes that scoring all candidates takes; raises `UserError` where the budget has no more."""
    each = method.search_price if method.config.pictures == "search" else 1 / 3
    price, budget = float(method.config.candidates * each), method.task.training.passes
    if price >= budget:
        raise UserError(
            f"{method.info.name}.candidates = {method.config.candidates} take {price:,.0f} passes to be scored; the"
            f" budget is {budget:,}"
        )
    return price


def best_candidate(method: ArchitectureMethod, candidates: Sequence[Arch]) -> Arch:
    """The most accurate, the first of equals."""
    if method.config.pictures == "search":
        return candidates[int(method.search_scorer(candidates).accuracy.argmax())]
    batches = (method.task.validation_batch(method.steps + place) for place in range(len(candidates)))
    accuracies = [batch_accuracy(method, *one) for one in zip(candidates, batches, strict=True)]
    return candidates[accuracies.index(max(accuracies))]


@torch.no_grad()
def batch_accuracy(method: ArchitectureMethod, arch: Arch, batch: Batch) -> float:
    """One path's accuracy with inherited weights on a batch, 0..1."""
    return float((method.supernet(batch.images, arch).logits.argmax(1) == batch.labels).double().mean())
