"""Compressed recovery of images of many bands: the operator, the two methods, the command."""

import json
import math
from pathlib import Path

import pytest
import torch
from conformance import close

from rlra_torch.applications.recovery import band_units, recover, sampled
from rlra_torch.cli import main
from rlra_torch.datasets import load_image
from rlra_torch.estimators.nuclear_tv import nuclear_tv
from rlra_torch.iterations import Alternating, Carried, ProjectedGradient
from rlra_torch.losses import Frobenius
from rlra_torch.models import NMF, Sensed
from rlra_torch.operators import RandomPhase
from rlra_torch.problem import Problem
from rlra_torch.regularizers import ProjectiveNorm


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SHAPES = ((8, 6), (5, 7), (6, 9), (7,))


@pytest.mark.parametrize("shape", SHAPES)
def test_random_phases_have_their_adjoint_and_are_a_tight_frame(shape):
    count = math.prod(shape)
    phi = RandomPhase(shape, 3, 3, seed=2, dtype=torch.float64)
    x, y = normal(0, 2, 3, count), normal(1, 2, 3, phi.pixels.shape[-1])
    assert phi(x).shape == y.shape
    assert torch.allclose((phi(x) * y).sum(), (x * phi.adjoint(y)).sum())
    assert torch.allclose(phi(phi.adjoint(y)), y)


@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_measured_without_being_formed(shape):
    phi = RandomPhase(shape, 3, 3, seed=2, dtype=torch.float64)
    w, h = normal(2, 2, 3, 4), normal(3, 2, math.prod(shape), 4)
    y = phi(w @ h.mT)
    assert torch.allclose(phi.product(w, h), y)
    assert torch.allclose(phi.product_adjoint(y, w, h, 0), phi.adjoint(y) @ h)
    assert torch.allclose(phi.product_adjoint(y, w, h, 1), phi.adjoint(y).mT @ w)


def test_phases_survive_a_change_of_dtype_and_come_from_the_seed():
    phi = RandomPhase((4, 6), 3, 2, seed=1, dtype=torch.float64)
    same = RandomPhase((4, 6), 3, 2, seed=torch.Generator().manual_seed(1))
    other = RandomPhase((4, 6), 3, 2, seed=2)
    x = normal(4, 3, 24)
    assert torch.allclose(phi.to(torch.float32)(x.float()), same(x.float()))
    assert not torch.equal(other.pixels, phi.pixels)


def test_all_pixels_are_an_isometry():
    phi = RandomPhase((4, 5), 2, 1, dtype=torch.float64)
    x = normal(5, 2, 20)
    assert torch.allclose(phi.adjoint(phi(x)), x)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(((4, 4), 2, 0.5), "ratio"), (((4, 0), 2, 2), "side"), (((4, 4), 0, 2), "bands")],
)
def test_operators_refuse_sizes_that_are_none(arguments, words):
    with pytest.raises((ValueError, TypeError), match=words):
        RandomPhase(*arguments)


def test_gains_bound_the_hessian_of_a_block_and_shrink_with_sampling():
    phi = RandomPhase((8, 8), 60, 4, dtype=torch.float64)
    factors = (normal(6, 60, 3), normal(7, 64, 3))
    plain = Sensed(NMF(), phi)
    gained = plain.gained(factors, steps=20)
    for n in range(2):
        block = Problem(
            phi.product(*factors), gained, Frobenius(), ProjectiveNorm.nuclear(1.0)
        ).block(n, factors)
        eye = torch.eye(factors[n].numel(), dtype=torch.float64).unflatten(-1, factors[n].shape)
        hessian = torch.stack([block.hessian_product(u, u) for u in eye]).flatten(1)
        largest = torch.linalg.eigvalsh(hessian)[-1]
        bound = block.lipschitz()
        assert largest <= bound <= 1.5 * largest
    assert gained.squared_norm(factors, 1) < 0.8 * plain.squared_norm(factors, 1)


def test_carried_scales_change_neither_product_nor_objective():
    y = normal(8, 6, 5)
    problem = Problem(y, NMF(), Frobenius(), ProjectiveNorm.nuclear(0.1))
    scales = torch.tensor([1e-3, 10.0])
    factors = (normal(9, 6, 2) * scales, normal(10, 5, 2) / scales)
    step = Carried(Alternating(ProjectedGradient()))
    state = step.init(factors, problem)
    assert torch.allclose(state.factors[0] @ state.factors[1].mT, factors[0] @ factors[1].mT)
    before = problem.objective(factors)
    for _ in range(400):
        state = step(state, problem)
        after = problem.objective(state.factors)
        assert after <= before + 1e-12
        before = after
    u, s, v = torch.linalg.svd(y, full_matrices=False)
    best = (u[:, :2] * (s[:2] - 0.1)) @ v[:2]
    assert torch.allclose(state.factors[0] @ state.factors[1].mT, best, atol=1e-3)


def test_zero_columns_stay_finite_when_scales_are_carried():
    problem = Problem(torch.ones(3, 3), NMF(), Frobenius(), ProjectiveNorm.nuclear(0.1))
    step = Carried(Alternating(ProjectedGradient()))
    state = step.init((torch.zeros(3, 2), torch.ones(3, 2)), problem)
    assert all(bool(x.isfinite().all()) for x in step(state, problem).factors)


def blocks(side=24, bands=24, rank=3):
    """An image of a few materials in rectangles."""
    place = torch.arange(side * side).reshape(side, side)
    row, col = place // side, place % side
    labels = ((row >= side // 3).long() + (col >= side // 2).long()).clamp_max(rank - 1)
    spectra = torch.rand(rank, bands, generator=torch.Generator().manual_seed(3)) + 0.2
    return spectra[labels]


@pytest.mark.parametrize(("ratio", "snr", "most"), [(4, None, 0.03), (8, 20, 0.08)])
def test_images_of_few_materials_are_recovered(ratio, snr, most):
    cube = blocks()
    y, phi, noise = sampled(cube, ratio, snr)
    found = recover(y, phi, 3, noise=noise, max_iter=80)
    assert (found.cube - cube).norm() <= most * cube.norm()


def test_spare_columns_explain_what_lies_beyond_the_rank():
    """The result is the best approximation of the wanted rank of all that was fitted."""
    cube, draw = blocks(), torch.Generator().manual_seed(0)
    for k in range(5):
        cube[3 * k : 3 * k + 9, 4 * k : 4 * k + 7] += 0.05 * torch.randn(24, generator=draw)
    y, phi, _ = sampled(cube, 3)
    few, many = (recover(y, phi, 3, spare=spare, max_iter=120) for spare in (0, 9))
    least = torch.linalg.svdvals(cube.flatten(0, 1))[3:].square().sum()
    above = [(found.cube - cube).square().sum() - least for found in (few, many)]
    assert 0 <= above[1] < 0.05 * above[0]
    whole = recover(y, phi, 12, spare=0, max_iter=120).cube.flatten(0, 1).double()
    u, s, vh = torch.linalg.svd(whole, full_matrices=False)
    best = (u[:, :3] * s[:3]) @ vh[:3]
    close(many.cube.flatten(0, 1).double(), best, 1e-4)
    close(many.spectra.mT @ many.spectra, torch.eye(3), 1e-5)
    assert (many.spectra.sum(0) >= 0).all()


def test_units_of_bands_do_not_matter_without_noise():
    cube, units = blocks(12, 6), torch.tensor([1.0, 9.0, 0.2, 3.0, 0.05, 1.0])
    y, phi, _ = sampled(cube, 2)
    plain, scaled = (recover(x, phi, 3, spare=0, max_iter=20).cube for x in (y, y * units[:, None]))
    assert torch.allclose(scaled, plain * units, atol=1e-3 * float((plain * units).abs().max()))


def test_bands_that_are_poorly_explained_weigh_less():
    y = torch.tensor([[10.0, -10.0], [1.0, -1.0], [0.0, 0.0]], dtype=torch.float64)
    for noise in (0.0, 0.1, 10.0):
        units = band_units(y, noise)
        assert torch.isclose((y / units).square().mean(), torch.ones(()).to(y))
        assert units[0] >= units[1]
    # Under much noise all bands are alike.
    assert units.max() < 1.01 * units.min()


def test_factorization_is_below_the_convex_baseline_where_samples_are_few():
    cube = load_image("indian_pines").scaled().cube[:32, :32, :60].contiguous()
    y, phi, _ = sampled(cube, 16)
    ours = recover(y, phi, 8, max_iter=80).cube
    base = nuclear_tv(y, phi, max_iter=40).x.mT.reshape(cube.shape)
    assert (ours - cube).norm() < 0.9 * (base - cube).norm()


def test_the_baseline_keeps_to_the_misfit():
    cube = blocks(12, 8)
    y, phi, noise = sampled(cube, 2, 20)
    misfit = noise * float(y.norm())
    found = nuclear_tv(y, phi, misfit=misfit, max_iter=200)
    assert found.misfit <= 1.05 * misfit


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rank": 99}, "rank"),
        ({"spare": -1}, "spare"),
        ({"noise": -1.0}, "noise"),
        ({"tv": 0.0}, "tv"),
        ({}, "measures"),
    ],
)
def test_recover_says_what_is_wrong(change, words):
    y, phi, _ = sampled(blocks(8, 4), 2)
    with pytest.raises(ValueError, match=words):
        recover(y if change else y[:, 1:], phi, **{"rank": 2, **change})


def test_command_with_its_configuration_writes_its_files(tmp_path, capsys):
    out = tmp_path / "out"
    config = Path(__file__).parents[1] / "configs" / "imaging" / "recover.yaml"
    small = ["--crop", "16", "--ratio", "4", "--rank", "3", "--max-iter", "20"]
    call = ["recover", "--config", str(config), *small]
    assert main([*call, "--out", str(out), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    report = json.loads((out / "report.json").read_text())
    assert shown["relative_error"] == report["relative_error"] < 0.5
    assert {path.name for path in out.iterdir()} == {
        "recovery.npz",
        "recovery.png",
        "report.json",
        "command.json",
        "report.html",
    }
