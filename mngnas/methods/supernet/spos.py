"""Single path one-shot: one uniformly drawn path a step.

Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020, section 3.3. Training by
single random paths is also what Li & Talwalkar's random search with parameter sharing does (UAI 2019).
"""

from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod


class Spos(SupernetMethod):
    """One path and one update a step."""

    info = MethodInfo(
        name="spos",
        label="SPOS",
        paper="Guo et al. 2020",
        description="one uniformly drawn path a step",
        kind="supernet",
    )

    def step(self, step: Step) -> StepResult:
        """One forward-backward pass."""
        return self.train_paths(step.batch, self.space.sample_uniform(step.rng, 1))
