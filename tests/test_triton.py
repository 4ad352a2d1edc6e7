"""The Triton kernels without a GPU: they equal their reference, and they build without spills.

Values are checked under the interpreter, in a process of its own (`triton_interpreted.py`). Here
the launchers run with a driver that stands for an A100 or H100: every kernel is compiled just as it
would be launched, and its machine code is asked what it keeps in memory.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rlra_torch.kernels.triton.dense import divergence_sum, factor_parts, joint_parts, panels_of
from rlra_torch.kernels.triton.launch import MAX_RANK, Wanted, tile_of
from rlra_torch.kernels.triton.sparse import (
    Entries,
    row_parts,
    row_plan,
    stored_predictions,
    stored_value,
)
from rlra_torch.kernels.triton.sweeps import fused_sweeps

ROOT = Path(__file__).parents[1]
BF16, F32, F64 = torch.bfloat16, torch.float32, torch.float64


def python(*command, **environment):
    """Run Python in the repository, and fail with what it printed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_kernels_equal_their_reference_under_the_interpreter():
    pytest.importorskip("triton")
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/triton_interpreted.py")
    python("-m", "pytest", *options, TRITON_INTERPRET="1")


def test_the_package_imports_without_triton():
    hidden = "import sys; sys.modules['triton'] = None; "
    modules = ", ".join(f"rlra_torch.kernels.triton.{m}" for m in ("dense", "sparse", "sweeps"))
    python("-c", hidden + f"import {modules}")


# --- Ahead of time -----------------------------------------------------------------------------


class Bench:
    """Collects the kernels that launchers compile in place of launching them."""

    def __init__(self, folder):
        self.folder, self.kernels = folder, []

    def spills(self):
        """The kernels that keep in memory what belongs in registers."""
        used = [resources(kernel, self.folder / "cubin") for kernel in self.kernels]
        return [use for use in used if use["STACK"] or use["LOCAL"]]


def resources(kernel, path):
    """Registers per thread, and bytes of stack and local memory, from the machine code."""
    tool = Path(sys.modules["triton"].__file__).parent / "backends/nvidia/bin/cuobjdump"
    path.write_bytes(kernel.asm["cubin"])
    command = [tool, "--dump-resource-usage", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    name = kernel.metadata.name
    (line,) = re.findall(rf"Function {name}:\s*\n(.*)", text)
    return {"kernel": name} | {k: int(v) for k, v in re.findall(r"(\w+):(\d+)", line)}


@pytest.fixture(params=[80, 90])
def bench(request, monkeypatch, tmp_path):
    """A stand-in for a GPU that compiles for it and runs nothing."""
    runtime = pytest.importorskip("triton.runtime")
    target = pytest.importorskip("triton.backends.compiler").GPUTarget("cuda", request.param, 32)

    class Driver:
        def get_current_target(self):
            return target

        def get_current_device(self):
            return target.arch  # the key of the compiled kernels

        def get_current_stream(self, device):
            return 0

    bench, run = Bench(tmp_path), runtime.JITFunction.run

    def build(self, *args, grid, warmup, **options):
        bench.kernels.append(run(self, *args, grid=grid, warmup=True, **options))

    monkeypatch.setattr(runtime.JITFunction, "run", build)
    monkeypatch.setattr(runtime.driver, "_active", Driver())
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    return bench


def dense(rank, data, weighted=False, transposed=False):
    """Data, factors and weights as a launcher gets them."""
    m, n = 512, 1024
    y = torch.ones(n, m, dtype=data).mT if transposed else torch.ones(m, n, dtype=data)
    w, h = (torch.ones(s, rank, dtype=F64 if data == F64 else F32) for s in (m, n))
    return (y, w, h), torch.ones_like(y) if weighted else None


def sparse(rank, data, index, weighted=False):
    """A CSR matrix with one long row, and factors."""
    crow = torch.tensor([0, 2000, 2010], dtype=index)
    col = torch.arange(2010, dtype=index) % 2000
    values = torch.ones(2010, dtype=data)
    w, h = (torch.ones(s, rank, dtype=F64 if data == F64 else F32) for s in (2, 2000))
    return Entries(crow, col, values, values if weighted else None), w, h


def build_dense(rank, data, beta, weighted=False):
    given, weights = dense(rank, data, weighted)
    joint_parts(*given, beta, weights)
    factor_parts(*given, beta, weights)
    given, weights = dense(rank, data, weighted, transposed=True)
    factor_parts(*given, beta, weights)


def build_sparse(rank, data, beta, index, weighted=False):
    entries, w, h = sparse(rank, data, index, weighted)
    row_parts(entries, w, h, beta, positive=weighted)
    stored_predictions(entries, w, h)
    stored_value(entries, w, h, beta)


def build_sweeps(rank, dtype):
    x = torch.ones(rank, 20_000, dtype=dtype)
    fused_sweeps(x, torch.eye(rank, dtype=dtype), x, 0.0, float("inf"), 2)
    x = torch.ones(rank, 1000, dtype=dtype)
    fused_sweeps(x, torch.eye(rank, dtype=dtype).expand(1000, rank, rank), x, 0.0, 1.0, 2)


@pytest.mark.parametrize(
    ("rank", "data", "beta", "weighted"),
    [(20, F32, 1.0, False), (64, BF16, 1.0, False), (16, F64, 1.5, True)],
)
def test_dense_kernels_build_without_spills(bench, rank, data, beta, weighted):
    build_dense(rank, data, beta, weighted)
    assert len(bench.kernels) == 3 and bench.spills() == []


@pytest.mark.parametrize(
    ("rank", "data", "beta", "index", "weighted"),
    [(20, F32, 1.0, torch.int32, False), (64, F64, 1.5, torch.int64, True)],
)
def test_sparse_kernels_build_without_spills(bench, rank, data, beta, index, weighted):
    build_sparse(rank, data, beta, index, weighted)
    assert len(bench.kernels) == 4 and bench.spills() == []


@pytest.mark.parametrize(("rank", "dtype"), [(20, F32), (128, F64)])
def test_sweeps_build_without_spills(bench, rank, dtype):
    build_sweeps(rank, dtype)
    assert len(bench.kernels) == 2 and bench.spills() == []


@pytest.mark.slow
@pytest.mark.parametrize("rank", [16, 32, 64, 128])
@pytest.mark.parametrize("data", [F32, BF16, F64])
def test_everything_builds_without_spills(bench, rank, data):
    for beta, weighted in ((1.0, False), (0.3, True), (1.5, True)):
        build_dense(rank, data, beta, weighted)
        build_sparse(rank, data, beta, torch.int32, weighted)
    given, _ = dense(rank, data)
    divergence_sum(*given, 1.0)
    if data != BF16:
        build_sweeps(2 * rank, data)
    assert bench.spills() == []


def test_one_kernel_serves_all_sizes(bench):
    for m, n in ((480, 640), (64, 4096), (800, 320)):
        y, w, h = torch.ones(m, n), torch.ones(m, 16), torch.ones(n, 16)
        factor_parts(y, w, h, 1.0)
    assert len({id(k) for k in bench.kernels}) == 1


def test_constants_keep_the_precision_of_the_data(bench):
    x = torch.ones(2, 64, dtype=F64)
    fused_sweeps(x, torch.eye(2, dtype=F64), x, 0.1, 0.3, 1)
    (kernel,) = bench.kernels
    constants = re.findall(r"0d([0-9A-Fa-f]{16})", kernel.asm["ptx"])
    values = torch.tensor([int(c, 16) for c in constants]).view(F64).tolist()
    assert {0.1, 0.3} <= set(values)


# --- What launchers choose -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 5000, 40_000, 20), (1, 40_000, 7, 64), (50, 30, 40, 5)])
@pytest.mark.parametrize("wanted", [Wanted(in_w=True), Wanted(in_w=True, in_h=True, positive=True)])
def test_panels_cover_the_data_and_sums_stay_small(shape, wanted):
    problems, m, n, rank = shape
    tile = tile_of(rank, F32, wanted)
    panels = panels_of(shape, tile, wanted, 528)
    assert m <= panels.along_m * panels.tiles_m * tile.rows < m + panels.tiles_m * tile.rows
    assert n <= panels.along_n * panels.tiles_n * tile.columns < n + panels.tiles_n * tile.columns
    extra = (panels.along_n - 1) * m + (panels.along_m - 1) * n * wanted.in_h
    assert problems * extra * rank <= max(problems * m * n // 8, 2**21)


def test_a_large_problem_has_work_for_every_processor():
    wanted = Wanted(in_w=True)
    panels = panels_of((1, 500, 40_000, 20), tile_of(20, F32, wanted), wanted, 528)
    assert panels.along_m * panels.along_n >= 500
    plan = row_plan(torch.arange(0, 1001, 100), 1000)
    assert len(plan.owner) == 10


def test_the_roofline_is_printed_within_80_columns():
    done = subprocess.run(
        [sys.executable, "scripts/roofline.py"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "Predicted, not measured" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_shapes_that_do_not_fit_and_ranks_above_the_most():
    y, w, h = torch.ones(3, 4), torch.ones(3, 2), torch.ones(4, 2)
    with pytest.raises(ValueError, match=r"do not fit: \(3, 4\), \(4, 2\), \(3, 2\)"):
        factor_parts(y, h, w, 1.0)
    with pytest.raises(ValueError, match=f"ranks up to {MAX_RANK}, got 129"):
        factor_parts(y, torch.ones(3, 129), torch.ones(4, 129), 1.0)
    entries = Entries(torch.zeros(3, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(ValueError, match="do not fit"):
        stored_predictions(entries, w, h)
    with pytest.raises(ValueError, match=r"do not fit: \(3, 4\), \(4, 4\), \(3, 4\)"):
        fused_sweeps(y, torch.eye(4), y, 0.0, 1.0, 1)
