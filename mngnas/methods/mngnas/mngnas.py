"""MNGNAS: several searched networks guide the supernet's training (Chen et al., TPAMI 2023).

Z. Chen, G. Qiu, P. Li, L. Zhu, X. Yang, B. Sheng, "MNGNAS: Distilling Adaptive Combination of Multiple Searched
Networks for One-Shot Neural Architecture Search", DOI 10.1109/TPAMI.2023.3293885. What its abstract states and what is
chosen here is set apart in docs/method.md; every choice is a field of `MngnasConfig`.

The supernet is trained by uniform single paths. After a warm-up, at `rounds` moments spread over the rest of the
budget: (1) evolutionary search by validation loss; (2) the best candidates are retrained for some steps, guided by the
pool, and ranked anew; (3) the winner is trained together with perturbed neighbours, so that its features become fit for
distillation; (4) a frozen snapshot of it joins the pool of at most K teachers. From then on (5) each path's loss is
cross-entropy + weight * squared distance of its stage features to the combined teacher's, on a part of the batch.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.methods.evolution import EvolutionConfig, evolve
from mngnas.methods.info import Diary, MethodInfo
from mngnas.methods.mngnas.descent import MAX_TEACHERS
from mngnas.methods.mngnas.diary import GuidanceSums, diary_of
from mngnas.methods.mngnas.distillation import (
    COEFFICIENTS,
    FEATURES,
    MATCHES,
    SIMILARITIES,
    Combination,
    Guidance,
    Teacher,
    TeacherFeatures,
    feature_distance,
    features_of_parts,
    guide,
    teacher_features,
)
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.nets.build import build_supernet
from mngnas.nets.supernet import Output, Supernet
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch
from mngnas.train.loop import train

_LOG_EVERY = 0.01  # share of the budget
_PERTURBATION_BATCHES = 1_000_000  # the first of the further batches that perturbation takes: not those of retraining


@dataclass(frozen=True)
class MngnasConfig(Settings):
    """Every choice of the method; shares are of the whole budget of forward-backward passes."""

    section = "mngnas"
    sampling: str = setting("uniform", among=("uniform", "fair"))  # a step's paths: one, or a strictly fair set
    warmup: float = setting(0.3, 0, 0.999)  # share of the budget before the first round
    until: float = setting(1.0, 0, 1)  # share of the budget at which guidance of the supernet ends, and with it rounds
    rounds: int = setting(4, 0, 1000)  # T, spread evenly between the two; 0 is plain training
    pool: int = setting(4, 1, MAX_TEACHERS)  # K, teachers at most
    apart: int = setting(2, 1, 100)  # positions in which the canonical forms of two teachers differ at least
    weight: float = setting(1.0, 0, 1e6)  # lambda, of the guidance beside the cross-entropy
    coefficients: str = setting("adaptive", among=COEFFICIENTS)  # "single": the teacher of lowest validation loss
    per_stage: bool = True  # coefficients for each stage, or one set for the network
    match: str = setting("auto", among=("auto", *MATCHES))  # "auto": features, where shapes are alike
    part: float = setting(0.25, above=0, high=1)  # share of a batch's pictures that guides the supernet
    cap: float = setting(0.6, above=0, high=1)  # C, the largest coefficient
    guides: str = setting("both", among=("both", "supernet", "retraining"))  # whose training the pool guides
    candidates: int = setting(4, 1, 1000)  # M, architectures that are retrained in a round; with 1 none is
    search_share: float = setting(0.04, 0, 1)  # for all rounds together
    retraining_share: float = setting(0.04, 0, 1)
    perturbation: str = setting("symmetric", among=("symmetric", "towards", "off"))  # "towards": neighbours move alone
    perturbation_share: float = setting(0.02, 0, 1)
    perturbation_weight: float = setting(0.5, 0, 1e6)  # mu
    perturbed: int = setting(2, 1, 1000)  # P, neighbours in a step
    learning_rate: float = setting(0.05, above=0, high=1e6)  # of retraining and perturbation, to 0 along a cosine
    momentum: float = setting(0.9, 0, 1)  # the next three likewise
    weight_decay: float = setting(0.0, 0, 1e6)
    clip: float = setting(5.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.search_share + self.retraining_share + self.perturbation_share > 1 - self.warmup:
            raise UserError("mngnas: the shares of search, retraining and perturbation are more than warmup leaves")

    @property
    def combination(self) -> Combination:
        """How the pool's teachers become one."""
        return Combination(self.coefficients, self.per_stage, self.cap)


class _StepGuidance:
    """What each path of a step minimises; the teachers look at the step's pictures once for all of them."""

    def __init__(self, method: "Mngnas", step: Step) -> None:
        self.method = method
        self.teachers = method.teachers_see(step)
        self.passes = len(method.pool) * self.teachers.pictures / len(step.batch.labels) / 3

    def __call__(self, arch: Arch, output: Output, cross_entropy: Tensor) -> Tensor:
        """The loss of a path."""
        loss, guidance = self.method.guided(cross_entropy, output, arch, self.teachers)
        if guidance is not None:
            self.method.sums.add(guidance)
        return loss


def _apart(one: Arch, other: Arch) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


class Mngnas(SupernetMethod):
    """Uniform paths, guided by a pool of teachers that is renewed while the supernet trains."""

    info = MethodInfo(
        name="mngnas",
        label="MNGNAS",
        paper="Chen et al. 2023",
        description="several searched networks, adaptively combined, guide a supernet of uniform paths",
        kind="supernet",
        former={
            "mngnas-plain": "mngnas[rounds=0]",
            "mngnas-single": "mngnas[coefficients=single,perturbation=off]",
            "mngnas-uniform": "mngnas[coefficients=uniform,perturbation=off]",
            "mngnas-adaptive": "mngnas[perturbation=off]",
            "mngnas-towards": "mngnas[perturbation=towards]",
            "mngnas-c1": "mngnas[cap=1.0]",
            "mngnas-network": "mngnas[per_stage=false]",
            "mngnas-k1": "mngnas[pool=1]",
            "mngnas-k2": "mngnas[pool=2]",
            "mngnas-k8": "mngnas[pool=8,rounds=8]",
            "mngnas-supernet": "mngnas[guides=supernet]",
            "mngnas-retraining": "mngnas[guides=retraining]",
            "mngnas-unguided": "mngnas[weight=0.0]",
            "mngnas-noretrain": "mngnas[candidates=1,perturbation=off]",
            "mngnas-falling": "mngnas[candidates=1,perturbation=off,schedule=falling]",
            "mngnas-large": "mngnas[size=0.5]",
            "mngnas-late": "mngnas[warmup=0.5]",
            "mngnas-search": "mngnas[search_share=0.08]",
            "mngnas-apart": "mngnas[apart=4]",
            "mngnas-logits": "mngnas[logits=1.0]",
            "mngnas-current": "mngnas[current=true]",
        },
    )
    Config = MngnasConfig

    def __init__(self, config: MngnasConfig, task: Task) -> None:
        super().__init__(config, task)
        self.config: MngnasConfig = config
        for name, most in (
            ("apart", len(self.space.sizes)),
            ("perturbed", sum(self.space.sizes) - len(self.space.sizes)),
        ):
            if getattr(config, name) > most:
                raise UserError(f"mngnas.{name} = {getattr(config, name)} must be at most {most} in {self.space.name}")
        alike = self.supernet.features_alike
        if config.match == FEATURES and not alike:
            raise UserError(
                f"mngnas.match = {FEATURES!r} needs features of one shape, and those of {self.space.label} have several"
            )
        self.match = config.match if config.match != "auto" else FEATURES if alike else SIMILARITIES
        size = task.training.batch_size
        self.pictures = min(size, max(2, round(config.part * size)))  # one has no variance where pictures are a pixel
        self.at_once = size // self.pictures  # steps whose parts teachers see together
        self.pool: list[Teacher] = []
        self.pool_since = 0  # the step in which it changed last
        self._seen: dict[int, TeacherFeatures] = {}  # what teachers see of coming steps; made anew by a resumed run
        self._ahead: dict[int, Batch] = {}  # their pictures
        self.rounds_done, self.teachers_made = 0, 0
        self.log: list[dict[str, Any]] = []  # means over stretches of guided training
        self.history: list[dict[str, Any]] = []  # one entry a round
        self.sums = GuidanceSums()
        self._logged_at = 0.0

    # ------------------------------------------------------------------------------------------------------ training

    def step(self, step: Step) -> StepResult:
        """One set of paths, guided if there is a pool; a round of search comes before it where one is due."""
        config, extra = self.config, 0.0
        due = self.rounds_done < config.rounds and self._round_starts(self.rounds_done) <= step.spent < config.until
        if due:
            extra = self._round(step)
            self.rounds_done += 1
        fair = config.sampling == "fair"
        archs = self.space.sample_strictly_fair(step.rng) if fair else self.space.sample_uniform(step.rng, 1)
        train_these = self.train_fair_set if fair else self.train_paths
        if not self.pool or config.guides == "retraining" or step.spent >= config.until:
            result = train_these(step.batch, archs)
        else:
            guidance = _StepGuidance(self, step)
            result = train_these(step.batch, archs, guidance)
            extra += guidance.passes
            if step.spent - self._logged_at >= _LOG_EVERY:
                self._flush(step.spent)
        return replace(result, passes=result.passes + extra)

    def training_batch(self, number: int) -> Batch:
        """The pictures of the n-th step."""
        found = self._ahead.pop(number, None)
        return super().training_batch(number) if found is None else found

    def teachers_see(self, step: Step) -> TeacherFeatures:
        """What the pool sees of the part of a step's pictures that guides; it looks at those of some steps together.

        Which steps these are depends on their numbers alone, so that a resumed run has the same bits.
        """
        if step.number not in self._seen:
            first = step.number - (step.number - self.pool_since) % self.at_once
            together = range(first, first + self.at_once)
            batches = {n: step.batch if n == step.number else self.training_batch(n) for n in together}
            parts = [batch.images[: self.pictures] for batch in batches.values()]
            found = features_of_parts(self.pool, parts, self.match)
            self._seen = dict(zip(together, found, strict=True))
            self._ahead = {n: batch for n, batch in batches.items() if n > step.number}
        return self._seen.pop(step.number)

    def _round_starts(self, number: int) -> float:
        return self.config.warmup + (self.config.until - self.config.warmup) * number / self.config.rounds

    def guided(
        self, loss: Tensor, output: Output, arch: Arch, teachers: TeacherFeatures
    ) -> tuple[Tensor, Guidance | None]:
        """A path's loss with the teachers' guidance added; nothing guides a path that is the only teacher's."""
        guidance = guide(output, self.space.canonical(arch), teachers, self.config.combination)
        return (loss, None) if guidance is None else (loss + self.config.weight * guidance.loss, guidance)

    # ---------------------------------------------------------------------------------------------------- the rounds

    def _round(self, step: Step) -> float:
        """Search, retrain, perturb, snapshot; returns the passes that it took."""
        entry: dict[str, Any] = {"spent": step.spent}
        candidates, passes = self._search(step, entry)
        network, arch, retrained = self._retrain(candidates, entry)
        passes += retrained + self._perturb(step, network, arch, entry)
        loss = float(self.search_scorer([arch], network).loss[0])
        passes += self.search_price
        entry |= {"arch_index": self.space.to_index(arch), "loss": loss, "passes": passes}
        self._flush(step.spent)  # before the pool changes, and with it the columns of the sums
        self._admit(Teacher(self.teachers_made, arch, network, loss))
        self.pool_since, self._seen = step.number, {}
        self.teachers_made += 1
        entry["pool"] = [[teacher.number, self.space.to_index(teacher.arch), teacher.loss] for teacher in self.pool]
        self.history.append(entry)
        self._logged_at = step.spent + passes / self.task.training.passes  # the next stretch begins after the round
        return passes

    def _search(self, step: Step, entry: dict[str, Any]) -> tuple[list[Arch], float]:
        """The M best architectures that are not in the pool, by validation loss with inherited weights."""
        config = self.config
        evaluations = max(2 * config.candidates, int(self._share(config.search_share) / self.search_price))
        population = max(4, min(50, evaluations // 4))
        settings = EvolutionConfig(population=population, parents=max(2, population // 2), budget=evaluations)
        near = max(1, config.apart - 1)  # one position nearer it may still be the better of the two, see _admit
        taught = [self.space.canonical(teacher.arch) for teacher in self.pool]
        found = evolve(
            self.space,
            lambda archs: -self.search_scorer(archs).loss,
            settings,
            step.rng,
            constraint=lambda arch: all(_apart(arch, other) >= near for other in taught),
        )
        entry["evaluations"] = len(found.scores)
        return [arch for arch, _ in found.top(config.candidates)], len(found.scores) * self.search_price

    def _share(self, share: float) -> float:
        """Passes of one round for a kind of work that may take `share` of the budget in all."""
        return share * self.task.training.passes / self.config.rounds

    def _retrain(self, candidates: Sequence[Arch], entry: dict[str, Any]) -> tuple[Supernet, Arch, float]:
        """Retrain each candidate from the inherited weights, guided; returns the one of lowest validation loss."""
        config = self.config
        price = len(candidates) * self.retraining_price()
        steps = int(self._share(config.retraining_share) / price) if len(candidates) > 1 else 0
        if not steps:
            return copy.deepcopy(self.supernet), candidates[0], 0.0
        networks, losses, distances = [], [], []
        for arch in candidates:
            network = copy.deepcopy(self.supernet)
            distances.append(self._train_alone(network, arch, steps))
            networks.append(network)
            losses.append(float(self.search_scorer([arch], network).loss[0]))
        best = int(np.argmin(losses))
        entry["retrained"] = [[self.space.to_index(a), loss] for a, loss in zip(candidates, losses, strict=True)]
        entry["retraining_distance"] = float(np.mean(distances))
        passes = steps * price + len(candidates) * self.search_price
        return networks[best], candidates[best], passes

    def _train_alone(self, network: Supernet, arch: Arch, steps: int) -> float:
        """Train one candidate; returns its mean distance to the combined teacher."""

        def backward(number: int) -> Tensor:
            loss, watched = self.retraining_loss(network, arch, self.further_batch(number))
            loss.backward()
            return watched

        return train(network.parameters(), self.config, steps, backward)

    def retraining_price(self) -> float:
        """A pass, and the forward passes of the teachers that guide it."""
        return 1 + len(self.pool) / 3 * (self.config.guides != "supernet")

    def retraining_loss(self, network: Supernet, arch: Arch, batch: Batch) -> tuple[Tensor, Tensor]:
        """The cross-entropy, guided by the pool; and the guidance."""
        output = network(batch.images, arch)
        loss = F.cross_entropy(output.logits, batch.labels)
        if self.pool and self.config.guides != "supernet":
            teachers = teacher_features(self.pool, batch, self.match)
            loss, guidance = self.guided(loss, output, arch, teachers)
            if guidance is not None:
                return loss, guidance.loss.detach()
        return loss, torch.zeros((), device=loss.device)

    def _perturb(self, step: Step, network: Supernet, arch: Arch, entry: dict[str, Any]) -> float:
        """Train the winner together with random neighbours, pulling their features together; returns the passes."""
        config = self.config
        if config.perturbation == "off":
            return 0.0
        guided = config.guides != "supernet" and bool(self.pool)
        price = 1 + config.perturbed + len(self.pool) / 3 * guided
        steps = int(self._share(config.perturbation_share) / price)
        near = self.space.neighbours(arch)

        def backward(number: int) -> Tensor:
            batch = self.further_batch(_PERTURBATION_BATCHES + number)
            teachers = teacher_features(self.pool, batch, self.match) if guided else None
            drawn = [arch, *(near[int(i)] for i in step.rng.choice(len(near), config.perturbed, replace=False))]
            outputs = [network(batch.images, path) for path in drawn]
            parts = []
            for path, output in zip(drawn, outputs, strict=True):
                part = F.cross_entropy(output.logits, batch.labels)
                parts.append(self.guided(part, output, path, teachers)[0] if teachers else part)
            loss = torch.stack(parts).sum()
            own, towards = outputs[0], config.perturbation == "towards"
            apart = torch.stack([feature_distance(own, o, towards, self.match) for o in outputs[1:]]).mean()
            (loss + config.perturbation_weight * apart).backward()
            return apart.detach()

        if steps:
            entry["perturbation_distance"] = train(network.parameters(), config, steps, backward)
        return steps * price

    def _admit(self, teacher: Teacher) -> None:
        """Keep the K teachers of lowest loss; of two that differ in fewer than `apart` positions, the better one."""
        kept: list[Teacher] = []
        for one in sorted([*self.pool, teacher], key=lambda t: t.loss):
            if all(
                _apart(self.space.canonical(one.arch), self.space.canonical(k.arch)) >= self.config.apart for k in kept
            ):
                kept.append(one)
        self.pool = sorted(kept[: self.config.pool], key=lambda t: t.number)

    # ------------------------------------------------------------------------------------------------ diary and state

    def _flush(self, spent: float) -> None:
        if self.sums.count:
            numbers = [teacher.number for teacher in self.pool]
            self.log.append({"spent": spent, "teachers": numbers, **self.sums.means()})
        self.sums, self._logged_at = GuidanceSums(), spent

    def watched(self) -> Mapping[str, float]:
        """The supernet's, and how many rounds and teachers there are."""
        return {**super().watched(), "rounds": self.rounds_done, "teachers": len(self.pool)}

    def diary(self) -> Diary:
        """How far students stayed from their teachers, the rounds, and the coefficients."""
        return diary_of(self.log, self.history)

    def state_dict(self) -> dict[str, Any]:
        """The supernet's, the pool with its weights, the logs, and how far the rounds are."""
        own = {
            "pool": [[t.number, list(t.arch), t.loss, t.network.state_dict()] for t in self.pool],
            "pool_since": self.pool_since,
            "rounds_done": self.rounds_done,
            "teachers_made": self.teachers_made,
            "log": self.log,
            "history": self.history,
            "sums": [self.sums.count, self.sums.values, self._logged_at],
        }
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.pool = []
        for number, arch, loss, weights in state["pool"]:
            network = build_supernet(self.space, self.task.skeleton, 0).to(self.task.device)
            network.load_state_dict(weights)
            self.pool.append(Teacher(number, tuple(arch), network, loss))
        self.pool_since, self._seen, self._ahead = state["pool_since"], {}, {}
        self.rounds_done, self.teachers_made = state["rounds_done"], state["teachers_made"]
        self.log, self.history = state["log"], state["history"]
        count, values, self._logged_at = state["sums"]
        self.sums = GuidanceSums(count, values)
