"""Guidance by several teachers: losses and coefficients by their definitions, and whose gradients flow."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.data.images import Batch
from mngnas.errors import UserError
from mngnas.methods.mngnas.distillation import (
    SIMILARITIES,
    Combination,
    Teacher,
    feature_distance,
    features_of_parts,
    guide,
    normalised,
    similarities,
    teacher_features,
)
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.supernet import Output
from mngnas.spaces.skeleton import Skeleton

ARCHS = [(3, 1, 2, 3, 4, 1), (2, 2, 3, 1, 3, 2), (1, 3, 3, 3, 1, 3), (4, 3, 1, 2, 3, 3)]
STUDENT = (3, 3, 1, 1, 2, 3)


def batch(size=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 3, 8, 8, generator=generator).to(memory_format=torch.channels_last)
    return Batch(images, torch.arange(size) % 10)


@pytest.fixture
def teachers():
    return [Teacher(n, arch, CellSupernet(Skeleton(4, 1), seed=n), 2.0 - n / 10) for n, arch in enumerate(ARCHS)]


@pytest.fixture
def student():
    return CellSupernet(Skeleton(4, 1), seed=77)


def features_only(features):
    return Output(tuple(features), torch.zeros(0))


def reference(features, teachers, alpha, batch):
    """The loss by its definition: squared distance of normalised features to the weighted sum of the teachers'."""
    total = 0.0
    for stage, s in enumerate(features):
        combined = sum(
            a * normalised(t.network(batch.images, t.arch).features[stage])
            for a, t in zip(alpha[stage], teachers, strict=True)
        )
        total = total + ((normalised(s) - combined) ** 2).mean()
    return total


@pytest.mark.parametrize(
    "how",
    [
        Combination(),
        Combination(cap=1.0),
        Combination(per_stage=False),
        Combination("uniform"),
        Combination("single"),
    ],
    ids=str,
)
def test_loss_and_distances_are_what_their_definitions_say(student, teachers, how):
    b = batch()
    output = student(b.images, STUDENT)
    features, found = output.features, guide(output, STUDENT, teacher_features(teachers, b), how)
    assert found.alpha.shape == found.distances.shape == (3, 4)
    torch.testing.assert_close(found.alpha.sum(1), torch.ones(3))
    torch.testing.assert_close(found.loss, reference(features, teachers, found.alpha, b), rtol=1e-4, atol=1e-5)
    for k, teacher in enumerate(teachers):
        theirs = teacher.network(b.images, teacher.arch).features
        expected = torch.stack(
            [F.mse_loss(normalised(s), normalised(t)) for s, t in zip(features, theirs, strict=True)]
        )
        torch.testing.assert_close(found.distances[:, k], expected, rtol=1e-4, atol=1e-5)


def test_adaptive_is_the_nearest_combination_that_the_cap_allows(student, teachers):
    b = batch()
    output, seen = student(b.images, STUDENT), teacher_features(teachers, b)
    features, adaptive = output.features, guide(output, STUDENT, seen, Combination(cap=0.6))
    free = guide(output, STUDENT, seen, Combination(cap=1.0))
    uniform = guide(output, STUDENT, seen, Combination("uniform"))
    assert free.loss <= adaptive.loss + 1e-6 < uniform.loss
    assert adaptive.alpha.max() <= 0.6 + 1e-5
    rng = np.random.default_rng(0)
    for _ in range(50):  # no other admissible combination of the first stage is nearer
        alpha = torch.as_tensor(rng.dirichlet(np.ones(4)), dtype=torch.float32)
        if alpha.max() <= 0.6:
            other = adaptive.alpha.clone()
            other[0] = alpha
            assert reference(features, teachers, other, b) >= adaptive.loss - 1e-5


def test_single_is_the_teacher_of_lowest_loss_and_uniform_the_mean(student, teachers):
    b = batch()
    output, seen = student(b.images, STUDENT), teacher_features(teachers, b)
    single = guide(output, STUDENT, seen, Combination("single"))
    assert single.alpha.tolist() == [[0, 0, 0, 1]] * 3
    assert guide(output, STUDENT, seen, Combination("uniform")).alpha.tolist() == [[0.25] * 4] * 3


def test_the_student_is_never_its_own_teacher(student, teachers):
    b = batch()
    seen = teacher_features(teachers, b)
    output = student(b.images, ARCHS[2])
    for how in (Combination(), Combination("uniform"), Combination("single")):
        alpha = guide(output, ARCHS[2], seen, how).alpha
        assert (alpha[:, 2] == 0).all()
        torch.testing.assert_close(alpha.sum(1), torch.ones(3))
    alone = teacher_features(teachers[2:3], b)
    assert guide(output, ARCHS[2], alone, Combination()) is None


def test_gradients_reach_the_student_alone(student, teachers):
    b = batch()
    before = [p.clone() for t in teachers for p in t.network.parameters()]
    guide(student(b.images, STUDENT), STUDENT, teacher_features(teachers, b), Combination()).loss.backward()
    assert student.stem.weight.grad.abs().sum() > 0
    assert student.cells[2].conv3x3.weight.grad[5].abs().sum() > 0
    assert student.head_weight.grad is None  # features end before the head
    for p, old in zip((p for t in teachers for p in t.network.parameters()), before, strict=True):
        assert p.grad is None
        assert not p.requires_grad
        assert torch.equal(p, old)


def test_the_gradient_is_that_of_the_weighted_single_losses(student, teachers):
    """The identity on which the coefficients rest: they cost no further backward pass."""
    b = batch()
    features = [f.detach().requires_grad_() for f in student(b.images, STUDENT).features]
    found = guide(features_only(features), STUDENT, teacher_features(teachers, b), Combination())
    together = torch.autograd.grad(found.loss, features)
    weighted = 0.0
    for stage, s in enumerate(features):
        for k, t in enumerate(teachers):
            theirs = normalised(t.network(b.images, t.arch).features[stage])
            weighted = weighted + found.alpha[stage, k] * ((normalised(s) - theirs) ** 2).mean()
    for a, g in zip(together, torch.autograd.grad(weighted, features), strict=True):
        torch.testing.assert_close(a, g, rtol=1e-3, atol=1e-6)


def test_a_constant_feature_is_no_trouble(student, teachers):
    """A disconnected path has features that are zero everywhere."""
    b = batch()
    output = student(b.images, (0,) * 6)
    found = guide(output, (0,) * 6, teacher_features(teachers, b), Combination())
    assert torch.isfinite(found.loss)
    assert torch.isfinite(found.alpha).all()
    (found.loss + output.logits.square().mean()).backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in student.parameters())


def test_feature_distance(student):
    b = batch()
    one, other = student(b.images, STUDENT), student(b.images, ARCHS[0])
    assert feature_distance(one, one).item() == 0
    assert 0 < feature_distance(one, other).item() == pytest.approx(feature_distance(other, one).item())
    leaves = [[f.detach().requires_grad_() for f in output.features] for output in (one, other)]
    feature_distance(*map(features_only, leaves), towards=True).backward()
    assert all(f.grad is None for f in leaves[0])
    assert all(f.grad is not None for f in leaves[1])


def test_scale_and_shift_of_a_channel_do_not_matter(student):
    features = student(batch().images, STUDENT).features
    moved = [3.0 * f + 1.5 for f in features]
    assert feature_distance(features_only(features), features_only(moved)).item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"coefficients": "adaptve"}, "unknown coefficients 'adaptve'; did you mean 'adaptive'?"),
        ({"cap": 0.0}, "cap = 0.0 is outside 0..1"),
    ],
)
def test_bad_combinations_are_refused(bad, message):
    with pytest.raises(UserError) as caught:
        Combination(**bad)
    assert message in str(caught.value)


def test_similarities_have_no_channels_and_no_scale():
    """Against the definition, pair by pair; other channels that say the same are no distance."""
    x = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    rows = normalised(x).flatten(1)
    cosines = [F.cosine_similarity(rows[i], rows[j], 0) for i in range(5) for j in range(5) if i != j]
    cosines = torch.stack(cosines)
    torch.testing.assert_close(similarities(x), (cosines - cosines.mean()) / cosines.std())
    assert similarities(x).shape == similarities(torch.randn(5, 8, 2, 2)).shape == (20,)
    twice = torch.cat([x, 3 * x + 1], 1)
    assert feature_distance(features_only([x]), features_only([twice]), match=SIMILARITIES).item() == pytest.approx(
        0, abs=1e-5
    )
    assert (
        feature_distance(features_only([x]), features_only([torch.randn(5, 6, 2, 2)]), match=SIMILARITIES).item() > 0.1
    )


def test_guidance_by_similarities_reaches_the_student(student, teachers):
    b = batch()
    seen = teacher_features(teachers, b, SIMILARITIES)
    found = guide(student(b.images, STUDENT), STUDENT, seen, Combination())
    theirs = [similarities(t.network(b.images, t.arch).features[0]) for t in teachers]
    own = similarities(student(b.images, STUDENT).features[0])
    wanted = [((own - one) ** 2).mean().item() for one in theirs]
    assert found.distances[0].tolist() == pytest.approx(wanted, rel=1e-3)
    found.loss.backward()
    assert student.stem.weight.grad.abs().sum() > 0


# -------------------------------------------------------------------------------------------- a part of the pictures


def test_a_part_of_the_pictures_guides_as_if_it_were_all(student, teachers):
    b = batch()
    n = len(b.labels) // 2
    first = Batch(b.images[:n], b.labels[:n])
    output = student(b.images, STUDENT)
    found = guide(output, STUDENT, teacher_features(teachers, b, pictures=n), Combination())
    alone = guide(
        features_only([f[:n] for f in output.features]), STUDENT, teacher_features(teachers, first), Combination()
    )
    torch.testing.assert_close(found.loss, alone.loss)
    torch.testing.assert_close(found.alpha, alone.alpha)
    leaves = [f.detach().requires_grad_() for f in output.features]
    guide(features_only(leaves), STUDENT, teacher_features(teachers, b, pictures=n), Combination()).loss.backward()
    for leaf in leaves:
        assert leaf.grad[:n].abs().sum() > 0
        assert (leaf.grad[n:] == 0).all()
        assert leaf.grad.is_contiguous(memory_format=torch.channels_last)


def test_parts_of_several_batches_are_matched_each_by_itself(teachers):
    """One pass over all of them, whose features are cut up before they are matched."""
    parts = [batch(6, seed).images for seed in range(3)]
    together = [t.network(torch.cat(parts), t.arch) for t in teachers]
    for number, found in enumerate(features_of_parts(teachers, parts)):
        where = slice(6 * number, 6 * number + 6)
        assert found.pictures == 6
        for stage, rows in enumerate(found.stages):
            expected = [normalised(o.features[stage][where]).permute(0, 2, 3, 1).flatten() for o in together]
            torch.testing.assert_close(rows, torch.stack(expected))
            torch.testing.assert_close(found.grams[stage], rows @ rows.T / rows.shape[-1])
