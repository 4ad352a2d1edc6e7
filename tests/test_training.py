"""Training: the mathematics of the losses, the data, resuming, checkpoints, the table."""

import csv
import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import nn

from rlra_torch.datasets import HyperspectralImage, archive_path
from rlra_torch.datasets.scenes import MixingLaw, Scenes, SmoothSpectra, draw_scenes
from rlra_torch.iterations import MU, Alternating
from rlra_torch.losses import Frobenius
from rlra_torch.metrics import abundance_rmse, factor_match, match, nmse, spectral_angle
from rlra_torch.metrics.shells import NMSE, AbundanceRMSE, FactorMatch, SpectralAngle, matched
from rlra_torch.models import NMF
from rlra_torch.plots.training import learning_curves
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative
from rlra_torch.training import (
    Baseline,
    Comparison,
    ErrorPaths,
    Factorizer,
    FactorSupervision,
    ImagePatches,
    LastLayer,
    LearningCurves,
    LinearlySpaced,
    LogError,
    LogSpaced,
    Mixed,
    Reconstruction,
    Sizes,
    SpectralMixtures,
    SyntheticMixtures,
    Term,
    angle,
    cosine_distance,
    implicit_nnls,
    mean_squared_error,
    normalized_error,
    root_mean_squared_error,
    squared_error,
    sum_to_one,
    unit_columns,
)
from rlra_torch.training.session import quiet
from rlra_torch.training.table import verdict as worded
from rlra_torch.unrolled import nalmu, unrolled_nnls

ERRORS = (
    angle,
    cosine_distance,
    mean_squared_error,
    normalized_error,
    root_mean_squared_error,
    squared_error,
)
LAW = MixingLaw(pixels=30, rank=3)
SIZES = Sizes(train=8, val=4, test=6, batch=4)


def scenes(count=4, rank=3, seed=0, dtype=torch.float64):
    drawn = draw_scenes(MixingLaw(pixels=40, rank=rank), SmoothSpectra(12), count, seed)
    return Scenes(*(x.to(dtype) for x in drawn))


def data(**changes):
    return SyntheticMixtures(**{"bands": 12, "law": LAW, "sizes": SIZES, **changes})


def supervision(*weights):
    terms = [Term(0, normalized_error, 20.0), Term(1, normalized_error), Term(0, angle, 5.0)]
    return FactorSupervision(terms, *weights)


def system(depth=3, gains=((12, 1), (3,)), **changes):
    net = nalmu(rank=3, depth=depth, gains=gains)
    return Factorizer(net, changes.pop("supervision", supervision()), **changes)


def trainer(folder, **changes):
    quick = {
        "accelerator": "cpu",
        "default_root_dir": str(folder),
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "log_every_n_steps": 1,
        "logger": False,
        "max_epochs": 1,
    }
    return lightning.Trainer(**{**quick, **changes})


@pytest.fixture(autouse=True)
def silent():
    with quiet():
        yield


class TestScaling:
    def test_undoes_any_scaling_of_a_truth(self, generator):
        """The abundances of a mixture sum to one: their scale is in the data."""
        truth = scenes()
        d = 10 ** (2 * torch.rand(4, 1, 3, generator=generator, dtype=torch.float64) - 1)
        W, H = sum_to_one((truth.W / d, truth.H * d))
        assert (H - truth.H).abs().max() < 1e-2 and nmse(truth.W, W).max() < 1e-3
        torch.testing.assert_close(W @ H.mT, truth.W @ truth.H.mT)

    def test_without_noise_only_the_ridge_differs(self):
        H = torch.eye(3, dtype=torch.float64)[None].repeat(1, 10, 1)
        W, found = sum_to_one((torch.ones(1, 5, 3, dtype=torch.float64), H))
        assert (found - H).abs().max() < 1e-4 and (W - 1).abs().max() < 1e-4

    def test_scales_are_positive_for_any_factors(self, generator):
        H = torch.rand(100, 7, 4, generator=generator, dtype=torch.float64) ** 8
        H[0, :, 1] = 0
        H[1] = 0
        H[2, :, 1] = H[2, :, 0]
        W = torch.rand(100, 5, 4, generator=generator, dtype=torch.float64)
        new_W, new_H = sum_to_one((W, H))
        assert bool(new_W.isfinite().all() and new_H.isfinite().all())
        assert bool((new_W > 0).all() and (new_H >= 0).all())
        torch.testing.assert_close(new_W @ new_H.mT, W @ H.mT)

    def test_is_differentiable(self, generator):
        W = torch.rand(2, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
        H = torch.rand(2, 6, 3, generator=generator, dtype=torch.float64, requires_grad=True)
        for scale in (sum_to_one, unit_columns):
            assert torch.autograd.gradcheck(lambda w, h, s=scale: s((w, h)), (W, H))

    def test_keeps_low_precision(self):
        H = torch.rand(1, 6, 3).bfloat16()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            W, found = sum_to_one((torch.ones(1, 4, 3).bfloat16(), H))
        assert W.dtype == found.dtype == torch.bfloat16 and bool(found.isfinite().all())

    def test_unit_columns(self, generator):
        W, H = torch.rand(5, 3, generator=generator), torch.rand(7, 3, generator=generator)
        W[:, 1] = 0
        new_W, new_H = unit_columns((W, H))
        assert new_W.norm(dim=0).tolist() == pytest.approx([1, 0, 1])
        torch.testing.assert_close(new_W @ new_H.mT, W @ H.mT)


class TestLayerWeights:
    def test_ends(self):
        for weights in (LogSpaced(1e-7, 1.0), LinearlySpaced(0.25, 2.0)):
            nu = weights(20)
            assert nu.shape == (20,)
            assert (nu[0], nu[-1]) == pytest.approx((weights.first, weights.last))
            assert weights(1).tolist() == [weights.last]
        ratios = LogSpaced(1e-7, 1.0)(20).double()
        torch.testing.assert_close(
            ratios[1:] / ratios[:-1], torch.full((19,), 10 ** (7 / 19)).double(), rtol=1e-5, atol=0
        )
        assert LastLayer()(3).tolist() == [0, 0, 1] and LastLayer()(1).tolist() == [1]

    def test_refusals(self):
        with pytest.raises(ValueError, match="use LastLayer"):
            LogSpaced(0.0, 1.0)
        with pytest.raises(ValueError, match="nonnegative"):
            LinearlySpaced(-1.0, 1.0)


class TestFactorSupervision:
    @pytest.mark.parametrize("error", ERRORS)
    def test_is_zero_at_the_truth_in_any_order(self, error):
        truth = scenes()
        loss = FactorSupervision([Term(0, error), Term(1, error)])
        for order in ([0, 1, 2], [2, 0, 1]):
            iterates = (truth.W[None, ..., order], truth.H[None, ..., order])
            assert abs(loss(None, iterates, truth).item()) < 1e-14

    @pytest.mark.parametrize("error", ERRORS)
    def test_does_not_see_the_order_of_found_or_true_components(self, error, generator):
        truth, found = scenes(seed=1), scenes(seed=2)
        W, H = (torch.stack([x, x + 0.1]) for x in (found.W, found.H))
        loss = FactorSupervision([Term(0, error, 2.0), Term(1, error)], LinearlySpaced(1.0, 2.0))
        expected = loss(None, (W, H), truth)
        permuted = loss(None, (W[..., [1, 2, 0]], H[..., [1, 2, 0]]), truth)
        torch.testing.assert_close(permuted, expected)
        reordered = Scenes(truth.Y, truth.W[..., [2, 1, 0]], truth.H[..., [2, 1, 0]])
        torch.testing.assert_close(loss(None, (W, H), reordered), expected)

    def test_is_the_formula(self):
        truth, found = scenes(count=3, seed=1), scenes(count=3, seed=2)
        order = match(found.W, truth.W)
        W, H = (x.take_along_dim(order[:, None], -1) for x in (found.W, found.H))
        nu = [0.5, 2.0]
        loss = FactorSupervision(
            [Term(0, squared_error, 3.0), Term(1, mean_squared_error)], LinearlySpaced(*nu)
        )
        expected = 0.0
        for weight, scale in zip(nu, (2.0, 1.0), strict=True):
            of_w = (scale * W - truth.W).square().sum((1, 2)).mean()
            of_h = (scale * H - truth.H).square().mean((1, 2)).mean()
            expected += weight * (3 * of_w + of_h)
        iterates = tuple(torch.stack([2 * x, x]) for x in (found.W, found.H))
        torch.testing.assert_close(loss(None, iterates, truth), expected)

    def test_the_last_layer_decides_the_order_for_all(self):
        truth = scenes(count=1)
        last, first = truth.W, truth.W[..., [1, 0, 2]]
        W = torch.stack([first, last])
        loss = FactorSupervision([Term(0, squared_error)], LinearlySpaced(1.0, 1.0))
        expected = squared_error(first, truth.W)[0]
        torch.testing.assert_close(loss(None, (W, W), truth), expected)

    def test_gradients_reach_all_layers(self):
        net = system(depth=4)
        truth = scenes(dtype=torch.float32)
        net.loss(truth).backward()
        gradients = [p.grad for p in net.parameters()]
        assert len(gradients) == 8
        assert all(g is not None and bool((g != 0).all() and g.isfinite().all()) for g in gradients)

    def test_the_order_has_no_gradient_and_the_rest_is_right(self, generator):
        loss, truth = supervision(LinearlySpaced(0.5, 1.0)), scenes(count=1)
        truth = Scenes(truth.Y, truth.W[:, ::3], truth.H[:, ::10])
        W = torch.rand(2, 1, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
        H = torch.rand(2, 1, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda w, h: loss(None, (w, h), truth), (W, H))

    def test_refusals(self):
        truth, iterates = scenes(), (torch.ones(1, 4, 12, 3).double(), torch.ones(1, 4, 40, 3))
        with pytest.raises(ValueError, match="needs at least one term"):
            FactorSupervision([])
        with pytest.raises(ValueError, match="0 for W or 1 for H, not 2"):
            Term(2, angle)
        with pytest.raises(ValueError, match="train on the data alone with Reconstruction"):
            supervision()(None, iterates, Scenes(truth.Y))
        with pytest.raises(ValueError, match="no longer finite; train it with a lower"):
            supervision()(None, (iterates[0] * torch.nan, iterates[1]), truth)


class TestErrors:
    def test_are_the_formulas(self):
        x, truth = scenes(seed=1).W, scenes(seed=2).W
        square = (x - truth).square()
        expected = {
            squared_error: square.sum((1, 2)),
            mean_squared_error: square.mean((1, 2)),
            root_mean_squared_error: square.mean((1, 2)).sqrt(),
            normalized_error: square.sum((1, 2)) / truth.square().sum((1, 2)),
            angle: torch.deg2rad(spectral_angle(x, truth)).mean(-1),
            cosine_distance: (1 - torch.deg2rad(spectral_angle(x, truth)).cos()).mean(-1),
        }
        for error, values in expected.items():
            torch.testing.assert_close(error(x, truth), values)
            torch.testing.assert_close(LogError(error, 0.1)(x, truth), (values + 0.1).log())

    @pytest.mark.parametrize("error", ERRORS)
    def test_have_finite_gradients_at_the_truth(self, error):
        truth = scenes().W
        for function in (error, LogError(error, 1e-3)):
            x = truth.clone().requires_grad_()
            function(x, truth).sum().backward()
            assert bool(x.grad.isfinite().all())

    def test_an_offset_is_positive(self):
        with pytest.raises(ValueError, match="positive, not 0"):
            LogError(angle, 0)


class TestOtherSupervisions:
    def test_reconstruction_is_the_relative_objective(self):
        truth = scenes()
        problem = Problem(truth.Y, NMF(), Frobenius(), (NonNegative(), NonNegative()))
        iterates = (torch.stack([truth.W, 0 * truth.W]), torch.stack([truth.H, truth.H]))
        size = problem.loss.magnitude(truth.Y).sum((1, 2))
        expected = (problem.objective((0 * truth.W, truth.H)) / size).mean()
        torch.testing.assert_close(Reconstruction()(problem, iterates, truth), expected)

    def test_reconstruction_trains_without_a_truth(self):
        net = system(supervision=Reconstruction())
        y = Scenes(scenes(dtype=torch.float32).Y)
        optimizer, losses = torch.optim.Adam(net.parameters(), lr=1e-3), []
        for _ in range(10):
            optimizer.zero_grad()
            loss = net.loss(y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]

    def test_mixed_is_the_weighted_sum(self):
        truth, net = scenes(dtype=torch.float32), system()
        problem, iterates = net.unrolled.problem(truth.Y), net.iterates(truth)
        parts = [supervision(), Reconstruction()]
        values = [part(problem, iterates, truth) for part in parts]
        mixed = Mixed(parts, [0.25, 3.0])(problem, iterates, truth)
        torch.testing.assert_close(mixed, 0.25 * values[0] + 3 * values[1])
        with pytest.raises(ValueError, match="got 2 parts and 1 weights"):
            Mixed(parts, [1.0])


class TestShells:
    def batches(self):
        found, truth = scenes(count=7, seed=1), scenes(count=7, seed=2)
        order = match(found.W, truth.W)[:, None]
        W, H = found.W.take_along_dim(order, -1), found.H.take_along_dim(order, -1)
        expected = {
            SpectralAngle: spectral_angle(W, truth.W).mean(-1),
            AbundanceRMSE: abundance_rmse(H, truth.H).square().mean(-1).sqrt(),
            NMSE: nmse(truth.H, H),
            FactorMatch: factor_match((found.W, found.H), (truth.W, truth.H)),
        }
        return found, truth, expected

    @pytest.mark.parametrize("shell", [SpectralAngle, AbundanceRMSE, NMSE, FactorMatch])
    def test_are_the_functions_over_several_batches(self, shell):
        found, truth, expected = self.batches()
        for reduction, reduced in [
            ("none", expected[shell]),
            ("mean", expected[shell].mean()),
            ("median", expected[shell].median()),
        ]:
            metric = shell(reduction=reduction)
            for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
                metric.update((found.W[part], found.H[part]), (truth.W[part], truth.H[part]))
            torch.testing.assert_close(metric.compute(), reduced)
            metric.reset()
            metric.update((truth.W, truth.H), (truth.W, truth.H))
            assert metric.compute().mean().item() == pytest.approx(float(shell is FactorMatch))

    def test_of_one_factor(self):
        found, truth, _ = self.batches()
        metric = NMSE(factor=0)
        metric.update((found.W, found.H), (truth.W, truth.H))
        order = match(found.W, truth.W)[:, None]
        torch.testing.assert_close(
            metric.compute(), nmse(truth.W, found.W.take_along_dim(order, -1)).mean()
        )
        with pytest.raises(ValueError, match="0 for W or 1 for H"):
            NMSE(factor=2)
        with pytest.raises(ValueError, match="mean, median, none, not 'sum'"):
            SpectralAngle("sum")

    def test_ranks_may_differ(self):
        truth = scenes(rank=4)
        few = (truth.W[..., [3, 1]], truth.H[..., [3, 1]])
        for pair in ((few, (truth.W, truth.H)), ((truth.W, truth.H), few)):
            for shell in (SpectralAngle, AbundanceRMSE, NMSE):
                metric = shell()
                metric.update(*pair)
                assert metric.compute() == 0
            assert all(torch.equal(x, y) for x, y in zip(*matched(*pair), strict=True))

    def test_an_even_number_has_a_middle(self):
        metric = AbundanceRMSE("median")
        W, H = torch.eye(2).expand(2, 2, 2), torch.zeros(2, 3, 2)
        metric.update((W, H + torch.tensor([1.0, 2.0])[:, None, None]), (W, H))
        assert metric.compute() == 1.5


class TestData:
    def test_every_epoch_is_new_and_each_is_the_same_again(self):
        def epoch(number, **changes):
            loader = data(**changes).train_dataloader()
            loader.sampler.set_epoch(number)
            return torch.cat([batch.Y for batch in loader])

        first, second = epoch(0), epoch(1)
        assert first.shape == (8, 12, 30) and not torch.equal(first, second)
        assert len(torch.cat([first, second]).unique(dim=0)) == 16
        assert torch.equal(epoch(1), second)
        assert torch.equal(epoch(1, workers=2), second)
        assert not torch.equal(epoch(0, seed=1), first)

    def test_validation_and_tests_are_fixed_and_of_their_own(self):
        module = data(shifts={"loud": {"snr_db": (0, 5)}})
        sets = {"val": module.val_dataloader(), **module.test_dataloader()}
        drawn = {name: torch.cat([b.Y for b in loader]) for name, loader in sets.items()}
        assert [len(y) for y in drawn.values()] == [4, 6, 6, 6]
        for name, loader in sets.items():
            assert torch.equal(torch.cat([b.Y for b in loader]), drawn[name])
        train = torch.cat([b.Y for b in module.train_dataloader()])
        everything = torch.cat([train, *drawn.values()])
        assert len(everything.unique(dim=0)) == len(everything)
        predicted = torch.cat([b.Y for b in module.predict_dataloader()])
        assert torch.equal(predicted, drawn["same law, other draws"])

    def test_shifts_change_the_law(self):
        module = data(shifts={"four": {"rank": 4}, "pure": {"purity": 0.5}})
        batches = {name: next(iter(loader)) for name, loader in module.test_dataloader().items()}
        assert batches["four"].H.shape[-1] == 4
        assert (batches["pure"].H == 1).any(-1).sum(-1).tolist() == [15] * 4
        with pytest.raises(ValueError, match="no 'rnk'; it has pixels, rank"):
            data(shifts={"x": {"rnk": 4}})

    def test_the_minerals_of_the_tests_are_never_trained_on(self):
        try:
            archive_path("usgs")
        except FileNotFoundError as error:
            pytest.skip(str(error))
        module = SpectralMixtures(held_out_minerals=10, law=LAW, sizes=SIZES)
        train, test = module.seen().spectra, module.held_out().spectra
        assert train.shape == (50, 26) and test.shape == (50, 10)
        whole = torch.cat([train, test], 1)
        assert len(whole.unique(dim=1).mT) == 36
        # What is drawn is a specimen up to its brightness.
        W = next(iter(module.test_dataloader()["unseen minerals"])).W
        cosines = nn.functional.normalize(W, dim=1).mT @ nn.functional.normalize(test, dim=0)
        assert bool((cosines.amax(-1) > 1 - 1e-6).all())
        assert SpectralMixtures(seed=1).test_specimens != module.test_specimens

    def test_sizes_are_positive(self):
        with pytest.raises(ValueError, match="sizes are at least 1, but val is less"):
            Sizes(val=0)
        with pytest.raises(ValueError, match="at least 1 band"):
            SyntheticMixtures(bands=0)


class TestPatches:
    cube = torch.rand(20, 10, 4, generator=torch.Generator().manual_seed(0))

    def test_are_rectangles_of_their_rows_in_row_major_order(self):
        image = HyperspectralImage(self.cube)
        module = ImagePatches(image, patch=(2, 3), held_out=0.25, sizes=SIZES)
        windows = (self.cube / self.cube.max()).unfold(0, 2, 1).unfold(1, 3, 1)
        windows = windows.flatten(3).flatten(0, 1)  # (places, bands, pixels)
        loaders = (module.train_dataloader(), module.val_dataloader(), module.predict_dataloader())
        for loader, rows in zip(loaders, (range(15), range(15, 20), range(15, 20)), strict=True):
            for y in torch.cat([batch.Y for batch in loader]):
                (place,) = (windows == y).all((1, 2)).nonzero().flatten().tolist()
                assert place // 8 in rows and place // 8 + 1 in rows

    def test_carry_the_truth(self, tmp_path):
        W, H = torch.rand(4, 2), torch.rand(200, 2)
        np.savez(tmp_path / "factors.npz", spectra=W.numpy(), abundances=H.numpy())
        image = HyperspectralImage((H @ W.mT).reshape(20, 10, 4))
        module = ImagePatches(image, (2, 3), truth=str(tmp_path / "factors.npz"), sizes=SIZES)
        batch = next(iter(module.test_dataloader()["unseen rows"]))
        scale = image.cube.max()
        torch.testing.assert_close(batch.W @ batch.H.mT / scale, batch.Y)

    def test_train_without_a_truth(self, tmp_path):
        module = ImagePatches(HyperspectralImage(self.cube), (4, 5), sizes=SIZES)
        net = system(gains=((4, 1), (3,)), supervision=Reconstruction())
        table = Comparison(out=str(tmp_path))
        run = trainer(tmp_path, callbacks=[table])
        run.fit(net, datamodule=module)
        assert {"val_loss", "val_relative_error"} <= set(run.callback_metrics)
        run.test(net, datamodule=module, verbose=False)
        assert "abundance_rmse" not in table.records()[0]
        assert "lower residual than MU" in table.verdicts()[0]

    def test_refusals(self, tmp_path):
        image = HyperspectralImage(self.cube)
        with pytest.raises(ValueError, match="training has 14 x 10 pixels .* the tests 6 x 10"):
            ImagePatches(image, patch=(7, 3))
        broken = self.cube.clone()
        broken[3, 4, 1] = torch.nan
        with pytest.raises(ValueError, match="NaN or infinite values; replace them first"):
            ImagePatches(HyperspectralImage(broken))
        with pytest.raises(FileNotFoundError, match="no file 'x.npz' with the factors"):
            ImagePatches(image, (2, 2), truth="x.npz")
        np.savez(tmp_path / "x.npz", spectra=np.ones((4, 2)))
        with pytest.raises(ValueError, match="x.npz has no 'abundances'"):
            ImagePatches(image, (2, 2), truth=str(tmp_path / "x.npz"))
        np.savez(tmp_path / "x.npz", spectra=np.ones((4, 2)), abundances=np.ones((9, 2)))
        with pytest.raises(ValueError, match=r"needs \(4, r\) and \(200, r\)"):
            ImagePatches(image, (2, 2), truth=str(tmp_path / "x.npz"))


class TestFactorizer:
    def test_an_untrained_network_is_mu_up_to_scale(self):
        truth, net = scenes(dtype=torch.float32), system(depth=5)
        start = net.unrolled.init(truth.Y)
        plain = nalmu(rank=3, depth=5)(truth.Y, start)
        for x, y in zip(net(truth.Y), sum_to_one(plain), strict=True):
            torch.testing.assert_close(x, y)

    def test_known_spectra_are_the_start_and_stay(self):
        truth = scenes(dtype=torch.float32)
        net = Factorizer(unrolled_nnls(3), supervision(), known=(0,), scale=None)
        W, H = net.start(truth)
        assert (
            W is truth.W and H.shape == (4, 40, 3) and H.unique().tolist() == [pytest.approx(1 / 3)]
        )
        found = net.predict_step(truth, 0)
        assert torch.equal(found.factors[0], truth.W)
        assert abs(found.factors[1] - truth.H).mean() < abs(H - truth.H).mean()
        assert set(net.val_metrics.keys(keep_base=True)) == {"abundance_rmse", "nmse_h"}
        with pytest.raises(ValueError, match="known W, which these data do not have"):
            net.start(Scenes(truth.Y))
        with pytest.raises(ValueError, match=r"not \(0, 1\)"):
            Factorizer(unrolled_nnls(3), supervision(), known=(0, 1))

    def test_a_solved_regression_learns_its_penalties(self):
        truth = scenes(dtype=torch.float32)
        terms = [Term(1, normalized_error)]
        net = Factorizer(implicit_nnls(), FactorSupervision(terms), known=(0,), scale=None)
        optimizer, losses = torch.optim.Adam(net.parameters(), lr=0.5), []
        for _ in range(5):
            optimizer.zero_grad()
            losses.append(net.loss(truth))
            losses[-1].backward()
            assert all(p.grad is not None and p.grad != 0 for p in net.parameters())
            optimizer.step()
        assert losses[-1] < losses[0]

    def test_another_rank_where_the_layers_allow_it(self):
        four = scenes(rank=4, dtype=torch.float32)
        free, bound = system(gains=((12, 1), ())), system(gains=((12, 1), (3,)))
        assert free.test_step(four, 0).factors[0].shape[-1] == 4
        assert bound.test_step(four, 0).factors[0].shape[-1] == 3
        # What it trains on is not touched.
        assert free.predict_step(four, 0).factors[0].shape[-1] == 3

    def test_refusals(self):
        with pytest.raises(TypeError, match="iterates.*, but Linear has not"):
            Factorizer(nn.Linear(1, 1), supervision())
        y = scenes(dtype=torch.float32).Y
        y[0, 0, 0] = torch.nan
        with pytest.raises(ValueError, match="the data have 1 NaN or infinite values"):
            system().loss(Scenes(y))

    def test_state_dict_round_trip(self):
        net, other = system(), system()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter) / 10)
        other.load_state_dict(net.state_dict())
        y = scenes(dtype=torch.float32).Y
        assert all(torch.equal(a, b) for a, b in zip(net(y), other(y), strict=True))

    def test_schedules(self):
        def schedule(optimizer):
            return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)

        found = system(scheduler=schedule).configure_optimizers()
        assert found["lr_scheduler"]["monitor"] == "val_loss"
        assert isinstance(system().configure_optimizers(), torch.optim.Adam)

    def test_low_precision(self, tmp_path):
        run = trainer(tmp_path, precision="bf16-mixed")
        run.fit(system(), datamodule=data())
        assert bool(run.callback_metrics["train_loss"].isfinite())


class TestTraining:
    def fit(self, folder, epochs, resume=None, **changes):
        def schedule(optimizer):
            return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)

        saver = ModelCheckpoint(dirpath=folder, filename="last", enable_version_counter=False)
        curves = LearningCurves()
        run = trainer(
            folder,
            max_epochs=epochs,
            callbacks=[saver, curves],
            logger=CSVLogger(folder, name=""),
            num_sanity_val_steps=-1,
        )
        net = system(scheduler=schedule)
        run.fit(net, datamodule=data(**changes), ckpt_path=resume)
        return net, curves, run

    def test_resuming_is_going_on(self, tmp_path, monkeypatch):
        """Half a training, then the rest from its checkpoint: the same bits as at one go."""
        monkeypatch.setattr("rlra_torch.training.curves.save", lambda figure, path: path)
        whole, whole_curves, _ = self.fit(tmp_path / "a", 4)
        self.fit(tmp_path / "b", 2)
        resumed, curves, run = self.fit(tmp_path / "b", 4, resume=str(tmp_path / "b" / "last.ckpt"))
        assert run.current_epoch == 4
        for x, y in zip(whole.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(x, y)
        assert [row["epoch"] for row in curves.history] == [0, 1, 2, 3, 4]
        assert curves.history == whole_curves.history

    def test_learns_and_draws(self, tmp_path):
        _, curves, run = self.fit(tmp_path, 6, sizes=Sizes(train=64, val=16, batch=16))
        history = curves.history
        assert history[-1]["val_loss"] < history[0]["val_loss"]
        assert list(curves.panels()) == [
            "loss",
            "spectral angle (degrees)",
            "RMSE of the abundances",
            "relative error of the data",
        ]
        picture = matplotlib.image.imread(Path(run.log_dir) / "curves.png")
        assert picture.shape[1] == 2200 and picture.std() > 0.05
        with (Path(run.log_dir) / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert float([r["val_loss"] for r in rows if r["val_loss"]][-1]) == pytest.approx(
            history[-1]["val_loss"]
        )

    def test_a_checkpoint_of_another_shape(self, tmp_path, monkeypatch):
        monkeypatch.setattr("rlra_torch.training.curves.save", lambda figure, path: path)
        self.fit(tmp_path, 1)
        path = str(tmp_path / "last.ckpt")
        for other, sentence in [
            (system(gains=((11, 1), (3,))), r"shape \(12, 1\) there and shape \(11, 1\) here"),
            (system(depth=4), "no such parameter there and shape"),
            (system(depth=2), "and no such parameter here"),
        ]:
            with pytest.raises(
                ValueError, match=f"the checkpoint is of another network.*{sentence}"
            ):
                trainer(tmp_path).test(other, datamodule=data(), ckpt_path=path, verbose=False)

    def test_curves_need_something_to_draw(self):
        with pytest.raises(ValueError, match="nothing to draw for 'loss'"):
            learning_curves({"loss": {"training": []}})
        with pytest.raises(ValueError, match="nothing to draw"):
            learning_curves({})


class TestComparison:
    def run(self, folder, net, module, **changes):
        table = Comparison(name="NALMU", out=str(folder), **changes)
        trainer(folder, callbacks=[table]).test(net, datamodule=module, verbose=False)
        return table

    def test_rows_are_the_medians_of_each_method(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        net, module = system(), data(shifts={"four endmembers": {"rank": 4}})
        records = self.run(tmp_path, net, module).records()
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= 80
        assert [(r["test"], r["method"], r["steps"]) for r in records[:3]] == [
            ("same law, other draws", "NALMU", 3),
            ("same law, other draws", "MU", 3),
            ("same law, other draws", "MU", 250),
        ]
        assert {r["test"] for r in records} == set(module.test_dataloader())
        # Untrained, the network is MU.
        same = ("spectral_angle", "abundance_rmse", "relative_error", "nmse_w", "nmse_h")
        for name in same:
            assert records[0][name] == pytest.approx(records[1][name], rel=1e-3)
        batches = list(module.test_dataloader()["same law, other draws"])
        truth = Scenes(*(torch.cat(x) for x in zip(*batches, strict=True)))
        angles = SpectralAngle("median")
        angles.update(net(truth.Y), (truth.W, truth.H))
        assert records[0]["spectral_angle"] == pytest.approx(angles.compute().item(), rel=1e-4)
        assert "four endmembers: 3 components are sought" in " ".join(out.split())

    def test_a_network_that_solves_has_no_number_of_steps(self, tmp_path, capsys):
        net = Factorizer(implicit_nnls(), supervision(), known=(0,), scale=None)
        records = self.run(tmp_path, net, data()).records()
        assert [r["steps"] for r in records[:5]] == [0, 25, 250, 25, 250]
        assert records[0]["relative_error"] < records[2]["relative_error"] * 1.001

    def test_is_of_one_process(self, tmp_path):
        class Two:
            world_size = 2

        with pytest.raises(ValueError, match="timed on one device, not on 2; test with devices=1"):
            Comparison().on_test_start(Two(), system())

    def test_files(self, tmp_path):
        records = self.run(tmp_path, system(), data()).records()
        with (tmp_path / "comparison.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert json.loads((tmp_path / "comparison.json").read_text())["rows"] == records
        assert [row["method"] for row in rows] == ["NALMU", "MU", "MU"] * 2
        assert float(rows[0]["abundance_rmse"]) == records[0]["abundance_rmse"]

    def test_baselines_are_configurable(self, tmp_path):
        table = self.run(
            tmp_path, system(), data(), baselines=[Baseline("MU twice", Alternating(MU()), 2)]
        )
        assert [(r["method"], r["steps"]) for r in table.records()[:2]] == [
            ("NALMU", 3),
            ("MU twice", 2),
        ]

    def test_of_known_spectra(self, tmp_path, capsys):
        net = Factorizer(unrolled_nnls(3), supervision(), known=(0,), scale=None)
        records = self.run(tmp_path, net, data()).records()
        assert [r["method"] for r in records[:5]] == ["NALMU", "MU", "MU", "mSOM", "mSOM"]
        assert "spectral_angle" not in records[0] and records[0]["abundance_rmse"] > 0

    def test_paths_of_the_errors(self, tmp_path):
        """An untrained network goes the way of MU, from the same start."""
        net, module = system(), data()
        paths = ErrorPaths("NALMU", str(tmp_path), steps=30)
        table = Comparison("NALMU", out=str(tmp_path))
        trainer(tmp_path, callbacks=[paths, table]).test(net, datamodule=module, verbose=False)
        angles = {key: scores["spectral_angle"].compute() for key, scores in paths.errors.items()}
        assert [step for name, step in angles if name == "NALMU"] == [0, 1, 2, 3]
        assert [step for name, step in angles if name == "mSOM"] == [*range(26), 30]
        for step in range(4):
            torch.testing.assert_close(angles["NALMU", step], angles["MU", step], rtol=1e-3, atol=0)
        last = table.records()[0]["spectral_angle"]
        assert angles["NALMU", 3].item() == pytest.approx(last, rel=1e-5)
        picture = matplotlib.image.imread(tmp_path / "iterations.png")
        assert picture.shape[1] == 2200 and picture.std() > 0.05

    @pytest.mark.parametrize(
        ("own", "verdict"),
        [
            ([(1.0, 0.1), (1.0, 0.1)], "on every test set."),
            ([(1.0, 0.1), (3.0, 0.1)], "on 1 of 2 test sets; not on: b."),
            ([(1.0, 0.3), (3.0, 0.1)], "on no test set."),
        ],
    )
    def test_verdicts(self, own, verdict, monkeypatch):
        def record(test, method, steps, values):
            values = dict(zip(("spectral_angle", "abundance_rmse"), values, strict=True))
            return {"test": test, "method": method, "steps": steps, **values}

        records = [record(t, "NALMU", 25, v) for t, v in zip("ab", own, strict=True)]
        records += [record(t, "MU", 250, (2.0, 0.2)) for t in "ab"]
        sentence = "NALMU has lower angle and RMSE H than MU with 250 steps "
        assert worded(records, "NALMU", "MU", 250) == sentence + verdict
