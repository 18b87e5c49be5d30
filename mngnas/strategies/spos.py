"""Single-path one-shot with uniform sampling (SPOS), also known as random sampling with parameter sharing.

Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020, section 3.3; Li &
Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019. A step trains one path, the
operation of every edge drawn uniformly and independently; all cells share it.
"""

from mngnas.strategies.base import StepContext, StepResult, Strategy, train_paths
from mngnas.supernet import sample_uniform


class Spos(Strategy):
    """One uniform path a step."""

    name = "spos"
    label = "SPOS"
    paper = "Guo et al. 2020"
    description = "single path, sampled uniformly (also known as random sampling with parameter sharing)"

    def step(self, context: StepContext) -> StepResult:
        """One forward-backward pass."""
        return train_paths(context, sample_uniform(context.rng, 1))
