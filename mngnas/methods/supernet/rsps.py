"""Random search with parameter sharing, as published for this space: SPOS's training, and the best of 100 draws.

Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019, algorithm 1; in the form
of Dong et al., "NATS-Bench", TPAMI 2021. One uniformly drawn path a step; the answer is the architecture of highest
validation accuracy with inherited weights among 100 random ones. Like every choice by a ranking that is measured
anyway, that last search is not counted in the budget.

Official code (D-X-Y/AutoDL-Projects, search-cell.py, "random"): C=16, N=5, 200 epochs of batches of 64 as run-all.sh
has it (100 in the file), learning rate .025 to .001 along a cosine, weight decay 5e-4. It departs from the paper in two
places, each a variant here:

- it compares the 100 by one batch of 512 validation pictures, another one for each, which is a standard error of 1.3 to
  2 points (`batch=512`; 0 stands for the task's scoring images, the same for all);
- it draws another architecture for every cell of a path, though what is scored has the same in all (`per_cell`; its
  rejection of nodes without an input is not copied).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch.nn import functional as F

from mngnas.methods.base import Task
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.seeds import Stream, generator
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch
from mngnas.train.scoring import Scorer


@dataclass(frozen=True)
class RspsConfig(Settings):
    """How the answer is found, and what a path is."""

    section = "rsps"
    candidates: int = setting(100, 1, 1_000_000)
    batch: int = setting(0)  # validation pictures that each is scored by, drawn for it alone; 0: the scoring images
    per_cell: bool = False  # every cell of a training path has an architecture of its own


class Rsps(SupernetMethod):
    """One path and one update a step, and a proposal."""

    info = MethodInfo(
        name="rsps",
        label="RSPS",
        paper="Li & Talwalkar 2019",
        description="one uniform path a step; proposes the best of 100 random architectures",
        kind="supernet",
    )
    Config = RspsConfig

    def __init__(self, config: RspsConfig, task: Task) -> None:
        super().__init__(config, task)
        self._proposal: Sequence[Arch] = ()

    def step(self, step: Step) -> StepResult:
        """One forward-backward pass; with an architecture for each cell it is one on average."""
        if not self.config.per_cell:
            return self.train_paths(step.batch, self.space.sample_uniform(step.rng, 1))
        archs = self.space.sample_uniform(step.rng, len(self.task.skeleton.stage_of_cell))
        loss = F.cross_entropy(self.supernet.per_cell(step.batch.images, archs).logits, step.batch.labels)
        loss.backward()
        return StepResult(1, len(step.batch.labels), loss.detach())

    def proposal(self) -> Sequence[Arch]:
        """The best of the candidates, once training is over."""
        if self.done and not self._proposal:
            rng = generator(self.task.seed, Stream.METHOD)
            candidates = self.space.sample_uniform(rng, self.config.candidates)
            self._proposal = [candidates[int(self._accuracies(candidates, rng).argmax())]]
        return self._proposal

    def _accuracies(self, candidates: Sequence[Arch], rng: np.random.Generator) -> np.ndarray:
        if not self.config.batch:
            return self.scorer(candidates).accuracy
        images, size = self.task.images, min(self.config.batch, len(self.task.images.valid))
        how = replace(self.task.scoring, images=size, batch_size=size)
        batches = (images.valid.subset(rng.choice(len(images.valid), size, replace=False)) for _ in candidates)
        scorers = (Scorer(self.supernet, how, batch, images.train) for batch in batches)
        return np.concatenate([scorer([arch]).accuracy for scorer, arch in zip(scorers, candidates, strict=True)])
