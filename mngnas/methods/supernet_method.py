"""Methods that train a weight-sharing supernet: the loop, the optimiser and the scores; a method says what a step is.

A subclass has to have `info` and `step`. It may also have parameters of its own (`extra_parameters`), more networks
than one (`networks`, `network_of`), another loss of retraining, a diary, and state. Whether the paths of a step run one
after another or as one recorded graph on a GPU does not show here: `train_paths` and `train_fair_set` choose.
"""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.methods.base import Columns, Method, Ranking, Task
from mngnas.methods.info import Cost, Diary, Outcome
from mngnas.nets.build import build_supernet, fair_set_step
from mngnas.nets.supernet import Output, Supernet
from mngnas.seeds import Stream, further_batches, generator, retraining_batches
from mngnas.spaces import Arch
from mngnas.train.loop import Sgd, train
from mngnas.train.scoring import Scorer

INHERITED, RETRAINED = "inherited", "retrained"

PathLoss = Callable[[Arch, Output, Tensor], Tensor]  # of a path, its output and its cross-entropy: what is minimised


@dataclass(frozen=True)
class Step:
    """What one step is given."""

    number: int  # from 0
    batch: Batch  # of training pictures
    rng: np.random.Generator  # a function of the run's seed and the step alone, so that a resumed run draws the same
    spent: float  # share of the budget spent before this step, 0..1


@dataclass(frozen=True)
class StepResult:
    """What a step did: gradients are in the parameters, and these are its costs."""

    passes: float  # forward-backward passes of one path over one batch; a forward alone counts 1/3
    images: int  # training images, each path's batch counted
    loss: Tensor  # mean cross-entropy of the step's paths, detached, on the device


def cross_entropy_alone(_arch: Arch, _output: Output, loss: Tensor) -> Tensor:
    """What a path minimises where a method has nothing to add."""
    return loss


class SupernetMethod(Method):
    """A supernet in training."""

    task: Task

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__(config, task)
        self.supernet = self.first_supernet().to(task.device)
        fused = task.device.type == "cuda"
        self.optimizer = Sgd([*self.supernet.parameters(), *self.extra_parameters()], task.training, fused=fused)
        self.passes, self.images_seen, self.seconds = 0.0, 0, 0.0
        self._loss: Tensor | None = None  # of the last step
        self.scorer = Scorer(self.supernet, task.scoring, task.images.valid, task.images.train)
        self.search_scorer = Scorer(self.supernet, task.search, task.images.valid, task.images.train)
        self._fair_set = fair_set_step(self.supernet) if fused else None

    # ---------------------------------------------------------------------------------------- what a method may change

    def step(self, step: Step) -> StepResult:
        """Leave the gradients of one update in the parameters, which have none before."""
        raise NotImplementedError

    def training_batch(self, number: int) -> Batch:
        """The pictures of the n-th step."""
        return self.task.training_batch(number)

    def first_supernet(self) -> Supernet:
        """The supernet before its first step, on the CPU."""
        return build_supernet(self.space, self.task.skeleton, self.task.seed)

    def update(self, step: Step) -> None:
        """Change the weights by the gradients that `step` left."""
        self.optimizer.update(step.spent)

    def extra_parameters(self) -> list[nn.Parameter]:
        """Parameters that the same optimiser updates besides the supernet's; asked for once, after `supernet` is."""
        return []

    def network_of(self, _arch: Arch) -> Supernet:
        """The network that an architecture inherits its weights from."""
        return self.supernet

    def retraining_price(self) -> float:
        """Passes that one step of retraining takes."""
        return 1.0

    def retraining_loss(self, network: Supernet, arch: Arch, batch: Batch) -> tuple[Tensor, Tensor]:
        """What one architecture's retraining minimises, by default the cross-entropy; and what is watched, detached."""
        loss = F.cross_entropy(network(batch.images, arch).logits, batch.labels)
        return loss, torch.zeros((), device=loss.device)

    def proposal(self) -> Sequence[Arch]:
        """The architectures that it would take, best first; by default the ranking tells."""
        return ()

    def diary(self) -> Diary:
        """What a report should show besides."""
        return Diary()

    # ------------------------------------------------------------------------------------------------- what it may use

    def train_paths(self, batch: Batch, archs: Sequence[Arch], loss: PathLoss = cross_entropy_alone) -> StepResult:
        """Add up the gradients of every path on the same batch, each in its network, one at a time: little memory."""
        total = torch.zeros((), device=batch.labels.device)
        for arch in archs:
            output = self.network_of(arch)(batch.images, arch)
            cross_entropy = F.cross_entropy(output.logits, batch.labels)
            loss(arch, output, cross_entropy).backward()
            total += cross_entropy.detach()
        return StepResult(len(archs), len(archs) * len(batch.labels), total / len(archs))

    def train_fair_set(self, batch: Batch, archs: Sequence[Arch], loss: PathLoss = cross_entropy_alone) -> StepResult:
        """The same for the paths of a strictly fair set, all at once where that is faster."""
        if self._fair_set is None or any(self.network_of(arch) is not self.supernet for arch in archs):
            return self.train_paths(batch, archs, loss)
        if loss is cross_entropy_alone:
            mean = self._fair_set(batch.images, batch.labels, archs)
        else:
            outputs = self._fair_set.outputs(batch.images, archs)
            losses = [F.cross_entropy(output.logits, batch.labels) for output in outputs]
            torch.stack([loss(*one) for one in zip(archs, outputs, losses, strict=True)]).sum().backward()
            mean = torch.stack(losses).detach().mean()
        return StepResult(len(archs), len(archs) * len(batch.labels), mean)

    def further_batch(self, number: int) -> Batch:
        """The n-th further training batch within this step, n = 0, 1, ...; no step's own."""
        return self.task.training_batch(number, further_batches(self.task.seed, self.steps))

    @property
    def search_price(self) -> float:
        """Passes that scoring one architecture by `search_scorer` takes."""
        return self.task.search.images / self.task.training.batch_size / 3

    # --------------------------------------------------------------------------------------------------- the procedure

    @property
    def spent(self) -> float:
        """The share of the budget spent, 0..1."""
        return min(1.0, self.passes / self.task.training.passes)

    def advance(self) -> None:
        """Train one step and update the weights once."""
        began = time.perf_counter()
        self.optimizer.zero_grad()
        rng = generator(self.task.seed, Stream.STEP, self.steps)
        step = Step(self.steps, self.training_batch(self.steps), rng, self.spent)
        result = self.step(step)
        self.update(step)
        self.count(result, time.perf_counter() - began)

    def watched(self) -> Mapping[str, float]:
        """The last step's cross-entropy, and the learning rate."""
        if self._loss is None:
            return {}
        return {"loss": float(self._loss), "learning_rate": self.optimizer.torch.param_groups[0]["lr"]}

    def count(self, result: StepResult, seconds: float) -> None:
        """Book a step."""
        self._loss = result.loss
        self.steps += 1
        self.passes += result.passes
        self.images_seen += result.images
        self.seconds += seconds

    def rankings(self) -> Sequence[Ranking]:
        """Inherited weights; and retrained ones of a sample where the task asks for it."""
        found, config = [Ranking(INHERITED, by_canonical=True)], self.task.retraining
        if config.archs:
            passes = config.steps * self.retraining_price()
            guess = passes * self.seconds / self.passes if self.passes else 0.0
            found.append(Ranking(RETRAINED, config.archs, chunk=1, passes_each=passes, seconds_each=guess))
        return found

    def scores(self, ranking: str, archs: Sequence[Arch]) -> Columns:
        """One-shot accuracy and minus the loss of each architecture, the score first."""
        if ranking == INHERITED:
            return self._inherited(archs)
        if ranking == RETRAINED:
            found = [self.retrained(arch, self.task.retraining.steps) for arch in archs]
            return {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        return super().scores(ranking, archs)

    def _inherited(self, archs: Sequence[Arch]) -> Columns:
        places: dict[Supernet, list[int]] = {}
        for place, arch in enumerate(archs):
            places.setdefault(self.network_of(arch), []).append(place)
        accuracy, minus_loss = np.empty(len(archs)), np.empty(len(archs))
        for network, where in places.items():
            found = self.scorer([archs[place] for place in where], network)
            accuracy[where], minus_loss[where] = found.accuracy, -found.loss
        return self._columns(accuracy, minus_loss)

    def _columns(self, accuracy: np.ndarray, minus_loss: np.ndarray) -> Columns:
        """The score first."""
        columns = {"accuracy": accuracy, "minus_loss": minus_loss}
        first = self.task.scoring.score
        return {first: columns[first], **columns}

    def retrained(self, arch: Arch, steps: int, *, guided: bool = True) -> Columns:
        """Scores `[1]` after some steps of its own from the inherited weights; all architectures see the same batches.

        Without guidance the cross-entropy is what is minimised, whatever `retraining_loss` adds to it.
        """
        task, loss_of = self.task, self.retraining_loss if guided else partial(SupernetMethod.retraining_loss, self)
        network = copy.deepcopy(self.network_of(arch)).requires_grad_(True)

        def backward(step: int) -> Tensor:
            batch = task.training_batch(step, retraining_batches(task.seed))
            loss, watched = loss_of(network, arch, batch)
            loss.backward()
            return watched

        train(network.parameters(), task.retraining, steps, backward)
        found = self.scorer([arch], network)
        return self._columns(found.accuracy, -found.loss)

    def outcome(self) -> Outcome:
        """Costs, proposal and diary."""
        cost = Cost(self.passes, self.images_seen, round(self.seconds, 3))
        return Outcome(cost, tuple(self.proposal()), None, self.diary())

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser and what has been spent; a subclass adds its own under names of its own."""
        return {
            "supernet": self.supernet.state_dict(),
            "optimizer": self.optimizer.torch.state_dict(),
            "extra": [parameter.detach() for parameter in self.extra_parameters()],
            "spent": [self.steps, self.passes, self.images_seen, self.seconds],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.supernet.load_state_dict(state["supernet"])
        self.optimizer.torch.load_state_dict(state["optimizer"])
        with torch.no_grad():
            for parameter, value in zip(self.extra_parameters(), state["extra"], strict=True):
                parameter.copy_(value)
        self.steps, self.passes, self.images_seen, self.seconds = state["spent"]
