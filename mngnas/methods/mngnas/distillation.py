"""Guidance by several frozen teachers: their features, the coefficients that combine them, and the loss.

Where every architecture has stage outputs of one shape, a student's features are compared with a teacher's without
adapters. Where widths differ, what is compared is how similar a network finds each two pictures of the batch, which has
no channels (as in Tung & Mori, ICCV 2019). With S what is matched of the student in a stage and F_k of teacher k, both
of zero mean and unit variance, the gradient of
||S - F_k||^2 in S is 2 (S - F_k). The coefficients are the optimal descent direction of these gradients,

    alpha = argmin || sum_k alpha_k (S - F_k) ||^2   s.t.  sum_k alpha_k = 1,  0 <= alpha_k <= C

(`mngnas.methods.mngnas.descent`), and the loss is the squared distance between S and the combined teacher
sum_k alpha_k F_k. All inner products of one step come from one matrix of teacher features a stage, so alpha costs no
backward pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.data.images import Batch, to_device
from mngnas.errors import UserError, unknown
from mngnas.methods.mngnas.descent import capped_min_norm
from mngnas.nets.supernet import Output, Supernet
from mngnas.spaces import Arch

COEFFICIENTS = ("adaptive", "uniform", "single")
MATCHES = FEATURES, SIMILARITIES = ("features", "similarities")  # what is matched


@dataclass(frozen=True)
class Combination:
    """How teachers are combined into one."""

    coefficients: str = "adaptive"  # or "uniform"; or "single": the teacher of lowest validation loss alone
    per_stage: bool = True  # False: one alpha for all stages, from the sum of their Grams
    cap: float = 0.6  # largest coefficient, C; 1 is the min-norm point, values up to 1 / K are the plain mean

    def __post_init__(self) -> None:
        if self.coefficients not in COEFFICIENTS:
            raise unknown("coefficients", self.coefficients, COEFFICIENTS)
        if not 0 < self.cap <= 1:
            raise UserError(f"cap = {self.cap} is outside 0..1")


@dataclass(frozen=True)
class Teacher:
    """A frozen snapshot: the weights of a supernet, and the one path of it that teaches."""

    number: int  # counted from 0 in the order of their making
    arch: Arch
    network: Supernet
    loss: float  # validation loss at the time of the snapshot, nats

    def __post_init__(self) -> None:
        self.network.requires_grad_(False)


@dataclass(frozen=True)
class TeacherFeatures:
    """What K teachers see in one batch."""

    match: str  # one of `MATCHES`
    pictures: int  # how many of the batch, its first ones
    archs: tuple[Arch, ...]  # in canonical form
    losses: tuple[float, ...]  # of the teachers, `Teacher.loss`
    stages: tuple[Tensor, ...]  # per stage, as `matched` gives it, float32 [K, D]
    grams: Tensor  # mean products of two teachers' features, [stages, K, K]


@dataclass(frozen=True)
class Guidance:
    """The loss of one path, with what went into it (detached)."""

    loss: Tensor  # scalar, sum over stages of the mean squared distance to the combined teacher
    alpha: Tensor  # [stages, K]
    at_cap: Tensor  # share of stages in which a coefficient meets the cap, scalar
    distances: Tensor  # mean squared distance to each teacher, [stages, K]


def normalised(features: Tensor) -> Tensor:
    """Zero mean and unit variance per channel over batch and space: `[b, c, h, w]` to float32 of the same shape."""
    return F.batch_norm(features.float(), None, None, training=True)


def similarities(features: Tensor) -> Tensor:
    """Cosines between the normalised features of each two pictures, standardised: `[b, c, h, w]` to `[b * (b - 1)]`."""
    b = len(features)
    rows = F.normalize(normalised(features).flatten(1))
    cosines = (rows @ rows.T).flatten()[1:].view(b - 1, b + 1)[:, :-1].flatten()  # without the diagonal
    return (cosines - cosines.mean()) / cosines.std().clamp_min(1e-6)


def matched(stages: Sequence[Tensor], match: str, pictures: int | None = None) -> list[Tensor]:
    """What is compared of a network's features on the first `pictures` of a batch, `[d]` a stage."""
    found = []
    for features in stages:
        seen = first_pictures(features, len(features) if pictures is None else pictures)
        # permuted, what is channels-last in memory is flattened without a copy
        found.append(normalised(seen).permute(0, 2, 3, 1).flatten() if match == FEATURES else similarities(seen))
    return found


def first_pictures(features: Tensor, n: int) -> Tensor:
    """The first n of `[b, c, h, w]`; unlike that of a slice, the gradient is channels-last: what follows is faster."""
    found: Tensor = _FirstPictures.apply(features, n)  # type: ignore[no-untyped-call]
    return found


class _FirstPictures(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, n: int) -> Tensor:
        ctx.shape = features.shape
        return features[:n]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        padded = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last)
        padded[: len(grad)], padded[len(grad) :] = grad, 0
        return padded, None


def teacher_features(
    teachers: Sequence[Teacher], batch: Batch, match: str = FEATURES, pictures: int | None = None
) -> TeacherFeatures:
    """One forward pass of each teacher over the first `pictures` (default: all) of a batch, 1/3 pass each for all."""
    return features_of_parts(teachers, [batch.images[:pictures]], match)[0]


@torch.no_grad()
def features_of_parts(
    teachers: Sequence[Teacher], parts: Sequence[Tensor], match: str = FEATURES
) -> list[TeacherFeatures]:
    """One forward pass of each teacher over parts of several batches together; each part is matched by itself.

    BatchNorm's statistics are those of all parts. A few pictures do not fill a processor's kernels: four parts of 16
    take half as long together as one by one.
    """
    outputs = [teacher.network(torch.cat([*parts]), teacher.arch).features for teacher in teachers]
    archs = tuple(t.network.space.canonical(t.arch) for t in teachers)
    losses = tuple(teacher.loss for teacher in teachers)
    found, start = [], 0
    for part in parts:
        where = slice(start, start := start + len(part))
        seen = [matched([f[where] for f in features], match) for features in outputs]
        stages = tuple(torch.stack(stage) for stage in zip(*seen, strict=True))
        grams = torch.stack([f @ f.mT / f.shape[-1] for f in stages])
        found.append(TeacherFeatures(match, len(part), archs, losses, stages, grams))
    return found


def guide(output: Output, student: Arch, teachers: TeacherFeatures, how: Combination) -> Guidance | None:
    """The guidance of a student, whose output is that of the teachers' whole batch, by the combined teacher.

    None if it has no teacher but itself: `student` is its architecture in canonical form, and a teacher whose
    architecture is the student's own is left out. The nearest teacher wins, and that one would switch the guidance off.
    """
    present = [arch != student for arch in teachers.archs]
    if not any(present):
        return None
    flat = matched(output.features, teachers.match, teachers.pictures)
    with torch.no_grad():
        device = flat[0].device
        products = torch.stack([f @ s / len(s) for f, s in zip(teachers.stages, flat, strict=True)])  # [stages, K]
        squares = torch.stack([s.square().mean(-1, keepdim=True) for s in flat])  # [stages, 1]
        distances = squares - 2 * products + teachers.grams.diagonal(dim1=-2, dim2=-1)
        # <S - F_i, S - F_j>, from products that are known already
        grams = squares[..., None] - products[..., :, None] - products[..., None, :] + teachers.grams
        if how.coefficients == "single":
            best = min((loss, place) for place, loss in enumerate(teachers.losses) if present[place])[1]
            present = [place == best for place in range(len(present))]
        alpha, at_cap = _coefficients(grams, to_device(present, device), how)
    targets = [a @ f for a, f in zip(alpha, teachers.stages, strict=True)]
    loss = torch.stack([F.mse_loss(s, target) for s, target in zip(flat, targets, strict=True)]).sum()
    return Guidance(loss, alpha, at_cap, distances.clamp_min(0))


def _coefficients(grams: Tensor, present: Tensor, how: Combination) -> tuple[Tensor, Tensor]:
    """Alpha `[stages, K]` and the share of stages at the cap, of Grams `[stages, K, K]`."""
    stages, k, _ = grams.shape
    if how.coefficients != "adaptive":
        even = (present / present.sum()).to(grams.dtype)
        return even.expand(stages, k), torch.zeros((), device=grams.device)
    cap = max(how.cap, 1 / k)
    if not how.per_stage:
        grams = grams.sum(0, keepdim=True)
    alpha = capped_min_norm(grams, cap, present.expand(len(grams), k))
    at_cap = (alpha.amax(-1) >= cap - 1e-4).float().mean() if cap < 1 else torch.zeros((), device=grams.device)
    return alpha.expand(stages, k), at_cap


def feature_distance(one: Output, other: Output, towards: bool = False, match: str = FEATURES) -> Tensor:
    """Sum over stages of the mean squared distance between what is matched of two networks on the same pictures.

    `towards`: gradients reach `other` alone, so that it moves towards `one`.
    """
    pairs = zip(matched(one.features, match), matched(other.features, match), strict=True)
    return torch.stack([F.mse_loss(b, a.detach() if towards else a) for a, b in pairs]).sum()
