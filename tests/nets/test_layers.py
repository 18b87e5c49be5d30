"""Operations written for speed against torch's own, and tensors that are kept: inference must not spoil them."""

import ast
import dataclasses
import functools
import importlib
import inspect
import pkgutil
import subprocess
import sys
import textwrap
import typing
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import mngnas
from mngnas.nets.layers import average_pool_3x3, constant

ROOT = Path(mngnas.__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "mngnas").rglob("*.py"))
KEEPERS = ("lru_cache", "cache", "cached_property", "cached_method")


@pytest.mark.parametrize("shape", [(2, 8, 16, 16), (2, 3, 9, 8), (1, 4, 2, 2), (2, 32, 8, 8)])
def test_average_pool_is_torchs(shape):
    x = torch.randn(shape, dtype=torch.float32, generator=torch.Generator().manual_seed(0))
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    y = x.detach().clone().requires_grad_()
    ours, theirs = average_pool_3x3(x), F.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(ours, theirs)
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (2, 8, 16, 16), (2, 3, 4, 4)])
def test_average_pool_in_double_precision_by_finite_differences(shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    torch.testing.assert_close(average_pool_3x3(x), F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))
    small = x.detach()[:1, :1].requires_grad_()
    assert torch.autograd.gradcheck(average_pool_3x3, small)


def second_order(pool, x, weights):
    """The gradient of the squared gradient."""
    x = x.clone().requires_grad_()
    (first,) = torch.autograd.grad((pool(x).square() * weights).sum(), x, create_graph=True)
    return torch.autograd.grad(first.square().sum(), x)[0]


def test_average_pool_may_be_differentiated_twice():
    x = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    weights = torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    found = second_order(average_pool_3x3, x, weights)
    twin = second_order(lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), x, weights)
    assert twin.norm() > 1
    torch.testing.assert_close(found, twin, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------- tensors that are kept


def in_a_process_of_its_own(code):
    """What it printed; nothing is kept there before."""
    code = "import torch; torch.set_num_threads(1)\n" + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


def test_scores_first_then_second_derivatives_of_a_supernet():
    """A process that begins with scoring, in inference mode, and then differentiates twice: the same as torch's pool.

    The second process has torch's own pooling in place of ours; both print the same numbers.
    """
    code = """
        from torch.nn import functional as F
        from mngnas.nets import layers

        calls = []
        def pool(x):
            calls.append(x.shape)
            return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        if {torchs}:
            layers.average_pool_3x3 = pool  # before anybody has imported it

        from mngnas.nets.cell_supernet import CellSupernet
        from mngnas.settings import ScoringConfig
        from mngnas.spaces.skeleton import Skeleton
        from mngnas.train.scoring import Scorer
        from tests.train.pictures import random_batch, random_images

        net = CellSupernet(Skeleton(channels=4, cells=1), 0)
        images = random_images(40)
        Scorer(net, ScoringConfig(images=20, batch_size=20), images, images)([(4, 4, 3, 4, 2, 4), (4,) * 6])
        batch, labels = random_batch(side=16)
        loss = F.cross_entropy(net(batch, (4, 1, 3, 4, 2, 4)).logits, labels)
        parameters = [p for p in net.parameters()]
        first = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
        square = sum(g.square().sum() for g in first if g is not None)
        second = torch.autograd.grad(square, parameters, allow_unused=True)
        assert bool(calls) == {torchs}
        print(square.item(), *(g.norm().item() for g in second if g is not None))
    """
    ours, torchs = (
        [float(word) for word in in_a_process_of_its_own(code.format(torchs=torchs))] for torchs in (False, True)
    )
    assert len(ours) > 5
    assert max(ours) > 0.01
    assert ours == pytest.approx(torchs, rel=5e-3, abs=1e-4)


def test_a_gradient_of_average_pooling_after_inference():
    found = in_a_process_of_its_own("""
        from mngnas.nets.layers import average_pool_3x3
        with torch.inference_mode():
            average_pool_3x3(torch.ones(1, 2, 8, 8))
        x = torch.ones(1, 2, 8, 8, requires_grad=True)
        (first,) = torch.autograd.grad(average_pool_3x3(x).square().sum(), x, create_graph=True)
        first.square().sum().backward()
        print(bool(torch.isfinite(x.grad).all()))
    """)
    assert found == ["True"]


def test_the_faces_of_the_descent_are_kept_outside_of_inference():
    """Made in inference mode, then used where gradients flow."""
    found = in_a_process_of_its_own("""
        from mngnas.methods.mngnas.descent import _faces, capped_min_norm
        gram = torch.eye(4)
        with torch.inference_mode():
            capped_min_norm(gram, 0.6)
        kept = _faces(4, 0.6, torch.device("cpu"))
        x = torch.ones(len(kept.free), 5, dtype=torch.float64, requires_grad=True)
        (x * kept.free).sum().backward()
        print(any(t.is_inference() for t in kept), torch.equal(x.grad, kept.free), capped_min_norm(gram, 0.6).tolist())
    """)
    assert found[:2] == ["False", "True"]


def test_constant_keeps_tensors_that_may_take_part_in_gradients():
    calls = []

    @constant
    def three(n):
        calls.append(n)
        return torch.full((n,), 3.0)

    with torch.inference_mode():
        first = three(2)
    x = torch.ones(2, requires_grad=True)
    (x * three(2)).sum().backward()
    assert first is three(2)
    assert not first.is_inference()
    assert not first.requires_grad
    assert calls == [2]
    assert three(3).shape == (3,)


def has_tensors(kind):
    """Whether an annotation is of tensors, of something that has some, or of nothing known."""
    if isinstance(kind, type) and issubclass(kind, Tensor | torch.nn.Module):
        return True
    inside = [*typing.get_args(kind)]
    if isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")):
        inside += typing.get_type_hints(kind).values()
    return any(has_tensors(one) for one in inside)


def keeping_functions():
    """All functions of the package with a decorator that keeps results: (module, qualified name, decorator)."""
    for path in SOURCES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        stack = [(ast.parse(path.read_text(encoding="utf-8")), "")]
        while stack:
            node, prefix = stack.pop()
            for child in ast.iter_child_nodes(node):
                name = getattr(child, "name", "")
                inner = f"{prefix}.{name}".strip(".") if isinstance(child, ast.ClassDef | ast.FunctionDef) else prefix
                stack.append((child, inner))
                for decorator in getattr(child, "decorator_list", ()):
                    names = {part.id for part in ast.walk(decorator) if isinstance(part, ast.Name)}
                    names |= {part.attr for part in ast.walk(decorator) if isinstance(part, ast.Attribute)}
                    for known in names & {*KEEPERS, "constant"}:
                        yield module, inner, known


def test_every_function_that_keeps_tensors_does_so_by_constant():
    """The one way that inference mode cannot spoil; `made` inside `constant` itself is the mechanism."""
    found = list(keeping_functions())
    assert {name for _, name, decorator in found if decorator == "constant"} >= {"_ones", "_inverse_count", "_faces"}
    others = [(module, name) for module, name, decorator in found if decorator != "constant"]
    assert ("mngnas.nets.layers", "constant.made") in others
    for module, name in others:
        if (module, name) != ("mngnas.nets.layers", "constant.made"):
            function = functools.reduce(getattr, name.split("."), importlib.import_module(module))
            function = getattr(function, "func", inspect.unwrap(function))  # of a cached property
            returned = typing.get_type_hints(function).get("return")
            assert returned is not None, f"{module}.{name} does not say what it keeps"
            assert not has_tensors(returned), f"{module}.{name} keeps tensors"


def test_the_check_would_see_tensors():
    from mngnas.data.images import Batch
    from mngnas.methods.mngnas.descent import _Faces

    for kind in (Tensor, tuple[Tensor, ...], dict[str, list[Tensor]], Tensor | None, _Faces, Batch, list[Batch]):
        assert has_tensors(kind)
    for kind in (int, dict[str, int], Path, tuple[int, ...]):
        assert not has_tensors(kind)


def test_no_module_keeps_a_tensor_by_itself():
    """A tensor made at import would be another way."""
    for module in pkgutil.walk_packages(mngnas.__path__, "mngnas."):
        content = vars(importlib.import_module(module.name))
        assert not [name for name, value in content.items() if isinstance(value, Tensor)], module.name
