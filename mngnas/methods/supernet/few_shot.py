"""Few-shot NAS: one supernet, then one for each operation of an edge.

Zhao, Wang, Tian, Fonseca & Guo, "Few-Shot Neural Architecture Search", ICML 2021, section 3: a supernet is trained on
uniform single paths; it is split on one edge into as many sub-supernets as that has operations; each starts from the
one-shot weights and is trained on paths of its own; an architecture is scored by the sub-supernet that owns it.

Public code (aoiang/few-shot-NAS): 600 epochs, then 300 for each of the five; edge 0->1; batch 48, SGD with Nesterov
momentum .9, .025 -> .001 along a cosine, weight decay 1e-4; all 50,000 training pictures, scores on the test pictures.
Kept here: the ratio 600 : 5 x 300, the edge, and a learning rate that starts anew for the sub-supernets with a fresh
optimiser (the code loads weights alone). Ours: everything that all methods share; the sub-supernets take turns, which
for each is the same as training them one after another; one path serves all cells (the code draws one for every cell).
"""

from dataclasses import dataclass

from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.methods.info import MethodInfo
from mngnas.methods.split_method import SplitMethod, divided
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.settings import Settings, setting


@dataclass(frozen=True)
class FewShotConfig(Settings):
    """Where and when to split."""

    section = "few-shot"
    edge: int = setting(0, 0, 99)  # the position that is split, in the space's order; 0 is 0->1
    one_shot: float = setting(2 / 7, 0, 0.999)  # share of the budget before the split; 600 of 600 + 5 x 300 epochs


class FewShot(SplitMethod):
    """A supernet that becomes one for each option of a position."""

    info = MethodInfo(
        name="few-shot",
        label="Few-shot NAS",
        paper="Zhao et al. 2021",
        description="a one-shot supernet, then one from its weights for each operation of edge 0->1",
        kind="supernet",
    )
    Config = FewShotConfig

    def __init__(self, config: FewShotConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config: FewShotConfig = config
        if config.edge >= len(self.space.sizes):
            raise UserError(
                f"few-shot.edge = {config.edge} must be at most {len(self.space.sizes) - 1} in {self.space.name}"
            )

    def step(self, step: Step) -> StepResult:
        """One forward-backward pass, after the split if it is due."""
        if len(self.networks) == 1 and step.spent >= self.config.one_shot:
            (territory,) = self.territories
            self.split([divided(territory, self.config.edge, [[option] for option in territory[self.config.edge]])])
        return self.train_in_turn(step)

    def course(self, spent: float) -> float:
        """The cosine starts anew at the split."""
        before = self.config.one_shot
        return spent / before if spent < before else (spent - before) / (1 - before)
