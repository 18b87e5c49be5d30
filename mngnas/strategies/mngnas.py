"""MNGNAS: several searched networks guide the supernet's training (Chen et al., TPAMI 2023).

Z. Chen, G. Qiu, P. Li, L. Zhu, X. Yang, B. Sheng, "MNGNAS: Distilling Adaptive Combination of Multiple Searched
Networks for One-Shot Neural Architecture Search", DOI 10.1109/TPAMI.2023.3293885. What its abstract states and what is
chosen here is set apart in docs/method.md; every choice is a field of `MngnasConfig`.

The supernet is trained by strictly fair sets of paths. After a warm-up, at `rounds` moments spread over the rest of the
budget: (1) evolutionary search by validation loss; (2) the best candidates are retrained for some steps, guided by the
pool, and ranked anew; (3) the winner is trained together with perturbed neighbours, so that its features become fit for
distillation; (4) a frozen snapshot of it joins the pool of at most K teachers. From then on (5) each path's loss is
cross-entropy + weight * squared distance of its stage features to the combined teacher's.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.descent import MAX_TEACHERS
from mngnas.distillation import (
    Combination,
    Guidance,
    Teacher,
    TeacherFeatures,
    feature_distance,
    guide,
    teacher_features,
)
from mngnas.errors import UserError, unknown
from mngnas.images import Batch
from mngnas.paths import fair_route, forward_paths
from mngnas.retraining import cosine, train_alone
from mngnas.search import SearchConfig, evolve
from mngnas.space import CONV_1X1, CONV_3X3, EDGES, Arch, live_graph, neighbours, to_index
from mngnas.strategies.base import StepContext, StepResult, Strategy, train_fair_set, train_paths
from mngnas.supernet import Output, Skeleton, Supernet, sample_strictly_fair, sample_uniform

GUIDES = ("both", "supernet", "retraining")
PERTURBATIONS = ("symmetric", "towards", "off")


@dataclass(frozen=True)
class MngnasConfig:
    """Every choice of the method; shares are of the whole budget of forward-backward passes."""

    sampling: str = "fair"  # paths of a step: "fair", five of a strictly fair set; "uniform", one
    warmup: float = 0.3  # share of the budget before the first round
    rounds: int = 4  # T; 0 is plain training
    pool: int = 4  # K, teachers at most
    apart: int = 2  # edges in which the live graphs of two teachers differ at least
    size: float = 0.0  # of a teacher at least: its convolutions' weights, as a share of those of six 3x3 convolutions
    weight: float = 1.0  # lambda, of the guidance beside the cross-entropy
    schedule: str = "constant"  # of lambda in the supernet's training; "falling": to zero along a cosine of the budget
    logits: float = 0.0  # weight of the cross-entropy with the teachers' mean prediction, beside lambda
    coefficients: str = "adaptive"  # or "uniform", "single" (the teacher of lowest validation loss)
    per_stage: bool = True  # coefficients for each stage, or one set for the network
    cap: float = 0.6  # C, the largest coefficient
    guides: str = "both"  # or "supernet", "retraining": whose training the pool guides
    candidates: int = 4  # M, architectures that are retrained in a round; with 1 there is no retraining
    search_share: float = 0.04  # for all rounds together
    retraining_share: float = 0.04
    perturbation: str = "symmetric"  # "towards": only the neighbours move; "off"
    perturbation_share: float = 0.02
    perturbation_weight: float = 0.5  # mu
    perturbed: int = 2  # P, neighbours in a step
    learning_rate: float = 0.05  # of retraining and of the perturbation steps, falling to zero along a cosine

    def __post_init__(self) -> None:
        for name, allowed in (
            ("guides", GUIDES),
            ("perturbation", PERTURBATIONS),
            ("sampling", ("fair", "uniform")),
            ("schedule", ("constant", "falling")),
        ):
            if getattr(self, name) not in allowed:
                raise unknown(f"mngnas.{name}", getattr(self, name), allowed)
        Combination(self.coefficients, self.per_stage, self.cap)
        if not 1 <= self.pool <= MAX_TEACHERS:
            raise UserError(f"mngnas.pool = {self.pool} is outside 1..{MAX_TEACHERS}")
        if not 1 <= self.apart <= len(EDGES):
            raise UserError(f"mngnas.apart = {self.apart} is outside 1..{len(EDGES)}")
        if not 0 <= self.size <= 1:
            raise UserError(f"mngnas.size = {self.size} is outside 0..1")
        if not (0 <= self.warmup < 1 and self.candidates >= 1 and self.perturbed >= 1):
            raise UserError("mngnas: warmup must be in 0..1, candidates and perturbed at least 1")
        if self.search_share + self.retraining_share + self.perturbation_share > 1 - self.warmup:
            raise UserError("mngnas: the shares of search, retraining and perturbation are more than warmup leaves")

    @property
    def combination(self) -> Combination:
        """How the pool's teachers become one."""
        return Combination(self.coefficients, self.per_stage, self.cap)


@dataclass(frozen=True)
class Ablation:
    """The method with something left out or replaced, as "mngnas-<name>"."""

    name: str
    changes: dict[str, Any]
    description: str


ABLATIONS = (
    Ablation("plain", {"rounds": 0}, "no guidance: strict fairness alone"),
    Ablation("single", {"coefficients": "single", "perturbation": "off"}, "the single best teacher, no perturbation"),
    Ablation("uniform", {"coefficients": "uniform", "perturbation": "off"}, "plain mean of teachers, no perturbation"),
    Ablation("adaptive", {"perturbation": "off"}, "adaptive coefficients, no perturbation"),
    Ablation("towards", {"perturbation": "towards"}, "perturbation moves the neighbours alone"),
    Ablation("c1", {"cap": 1.0}, "cap 1: the min-norm point"),
    Ablation("network", {"per_stage": False}, "one set of coefficients for all stages"),
    Ablation("k1", {"pool": 1}, "one teacher in the pool"),
    Ablation("k2", {"pool": 2}, "two teachers in the pool"),
    Ablation("k8", {"pool": 8, "rounds": 8}, "eight teachers in the pool, eight rounds"),
    Ablation("supernet", {"guides": "supernet"}, "guides the supernet's training only"),
    Ablation("retraining", {"guides": "retraining"}, "guides the retraining of candidates only"),
    Ablation("unguided", {"weight": 0.0}, "lambda 0: pays for search and teachers, which then have no say"),
    Ablation("noretrain", {"candidates": 1, "perturbation": "off"}, "no retraining, no perturbation"),
    Ablation(
        "falling",
        {"candidates": 1, "perturbation": "off", "schedule": "falling"},
        "no retraining, no perturbation, lambda falls to zero",
    ),
    Ablation("large", {"size": 0.5}, "teachers have half of the largest architecture's convolution weights at least"),
    Ablation("late", {"warmup": 0.5}, "half of the budget before the first teacher"),
    Ablation("search", {"search_share": 0.08}, "twice as much search"),
    Ablation("apart", {"apart": 4}, "teachers differ in four edges at least"),
    Ablation("logits", {"logits": 1.0}, "the teachers' predictions guide as well as their features"),
)


def _all_outputs(context: StepContext, archs: Sequence[Arch]) -> list[Output]:
    """What the paths of a strictly fair set compute, in one graph of fixed shapes."""
    found = forward_paths(context.supernet, context.batch.images, fair_route(archs, context.batch.labels.device))
    return [Output(tuple(f), logits) for *f, logits in zip(*found.features, found.logits, strict=True)]


def _edges_apart(one: Arch, other: Arch) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def _size(live: Arch) -> float:
    """The weights of a live graph's convolutions, as a share of those of six 3x3 convolutions."""
    return (9 * live.count(CONV_3X3) + live.count(CONV_1X1)) / (9 * len(EDGES))


@dataclass
class _Sums:
    """Running sums between two entries of the log, on the device, so that a step does not wait for it."""

    count: int = 0
    values: dict[str, Tensor] = field(default_factory=dict)

    def add(self, guidance: Guidance) -> None:
        alpha = guidance.alpha
        entropy = -(alpha * alpha.clamp_min(1e-12).log()).sum(1).mean()
        found = {
            "loss": guidance.loss.detach(),
            "alpha": alpha,
            "entropy": entropy,
            "at_cap": guidance.at_cap,
            "distances": guidance.distances,
        }
        self.values = {name: self.values[name] + value if self.count else value for name, value in found.items()}
        self.count += 1

    def means(self) -> dict[str, Any]:
        return {name: (value / self.count).tolist() for name, value in self.values.items()}


class Mngnas(Strategy):
    """Strictly fair sets of paths, guided by a pool of teachers that is renewed while the supernet trains."""

    name = "mngnas"
    label = "MNGNAS"
    paper = "Chen et al. 2023"
    description = "several searched networks, adaptively combined, guide a strictly fair supernet"

    _LOG_EVERY = 0.01  # share of the budget

    def __init__(self, config: MngnasConfig | None = None) -> None:
        self.config = config or MngnasConfig()
        self.pool: list[Teacher] = []
        self.rounds_done, self.teachers_made = 0, 0
        self.log: list[dict[str, Any]] = []  # means over stretches of guided training
        self.history: list[dict[str, Any]] = []  # one entry a round
        self._sums = _Sums()
        self._logged_at = 0.0

    # ------------------------------------------------------------------------------------------------------ training

    def step(self, context: StepContext) -> StepResult:
        """One set of paths, guided if there is a pool; a round of search comes before it where one is due."""
        config, extra = self.config, 0.0
        if self.rounds_done < config.rounds and context.spent >= self._round_starts(self.rounds_done):
            extra = self._round(context)
            self.rounds_done += 1
        archs = sample_strictly_fair(context.rng) if config.sampling == "fair" else sample_uniform(context.rng, 1)
        if not self.pool or config.guides == "retraining":
            plain = (train_fair_set if config.sampling == "fair" else train_paths)(context, archs)
            return replace(plain, passes=plain.passes + extra)
        result = self._guided_paths(context, archs)
        self._log(context.spent)
        return replace(result, passes=result.passes + extra)

    def _round_starts(self, number: int) -> float:
        return self.config.warmup + (1 - self.config.warmup) * number / self.config.rounds

    def _guided_paths(self, context: StepContext, archs: Sequence[Arch]) -> StepResult:
        batch = context.batch
        teachers = teacher_features(self.pool, batch)
        weight = self.config.weight * (cosine(context.spent) if self.config.schedule == "falling" else 1.0)
        total = torch.zeros((), device=batch.labels.device)
        together = context.fair_set is not None and self.config.sampling == "fair"
        outputs = _all_outputs(context, archs) if together else (context.supernet(batch.images, a) for a in archs)
        losses = []
        for arch, output in zip(archs, outputs, strict=True):
            loss = F.cross_entropy(output.logits, batch.labels)
            total += loss.detach()
            guided, guidance = self._guided(loss, output, arch, teachers, weight)
            if guidance is not None:
                self._sums.add(guidance)
            if together:
                losses.append(guided)
            else:
                guided.backward()
        if together:
            torch.stack(losses).sum().backward()
        passes = len(archs) + len(self.pool) / 3
        return StepResult(passes, len(archs) * len(batch.labels), total / len(archs))

    def _guided(
        self, loss: Tensor, output: Output, arch: Arch, teachers: TeacherFeatures, weight: float
    ) -> tuple[Tensor, Guidance | None]:
        """A path's loss with the teachers' guidance added; no features guide a path that is the only teacher's."""
        guidance = guide(output.features, arch, teachers, self.config.combination)
        if guidance is not None:
            loss = loss + weight * guidance.loss
        if self.config.logits:
            loss = loss + weight * self.config.logits * F.cross_entropy(output.logits, teachers.prediction)
        return loss, guidance

    # ---------------------------------------------------------------------------------------------------- the rounds

    def _round(self, context: StepContext) -> float:
        """Search, retrain, perturb, snapshot; returns the passes that it took."""
        assert context.search is not None, "MNGNAS needs validation images to search by"
        entry: dict[str, Any] = {"spent": context.spent}
        candidates, passes = self._search(context, entry)
        network, arch, retrained = self._retrain(context, candidates, entry)
        passes += retrained + self._perturb(context, network, arch, entry)
        loss = float(context.search.score([arch], network).loss[0])
        passes += context.search.passes
        entry |= {"arch_index": to_index(arch), "loss": loss, "passes": passes}
        self._flush(context.spent)  # before the pool changes, and with it the columns of the sums
        self._admit(Teacher(self.teachers_made, arch, network, loss))
        self.teachers_made += 1
        entry["pool"] = [[teacher.number, to_index(teacher.arch), teacher.loss] for teacher in self.pool]
        self.history.append(entry)
        self._logged_at = context.spent + passes / context.budget  # the next stretch begins after the round
        return passes

    def _search(self, context: StepContext, entry: dict[str, Any]) -> tuple[list[Arch], float]:
        """The M best architectures that are not in the pool, by validation loss with inherited weights."""
        search, config = context.search, self.config
        assert search is not None
        evaluations = max(2 * config.candidates, int(self._share(context, config.search_share) / search.passes))
        population = max(4, min(50, evaluations // 4))
        settings = SearchConfig(population=population, parents=max(2, population // 2), budget=evaluations)
        near = max(1, config.apart - 1)  # one edge nearer it may still be the better of the two, see _admit
        taught = [live_graph(teacher.arch) for teacher in self.pool]
        found = evolve(
            lambda archs: -search.score(archs).loss,
            settings,
            context.rng,
            constraint=lambda arch: (
                _size(arch) >= config.size and all(_edges_apart(arch, other) >= near for other in taught)
            ),
        )
        entry["evaluations"] = len(found.scores)
        return [arch for arch, _ in found.top(config.candidates)], len(found.scores) * search.passes

    def _share(self, context: StepContext, share: float) -> float:
        """Passes of one round for a kind of work that may take `share` of the budget in all."""
        return share * context.budget / self.config.rounds

    def _retrain(
        self, context: StepContext, candidates: Sequence[Arch], entry: dict[str, Any]
    ) -> tuple[Supernet, Arch, float]:
        """Retrain each candidate from the inherited weights, guided; returns the one of lowest validation loss."""
        search, config = context.search, self.config
        assert search is not None
        price = len(candidates) * self.retraining_price
        steps = int(self._share(context, config.retraining_share) / price) if len(candidates) > 1 else 0
        if not steps:
            return copy.deepcopy(context.supernet), candidates[0], 0.0
        assert context.further is not None
        networks, losses, distances = [], [], []
        for arch in candidates:
            network = copy.deepcopy(context.supernet)
            guided = partial(self.retraining_loss, network, arch)
            distances.append(train_alone(network, guided, context.further, steps, config.learning_rate))
            networks.append(network)
            losses.append(float(search.score([arch], network).loss[0]))
        best = int(np.argmin(losses))
        entry["retrained"] = [[to_index(a), loss] for a, loss in zip(candidates, losses, strict=True)]
        entry["retraining_distance"] = float(np.mean(distances))
        passes = steps * price + len(candidates) * search.passes
        return networks[best], candidates[best], passes

    @property
    def retraining_price(self) -> float:
        """A pass, and the forward passes of the teachers that guide it."""
        return 1 + len(self.pool) / 3 * (self.config.guides != "supernet")

    def retraining_loss(self, network: Supernet, arch: Arch, batch: Batch) -> tuple[Tensor, Tensor]:
        """The cross-entropy, guided by the pool."""
        output = network(batch.images, arch)
        loss = F.cross_entropy(output.logits, batch.labels)
        if self.pool and self.config.guides != "supernet":
            teachers = teacher_features(self.pool, batch)
            loss, guidance = self._guided(loss, output, arch, teachers, self.config.weight)
            if guidance is not None:
                return loss, guidance.loss.detach()
        return loss, torch.zeros((), device=loss.device)

    def _perturb(self, context: StepContext, network: Supernet, arch: Arch, entry: dict[str, Any]) -> float:
        """Train the winner together with random one-edge neighbours, pulling their features together."""
        config = self.config
        if config.perturbation == "off":
            return 0.0
        guided = config.guides != "supernet" and bool(self.pool)
        price = 1 + config.perturbed + len(self.pool) / 3 * guided
        steps = int(self._share(context, config.perturbation_share) / price)
        near, further = neighbours(arch), context.further
        assert further is not None

        def batch(step: int) -> Batch:
            return further(1_000_000 + step)  # not those of the retraining

        def losses(batch: Batch) -> tuple[Tensor, Tensor]:
            teachers = teacher_features(self.pool, batch) if guided else None
            drawn = [arch, *(near[int(i)] for i in context.rng.choice(len(near), config.perturbed, replace=False))]
            outputs = [network(batch.images, path) for path in drawn]
            parts = []
            for path, output in zip(drawn, outputs, strict=True):
                part = F.cross_entropy(output.logits, batch.labels)
                parts.append(self._guided(part, output, path, teachers, config.weight)[0] if teachers else part)
            loss = torch.stack(parts).sum()
            own, towards = outputs[0].features, config.perturbation == "towards"
            apart = torch.stack([feature_distance(own, o.features, towards) for o in outputs[1:]]).mean()
            return loss + config.perturbation_weight * apart, apart.detach()

        if steps:
            entry["perturbation_distance"] = train_alone(network, losses, batch, steps, config.learning_rate)
        return steps * price

    def _admit(self, teacher: Teacher) -> None:
        """Keep the K teachers of lowest loss; of two that differ in fewer than `apart` edges, the better one."""
        kept: list[Teacher] = []
        for one in sorted([*self.pool, teacher], key=lambda t: t.loss):
            if all(_edges_apart(live_graph(one.arch), live_graph(k.arch)) >= self.config.apart for k in kept):
                kept.append(one)
        self.pool = sorted(kept[: self.config.pool], key=lambda t: t.number)

    # ------------------------------------------------------------------------------------------- diagnostics and state

    def _log(self, spent: float) -> None:
        if spent - self._logged_at >= self._LOG_EVERY:
            self._flush(spent)

    def _flush(self, spent: float) -> None:
        if self._sums.count:
            numbers = [teacher.number for teacher in self.pool]
            self.log.append({"spent": spent, "teachers": numbers, **self._sums.means()})
        self._sums, self._logged_at = _Sums(), spent

    def diagnostics(self) -> dict[str, Any]:
        """The log of guided training, and what happened in each round."""
        return {"guidance": self.log, "rounds": self.history}

    def state_dict(self) -> dict[str, Any]:
        """The pool with its weights, the logs, and how far the rounds are."""
        return {
            "pool": [[t.number, list(t.arch), t.loss, t.network.state_dict()] for t in self.pool],
            "skeleton": vars(self.pool[0].network.skeleton) if self.pool else {},
            "rounds_done": self.rounds_done,
            "teachers_made": self.teachers_made,
            "log": self.log,
            "history": self.history,
            "sums": [self._sums.count, self._sums.values, self._logged_at],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.pool = []
        for number, arch, loss, weights in state["pool"]:
            network = Supernet(Skeleton(**state["skeleton"]), 0).to(next(iter(weights.values())).device)
            network.load_state_dict(weights)
            self.pool.append(Teacher(number, tuple(arch), network, loss))
        self.rounds_done, self.teachers_made = state["rounds_done"], state["teachers_made"]
        self.log, self.history = state["log"], state["history"]
        count, values, self._logged_at = state["sums"]
        self._sums = _Sums(count, values)
