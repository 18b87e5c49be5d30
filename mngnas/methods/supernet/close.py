"""CLOSE: a supernet whose edges share all weights at first, and less and less of them as it trains.

Zhou, Ning, Cai, Han, Deng, Dong, Yang & Wang, "CLOSE: Curriculum Learning On the Sharing Extent Towards Better One-shot
NAS", ECCV 2022, section 4; the network is in `mngnas.nets.close_supernet`. Training begins with one block of operation
weights for all edges; more are added one by one, each a copy of the block before it (weights are inherited, "WIT"), and
the gate learns which edge of which architecture takes which block.

Public code (walkerning/aw_nas, examples/research/close/nb201): 1,000 epochs, batch 256, SGD .05 with momentum .9,
halved on plateaus of 30 epochs, weight decay 5e-4, clip 5, dropout .1; a random one of the benchmark's 6,466 classes a
step; blocks after epochs 200, 400, 600 (another file: 800 too), the learning rate starts anew at 401. There an added
block is the sum of the block before it and of its own random first values, not a copy.
Kept here: the gate's sizes, blocks and the restart as shares of the budget. Ours: everything that all methods share, so
a cosine up to the restart and one after it, and no dropout; uniform paths; an added block's momentum starts at zero.
The gate's gradient needs what every block in use would have given: k of them cost 1 + (k - 1) / 3 passes a step.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.nets.close_supernet import CloseSupernet
from mngnas.nets.supernet import Supernet
from mngnas.settings import Settings, setting


@dataclass(frozen=True)
class CloseConfig(Settings):
    """How many blocks, and when; shares are of the whole budget."""

    section = "close"
    blocks: int = setting(4, 1, 100)  # in the end
    every: float = setting(0.2, above=0, high=1)  # share after which one more is taken into use
    restart: float = setting(0.4, 0, 0.999)  # share at which the learning rate starts anew; 0: one cosine

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.blocks - 1) * self.every >= 1:
            raise UserError(
                f"close.blocks = {self.blocks}, one every {self.every:g} of the budget, are too many for it"
            )


class Close(SupernetMethod):
    """A uniform path a step, with blocks that the gate draws."""

    info = MethodInfo(
        name="close",
        label="CLOSE",
        paper="Zhou et al. 2022",
        description="edges share blocks of weights that a gate assigns; blocks are added one by one",
        kind="supernet",
        not_in={"nats-bench-size": "its choices are widths, not operations with weights of their own"},
    )
    Config = CloseConfig

    def __init__(self, config: CloseConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config: CloseConfig = config

    def first_supernet(self) -> Supernet:
        """With one block in use."""
        return CloseSupernet(self.task.skeleton, self.task.seed, self.config.blocks)

    @property
    def network(self) -> CloseSupernet:
        """The supernet."""
        assert isinstance(self.supernet, CloseSupernet)
        return self.supernet

    def step(self, step: Step) -> StepResult:
        """A forward-backward pass, and for each block beyond the first a forward pass."""
        network = self.network
        while network.active < min(self.config.blocks, 1 + int(step.spent / self.config.every)):
            self._add_block()
        (arch,) = self.space.sample_uniform(step.rng, 1)
        blocks = int(network.active)
        noise = step.rng.gumbel(size=(len(arch), blocks))
        output = network.gated(step.batch.images, arch, torch.tensor(noise, dtype=torch.float32).to(self.task.device))
        loss = F.cross_entropy(output.logits, step.batch.labels)
        loss.backward()
        return StepResult(1 + (blocks - 1) / 3, len(step.batch.labels), loss.detach())

    def _add_block(self) -> None:
        new = self.network.add_block()
        for parameter in self.network.block_parameters():
            momentum = self.optimizer.torch.state[parameter].get("momentum_buffer")
            if momentum is not None:
                momentum[new] = 0

    def update(self, step: Step) -> None:
        """By a learning rate that starts anew once."""
        restart = self.config.restart
        before = step.spent < restart
        self.optimizer.update(step.spent / restart if before else (step.spent - restart) / (1 - restart))
