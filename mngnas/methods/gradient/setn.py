"""Weights by uniform paths, architecture parameters by the mixture, and a choice among the likeliest.

Dong & Yang, "One-Shot Neural Architecture Search via Self-Evaluated Template Network", ICCV 2019, as its authors run it
on this space (NAS-Bench-201, ICLR 2020). Weights are trained on one uniformly drawn path a step, just as in SPOS; alpha
descends the validation loss of the softmax mixture; in the end the hundred architectures of largest log-probability
are scored with inherited weights and the best is proposed (`selection`). That code draws another path in every cell and
rejects nodes without input; here one path serves all cells, as in scoring.

Settings of that code on this space (D-X-Y/AutoDL-Projects): 250 epochs, batch 64 (512 for candidates), SGD with
Nesterov momentum .9, .025 to .001 along a cosine, decay 5e-4; alpha by Adam, 3e-4, betas .5 and .999, decay 1e-3;
weights updated first. Weights are trained as all methods' here, after alpha. A step counts 6 passes.
"""

import numpy as np

from mngnas.methods.gradient.selection import SelectionConfig, best_candidate, selection_price
from mngnas.methods.gradient_method import GradientMethod
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.spaces import Arch


class Setn(GradientMethod):
    """Paths for the weights, the mixture for the architecture parameters."""

    info = MethodInfo(
        name="setn",
        label="SETN",
        paper="Dong & Yang 2019",
        description="weights by uniform paths, alpha by the mixture, the best of its likeliest is proposed",
        kind="gradient",
    )
    Config = SelectionConfig

    def weight_step(self, step: Step) -> StepResult:
        """One uniformly drawn path."""
        return self.train_paths(step.batch, self.space.sample_uniform(step.rng, 1))

    def candidates(self) -> list[Arch]:
        """The likeliest architectures, most probable first."""
        everything = self.space.all_archs
        order = np.argsort(-self.log_probability(everything), kind="stable")[: self.config.candidates]
        return [tuple(map(int, everything[place])) for place in order]

    def closing_price(self) -> float:
        """Scoring the candidates."""
        return selection_price(self)

    def close(self) -> None:
        """Choose among them."""
        self.chosen = [best_candidate(self, self.candidates())]
