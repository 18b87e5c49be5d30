"""Cream: good paths that training comes across sit on a board, and teach the sampled path what suits it.

Peng et al., "Cream of the Crop: Distilling Prioritized Paths For One-Shot Neural Architecture Search", NeurIPS 2020.
One uniform path a step. From a sixth of the budget on, a path whose accuracy on its training batch is high enough gets
a seat on the board: while there are seats; or if it beats the worst by a gap, or beats it with fewer multiply-adds. A
meta network, one linear layer, scores how well each path on the board suits the sampled one, by the difference of their
softmax outputs on a few pictures that the seat keeps. The best match teaches, with matching degree m = sigmoid(score):

    loss = (m KD + (2 - m) CE) / 2,   KD = cross-entropy with the teacher's softmax on the same batch.

Now and then the meta network descends the validation loss after one simulated step of SGD on m KD. As m is a factor,
that second-order gradient is exactly -lr <grad KD, grad validation loss at the new weights> dm; the outputs that m is
made of count as constants. The proposal is the board, best first.

Official code (microsoft/Cream): 10 seats, a gap of 5 points, 4 pictures a seat, start after epoch 20 of 120, an update
of the meta network every 200 iterations (some 750 in all; a shorter training needs them more often), learning rate .5
for batches of 8 x 128, on another space. Not copied: it multiplies by the sigmoid of minus the *last* seat's score; a
seat keeps the outputs of its teacher instead of its own; the validation pictures are training ones, and the step of SGD
on 4 pictures is not simulated but kept; probabilities of sampling are passed where `replace` belongs, hence ignored. A
path sits on the board once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.methods.base import Task
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch
from mngnas.train.loop import cosine


@dataclass(frozen=True)
class CreamConfig(Settings):
    """The board and the meta network."""

    section = "cream"
    start: float = setting(1 / 6, 0, 1)  # share of the budget before the board opens
    seats: int = setting(10, 1, 1000)
    gap: float = setting(0.05, 0, 1)  # of accuracy, by which a path beats the worst whatever it costs
    pictures: int = setting(4, 1, 1000)  # that a seat keeps
    every: int = setting(20, 1)  # steps between two updates of the meta network
    meta_rate: float = setting(0.01, 0, 1e6)  # its learning rate; with 0 the best path teaches all, m = 1/2


@dataclass(frozen=True)
class Seat:
    """A path on the board."""

    accuracy: float  # on the training batch that it was seen with
    flops: int
    arch: Arch
    images: Tensor  # some of that batch, [s, c, h, w]
    outputs: Tensor  # its softmax on them, [s, classes]


def admit(board: Sequence[Seat], new: Seat, seats: int, gap: float) -> list[Seat]:
    """The board after a path has asked for a seat, best first; of equal accuracies the earlier is the better."""
    known = next((seat for seat in board if seat.arch == new.arch), None)
    if known:
        entered, others = new.accuracy > known.accuracy, [seat for seat in board if seat is not known]
    else:
        lead = new.accuracy - board[-1].accuracy if len(board) == seats else np.inf
        entered = lead > gap or (lead > 0 and new.flops < board[-1].flops)
        others = list(board[: seats - 1])
    return sorted([*others, new], key=lambda seat: -seat.accuracy) if entered else list(board)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with probabilities, mean over pictures; both `[b, classes]`."""
    return -(target * logits.log_softmax(1)).sum(1).mean()


class Cream(SupernetMethod):
    """One path a step, taught by a path of the board."""

    info = MethodInfo(
        name="cream",
        label="Cream",
        paper="Peng et al. 2020",
        description="the best paths so far sit on a board; the one that suits best teaches the sampled path",
        kind="supernet",
    )
    Config = CreamConfig

    def __init__(self, config: CreamConfig, task: Task) -> None:
        super().__init__(config, task)
        self.board: list[Seat] = []
        self._kept = min(config.pictures, task.training.batch_size, len(task.images.train))
        self.meta = nn.Linear(self._kept * task.skeleton.classes, 1, device="meta").to_empty(device=task.device)
        for parameter in self.meta.parameters():
            nn.init.zeros_(parameter)  # all match alike at first, and the best path of the board teaches
        self.meta_optimizer = torch.optim.SGD(self.meta.parameters(), config.meta_rate)

    def step(self, step: Step) -> StepResult:
        """A pass; with a board also what teaching takes, and now and then what the meta network takes."""
        (arch,) = self.space.sample_uniform(step.rng, 1)
        passes, images, target = 1.0, len(step.batch.labels), None
        matching = torch.zeros((), device=self.task.device)
        if self.board:
            differences = self.differences(arch)
            passes += len(self.board) * self._kept / images / 3 + 1 / 3
            if step.number % self.config.every == 0:
                self._update_meta(step, arch, differences)
                passes, images = passes + 2 + 1 / 3, 2 * images
            place, degree = self.match(differences)
            matching, target = degree.detach(), self._soft_labels(step.batch, self.board[place].arch)
        logits = self.supernet(step.batch.images, arch).logits
        cross_entropy = F.cross_entropy(logits, step.batch.labels)
        if target is None:
            cross_entropy.backward()
        else:
            guided_loss(matching, soft_cross_entropy(logits, target), cross_entropy).backward()
        if step.spent >= self.config.start:
            self._ask_for_a_seat(arch, step.batch, logits.detach())
        return StepResult(passes, images, cross_entropy.detach())

    @torch.no_grad()
    def differences(self, arch: Arch) -> Tensor:
        """A path's softmax outputs minus each seat's own on the seat's pictures, `[seats, pictures x classes]`."""
        images = torch.cat([seat.images for seat in self.board])
        differences: Tensor = self.supernet(images, arch).logits.softmax(1)
        differences -= torch.cat([seat.outputs for seat in self.board])
        return differences.reshape(len(self.board), -1)

    def match(self, differences: Tensor) -> tuple[int, Tensor]:
        """The place of the teacher on the board, and its matching degree 0..1, a function of the meta network."""
        scores = self.meta(differences).squeeze(1)
        place = int(scores.argmax())
        return place, scores[place].sigmoid()

    def meta_gradient(self, batch: Batch, valid: Batch, arch: Arch, teacher: Arch, degree: float, rate: float) -> float:
        """How the validation loss after a step of SGD at `rate` on degree x KD changes with the degree."""
        target, weights = self._soft_labels(batch, teacher), list(self.supernet.parameters())
        of_kd = _gradients(soft_cross_entropy(self.supernet(batch.images, arch).logits, target), weights)
        before = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, gradient in zip(weights, of_kd, strict=True):
                weight.sub_(rate * degree * gradient)
        of_valid = _gradients(F.cross_entropy(self.supernet(valid.images, arch).logits, valid.labels), weights)
        with torch.no_grad():
            for weight, value in zip(weights, before, strict=True):
                weight.copy_(value)
        return -rate * float(sum((a * b).sum() for a, b in zip(of_kd, of_valid, strict=True)))

    def _update_meta(self, step: Step, arch: Arch, differences: Tensor) -> None:
        place, degree = self.match(differences)
        rate = self.task.training.learning_rate * cosine(step.spent)
        valid, teacher = self.task.validation_batch(step.number), self.board[place].arch
        slope = self.meta_gradient(step.batch, valid, arch, teacher, degree.item(), rate)
        self.meta_optimizer.zero_grad()
        (slope * degree).backward()
        self.meta_optimizer.step()

    @torch.no_grad()
    def _soft_labels(self, batch: Batch, teacher: Arch) -> Tensor:
        labels: Tensor = self.supernet(batch.images, teacher).logits.softmax(1)
        return labels

    def _ask_for_a_seat(self, arch: Arch, batch: Batch, logits: Tensor) -> None:
        """By the accuracy on the step's batch, which the pass has given."""
        accuracy = float((logits.argmax(1) == batch.labels).float().mean())
        flops = int(self.space.flops(np.array([arch]), self.task.skeleton, batch.images.shape[-1])[0])
        kept = batch.images[: self._kept].clone()
        seat = Seat(accuracy, flops, self.space.canonical(arch), kept, logits[: self._kept].softmax(1))
        self.board = admit(self.board, seat, self.config.seats, self.config.gap)

    def proposal(self) -> Sequence[Arch]:
        """The board."""
        return [seat.arch for seat in self.board]

    def state_dict(self) -> dict[str, Any]:
        """With the board and the meta network."""
        board = [[seat.accuracy, seat.flops, seat.arch, seat.images, seat.outputs] for seat in self.board]
        return super().state_dict() | {"board": board, "meta": self.meta.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.board = [Seat(*seat) for seat in state["board"]]
        self.meta.load_state_dict(state["meta"])


def guided_loss(degree: Tensor, guidance: Tensor, cross_entropy: Tensor) -> Tensor:
    """(m KD + (2 - m) CE) / 2."""
    return (degree * guidance + (2 - degree) * cross_entropy) / 2


def _gradients(loss: Tensor, weights: Sequence[nn.Parameter]) -> Sequence[Tensor]:
    """Of all weights, zero where a weight has no part."""
    return torch.autograd.grad(loss, list(weights), allow_unused=True, materialize_grads=True)
