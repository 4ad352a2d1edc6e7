"""What the page about moving from other packages prints, runs."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

PAGE = (Path(__file__).parents[1] / "docs" / "migration.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"## ([^\n]+)\n.*?```python\n(.*?)```", PAGE, flags=re.DOTALL))


def run(package, **names):
    torch.manual_seed(0)
    exec(BLOCKS[package], names)
    return names


def test_there_is_a_block_for_each_package():
    assert list(BLOCKS) == ["scikit-learn", "torchnmf", "nmf-torch", "TensorLy"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_from_scikit_learn():
    theirs = pytest.importorskip("sklearn.decomposition", reason="scikit-learn is not installed")
    found = run("scikit-learn")
    peer = theirs.NMF(n_components=3, max_iter=1000).fit(found["X"])
    # Both stop near zero, each by its own tolerance.
    size = np.linalg.norm(found["X"])
    assert max(found["model"].reconstruction_err_, peer.reconstruction_err_) < 3e-3 * size
    assert found["H"].shape == peer.components_.shape


@pytest.mark.filterwarnings("ignore")
def test_from_torchnmf():
    found = run("torchnmf")
    assert found["fit"].relative_error < 0.6
    peers = pytest.importorskip("torchnmf.nmf", reason="torchnmf is not installed")
    net = peers.NMF(found["V"].shape, rank=3)
    assert net.W.shape == found["W"].shape and net.H.shape == found["H"].shape


@pytest.mark.filterwarnings("ignore")
def test_from_nmf_torch():
    found = run("nmf-torch")
    peer = pytest.importorskip("nmf", reason="nmf-torch is not installed")
    h, w, _ = peer.run_nmf(found["X"].numpy(), n_components=3, algo="halsvar")
    assert h.shape == tuple(found["H"].shape) and w.shape == tuple(found["W"].shape)


def test_from_tensorly():
    assert run("TensorLy")["error"] < 1e-2
