"""The notebooks: what is committed was executed, and executes again with the numbers it prints."""

import re
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
# Absolute paths of a machine. LaTeX and relative links have slashes too, but do not begin so.
MACHINE = re.compile(r"(?<![\w.])/(home|root|tmp|usr|opt|mnt|work|Users|private|var)/|[A-Z]:\\\\")

nbformat = pytest.importorskip("nbformat")


def read(path):
    return nbformat.read(path, as_version=4)


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(notebook, cell_id):
    """The numbers at the ends of the lines that a cell printed, under what stands before them."""
    (cell,) = [cell for cell in notebook.cells if cell["id"] == cell_id]
    text = "".join(output.get("text", "") for output in cell["outputs"])
    lines = [re.match(r"\s*(.*?)\s+(\d+\.\d+)\s+(\d+\.\d+)$", line) for line in text.splitlines()]
    return {line[1]: (float(line[2]), float(line[3])) for line in lines if line}


def check_numbers(notebook):
    """What the prose says about the tables of `unrolled_mu.ipynb`."""
    toy = printed(notebook, "table-toy")
    assert toy["MU, 20 iterations"][0] == pytest.approx(0.0509, rel=0.02)
    assert toy["MU, 60 iterations"][0] == pytest.approx(0.0097, rel=0.05)
    assert toy["NALMU, 20 layers, trained"] == pytest.approx((0.0099, 0.0104), rel=0.1)
    assert toy["exact least squares (floor)"] == pytest.approx((0.0028, 0.0028), rel=0.05)
    improved = printed(notebook, "table-improved")
    assert improved["NALMU with momentum (Adam)"] == pytest.approx((0.0052, 0.0055), rel=0.1)
    assert improved["NALMU with momentum (L-BFGS)"][1] < 0.006
    assert improved["MU, fixed momentum 0.7"][0] == pytest.approx(0.0034, rel=0.05)
    blind = printed(notebook, "table-blind")
    for ralmu, mu in zip(blind["RALMU with momentum"], blind["MU, 250 iterations"], strict=True):
        assert ralmu < mu


def test_there_is_one():
    assert NOTEBOOKS / "unrolled_mu.ipynb" in PATHS


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_committed_with_its_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert len(notebook.cells) < 40
    assert path.stat().st_size < 1e6
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs for cell in code)
    assert all(output.output_type in ("stream", "display_data") for output in outputs(notebook))
    assert all(output.get("name") != "stderr" for output in outputs(notebook))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_knows_no_machine(path):
    notebook = read(path)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not any(cell.metadata for cell in notebook.cells)
    pictures = re.compile(r'"image/png": "[^"]*"')
    assert not MACHINE.search(pictures.sub("", path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    prose = "".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\((\.\./[^)#]+)\)", prose):
        assert (NOTEBOOKS / target).exists(), target


def test_numbers_as_committed():
    check_numbers(read(NOTEBOOKS / "unrolled_mu.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_executes_again(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    notebook = read(path)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(
        notebook, timeout=1200, kernel_name="python3", resources=where
    ).execute()
    assert all(output.get("name") != "stderr" for output in outputs(notebook))
    if path.stem == "unrolled_mu":  # the others assert what they say themselves
        check_numbers(notebook)
