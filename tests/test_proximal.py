"""Proximal maps against numerical oracles, under autograd, torch.func and fake CUDA."""

from itertools import combinations

import cvxpy as cp
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from rlra_torch.functional.proximal import (
    group_shrink,
    keep_largest,
    normalize_l2,
    project_l2_ball,
    project_simplex,
    soft_threshold,
)

CONVEX = {
    "soft_threshold": lambda x: soft_threshold(x, 0.7),
    "soft_threshold_tensor": lambda x: soft_threshold(x, torch.linspace(0, 2, x.shape[-1]).to(x)),
    "group_shrink": lambda x: group_shrink(x, 1.1),
    "group_shrink_first": lambda x: group_shrink(x, 1.1, dim=0),
    "group_shrink_all": lambda x: group_shrink(x, 2.0, dim=(0, 1)),
    "project_simplex": lambda x: project_simplex(x),
    "project_simplex_first": lambda x: project_simplex(x, dim=0, radius=2.5),
    "project_l2_ball": lambda x: project_l2_ball(x, 1.3),
    "project_l2_ball_all": lambda x: project_l2_ball(x, 1.3, dim=(0, 1)),
}
NONCONVEX = {
    "normalize_l2": lambda x: normalize_l2(x),
    "normalize_l2_first": lambda x: normalize_l2(x, dim=0, nonnegative=True),
    "keep_largest": lambda x: keep_largest(x, 2),
    "keep_largest_first": lambda x: keep_largest(x, 3, dim=0),
}
EVERY = CONVEX | NONCONVEX
PROJECTIONS = {k: v for k, v in EVERY.items() if not k.startswith(("soft", "group"))}


def named(maps):
    return pytest.mark.parametrize("prox", maps.values(), ids=maps.keys())


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- Oracles -----------------------------------------------------------------------------------


def minimize(x, penalty=None, constraints=()):
    u = cp.Variable(len(x))
    cost = 0.5 * cp.sum_squares(u - x)
    if penalty is not None:
        cost = cost + penalty(u)
    problem = cp.Problem(cp.Minimize(cost), [make(u) for make in constraints])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    assert u.value is not None
    return u.value


@pytest.mark.parametrize("seed", range(15))
def test_convex_maps_match_a_conic_solver(seed):
    x = 2 * normal(5, seed=seed)
    a = x.numpy()
    t = 0.1 + 0.2 * seed
    cases = [
        (soft_threshold(x, t), minimize(a, lambda u: t * cp.norm1(u))),
        (group_shrink(x, t), minimize(a, lambda u: t * cp.norm2(u))),
        (
            project_simplex(x, radius=t),
            minimize(a, constraints=[lambda u: u >= 0, lambda u: cp.sum(u) == t]),
        ),
        (project_l2_ball(x, t), minimize(a, constraints=[lambda u: cp.norm2(u) <= t])),
    ]
    for ours, oracle in cases:
        np.testing.assert_allclose(ours.numpy(), oracle, atol=2e-5)


def test_simplex_optimality_conditions_on_many_vectors():
    # u solves the projection iff x - u equals one θ on the support and is at most θ off it.
    for n in (1, 2, 3, 10, 200):
        x = 3 * normal(500, n, seed=n)
        u = project_simplex(x, radius=1.5)
        assert (u >= 0).all()
        torch.testing.assert_close(u.sum(-1), torch.full((500,), 1.5, dtype=x.dtype))
        theta = (x - u).amax(-1, keepdim=True)
        assert (((x - u) - theta).abs()[u > 0] < 1e-12).all()


@pytest.mark.parametrize("nonnegative", [False, True])
def test_sphere_projection_is_the_nearest_point(nonnegative):
    x = normal(200, 3)
    candidates = normalize_l2(normal(20000, 3, seed=1), nonnegative=False)
    if nonnegative:
        candidates = candidates.abs()
        x = torch.cat([x, -x.abs()])
    u = normalize_l2(x, nonnegative=nonnegative)
    torch.testing.assert_close(u.norm(dim=-1), torch.ones(len(x), dtype=x.dtype))
    assert not nonnegative or (u >= 0).all()
    distance = (u - x).norm(dim=-1)
    nearest = torch.cdist(x, candidates).amin(-1)
    assert (distance <= nearest + 1e-12).all()
    assert (nearest - distance < 0.1).all()


@pytest.mark.parametrize("k", [0, 1, 3, 5, 9])
def test_sparse_projection_against_enumeration(k):
    x = normal(100, 5)
    best = torch.full((100,), torch.inf, dtype=x.dtype)
    for support in combinations(range(5), min(k, 5)):
        rest = [j for j in range(5) if j not in support]
        best = torch.minimum(best, x[:, rest].square().sum(-1))
    u = keep_largest(x, k)
    assert ((u != 0).sum(-1) <= k).all()
    torch.testing.assert_close((u - x).square().sum(-1), best)


# --- Properties --------------------------------------------------------------------------------


@named(CONVEX)
def test_firmly_nonexpansive(prox):
    for seed in range(20):
        x, z = 2 * normal(4, 6, seed=seed), 2 * normal(4, 6, seed=100 + seed)
        moved = prox(x) - prox(z)
        assert moved.square().sum() <= (moved * (x - z)).sum() + 1e-12


@named(PROJECTIONS)
def test_idempotent(prox):
    for seed in range(20):
        once = prox(2 * normal(4, 6, seed=seed))
        torch.testing.assert_close(prox(once), once, atol=1e-14, rtol=1e-14)


@named(EVERY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_shape_follow_the_input(prox, dtype):
    x = normal(4, 6, dtype=dtype)
    before = x.clone()
    assert prox(x).dtype == dtype and prox(x).shape == x.shape
    assert torch.equal(x, before)


@named(EVERY)
def test_noncontiguous_input(prox):
    x = normal(6, 4).mT
    torch.testing.assert_close(prox(x), prox(x.contiguous()))


@named(EVERY)
def test_nan_is_not_hidden(prox):
    x = normal(4, 6)
    x[1, 2] = torch.nan
    assert prox(x).isnan().any()


# --- Derivatives -------------------------------------------------------------------------------


@named(EVERY)
def test_gradcheck_away_from_kinks(prox):
    x = (2 * normal(4, 6, seed=7)).requires_grad_()
    assert torch.autograd.gradcheck(prox, (x,))
    assert torch.autograd.gradgradcheck(prox, (x,))


@pytest.mark.parametrize(
    "prox",
    [
        soft_threshold,
        group_shrink,
        lambda x, t: project_simplex(x, radius=t),
        project_l2_ball,
    ],
)
def test_gradcheck_of_the_parameter(prox):
    x = (2 * normal(4, 6, seed=7)).requires_grad_()
    t = torch.tensor([[0.4], [0.9], [1.3], [0.2]], dtype=x.dtype, requires_grad=True)
    assert torch.autograd.gradcheck(prox, (x, t))


@named(EVERY)
def test_first_and_second_derivatives_are_finite_at_zero(prox):
    x = torch.zeros(4, 6, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(prox(x).square().sum(), x, create_graph=True)
    assert first.isfinite().all()
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), x, allow_unused=True)
        assert second is None or second.isfinite().all()


@pytest.mark.parametrize("prox", [soft_threshold, group_shrink])
def test_zero_threshold_is_the_identity_everywhere(prox):
    x = torch.tensor([[0.0, 0.0], [0.0, -2.0]], dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda v: prox(v, 0.0))(x).reshape(4, 4)
    assert torch.equal(prox(x, 0.0), x)
    torch.testing.assert_close(jacobian, torch.eye(4, dtype=x.dtype))


@named(EVERY)
def test_torch_func_transforms(prox):
    x = 2 * normal(3, 4, 6, seed=3)
    torch.testing.assert_close(torch.func.vmap(prox)(x), torch.stack([prox(part) for part in x]))
    forward = torch.func.vmap(torch.func.jacfwd(prox))(x)
    reverse = torch.func.vmap(torch.func.jacrev(prox))(x)
    torch.testing.assert_close(forward, reverse)


# --- Edges -------------------------------------------------------------------------------------


def test_zero_vectors():
    zero = torch.zeros(2, 3)
    first = torch.tensor([[1.0, 0, 0]]).expand(2, 3)
    assert torch.equal(normalize_l2(zero), first)
    assert torch.equal(normalize_l2(zero, nonnegative=True), first)
    assert torch.equal(normalize_l2(zero, dim=0)[0], torch.ones(3))
    for prox in (soft_threshold, group_shrink, project_l2_ball):
        assert torch.equal(prox(zero, 0.5), zero)
    torch.testing.assert_close(project_simplex(zero), torch.full((2, 3), 1 / 3))


def test_no_positive_entry_gives_the_largest_coordinate():
    x = torch.tensor([[-3.0, -1.0, -2.0], [-1.0, -1.0, -4.0], [-1.0, 0.0, 0.0]])
    expected = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 1, 0]])
    assert torch.equal(normalize_l2(x, nonnegative=True), expected)


def test_ties_keep_exactly_k_lowest_indices():
    x = torch.tensor([[1.0, -1.0, 1.0, -1.0], [0.0, 2.0, -2.0, 0.0]])
    expected = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 2.0, -2.0, 0.0]])
    assert torch.equal(keep_largest(x, 2), expected)
    long = torch.ones(1000)
    assert torch.equal(keep_largest(long, 300).nonzero().ravel(), torch.arange(300))


def test_zero_radius():
    x = normal(3, 4)
    assert torch.equal(project_simplex(x, radius=0.0), torch.zeros_like(x))
    assert torch.equal(project_l2_ball(x, 0.0), torch.zeros_like(x))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_in_float32(scale):
    x = torch.tensor([3.0, 4.0]) * scale
    expected = torch.tensor([0.6, 0.8])
    torch.testing.assert_close(normalize_l2(x), expected)
    torch.testing.assert_close(project_l2_ball(x, scale) / scale, expected)
    torch.testing.assert_close(group_shrink(x, 2.5 * scale) / scale, torch.tensor([1.5, 2.0]))
    torch.testing.assert_close(
        project_simplex(x, radius=scale) / scale, torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0
    )


def test_simplex_keeps_its_sum_far_from_the_origin():
    x = 1e6 + normal(1000, dtype=torch.float32)
    torch.testing.assert_close(project_simplex(x).sum(), torch.tensor(1.0))


def test_masked_entries_of_the_simplex():
    x = torch.tensor([0.3, -torch.inf, 0.1])
    torch.testing.assert_close(project_simplex(x), torch.tensor([0.6, 0.0, 0.4]))


# --- Compilation and devices -------------------------------------------------------------------


@named(EVERY)
def test_no_graph_break(prox):
    torch._dynamo.reset()
    x = normal(4, 6)
    compiled = torch.compile(prox, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), prox(x))


@named(EVERY)
def test_fake_cuda_without_synchronisation(prox):
    # Autograd's engine asks for a driver, so the derivative here is forward mode.
    with FakeTensorMode():
        x = torch.randn(4, 6, device="cuda")
        u, tangent = torch.func.jvp(prox, (x,), (torch.ones_like(x),))[:2]
        assert u.device.type == tangent.device.type == "cuda"
        assert u.shape == tangent.shape == x.shape


@named(EVERY)
def test_backward_without_reading_values(prox):
    x = torch.randn(4, 6, device="meta", requires_grad=True)
    prox(x).sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape


@named(EVERY)
def test_same_result_as_on_the_cpu(prox, device):
    x = 2 * normal(4, 6)
    torch.testing.assert_close(prox(x.to(device)).cpu(), prox(x))
