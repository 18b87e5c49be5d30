"""Strict fairness (FairNAS): every operation of every edge is trained once in each step.

Chu, Zhang & Xu, "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search", ICCV 2021,
section 3.2 and algorithm 1. A step takes a random permutation of the five operations for each edge; the five paths
that they make up are trained on the same batch, their gradients are added, and the weights are updated once.
"""

from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod


class FairNas(SupernetMethod):
    """As many paths as a position has options, and one update a step."""

    info = MethodInfo(
        name="fairnas",
        label="FairNAS",
        paper="Chu et al. 2021",
        description="strict fairness: five paths a step use every operation of every edge once",
        kind="supernet",
    )

    def step(self, step: Step) -> StepResult:
        """Five forward-backward passes."""
        return self.train_fair_set(step.batch, self.space.sample_strictly_fair(step.rng))
