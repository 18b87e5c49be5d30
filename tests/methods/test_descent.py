"""The capped min-norm point: against the duality gap, scipy, closed forms, and on every degenerate Gram we know."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mngnas.methods.mngnas.descent import MAX_TEACHERS, capped_min_norm


def of_gradients(gradients):
    """Inner products `[..., K, K]` of gradients `[..., K, D]`."""
    return gradients @ gradients.mT


def _orthonormal(rng, n, k):
    return np.linalg.qr(rng.normal(size=(n, 12, k)))[0].swapaxes(1, 2)


def plain(rng, n, k):
    return rng.normal(size=(n, k, 12))


def agreeing(rng, n, k):
    return rng.normal(size=(n, k, 12)) + rng.normal(size=(n, 1, 12))


def ill_conditioned(rng, n, k):
    return _orthonormal(rng, n, k) * 10.0 ** rng.uniform(-6, 0, (n, k, 1)) @ rng.normal(size=(n, 12, 12))


def graded(rng, n, k):
    return rng.normal(size=(n, k, 12)) * 10.0 ** rng.uniform(-5, 0, (n, k, 1))


def duplicates(rng, n, k):
    gradients = agreeing(rng, n, k)
    gradients[:, k // 2 :] = gradients[:, : k - k // 2]
    return gradients


def one_zero(rng, n, k):
    gradients = plain(rng, n, k)
    gradients[np.arange(n), rng.integers(0, k, n)] = 0
    return gradients


def all_zero(rng, n, k):  # noqa: ARG001
    return np.zeros((n, k, 12))


def collinear(rng, n, k):
    frame = _orthonormal(rng, n, 3)
    near = rng.normal(size=(n, k, 2)) * 10.0 ** rng.uniform(-8, -1, (n, 1, 1))
    return frame[:, :1] + near @ frame[:, 1:]


def low_rank(rng, n, k):
    return rng.normal(size=(n, k, 2)) @ rng.normal(size=(n, 2, 12))


def opposed(rng, n, k):
    gradients = plain(rng, n, k)
    gradients[:, -1] = -gradients[:, 0]
    return gradients


def tiny(rng, n, k):
    return 1e-6 * agreeing(rng, n, k)


def huge(rng, n, k):
    return 1e6 * agreeing(rng, n, k)


PROBLEMS = [plain, agreeing, ill_conditioned, graded, duplicates, one_zero, all_zero, collinear, low_rank, opposed]
PROBLEMS += [tiny, huge]
SHAPES = [(k, cap) for k in range(1, 7) for cap in sorted({1 / k, min(1.0, 1.4 / k), max(1 / k, 0.6), 1.0})]
SHAPES += [(7, 0.6), (8, 0.6), (8, 1.0), (8, 0.3)]

problems = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda f: f.__name__)


def grams(problem, n, k, seed=0) -> np.ndarray:
    gradients = problem(np.random.default_rng(seed), n, k)
    return gradients @ gradients.swapaxes(1, 2)


def solve(gram, cap, present=None) -> np.ndarray:
    return capped_min_norm(torch.as_tensor(gram), cap, None if present is None else torch.as_tensor(present)).numpy()


def objective(gram, alpha) -> np.ndarray:
    return np.einsum("...i,...ij,...j->...", alpha, gram, alpha) / 2


def duality_gap(gram, alpha, cap) -> np.ndarray:
    """How far the objective of `alpha` can be from the optimum: <slope, alpha> less its minimum over all feasible."""
    slope = np.einsum("...ij,...j->...i", gram, alpha)
    k = slope.shape[-1]
    steepest = np.clip(1 - cap * np.arange(k), 0, cap)  # the cap for the smallest slopes, then the rest
    return (slope * alpha).sum(-1) - (np.sort(slope, -1) * steepest).sum(-1)


def assert_feasible(alpha, cap, tolerance=1e-6):
    np.testing.assert_allclose(alpha.sum(-1, dtype=np.float64), 1, rtol=0, atol=tolerance)
    assert alpha.min() >= 0
    assert (alpha <= cap + tolerance).all()


@problems
@pytest.mark.parametrize(("k", "cap"), SHAPES)
def test_optimal_by_the_duality_gap(problem, k, cap):
    gram = grams(problem, 40 if k < 7 else 6, k, seed=k)
    alpha = solve(gram, cap)
    assert_feasible(alpha, cap, 1e-9)
    assert (duality_gap(gram, alpha, cap) <= 1e-9 * np.trace(gram, axis1=1, axis2=2)).all()


@problems
@pytest.mark.parametrize(("k", "cap"), [(2, 0.6), (4, 0.6), (4, 1.0), (6, 0.3)])
def test_single_precision_is_feasible_and_optimal(problem, k, cap):
    gram = of_gradients(torch.as_tensor(problem(np.random.default_rng(k), 40, k)).float())
    alpha = capped_min_norm(gram, cap)
    assert alpha.dtype == torch.float32
    assert_feasible(alpha.numpy(), cap)
    wide = gram.double().numpy()
    trace = np.trace(wide, axis1=1, axis2=2)
    assert (duality_gap(wide, alpha.double().numpy(), cap) <= 2e-6 * trace).all()


@problems
@pytest.mark.parametrize(("k", "cap"), [(2, 0.6), (3, 0.6), (4, 0.6), (4, 1.0), (5, 0.3), (8, 0.6)])
def test_agrees_with_slsqp(problem, k, cap):
    gram = grams(problem, 50 if k < 8 else 10, k, seed=100 + k)
    alpha = solve(gram, cap)
    compared = 0
    for one, found in zip(gram, alpha, strict=True):
        scaled = one / max(np.trace(one), 1e-300)
        done = minimize(
            lambda a, g=scaled: (a @ g @ a / 2, g @ a),
            np.full(k, 1 / k),
            jac=True,
            bounds=[(0, cap)] * k,
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": np.ones_like},
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 1000},
        )
        assert objective(scaled, found) == pytest.approx(objective(scaled, done.x), rel=0, abs=1e-6)
        if np.linalg.eigvalsh(scaled)[0] > 1e-2:  # the answer is unique, and scipy's well determined
            np.testing.assert_allclose(found, done.x, rtol=0, atol=1e-6)
            compared += 1
    if problem in (plain, tiny, huge) and k < 6:
        assert compared > 5


def test_two_teachers_in_closed_form():
    gram = grams(agreeing, 500, 2)
    a, b, c = gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]
    for cap in (0.6, 1.0):
        first = np.clip((c - b) / (a + c - 2 * b), 1 - cap, cap)
        np.testing.assert_allclose(solve(gram, cap), np.stack([first, 1 - first], 1), rtol=0, atol=1e-8)


def test_orthogonal_gradients_by_hand():
    # min sum alpha^2 |g|^2: alpha in proportion to 1/|g|^2 = 4:2:1, then 4/7 > 0.5 is capped and 2:1 share the rest
    gram = np.diag([1.0, 2.0, 4.0])
    np.testing.assert_allclose(solve(gram, 1.0), [4 / 7, 2 / 7, 1 / 7], atol=1e-9)
    np.testing.assert_allclose(solve(gram, 0.5), [1 / 2, 1 / 3, 1 / 6], atol=1e-9)
    np.testing.assert_allclose(solve(gram, 0.4), [0.4, 0.4, 0.2], atol=1e-9)


def test_the_shortest_of_nested_gradients_is_taken_up_to_the_cap():
    gram = np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(solve(gram, 1.0), [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(solve(gram, 0.6), [0.6, 0.4, 0], atol=1e-9)


def test_an_answer_on_the_edge_of_its_bounds():
    # slopes are equal at (0.5, 0.5, 0): the third coefficient is zero and would stay so if it were free
    np.testing.assert_allclose(
        solve(np.array([[1.0, 0, 0.5], [0, 1, 0.5], [0.5, 0.5, 1]]), 1.0), [0.5, 0.5, 0], atol=1e-9
    )


@pytest.mark.parametrize("k", range(1, MAX_TEACHERS + 1))
@pytest.mark.parametrize("problem", [plain, graded])
def test_the_smallest_cap_is_the_plain_mean(problem, k):
    np.testing.assert_allclose(solve(grams(problem, 3, k), 1 / k), 1 / k, rtol=0, atol=1e-15)


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan, np.inf])
def test_one_teacher_gets_everything(value):
    assert solve(np.full((2, 1, 1), value), 1.0).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("k", "cap"), SHAPES)
def test_everybody_shares_where_all_are_alike(k, cap, dtype):
    for gram in (np.zeros((k, k)), np.ones((k, k)), 1e-12 * np.ones((k, k)), 1e12 * np.eye(k)):
        np.testing.assert_allclose(solve(gram.astype(dtype), cap), 1 / k, rtol=0, atol=2e-7)


@pytest.mark.parametrize("cap", [0.3, 0.6, 1.0])
def test_duplicates_share_evenly(cap):
    alpha = solve(grams(duplicates, 300, 4), cap)
    np.testing.assert_allclose(alpha[:, :2], alpha[:, 2:], rtol=0, atol=1e-4)


def test_duplicates_share_about_evenly_in_a_rounded_gram():
    noise = np.random.default_rng(0).integers(-1, 2, (500, 4, 4))
    gram = (1.5 + (noise + noise.swapaxes(1, 2)) // 2 * np.spacing(np.float32(1.5))).astype(np.float32)
    assert np.abs(solve(gram, 0.6) - 0.25).mean() < 0.08  # 0.2 if the ridge were that of a float64 Gram


def test_teachers_without_a_gradient_share_evenly():
    gram = grams(plain, 50, 4)
    gram[:, 1:3] = gram[:, :, 1:3] = 0
    np.testing.assert_allclose(solve(gram, 0.6), [[0, 0.5, 0.5, 0]] * 50, rtol=0, atol=1e-9)
    gram[:, 2] = gram[:, :, 2] = 0
    assert (solve(gram, 0.4)[:, 1:3] == 0.4).all()


def test_scales_do_not_matter():
    gram = grams(agreeing, 100, 4)
    expected = solve(gram, 0.6)
    for scale in (2.0**-40, 2.0**40):
        np.testing.assert_array_equal(solve(scale * gram, 0.6), expected)
        np.testing.assert_allclose(solve((scale * gram).astype(np.float32), 0.6), expected, rtol=0, atol=1e-4)


def test_the_order_of_the_teachers_does_not_matter():
    gram = grams(agreeing, 100, 5)
    order = np.array([3, 0, 4, 2, 1])
    moved = solve(gram[:, order][:, :, order], 0.5)
    np.testing.assert_allclose(moved, solve(gram, 0.5)[:, order], rtol=0, atol=1e-10)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("cap", [0.3, 0.4, 0.6, 1.0])
def test_a_teacher_that_is_not_finite_is_left_out(bad, cap):
    gram = grams(agreeing, 60, 4)
    rest = np.array([0, 1, 3])
    broken = gram.copy()
    broken[:, 2] = broken[:, :, 2] = bad
    alpha = solve(broken, cap)
    assert (alpha[:, 2] == 0).all()
    np.testing.assert_allclose(alpha[:, rest], solve(gram[:, rest][:, :, rest], max(cap, 1 / 3)), rtol=0, atol=1e-9)


def test_nobody_finite_is_the_plain_mean():
    broken = grams(plain, 20, 4)
    broken[:, range(4), range(4)] = np.nan
    present = [True, False, True, False]
    for gram in (broken, np.full((20, 4, 4), np.inf)):
        np.testing.assert_allclose(solve(gram, 0.6), 0.25, rtol=0, atol=1e-15)
        np.testing.assert_allclose(solve(gram, 0.6, present), [[0.5, 0, 0.5, 0]] * 20, rtol=0, atol=1e-15)


def test_another_product_that_is_not_finite_counts_as_zero():
    gram = grams(agreeing, 20, 3)
    gram[:, 0, 1] = gram[:, 1, 0] = 0
    broken = gram.copy()
    broken[:, 0, 1] = broken[:, 1, 0] = np.nan
    np.testing.assert_array_equal(solve(broken, 0.6), solve(gram, 0.6))


@pytest.mark.parametrize("cap", [0.25, 0.3, 0.6, 1.0])
def test_absent_teachers(cap):
    gram = grams(agreeing, 16, 4)
    present = np.array([[place >> k & 1 for k in range(4)] for place in range(16)], bool)
    alpha = solve(gram, cap, present)
    np.testing.assert_allclose(alpha[0], 0.25, rtol=0, atol=1e-15)  # nobody is present
    for one, who, found in zip(gram[1:], present[1:], alpha[1:], strict=True):
        assert (found[~who] == 0).all()
        alone = solve(one[who][:, who], max(cap, 1 / who.sum()))
        np.testing.assert_allclose(found[who], alone, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(solve(gram[0], cap, present), solve(np.stack([gram[0]] * 16), cap, present))


def test_absent_and_not_finite():
    gram = grams(agreeing, 20, 4)
    broken = gram.copy()
    broken[:, 0] = broken[:, :, 0] = np.nan
    alpha = solve(broken, 0.6, [True, False, True, True])
    assert (alpha[:, :2] == 0).all()
    np.testing.assert_allclose(alpha[:, 2:], solve(gram[:, 2:, 2:], 0.6), rtol=0, atol=1e-9)


def test_any_matrix_gives_a_feasible_answer():
    rng = np.random.default_rng(0)
    for k in range(1, 7):
        for cap in {1 / k, min(1, 1.3 / k), 1.0}:
            gram = rng.normal(size=(200, k, k)) * 10.0 ** rng.uniform(-12, 12, (200, 1, 1))
            odd = rng.choice([0, np.nan, np.inf, 1e-20], gram.shape)
            gram = np.where(rng.random(gram.shape) < 0.15, odd, gram).astype(np.float32)
            finite = np.isfinite(np.diagonal(gram, axis1=1, axis2=2)).sum(1, keepdims=True)
            assert_feasible(solve(gram, cap), np.maximum(cap, 1 / np.where(finite, finite, k)))


def test_a_batch_is_solved_as_its_members_are():
    gram = grams(agreeing, 12, 4)
    alpha = solve(gram.reshape(2, 2, 3, 4, 4), 0.6)
    assert alpha.shape == (2, 2, 3, 4)
    alone = np.stack([solve(one, 0.6) for one in gram])
    np.testing.assert_allclose(alpha.reshape(12, 4), alone, rtol=0, atol=1e-12)
    assert solve(gram[:0], 0.6).shape == (0, 4)


def test_the_same_bits_in_every_mode_and_no_gradient():
    gram = torch.as_tensor(grams(agreeing, 3, 4))
    expected = capped_min_norm(gram, 0.55)
    with torch.inference_mode():
        assert torch.equal(capped_min_norm(gram, 0.57), capped_min_norm(gram, 0.57))  # makes and keeps constants
        assert torch.equal(capped_min_norm(gram, 0.55), expected)
    alpha = capped_min_norm(gram.clone().requires_grad_(), 0.57)
    assert not alpha.requires_grad
    assert torch.equal(capped_min_norm(gram, 0.55), expected)
    before = gram.clone()
    capped_min_norm(gram, 0.6)
    assert torch.equal(gram, before)


def test_nothing_depends_on_values_that_the_host_would_wait_for():
    for k in (1, 2, 4, 8):  # the meta device has shapes but no values, and raises where one is asked for
        gram = torch.empty(3, k, k, device="meta")
        alpha = capped_min_norm(gram, 1.0, torch.empty(3, k, dtype=torch.bool, device="meta"))
        assert alpha.shape == (3, k)
        assert alpha.device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_the_gpu_agrees_and_does_not_wait():
    gram = torch.as_tensor(grams(agreeing, 64, 4))
    on_gpu = gram.cuda()
    capped_min_norm(on_gpu, 0.6)  # copies the constants
    torch.cuda.set_sync_debug_mode("error")
    try:
        alpha = capped_min_norm(on_gpu, 0.6)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(alpha.cpu(), capped_min_norm(gram, 0.6), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(0, 0), (3, 0, 0), (4,), (2, 3), (9, 9)])
def test_a_gram_of_the_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"K in 1\.\.8"):
        capped_min_norm(torch.zeros(shape), 1.0)


@pytest.mark.parametrize("cap", [0.0, 0.2, 0.2499, 1.0001, -1.0, float("nan")])
def test_a_cap_outside_its_range(cap):
    with pytest.raises(ValueError, match=r"outside 1/K\.\.1 = 0\.25\.\.1 for K = 4"):
        capped_min_norm(torch.eye(4), cap)


def test_a_cap_rounded_at_the_end_of_its_range():
    for k in range(1, MAX_TEACHERS + 1):
        np.testing.assert_allclose(solve(grams(plain, 1, k), float(np.nextafter(1 / k, 0))), 1 / k, atol=1e-15)
    assert_feasible(solve(grams(plain, 1, 3), float(np.nextafter(1, 2))), 1.0)


@pytest.mark.parametrize("cap", [0.25, 0.3, 0.6, 1.0])
def test_weighted_losses_and_the_combined_teacher_have_one_gradient(cap):
    rng = np.random.default_rng(3)
    teachers = torch.as_tensor(rng.normal(size=(4, 30)))
    student = torch.as_tensor(rng.normal(size=30)).requires_grad_()
    losses = (student - teachers).square().sum(1)
    gradients = torch.stack([torch.autograd.grad(loss, student, retain_graph=True)[0] for loss in losses])
    torch.testing.assert_close(gradients, 2 * (student - teachers).detach())
    alpha = capped_min_norm(of_gradients(gradients), cap)
    combined = (student - alpha @ teachers).square().sum()
    torch.testing.assert_close(alpha @ gradients, torch.autograd.grad(combined, student)[0])


@pytest.mark.parametrize("k", range(1, MAX_TEACHERS + 1))
def test_without_a_cap_the_combined_teacher_is_the_projection_onto_the_teachers_hull(k):
    rng = np.random.default_rng(k)
    inside = 0
    for dimension in (2, 5, 30):
        teachers = rng.normal(size=(20, k, dimension))
        student = 0.5 * rng.normal(size=(20, 1, dimension))
        alpha = capped_min_norm(of_gradients(torch.as_tensor(2 * (student - teachers))), 1.0).numpy()
        projection = alpha[:, None] @ teachers
        away = student - projection
        assert ((away * (teachers - projection)).sum(-1) <= 1e-8).all()
        inside += (np.abs(away).max((1, 2)) < 1e-8).sum()
    assert inside > 0 or k < 3  # some students are in the hull, where the projection is the student


@pytest.mark.benchmark(group="descent")
@pytest.mark.parametrize("n", [1, 3, 64])
@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_speed(benchmark, k, n):
    gram = torch.as_tensor(grams(agreeing, n, k)).float()
    benchmark(capped_min_norm, gram, max(0.6, 1 / k))
