"""Figures: what they show, and that nothing on them overlaps or is cut off."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from rlra_torch import plots


class Row(NamedTuple):
    iteration: int
    seconds: float
    objective: float
    kkt: float


def history(rate=0.9, floor=1e-3):
    return [Row(i, i / 100, 50 * rate**i + floor, rate**i) for i in range(0, 100, 5)]


def drawn(figure):
    """Lay the figure out as it is saved."""
    figure.draw_without_rendering()
    return figure


def texts(figure):
    parts = list(figure.texts) + [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        parts += [axes.title, axes.xaxis.label, axes.yaxis.label]
    return [part for part in parts if part.get_visible() and part.get_text()]


def assert_readable(figure):
    boxes = [text.get_window_extent() for text in texts(drawn(figure))]
    width, height = figure.bbox.width, figure.bbox.height
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    assert all(text.get_fontsize() >= 12 for text in texts(figure))


class TestConvergence:
    def test_draws_both_curves_of_each_solve(self):
        curves = {"HALS": history(0.8), "MU": history(0.95)}
        figure = plots.convergence(curves, title="two solves", tol=1e-3)
        left, right = figure.axes
        assert left.get_yscale() == right.get_yscale() == "log"
        np.testing.assert_allclose(
            left.get_lines()[1].get_ydata(), [row.objective for row in curves["MU"]]
        )
        np.testing.assert_allclose(
            right.get_lines()[0].get_ydata(), [row.kkt for row in curves["HALS"]]
        )
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["HALS", "MU"]
        assert left.get_xlabel() == right.get_xlabel() == "iteration"
        assert_readable(figure)

    def test_runs_over_seconds(self):
        figure = plots.convergence({"MU": history()}, x="seconds")
        assert figure.axes[0].get_xlabel() == "time (s)"
        np.testing.assert_allclose(
            figure.axes[0].get_lines()[0].get_xdata(), [row.seconds for row in history()]
        )

    def test_offset_shows_the_gap(self):
        figure = plots.convergence({"MU": history(floor=7)}, offset=7)
        assert figure.axes[0].get_ylabel() == "objective $-$ 7"
        assert figure.axes[0].get_lines()[0].get_ydata()[0] == pytest.approx(50)

    def test_zeros_and_values_that_are_not_finite_are_left_out(self):
        values = [1.0, 0.0, float("nan"), float("inf"), 1e-3]
        figure = drawn(plots.convergence({"a": [Row(i, i, v, v) for i, v in enumerate(values)]}))
        shown = figure.axes[1].get_lines()[0].get_ydata()
        assert np.isnan(shown[1:3]).all() and shown[4] == 1e-3

    @pytest.mark.parametrize("values", [[0.0, 0.0], [-2.0, -3.0], [5.0, 4.0], [5.0]])
    def test_is_linear_where_a_logarithm_shows_nothing(self, values):
        figure = plots.convergence({"a": [Row(i, i, v, v) for i, v in enumerate(values)]})
        assert drawn(figure).axes[0].get_yscale() == "linear"

    def test_many_long_names_fit(self):
        curves = {f"a method with a long name {i}": history(0.9 + i / 500) for i in range(12)}
        figure = plots.convergence(curves, title="twelve")
        styles = {(ln.get_color(), str(ln.get_linestyle())) for ln in figure.axes[0].get_lines()}
        assert len({repr(plots.style.line_style(i)) for i in range(28)}) == 28
        assert len(styles) >= 8
        assert_readable(figure)

    def test_refuses_what_cannot_be_drawn(self):
        with pytest.raises(ValueError, match="nothing to draw$"):
            plots.convergence({})
        with pytest.raises(ValueError, match="nothing to draw for 'MU'"):
            plots.convergence({"MU": []})
        with pytest.raises(ValueError, match="'iteration' or 'seconds', not 'epoch'"):
            plots.convergence({"MU": history()}, x="epoch")
        with pytest.raises(ValueError, match="a tolerance is positive, not 0"):
            plots.convergence({"MU": history()}, tol=0)


class TestRace:
    def test_shows_gaps_and_residuals_against_time(self):
        curves = {"MU": history(0.8, floor=7), "HALS": history(0.95, floor=7), "CD": history()}
        figure = plots.race(curves, best=7.0, others=["CD"], title="three methods")
        left, right = figure.axes
        assert {axes.get_xscale() for axes in figure.axes} == {"log"}
        assert {axes.get_yscale() for axes in figure.axes} == {"log"}
        seconds, gaps = left.get_lines()[1].get_data()
        assert np.isnan(seconds[0])
        np.testing.assert_allclose(seconds[1:], [row.seconds for row in curves["HALS"][1:]])
        np.testing.assert_allclose(gaps, [(row.objective - 7) / 7 for row in curves["HALS"]])
        residuals = right.get_lines()[0].get_ydata()
        np.testing.assert_allclose(residuals, [row.kkt for row in curves["MU"]])
        markers = [line.get_marker() for line in left.get_lines()[:3]]
        assert markers[:2] == ["None", "None"] and markers[2] not in ("None", "")
        assert_readable(figure)

    def test_many_methods_stay_apart_and_readable(self):
        curves = {f"method number {i}": history(0.9 - i / 100) for i in range(14)}
        figure = plots.race(curves, best=1e-4, others=list(curves)[10:])
        assert_readable(figure)
        looks = {
            (x.get_color(), str(x._dash_pattern), x.get_marker())
            for x in figure.axes[0].get_lines()[:14]
        }
        assert len(looks) == 14

    def test_what_reached_the_best_is_left_out(self):
        figure = drawn(plots.race({"a": [Row(1, 1, 3.0, 0.0), Row(2, 2, float("nan"), 1.0)]}, 3.0))
        assert np.isnan(figure.axes[0].get_lines()[0].get_ydata()).all()

    def test_residuals_that_went_astray_leave_the_others_readable(self):
        rows = [Row(i, i, 4.0, 10.0 ** (8 - 3 * i)) for i in range(1, 5)]
        assert plots.race({"a": rows}, 3.0).axes[1].get_ylim()[1] == 10

    def test_refuses_what_cannot_be_drawn(self):
        with pytest.raises(ValueError, match="nothing to draw$"):
            plots.race({}, 1.0)
        with pytest.raises(ValueError, match="nothing to draw for 'a'"):
            plots.race({"a": []}, 1.0)
        with pytest.raises(ValueError, match="no curve is called 'b'; there are a"):
            plots.race({"a": history()}, 1.0, others=["b"])
        with pytest.raises(ValueError, match="best objective that is not zero, got 0"):
            plots.race({"a": history()}, 0.0)


class TestSpectra:
    W = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))

    def test_draws_the_columns(self):
        figure = plots.spectra(
            self.W.clone().requires_grad_(),
            torch.linspace(2, 2.5, 50),
            unit="um",
            labels=["alunite", "kaolinite", "calcite"],
            title="minerals",
        )
        lines = figure.axes[0].get_lines()
        np.testing.assert_array_equal(
            np.stack([ln.get_ydata() for ln in lines], 1), self.W.double()
        )
        assert figure.axes[0].get_xlabel() == "wavelength (µm)"
        assert_readable(figure)

    @pytest.mark.parametrize(
        ("wavelengths", "unit", "label"),
        [(None, "nm", "band"), (range(50), "", "wavelength"), (range(50), "nm", "wavelength (nm)")],
    )
    def test_names_its_axis(self, wavelengths, unit, label):
        figure = plots.spectra(self.W, None if wavelengths is None else list(wavelengths), unit)
        assert figure.axes[0].get_xlabel() == label

    def test_lines_break_at_gaps_and_backward_steps(self):
        wavelengths = np.r_[400:500:10, 485:600:10, 800:900:10].astype(float)
        (line,) = plots.spectra(np.ones((len(wavelengths), 1)), wavelengths).axes[0].get_lines()
        assert np.flatnonzero(np.isnan(line.get_ydata())).tolist() == [10, 23]
        reverse = plots.spectra(np.ones((len(wavelengths), 1)), wavelengths[::-1].copy())
        assert np.isnan(reverse.axes[0].get_lines()[0].get_ydata()).sum() == 2

    def test_reference_is_dashed_and_named_once(self):
        figure = plots.spectra(self.W, reference=self.W * 0.9)
        assert len(figure.axes[0].get_lines()) == 6
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert names == ["component 1", "component 2", "component 3", "reference"]

    def test_long_labels_fit(self):
        labels = ["kaolinite", "buddingtonite+montmorillonite_mix_intimate", "a" * 40]
        assert_readable(plots.spectra(self.W, labels=labels, title="long"))

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"\(bands, r\) matrix, not \(50,\)"):
            plots.spectra(self.W[:, 0])
        with pytest.raises(ValueError, match=r"50 bands need as many wavelengths.*\(3,\)"):
            plots.spectra(self.W, [1, 2, 3])
        with pytest.raises(ValueError, match="3 components need as many labels, not 1"):
            plots.spectra(self.W, labels=["a"])
        with pytest.raises(ValueError, match=r"reference has shape \(50, 2\)"):
            plots.spectra(self.W, reference=self.W[:, :2])


class TestAbundanceMaps:
    maps = torch.rand(5, 20, 30, generator=torch.Generator().manual_seed(0))

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
    def test_draws_each_map_on_one_scale(self, count):
        figure = plots.abundance_maps(self.maps[:count], title="maps")
        images = [image for axes in figure.axes for image in axes.get_images()]
        assert len(images) == count
        for image, expected in zip(images, self.maps, strict=False):
            np.testing.assert_allclose(image.get_array(), expected)
            assert image.get_clim() == (0, pytest.approx(self.maps[:count].max().item()))
        assert figure.axes[-1].get_ylabel() == "abundance"
        assert_readable(figure)

    def test_scale(self):
        def limits(maps, **options):
            return plots.abundance_maps(maps, **options).axes[0].get_images()[0].get_clim()

        assert limits(self.maps, limits=(0.2, 0.9)) == (0.2, 0.9)
        assert limits(np.zeros((2, 3, 3))) == (0, 1)
        assert limits(np.full((2, 3, 3), -1.0)) == (-1, 0)

    def test_long_labels_are_wrapped(self):
        labels = ["buildings-grass-trees-drives and stone-steel-towers"] * 5
        assert_readable(plots.abundance_maps(self.maps, labels=labels, cmap="cividis"))

    @pytest.mark.parametrize("shape", [(7, 10, 80), (7, 80, 10), (12, 30, 30)])
    def test_any_shape_fits(self, shape):
        figure = plots.abundance_maps(np.random.default_rng(0).random(shape), title="any shape")
        assert_readable(figure)
        assert max(figure.get_size_inches()) < 25

    def test_refuses_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"shape \(r, rows, cols\), not \(20, 30\)"):
            plots.abundance_maps(self.maps[0])
        with pytest.raises(ValueError, match="5 components need as many labels, not 2"):
            plots.abundance_maps(self.maps, labels=["a", "b"])
        with pytest.raises(ValueError, match=r"low < high, not \(1, 0\)"):
            plots.abundance_maps(self.maps, limits=(1, 0))


class TestSave:
    def test_png_has_200_dots_an_inch(self, tmp_path):
        figure = plots.spectra(np.ones((5, 1)))
        path = plots.save(figure, tmp_path / "new" / "figure.png")
        header = path.read_bytes()[:24]
        size = int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
        assert header.startswith(b"\x89PNG")
        assert size == tuple(round(200 * inches) for inches in figure.get_size_inches())

    def test_svg(self, tmp_path):
        path = plots.save(plots.spectra(np.ones((5, 1))), str(tmp_path / "figure.SVG"))
        assert "<svg" in path.read_text()

    def test_refuses_other_formats(self, tmp_path):
        with pytest.raises(ValueError, match=r"\.png or \.svg, not as 'figure\.bmp'"):
            plots.save(plots.spectra(np.ones((5, 1))), tmp_path / "figure.bmp")

    def test_no_figure_leaves_pyplot_state(self):
        import sys

        plots.spectra(np.ones((5, 1)))
        pyplot = sys.modules.get("matplotlib.pyplot")
        assert pyplot is None or pyplot.get_fignums() == []


class TestRecovery:
    def test_draws_each_method_in_the_same_way_in_all_panels(self):
        names = ("Trick-OMP", "HOMP", "Block-FISTA", "Block-FISTA, path", "path and HOMP")
        curves = {name: [10.0 * i, 50.0, 90.0] for i, name in enumerate(names)}
        panels = [
            plots.Panel("SNR (dB), condition 200", [0, 20, 40], curves),
            plots.Panel("condition of B, 20 dB", [1, 100, 1e4], curves, log=True),
        ]
        figure = plots.recovery(panels, "What is found", "nonzeros found (%)")
        left, right = figure.axes
        assert (left.get_xscale(), right.get_xscale()) == ("linear", "log")
        for a, b in zip(left.get_lines(), right.get_lines(), strict=True):
            assert (a.get_marker(), a.get_color()) == (b.get_marker(), b.get_color())
        assert [text.get_text() for text in figure.legends[0].get_texts()] == list(names)
        assert_readable(figure)
        assert_readable(plots.recovery(panels[:1], "One panel"))
        four = plots.recovery([p._replace(title=str(i)) for i, p in enumerate(2 * panels)], "Four")
        assert [axes.get_title() for axes in four.axes] == ["0", "1", "2", "3"]
        assert_readable(four)

    def test_refuses_nothing_and_curves_of_other_lengths(self):
        with pytest.raises(ValueError, match="nothing to draw"):
            plots.recovery([])
        with pytest.raises(ValueError, match="'HOMP' has 1 values for 2"):
            plots.recovery([plots.Panel("x", [0, 1], {"HOMP": [1.0]})])
