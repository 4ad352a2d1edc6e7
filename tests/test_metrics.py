"""Metrics against closed forms, SciPy and exhaustive search, and at their edges."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine
from torch._subclasses.fake_tensor import FakeTensorMode

from rlra_torch.metrics import (
    abundance_rmse,
    endmember_rmse,
    factor_match,
    match,
    match_abundances,
    mrsa,
    nmse,
    relative_error,
    rmse,
    spectral_angle,
    sre,
)


def uniform(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class TestErrors:
    def test_are_the_formulas(self):
        y, yhat = uniform(5, 7), uniform(5, 7, seed=1)
        error = np.linalg.norm(y - yhat) / np.linalg.norm(y)
        assert relative_error(y, yhat).item() == pytest.approx(error, rel=1e-14)
        assert nmse(y, yhat).item() == pytest.approx(error**2, rel=1e-14)
        assert rmse(y, yhat).item() == pytest.approx(np.sqrt(np.mean((y - yhat).numpy() ** 2)))

    @pytest.mark.parametrize("metric", [relative_error, nmse, rmse])
    def test_leading_dimensions_are_independent(self, metric):
        y, yhat = uniform(2, 3, 5, 7), uniform(2, 3, 5, 7, seed=1)
        each = [[metric(y[i, j], yhat[i, j]) for j in range(3)] for i in range(2)]
        torch.testing.assert_close(metric(y, yhat), torch.tensor(each, dtype=y.dtype))
        whole = metric(y, yhat, order=4)
        torch.testing.assert_close(whole, metric(y.flatten(1), yhat.flatten(1)))

    def test_of_a_zero_truth_are_defined(self):
        y, yhat = torch.zeros(3, 2, 2), torch.stack([torch.zeros(2, 2), torch.ones(2, 2)] * 2)[:3]
        for metric in (relative_error, nmse):
            assert metric(y, yhat).tolist() == [0, torch.inf, 0]
            assert metric(y, torch.full((3, 2, 2), torch.nan)).isnan().all()

    @pytest.mark.parametrize("metric", [relative_error, nmse, rmse])
    def test_have_finite_gradients_at_no_error(self, metric):
        y = uniform(2, 3, 3)
        y[0] = 0
        yhat = y.clone().requires_grad_()
        metric(y, yhat).sum().backward()
        assert yhat.grad.isfinite().all()

    @pytest.mark.parametrize("metric", [relative_error, nmse, rmse])
    def test_gradients(self, metric):
        y, yhat = uniform(2, 3, 4), uniform(2, 3, 4, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(lambda x: metric(y, x), yhat)

    def test_abundances_are_compared_by_column(self):
        H, truth = uniform(2, 9, 3), uniform(2, 9, 3, seed=1)
        expected = ((H - truth) ** 2).mean(dim=-2).sqrt()
        torch.testing.assert_close(abundance_rmse(H, truth), expected)

    def test_spectra_are_compared_by_column_and_signals_in_decibels(self):
        W, truth = uniform(2, 9, 3), uniform(2, 9, 3, seed=1)
        torch.testing.assert_close(endmember_rmse(W, truth), ((W - truth) ** 2).mean(dim=-2).sqrt())
        decibels = 20 * (truth.norm(dim=(-2, -1)) / (W - truth).norm(dim=(-2, -1))).log10()
        torch.testing.assert_close(sre(W, truth), decibels)
        assert sre(W, W).tolist() == [torch.inf, torch.inf]
        assert sre(W, torch.zeros_like(W)).tolist() == [-torch.inf, -torch.inf]

    def test_refuse_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"one shape, but have \(2, 3\) and \(3, 2\)"):
            rmse(torch.ones(2, 3), torch.ones(3, 2))
        with pytest.raises(ValueError, match="order is 3, but the tensors have 2 dimensions"):
            nmse(torch.ones(2, 3), torch.ones(2, 3), order=3)
        with pytest.raises(ValueError, match=r"empty sample has no mean, .* \(0, 3\)"):
            rmse(torch.ones(0, 3), torch.ones(0, 3))


class TestAngles:
    def test_agree_with_scipy(self):
        W, truth = uniform(20, 4) - 0.3, uniform(20, 4, seed=1) - 0.3
        pairs = list(zip(W.mT.numpy(), truth.mT.numpy(), strict=True))
        angles = [np.degrees(np.arccos(1 - cosine(a, b))) for a, b in pairs]
        np.testing.assert_allclose(spectral_angle(W, truth), angles, rtol=1e-12)
        np.testing.assert_allclose(spectral_angle(W, truth, radians=True), np.radians(angles))
        removed = [np.arccos(np.corrcoef(a, b)[0, 1]) * 100 / np.pi for a, b in pairs]
        np.testing.assert_allclose(mrsa(W, truth), removed, rtol=1e-12)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_of_equal_columns_are_exactly_zero(self, dtype):
        W = uniform(200, 50, dtype=dtype)
        assert not spectral_angle(W, W).any()
        assert not mrsa(W, W).any()
        assert not spectral_angle(4 * W, W).any()

    def test_small_angles_keep_their_digits(self):
        a = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
        for angle in (1e-3, 1e-8, 1e-12):
            b = torch.tensor([[np.cos(angle)], [np.sin(angle)]])
            assert spectral_angle(a, b, radians=True).item() == pytest.approx(angle, rel=1e-12)

    def test_opposite_columns(self):
        W = uniform(6, 2)
        assert spectral_angle(W, -W).tolist() == pytest.approx([180, 180])
        assert mrsa(W, -2 * W).tolist() == pytest.approx([100, 100])

    @pytest.mark.parametrize("scale", [1e-30, 1e30])
    def test_extreme_scales_neither_vanish_nor_overflow(self, scale):
        W, truth = uniform(6, 3, dtype=torch.float32), uniform(6, 3, seed=1, dtype=torch.float32)
        torch.testing.assert_close(
            spectral_angle(scale * W, truth), spectral_angle(W, truth), rtol=1e-5, atol=0
        )

    def test_zero_columns_have_a_defined_angle(self):
        zero, one = torch.zeros(4, 1), torch.ones(4, 1)
        assert spectral_angle(zero, zero).item() == 0
        assert spectral_angle(zero, one).item() == pytest.approx(90, abs=1e-5)
        assert spectral_angle(one, zero).item() == pytest.approx(90, abs=1e-5)

    def test_constant_columns_have_a_defined_mrsa(self):
        # 0.1 is not a binary fraction, so that the mean of its copies is rounded.
        flat, ramp = torch.full((7, 1), 0.1), torch.arange(7.0)[:, None]
        assert mrsa(flat, 3 * flat).item() == 0
        assert mrsa(flat, ramp).item() == pytest.approx(50)
        assert mrsa(ramp + 5, 2 * ramp).item() == pytest.approx(0, abs=1e-4)

    @pytest.mark.parametrize("metric", [spectral_angle, mrsa])
    def test_gradients(self, metric):
        W, truth = uniform(2, 5, 3).requires_grad_(), uniform(2, 5, 3, seed=1)
        assert torch.autograd.gradcheck(lambda x: metric(x, truth), W)

    @pytest.mark.parametrize("metric", [spectral_angle, mrsa])
    def test_gradients_at_the_edges_are_finite(self, metric):
        truth = torch.stack([torch.zeros(4), torch.zeros(4), torch.arange(4.0)], dim=1)
        W = torch.stack([torch.zeros(4), torch.arange(4.0), torch.arange(4.0)], dim=1)
        W.requires_grad_()
        metric(W, truth).sum().backward()
        assert W.grad.isfinite().all()

    @pytest.mark.parametrize("metric", [spectral_angle, mrsa])
    def test_refuse_what_does_not_fit(self, metric):
        with pytest.raises(ValueError, match=r"\(5, 3\) and \(5, 2\); choose .* match"):
            metric(torch.ones(5, 3), torch.ones(5, 2))
        with pytest.raises(ValueError, match=r"one shape \(\*, m, r\)"):
            metric(torch.ones(5), torch.ones(5))


@pytest.mark.parametrize(
    "metric", [relative_error, nmse, rmse, abundance_rmse, sre, spectral_angle, mrsa]
)
def test_needs_no_host_and_mixes_no_devices(metric):
    with FakeTensorMode():
        score = metric(torch.rand(2, 5, 3, device="cuda"), torch.rand(2, 5, 3, device="cuda"))
    assert score.device.type == "cuda"


class TestMatch:
    @pytest.mark.parametrize("seed", range(5))
    def test_is_the_best_of_all_permutations(self, seed):
        W, truth = uniform(6, 5, seed=seed), uniform(6, 4, seed=seed + 100)
        costs = {
            p: spectral_angle(W[:, list(p)], truth).sum().item() for p in permutations(range(5), 4)
        }
        assert tuple(match(W, truth).tolist()) == min(costs, key=costs.__getitem__)

    def test_by_abundances_scales_count(self):
        H_true = torch.tensor([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
        assert match_abundances(H_true[:, [1, 0]], H_true).tolist() == [1, 0]
        H = torch.stack([H_true[:, 0] * 9, H_true[:, 1] / 9], 1)
        assert match(H, H_true).tolist() == [0, 1]
        assert match_abundances(H, H_true).tolist() == [1, 0]
        batch = torch.stack([H, H_true])
        expected = [[1, 0], [0, 1]]
        assert match_abundances(batch, H_true.expand(2, -1, -1)).tolist() == expected
        with pytest.raises(ValueError, match="1 columns cannot stand for 2"):
            match_abundances(H[:, :1], H_true)

    def test_undoes_shuffling_and_scaling_in_a_batch(self):
        truth = uniform(3, 8, 4)
        orders = torch.tensor([[2, 0, 3, 1], [0, 1, 2, 3], [3, 2, 1, 0]])
        scales = uniform(3, 1, 4, seed=1) + 0.5
        W = scales * truth.take_along_dim(orders[:, None, :], dim=-1)
        found = match(W, truth)
        assert found.tolist() == orders.argsort(dim=-1).tolist()
        again = W.take_along_dim(found[:, None, :], dim=-1)
        assert spectral_angle(again, truth).max() < 1e-5

    def test_zero_columns_match_each_other(self):
        truth = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
        assert match(truth[:, [1, 0]], truth).tolist() == [1, 0]

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"2 columns cannot stand for 3 true ones"):
            match(torch.ones(4, 2), torch.ones(4, 3))
        with pytest.raises(ValueError, match=r"not \(4, 2\) and \(5, 2\)"):
            match(torch.ones(4, 2), torch.ones(5, 2))
        with pytest.raises(ValueError, match="NaN or infinite"):
            match(torch.full((4, 2), torch.nan), torch.ones(4, 2))


class TestFactorMatch:
    shapes = ((6, 4), (5, 4), (3, 4))

    def factors(self, seed, *batch):
        return [uniform(*batch, *shape, seed=seed + n) for n, shape in enumerate(self.shapes)]

    @pytest.mark.parametrize("seed", range(4))
    def test_is_the_best_of_all_permutations_of_rank_one_cosines(self, seed):
        factors, truth = self.factors(10 * seed), self.factors(10 * seed + 5)
        terms = [torch.einsum("ir,jr,kr->rijk", *f).flatten(1) for f in (factors, truth)]
        units = [t / t.norm(dim=1, keepdim=True) for t in terms]
        cosines = units[1] @ units[0].mT
        best = max(
            np.mean([cosines[k, j] for k, j in enumerate(p)]) for p in permutations(range(4))
        )
        assert factor_match(factors, truth).item() == pytest.approx(best, rel=1e-12)

    def test_is_one_up_to_order_scale_and_pairs_of_signs(self):
        truth = self.factors(0)
        order, signs = [2, 0, 3, 1], torch.tensor([1.0, -1.0, 1.0, -1.0])
        factors = [3 * truth[0][:, order] * signs, truth[1][:, order] * signs, truth[2][:, order]]
        assert factor_match(factors, truth).item() == pytest.approx(1, abs=1e-14)
        assert factor_match(truth, truth).item() == 1

    def test_an_odd_sign_is_another_term(self):
        A = torch.eye(3)
        assert factor_match((-A, A), (A, A)).item() <= 0

    def test_is_batched(self):
        factors, truth = self.factors(0, 2, 3), self.factors(50, 2, 3)
        scores = factor_match(factors, truth)
        one = factor_match([f[1, 2] for f in factors], [t[1, 2] for t in truth])
        assert scores.shape == (2, 3)
        assert scores[1, 2].item() == pytest.approx(one.item(), rel=1e-14)

    def test_zero_terms(self):
        A = torch.eye(3)
        A[:, 2] = 0
        assert factor_match((A, A), (A, A)).item() == 1
        assert factor_match((A, A), (torch.eye(3), torch.eye(3))).item() == pytest.approx(2 / 3)
        # A term is zero as soon as one of its columns is.
        assert factor_match((A, torch.eye(3)), (torch.eye(3), A)).item() == 1

    def test_gradients(self):
        factors, truth = self.factors(0), self.factors(50)
        inputs = [f.requires_grad_() for f in factors]
        assert torch.autograd.gradcheck(lambda *f: factor_match(f, truth), inputs)

    def test_refuses_what_does_not_fit(self):
        A, B = torch.ones(4, 2), torch.ones(5, 3)
        with pytest.raises(ValueError, match=r"not \[\(4, 2\)\] and \[\(5, 3\)\]"):
            factor_match([A], [B])
        with pytest.raises(ValueError, match="factors of one list of shapes"):
            factor_match([A, B], [A, B])
        with pytest.raises(ValueError, match="factors of one list of shapes"):
            factor_match([], [])
        with pytest.raises(ValueError, match="NaN or infinite"):
            factor_match([A * torch.inf], [A])
