"""Operations of the cell that PyTorch's CPU kernels do slowly, written for channels-last tensors."""

from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional as F

P = ParamSpec("P")
T = TypeVar("T")


def constant(make: Callable[P, T]) -> Callable[P, T]:
    """Keep the tensors that `make` gives for its arguments.

    They are made outside of inference mode whoever asks first: a tensor that inference mode made can never again take
    part in a computation with gradients.
    """

    @lru_cache(maxsize=64)
    def made(*arguments: P.args, **names: P.kwargs) -> T:
        with torch.inference_mode(False), torch.no_grad():
            return make(*arguments, **names)

    return made  # type: ignore[return-value]


def average_pool_3x3(x: Tensor) -> Tensor:
    """3x3 average pooling, stride 1, borders averaged over the pixels that exist; `[b, c, h, w]` in and out.

    The same as `avg_pool2d(x, 3, 1, 1, count_include_pad=False)`. On a CPU a depthwise convolution with ones is up to
    3.6 times faster than PyTorch's pooling of channels-last tensors (LOG.md).
    """
    if x.device.type == "cpu" and x.dtype == torch.float32 and x.shape[-1] >= 8:
        return cast(Tensor, _AveragePool.apply(x))  # type: ignore[no-untyped-call]
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class _AveragePool(torch.autograd.Function):
    """y = box(x) / count; box is symmetric, so the gradient is box(g / count)."""

    @staticmethod
    def forward(_ctx: object, x: Tensor) -> Tensor:
        return _box_sum(x).mul_(_inverse_count(x.shape[-2], x.shape[-1]))

    @staticmethod
    def backward(_ctx: object, grad: Tensor) -> Tensor:
        return _box_sum(grad * _inverse_count(grad.shape[-2], grad.shape[-1]))


def _box_sum(x: Tensor) -> Tensor:
    return F.conv2d(x, _ones(x.shape[1]), padding=1, groups=x.shape[1])


@constant
def _ones(channels: int) -> Tensor:
    return torch.ones(channels, 1, 3, 3)


@constant
def _inverse_count(height: int, width: int) -> Tensor:
    rows, columns = (torch.full((size,), 3.0) for size in (height, width))
    for line in (rows, columns):
        line[0] -= 1
        line[-1] -= 1
    return 1 / (rows[:, None] * columns)
