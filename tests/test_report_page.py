"""The page of a run: what it shows of each command, and how it is in a browser."""

import json
import os
import shlex
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from rlra_torch import cli
from rlra_torch.datasets import mixture
from rlra_torch.operators import SplitHadamard
from rlra_torch.report.page import COMMAND, PAGE, rendered, write_page
from rlra_torch.report.sections import run_sections

ROWS, COLS, BANDS = 12, 9, 15
CHROMIUM = next((p for n in ("chromium", "google-chrome") if (p := shutil.which(n))), None)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(words):
    """The kinds and titles of the sections of a run."""
    assert cli.main([*shlex.split(words), "--out", "run", "--quiet"]) == 0
    title, sections = run_sections(Path("run"))
    return title, {section["title"]: section for section in sections}


def loaded(name):
    with np.load(name) as file:
        return dict(file)


def saved(name, values):
    np.save(name, np.asarray(values))


def scene():
    made = mixture(BANDS, ROWS * COLS, 3, purity=0.3, seed=1, dtype=torch.float64)
    saved("scene.npy", made.Y.mT.reshape(ROWS, COLS, BANDS))
    return made


class TestSections:
    def test_unmix(self):
        made = scene()
        title, found = ran("unmix --data scene.npy --rank 3 --method hals --max-iter 30")
        assert title == "scene.npy" or title == "scene"
        maps = found["Maps and spectra"]
        assert (maps["rows"], maps["cols"], maps["range"]) == (ROWS, COLS, [0.0, 1.0])
        assert maps["maps"].shape == (3, ROWS * COLS) and len(maps["axis"]) == BANDS
        # The page has the fit and the residual in whole steps: together they are the data.
        fit = maps["spectra"] @ maps["maps"]
        whole = fit.T + maps["step"] * (maps["residual"].astype(float) - 128)
        scaled = made.Y.mT.numpy() / float(made.Y.max())
        assert np.abs(whole - scaled).max() <= maps["step"] / 2 + 1e-3
        lines = found["Convergence"]["lines"]
        assert {line["panel"] for line in lines} == {"objective", "KKT residual"}
        assert found["Methods"]["rows"][0][0] == "hals"

    def test_factorize(self):
        saved("Y.npy", np.random.default_rng(0).random((8, 20)))
        _, found = ran("factorize --data Y.npy --rank 2 --max-iter 20")
        assert found["factor 0"]["values"].shape == (2, 8)
        assert found["factor 1"]["values"].shape == (2, 20)
        first = found["Convergence"]["lines"][0]
        assert first["x"][0] == 0 and first["y"][0] >= first["y"][-1]

    def test_rank(self):
        saved("Y.npy", np.random.default_rng(0).random((8, 20)))
        _, found = ran("rank --data Y.npy --ranks 1,2 --max-iter 20 --folds 2")
        assert {"ranks", "table"} <= set(found) and "W" not in found
        assert [row[0] for row in found["table"]["rows"]] == ["1", "2"]

    def test_singlepixel(self):
        camera, generator = SplitHadamard((8, 8)), torch.Generator().manual_seed(0)
        abundances = torch.rand(64, 2, generator=generator)
        spectra = torch.rand(5, 2, generator=generator)
        saved("counts.npy", camera(abundances @ spectra.mT))
        _, found = ran("singlepixel --data counts.npy --shape 8 8 --rank 2 --max-iter 5")
        maps = found["Maps and spectra"]
        assert maps["maps"].shape == (2, 64) and maps["spectra"].shape == (5, 2)
        assert maps["range"] is None and maps["along"] == "band"

    def test_segment(self):
        movie = torch.rand(30, 8, 8, generator=torch.Generator().manual_seed(0))
        movie[10, 2:5, 2:5] += 20
        saved("movie.npy", movie)
        _, found = ran("segment --data movie.npy --decay 3 --columns 4 --max-iter 20")
        assert found["Maps and spikes"]["along"] == "frame"

    def test_deconvolve(self):
        trace = np.zeros(120)
        trace[[20, 60, 90]] = 1
        noise = 0.01 * np.random.default_rng(0).normal(size=(1, 120))
        saved("traces.npy", np.convolve(trace, np.exp(-np.arange(20) / 4))[None, :120] + noise)
        _, found = ran("deconvolve --data traces.npy --kernel-size 20 --starts 1 --max-iter 50")
        assert found["kernels"]["values"].shape == (1, 20)
        assert found["maps"]["values"].shape[0] == 1

    def test_how_to_reproduce(self):
        saved("Y.npy", np.random.default_rng(0).random((8, 20)))
        ran("factorize --data Y.npy --rank 2 --max-iter 20 --seed 3")
        record = json.loads(Path("run", COMMAND).read_text())
        assert record["options"]["seed"] == 3 and record["versions"]["torch"] == torch.__version__
        first = loaded("run/factors.npz")
        shutil.rmtree("run")
        program, *words = shlex.split(record["command"])
        assert program == "rlra" and cli.main(words) == 0
        again = loaded("run/factors.npz")
        assert all((first[f"factor_{n}"] == again[f"factor_{n}"]).all() for n in (0, 1))


def test_figures_for_papers():
    scene()
    ran("unmix --data scene.npy --rank 3 --method spa --svg")
    names = sorted(path.stem for path in Path("run").glob("*.svg"))
    assert names == sorted(path.stem for path in Path("run").glob("*.png")) and len(names) > 2
    for path in Path("run").glob("*.svg"):
        assert "<svg" in path.read_text(encoding="utf-8")[:1000]
    shutil.rmtree("run")
    ran("unmix --data scene.npy --rank 3 --method spa")
    assert not list(Path("run").glob("*.svg"))


class TestErrors:
    def test_folders_without_a_run(self, here):
        with pytest.raises(FileNotFoundError, match="no folder at 'nowhere'"):
            write_page("nowhere")
        with pytest.raises(FileNotFoundError, match="holds no run"):
            write_page(here)
        assert os.listdir() == []

    @pytest.mark.parametrize("name", ["factors.npz", "run.json"])
    def test_files_that_cannot_be_read(self, name, capsys):
        saved("Y.npy", np.random.default_rng(0).random((8, 20)))
        ran("factorize --data Y.npy --rank 2 --max-iter 5")
        os.remove(f"run/{PAGE}")
        content = Path("run", name).read_bytes()
        Path("run", name).write_bytes(content[: len(content) // 2])
        assert cli.main(["report", "run"]) == 2
        sentence = capsys.readouterr().err
        assert name in sentence and "run the command again" in sentence
        assert sentence.count("\n") == 1 and PAGE not in os.listdir("run")

    def test_without_plotly(self, monkeypatch, capsys):
        saved("Y.npy", np.random.default_rng(0).random((8, 20)))
        monkeypatch.setattr("rlra_torch.cli.finishing.find_spec", lambda name: None)
        monkeypatch.setattr("rlra_torch.report.page.find_spec", lambda name: None)
        words = ["factorize", "--data", "Y.npy", "--rank", "2", "--max-iter", "5", "--out", "run"]
        assert cli.main(words) == 0
        assert "pip install 'rlra-torch[report]'" in capsys.readouterr().out
        assert COMMAND in os.listdir("run") and PAGE not in os.listdir("run")
        assert cli.main(["report", "run"]) == 2
        assert "pip install 'rlra-torch[report]'" in capsys.readouterr().err

    def test_text_cannot_leave_its_place(self):
        table = {"kind": "table", "title": "</script><b>", "rows": [["<i>", "&"]]}
        page = rendered("</title><script>", [table])
        assert "</script><b>" not in page and "</title><script>" not in page


@contextmanager
def opened(page, **options):
    """The page in a browser; on leaving, that nothing went wrong and nothing was asked for."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as program:
        browser = program.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_context(**options).new_page()
        said, asked = [], []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector("body[data-ready=yes]", timeout=60_000)
        yield tab
        assert said == []
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        browser.close()


@pytest.fixture
def page(here):
    scene()
    ran("unmix --data scene.npy --rank 3 --method hals --max-iter 30")
    return here / "run" / PAGE


@pytest.mark.slow
class TestBrowser:
    def test_the_keyboard_moves_the_pixel(self, page):
        with opened(page) as tab:
            said = tab.locator("p[aria-live=polite]")
            before = said.text_content()
            assert f"row {ROWS // 2}, column {COLS // 2}" in before
            for _ in range(100):
                tab.keyboard.press("Tab")
                if tab.evaluate("document.activeElement.className") == "stage":
                    break
            tab.keyboard.press("ArrowRight")
            tab.keyboard.press("ArrowUp")
            assert f"row {ROWS // 2 - 1}, column {COLS // 2 + 1}" in said.text_content()
            for _ in range(30):
                tab.keyboard.press("Shift+ArrowLeft")
            assert "column 0)" in said.text_content()
            width = tab.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert float(width.removesuffix("px")) >= 2

    def test_a_click_links_maps_and_spectrum(self, page):
        with opened(page) as tab:
            canvas = tab.locator("canvas").first
            box = canvas.bounding_box()
            tab.mouse.click(box["x"] + 1, box["y"] + 1)
            assert "row 0, column 0" in tab.locator("p[aria-live=polite]").text_content()
            marks = tab.eval_on_selector_all(".stage i", "m => m.map(i => i.style.left)")
            assert len(marks) == 4 and len(set(marks)) == 1
            lines = tab.evaluate("document.querySelector('.plot').data.map(t => t.name)")
            assert lines == ["measured", "fitted"]

    def test_light_and_dark(self, page):
        brightness = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
        ink = "getComputedStyle(document.body).color.match(/[0-9]+/g).map(Number)"
        for scheme in ("light", "dark"):
            with opened(page, color_scheme=scheme) as tab:
                paper, text = sum(tab.evaluate(brightness)[:3]), sum(tab.evaluate(ink)[:3])
                assert (paper > text) == (scheme == "light") and abs(paper - text) > 500

    def test_a_phone_needs_no_scrolling_to_the_side(self, page):
        with opened(page, viewport={"width": 390, "height": 800}) as tab:
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390

    def test_it_prints(self, page, here):
        with opened(page) as tab:
            tab.pdf(path=here / "page.pdf")
        assert (here / "page.pdf").stat().st_size > 10_000

    def test_indian_pines(self, here):
        words = "unmix --data indian_pines --rank 6 --method spa --out run --quiet"
        assert cli.main(shlex.split(words)) == 0
        assert (here / "run" / PAGE).stat().st_size < 5e6
        with opened(here / "run" / PAGE) as tab:
            assert tab.locator("canvas").count() == 7
