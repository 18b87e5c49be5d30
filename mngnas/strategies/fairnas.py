"""Strict fairness (FairNAS): every operation of every edge is trained once in each step.

Chu, Zhang & Xu, "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search", ICCV 2021,
section 3.2 and algorithm 1. A step takes a random permutation of the five operations for each edge; the five paths
that they make up are trained on the same batch, their gradients are added, and the weights are updated once.
"""

from mngnas.strategies.base import StepContext, StepResult, Strategy, train_fair_set
from mngnas.supernet import sample_strictly_fair


class FairNas(Strategy):
    """Five paths and one update a step."""

    name = "fairnas"
    label = "FairNAS"
    paper = "Chu et al. 2021"
    description = "strict fairness: five paths a step use every operation of every edge once"

    def step(self, context: StepContext) -> StepResult:
        """Five forward-backward passes."""
        return train_fair_set(context, sample_strictly_fair(context.rng))
