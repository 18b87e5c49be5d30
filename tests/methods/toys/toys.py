"""Small methods of every kind, found as a user's methods are: tests hold them to the same contract as the project's."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import SupernetMethod
from mngnas.methods.training_free_method import TrainingFreeMethod
from mngnas.nets.build import build_supernet
from mngnas.settings import Settings, setting


@dataclass(frozen=True)
class ToyConfig(Settings):
    """One setting that counts and one that is never read."""

    paths: int = setting(1, 1, 5)
    idle: int = setting(0, 0, 9)


class ToyFewShot(SupernetMethod):
    """Two supernets; which one an architecture belongs to is decided by the sum of its live operations' numbers."""

    info = MethodInfo("toy-few-shot", "Toy few-shot", "Zhao et al. 2021", "two supernets", "supernet")
    Config = ToyConfig

    def extra_parameters(self):
        if not hasattr(self, "second"):
            self.second = build_supernet(self.space, self.task.skeleton, self.task.seed + 1).to(self.task.device)
        return list(self.second.parameters())

    def network_of(self, arch):
        return self.second if sum(self.space.canonical(arch)) % 2 else self.supernet

    def step(self, step):
        return self.train_paths(step.batch, self.space.sample_uniform(step.rng, self.config.paths))


class ToyGradNorm(TrainingFreeMethod):
    """The norm of the gradient of the loss."""

    info = MethodInfo("toy-grad-norm", "Toy gradient norm", "Abdelfattah et al. 2021", "gradient norm", "training-free")

    def score(self, network, batch):
        F.cross_entropy(network(batch.images), batch.labels).backward()
        return float(torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm())
