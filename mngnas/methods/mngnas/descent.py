"""The optimal descent direction: the capped min-norm combination of K gradients, solved exactly on their Gram matrix.

    alpha = argmin 1/2 || sum_k alpha_k g_k ||^2   s.t.  sum_k alpha_k = 1,  0 <= alpha_k <= C

C = 1 is the min-norm point of MGDA (Désidéri, C. R. Math. 350, 2012; Sener and Koltun, NeurIPS 2018), C = 1 / K the
plain mean; the cap between them is the tolerance of AE-KD (Du et al., NeurIPS 2020).
"""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.nets.layers import constant

MAX_TEACHERS = 8  # the number of faces grows about as 3 ** K

_TOLERANCE = 1e-9  # of a coefficient in its bounds, and of the cap in its range
_RIDGE = 1e-10  # added to the diagonal, relative to it; more where the Gram's own rounding is coarser
_FLOOR = 1e-13  # of the diagonal, relative to the largest entry; what is below counts as no gradient


class _Faces(NamedTuple):
    """Which coefficients are free, at the cap or at zero: all the cases that can be feasible, as float64 constants."""

    capped: Tensor  # [n, K + 1], the cap where a coefficient is at the cap, else 0
    free: Tensor  # [n, K + 1], -1 where a coefficient is free and in the last column, else 0
    inside: Tensor  # [n, K + 1, K + 1], 1 for a pair of free coefficients and in the border of a free one, else 0
    outside: Tensor  # [n, K + 1, K + 1], 1 on the diagonal of the coefficients that are not free, else 0
    unit: Tensor  # [K + 1], 1 in the last place


def capped_min_norm(gram: Tensor, cap: float, present: Tensor | None = None) -> Tensor:
    """Coefficients `[..., K]` of the shortest convex combination of K gradients with none above `cap`.

    `gram` `[..., K, K]` holds the gradients' inner products at any scale; `present` (bool, `[..., K]`) names the
    teachers that take part, the others get 0, and the cap of n present ones is max(cap, 1 / n). A teacher whose own
    product is not finite is left out too; another product that is not finite counts as 0. If nobody is left, those
    present (or else all) share evenly. Of several optimal answers it gives the one of least sum_k G_kk alpha_k^2, up
    to rounding: duplicates share evenly, and so do teachers without a gradient.

    Every face of the feasible set is solved at once, in float64 and on the device of `gram`. The objective is within
    1e-9 (float64) or 1e-6 (float32) of the trace from its minimum. Nothing waits for the device; no gradient flows.
    Raises ValueError for a Gram that is not square with K in 1..8, and for a cap outside 1/K..1.
    """
    if gram.ndim < 2 or gram.shape[-1] != gram.shape[-2] or not 1 <= gram.shape[-1] <= MAX_TEACHERS:
        raise ValueError(f"gram has the shape {tuple(gram.shape)}; needed: [..., K, K] with K in 1..{MAX_TEACHERS}")
    k = gram.shape[-1]
    if not 1 / k - _TOLERANCE <= cap <= 1 + _TOLERANCE:
        raise ValueError(f"cap = {cap} is outside 1/K..1 = {1 / k:.6g}..1 for K = {k} teachers")
    with torch.no_grad():
        usable = gram.diagonal(dim1=-2, dim2=-1).isfinite()
        if present is not None:
            usable = usable & present
        share = _or_else(usable, True if present is None else _or_else(present, True)).double()
        count = share.sum(-1, keepdim=True)
        even = share / count
        if cap * k <= 1 + _TOLERANCE:
            return even.to(gram.dtype)
        alpha = _best_face(_scaled(gram, usable), share * cap, _faces(k, cap, gram.device))
        return torch.where(count * cap > 1 + _TOLERANCE, alpha, even).to(gram.dtype)


def _or_else(some: Tensor, fallback: Tensor | bool) -> Tensor:
    """`some` `[..., K]` where it holds any True, else `fallback`."""
    return torch.where(some.any(-1, keepdim=True), some, fallback)


def _scaled(gram: Tensor, usable: Tensor) -> Tensor:
    """The Gram in float64 with entries up to 1, zero for those not usable, its diagonal raised by the ridge."""
    valid = usable.unsqueeze(-1) & usable.unsqueeze(-2) & gram.isfinite()
    scaled = torch.where(valid, gram.double(), 0.0)
    scaled = scaled / scaled.abs().amax((-2, -1), keepdim=True).clamp_min(1e-300)
    ridge = max(_RIDGE, 4 * torch.finfo(gram.dtype).eps)
    scaled.diagonal(dim1=-2, dim2=-1).mul_(1 + ridge).clamp_min_(_FLOOR)
    return scaled


def _best_face(gram: Tensor, upper: Tensor, faces: _Faces) -> Tensor:
    """The stationary points of all faces; of the feasible ones, that which meets the KKT conditions best, `[..., K]`.

    The conditions separate near-optimal faces better than the norm does, which is flat at its minimum.
    """
    # [G_FF 1; 1' 0] [alpha_F; -mu] = [-G_FU C; 1 - |U| C], with a row of the identity for what is not free
    bordered = F.pad(gram, (0, 1, 0, 1), value=1.0)
    matrix = torch.addcmul(faces.outside, bordered.unsqueeze(-3), faces.inside)  # [..., n, K + 1, K + 1]
    target = torch.addcmul(faces.unit, faces.capped @ bordered, faces.free)  # [..., n, K + 1]
    solution = torch.linalg.solve_ex(matrix, target)[0] + faces.capped
    point, shift = solution[..., :-1], solution[..., -1:]
    upper = upper.unsqueeze(-2)
    inside = point.clamp_min(0.0).minimum(upper)
    slope = inside @ gram + shift  # at an optimum 0 where free, >= 0 at zero, <= 0 at the cap
    residual = slope.minimum(inside).maximum(inside - upper).abs().amax(-1)
    feasible = (point - inside).abs().amax(-1) < _TOLERANCE  # False where a system was singular
    best = torch.where(feasible, residual, torch.inf).argmin(-1, keepdim=True)
    found: Tensor = inside.take_along_dim(best.unsqueeze(-1), -2).squeeze(-2)
    return found


@constant
def _faces(k: int, cap: float, device: torch.device) -> _Faces:
    state = torch.tensor(list(itertools.product((0, 1, 2), repeat=k)))  # at zero, free, at the cap
    free, capped = (state == 1).double(), (state == 2).double()
    least, most = cap * capped.sum(1), cap * (free + capped).sum(1)
    possible = (least < 1 - _TOLERANCE) & (most >= 1 - _TOLERANCE)  # so that something is free, too
    free, capped = F.pad(free[possible], (0, 1), value=1.0), F.pad(capped[possible], (0, 1))
    inside = free.unsqueeze(-1) * free.unsqueeze(-2)
    inside[:, -1, -1] = 0.0
    outside = torch.diag_embed(1 - free)
    unit = torch.eye(k + 1, dtype=torch.float64)[-1]
    return _Faces(*(t.to(device) for t in (cap * capped, -free, inside, outside, unit)))
