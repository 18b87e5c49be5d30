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

import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.data.images import Batch, to_device
from mngnas.errors import UserError, unknown
from mngnas.methods.mngnas.descent import capped_min_norm
from mngnas.nets.supernet import Supernet
from mngnas.spaces import Arch

COEFFICIENTS = ("adaptive", "uniform", "single")
FEATURES, SIMILARITIES = "features", "similarities"  # what is matched


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

    match: str  # FEATURES or SIMILARITIES

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


def matched(features: Tensor, match: str) -> Tensor:
    """What is compared of a stage's output `[b, c, h, w]`, flat."""
    return _flat(normalised(features)) if match == FEATURES else similarities(features)


@torch.no_grad()
def teacher_features(teachers: Sequence[Teacher], batch: Batch, match: str = FEATURES) -> TeacherFeatures:
    """One forward pass of each teacher (1/3 pass each)."""
    outputs = [teacher.network(batch.images, teacher.arch) for teacher in teachers]
    features = zip(*(output.features for output in outputs), strict=True)
    stages = tuple(torch.stack([matched(f, match) for f in stage]) for stage in features)
    grams = torch.stack([f @ f.T / f.shape[1] for f in stages])
    archs = tuple(t.network.space.canonical(t.arch) for t in teachers)
    return TeacherFeatures(match, archs, tuple(teacher.loss for teacher in teachers), stages, grams)


def guide(features: Sequence[Tensor], student: Arch, teachers: TeacherFeatures, how: Combination) -> Guidance | None:
    """The guidance of a student `[b, c, h, w]` per stage by the combined teacher; None if it has no teacher but itself.

    `student` is its architecture in canonical form. A teacher whose architecture is the student's own is left out: the
    nearest teacher wins, and that one would switch the guidance off.
    """
    present = [arch != student for arch in teachers.archs]
    if not any(present):
        return None
    flat = [matched(f, teachers.match) for f in features]
    with torch.no_grad():
        device = flat[0].device
        products = torch.stack([f @ s / len(s) for f, s in zip(teachers.stages, flat, strict=True)])  # [stages, K]
        squares = torch.stack([s @ s / len(s) for s in flat])[:, None]
        distances = squares - 2 * products + teachers.grams.diagonal(dim1=1, dim2=2)
        # <S - F_i, S - F_j>, from products that are known already
        grams = squares[:, :, None] - products[:, :, None] - products[:, None, :] + teachers.grams
        if how.coefficients == "single":
            best = min((loss, place) for place, loss in enumerate(teachers.losses) if present[place])[1]
            present = [place == best for place in range(len(present))]
        alpha, at_cap = _coefficients(grams, to_device(present, device), how)
    loss = torch.stack([F.mse_loss(s, a @ f) for s, a, f in zip(flat, alpha, teachers.stages, strict=True)]).sum()
    return Guidance(loss, alpha, at_cap, distances.clamp_min(0))


def _coefficients(grams: Tensor, present: Tensor, how: Combination) -> tuple[Tensor, Tensor]:
    """Alpha `[stages, K]` and the share of stages at the cap, of Grams `[stages, K, K]`."""
    stages, k, _ = grams.shape
    if how.coefficients != "adaptive":
        return (present / present.sum()).to(grams.dtype).expand(stages, k), torch.zeros((), device=grams.device)
    cap = max(how.cap, 1 / k)
    if not how.per_stage:
        grams = grams.sum(0, keepdim=True)
    alpha = capped_min_norm(grams, cap, present.expand(len(grams), k))
    at_cap = (alpha.amax(1) >= cap - 1e-4).float().mean() if cap < 1 else torch.zeros((), device=grams.device)
    return alpha.expand(stages, k), at_cap


def feature_distance(
    one: Sequence[Tensor], other: Sequence[Tensor], towards: bool = False, match: str = FEATURES
) -> Tensor:
    """Sum over stages of the mean squared distance between what is matched of two networks, each `[b, c, h, w]`.

    `towards`: gradients reach `other` alone, so that it moves towards `one`.
    """
    pairs = [(matched(a, match), matched(b, match)) for a, b in zip(one, other, strict=True)]
    return torch.stack([F.mse_loss(b, a.detach() if towards else a) for a, b in pairs]).sum()


def _flat(features: Tensor) -> Tensor:
    return features.permute(0, 2, 3, 1).flatten()  # the memory order of channels-last tensors: a view
