"""Figures of components, core consistency and paths: what they show, and that they are legible."""

import numpy as np
import pytest
import torch
from test_plots import assert_readable, drawn

from rlra_torch.plots import Mode, components, core_consistencies, evolving, penalty_path


@pytest.fixture
def factors(generator):
    return [torch.rand(n, 3, generator=generator) * s for n, s in ((8, 5.0), (12, 2.0), (30, 0.1))]


EMISSION = Mode("emission", "nm", range(400, 520, 10))
MODES = (Mode("sample", bars=True), EMISSION, Mode("time", "min"))


class TestComponents:
    def test_one_row_a_component_and_one_column_a_mode(self, factors):
        figure = components(factors, MODES, title="three components")
        grid = np.array(figure.axes).reshape(3, 3)
        assert [axes.get_xlabel() for axes in grid[-1]] == ["sample", "emission (nm)", "time (min)"]
        assert [axes.get_ylabel() for axes in grid[:, 0]] == [
            "component 1", "component 2", "component 3",
        ]  # fmt: skip
        assert [len(axes.patches) for axes in grid[0]] == [8, 0, 0]
        assert_readable(figure)

    def test_terms_are_drawn_whole_and_the_largest_first(self, factors):
        figure = components(factors, MODES, names=["a", "b", "c"])
        grid = np.array(figure.axes).reshape(3, 3)
        sizes = torch.stack([x.norm(dim=0) for x in factors]).prod(0)
        order = sizes.argsort(descending=True).tolist()
        assert [axes.get_ylabel() for axes in grid[:, 0]] == ["abc"[k] for k in order]
        for row, k in zip(grid, order, strict=True):
            heights = np.array([bar.get_height() for bar in row[0].patches])
            lines = [axes.get_lines()[0].get_ydata() for axes in row[1:]]
            assert np.linalg.norm(heights) == pytest.approx(float(sizes[k]), rel=1e-6)
            assert [np.linalg.norm(y) for y in lines] == pytest.approx([1, 1])
            term = np.einsum("i,j,k->ijk", heights, *lines)
            expected = torch.einsum("i,j,k->ijk", *(x[:, k] for x in factors)).numpy()
            np.testing.assert_allclose(term, expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(grid[0][1].get_lines()[0].get_xdata(), range(400, 520, 10))

    def test_signs_are_moved_between_modes(self):
        a, b, c = (torch.tensor([[1.0], [3.0], [2.0]]) for _ in range(3))
        grid = components((a, -b, -c)).axes
        assert all((axes.get_lines()[0].get_ydata() > 0).all() for axes in grid)
        grid = components((a, -b, c)).axes
        assert [(axes.get_lines()[0].get_ydata() > 0).all() for axes in grid] == [False, True, True]

    def test_several_fits_share_the_axes(self, factors):
        other = [x + 0.05 * x.mean() for x in factors]
        figure = components({"first": factors, "second": other}, MODES)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["first", "second"]
        assert_readable(figure)

    def test_a_zero_component_is_a_flat_line(self, factors):
        factors[0][:, 1] = 0
        figure = drawn(components(factors, MODES))
        assert not any(bar.get_height() for bar in figure.axes[6].patches)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda f: components(f, MODES[:2]), "as many modes"),
            (lambda f: components(f, names=["a"]), "as many names"),
            (lambda f: components(f, (*MODES[:2], Mode("time", ticks=[1.0]))), "'time' has 30"),
            (lambda f: components({"a": f, "b": f[:2]}), "of one shape"),
            (lambda f: components([]), "columns of factors"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, change, words, factors):
        with pytest.raises(ValueError, match=words):
            change(factors)


class TestCoreConsistencies:
    def test_dots_and_a_line_through_the_best(self):
        figure = core_consistencies({2: [99.0, 80.0], 1: 100.0, 3: [-30.0, -5000.0], 4: -5000.0})
        (axes,) = figure.axes
        np.testing.assert_array_equal(axes.get_lines()[0].get_xdata(), [1, 2, 3, 4])
        np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), [100, 99, 0, 0])
        assert [text.get_text() for text in axes.texts] == ["−30", "< −999"]
        assert_readable(figure)

    def test_nothing_is_refused(self):
        with pytest.raises(ValueError, match="no rank"):
            core_consistencies({})


class TestPenaltyPath:
    def test_lines_end_where_components_are_lost(self):
        weights, sizes = [0.0, 0.1, 1.0, 10.0], np.array([[3, 2], [2, 1], [1, 0], [0.5, 0]])
        zeros = np.array([[0, 0.1], [0.2, 0.3], [0.5, 0.6], [0.9, 0.9]])
        figure = penalty_path(weights, sizes, zeros, title="a path")
        upper, lower = figure.axes
        labelled = [line for line in upper.get_lines() if not line.get_label().startswith("_")]
        assert [len(line.get_xdata()) for line in labelled] == [4, 2]
        crosses = [line for line in upper.get_lines() if line.get_marker() == "x"]
        assert [float(line.get_xdata()[0]) for line in crosses] == [1.0]
        assert lower.get_xlabel() == "weight of the penalty" and upper.get_xlim()[0] == 0
        assert_readable(figure)

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="a path has weights"):
            penalty_path([1.0, 2.0], np.ones((3, 2)))


class TestEvolving:
    MODES = (Mode("wavelengths"), Mode("time", "min"), Mode("sample"))
    LANDSCAPE = (Mode("emission", "nm", [1.0, 2.0, 3.0]), Mode("excitation", "nm", [4.0, 5.0]))

    def model(self, generator):
        a, d = torch.rand(6, 2, generator=generator), torch.rand(5, 2, generator=generator)
        return a, d, [torch.rand(n, 2, generator=generator) for n in (7, 7, 9, 7, 8)]

    def test_all_profiles_of_a_component_are_drawn_and_the_product_stays(self, generator):
        a, d, profiles = self.model(generator)
        still = torch.rand(7, 2, generator=generator)
        figure = evolving(a, d, profiles, self.MODES, still, self.LANDSCAPE, title="evolving")
        grid = np.array(figure.axes[:6]).reshape(2, 3)
        lines = [line for line in grid[0, 1].get_lines() if len(line.get_xdata())]
        assert [len(line.get_xdata()) for line in lines] == [7, 7, 9, 7, 8, 7]
        sizes = np.stack([[bar.get_height() for bar in axes.patches] for axes in grid[:, 2]], 1)
        norms = torch.stack([b.norm(dim=0) for b in profiles])
        expected = (d * norms * a.norm(dim=0)).numpy()
        order = np.argsort(-np.linalg.norm(expected, axis=0))
        np.testing.assert_allclose(sizes, expected[:, order], rtol=1e-6)
        assert grid[1, 0].get_ylabel() == "emission (nm)"
        assert [axes.get_xlabel() for axes in grid[1]] == [
            "excitation (nm)",
            "time (min)",
            "sample",
        ]
        assert_readable(figure)

    def test_what_does_not_fit_is_refused(self, generator):
        a, d, profiles = self.model(generator)
        with pytest.raises(ValueError, match="not of one model"):
            evolving(a, d[:3], profiles, self.MODES)
        with pytest.raises(ValueError, match="3 modes, not 2"):
            evolving(a, d, profiles, self.MODES[:2])
        with pytest.raises(ValueError, match="6 pairs of ticks, A has 5"):
            evolving(a[:5], d, profiles, self.MODES, landscape=self.LANDSCAPE)
