"""The Triton kernels under the interpreter, against float64: run by `test_triton` in a process.

The interpreter must be chosen before Triton is imported, so these tests need a process of their
own: ``TRITON_INTERPRET=1 python -m pytest tests/triton_interpreted.py``.
"""

from typing import NamedTuple

import pytest
import torch

from rlra_torch.functional.divergences import beta_divergence, prediction_floor
from rlra_torch.kernels.coordinate import plain_sweeps
from rlra_torch.kernels.triton.dense import divergence_sum, factor_parts, joint_parts
from rlra_torch.kernels.triton.sparse import (
    Entries,
    row_parts,
    row_plan,
    stored_predictions,
    stored_value,
)
from rlra_torch.kernels.triton.sweeps import fused_sweeps

F16, BF16, F32, F64 = torch.float16, torch.bfloat16, torch.float32, torch.float64
# NumPy warns where a kernel takes the logarithm of an entry that is masked afterwards.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class Reference(NamedTuple):
    """What the launchers must give, in float64, at the entries ``kept``."""

    positive_w: torch.Tensor
    negative_w: torch.Tensor
    positive_h: torch.Tensor
    negative_h: torch.Tensor
    value: torch.Tensor


def reference(y, w, h, beta, weights):
    p, y = w.double() @ h.double().mT, y.double()
    p = p if beta == 2 else p.clamp_min(prediction_floor(w.dtype, 2 - beta))
    v = torch.ones_like(p) if weights is None else weights.double().expand_as(p)
    plus, minus = v * p.pow(beta - 1), v * y * p.pow(beta - 2)
    value = (v * beta_divergence(p, y, beta)).where(v > 0, 0).sum((-2, -1))
    w, h = w.double(), h.double()
    return Reference(plus @ h, minus @ h, plus.mT @ w, minus.mT @ w, value)


def close(found, expected, dtype):
    """Within a few roundings of the largest entry of each problem."""
    assert found.dtype in (dtype, F64) and found.shape == expected.shape
    largest = expected.abs().amax((-2, -1) if expected.ndim > 1 else (), keepdim=True)
    allowed = 100 * torch.finfo(dtype).eps * largest + torch.finfo(dtype).tiny
    assert ((found.double() - expected).abs() <= allowed).all()


def matrix(shape, beta, generator, dtype=F32, most=5):
    """Counts with an empty row and an empty column, or positive data where it must be."""
    y = (torch.rand(shape, generator=generator, dtype=F64) * most).floor()
    if beta <= 0:
        return (y + 0.5).to(dtype)
    y[..., 3, :] = 0
    y[..., :, 5] = 0
    return y.to(dtype)


def factors(batch, sizes, rank, generator, dtype=F32):
    """Positive, but for one row each that predicts nothing."""
    pair = tuple(torch.rand(*batch, s, rank, generator=generator, dtype=dtype) for s in sizes)
    for x in pair:
        x[..., 2, :] = 0
    return pair


@pytest.mark.parametrize(
    ("beta", "rank", "data", "dtype", "weighted", "batch"),
    [
        (1.0, 5, F32, F32, False, ()),
        (1.0, 33, BF16, F32, True, ()),
        (1.0, 16, F64, F64, False, (2,)),
        (0.0, 5, F64, F64, False, ()),
        (0.5, 1, F32, F32, False, (2,)),
        (0.3, 5, F64, F64, False, ()),
        (1.5, 16, F16, F32, True, ()),
        (2.0, 5, F32, F32, True, ()),
        (3.0, 64, F32, F32, False, ()),
    ],
)
def test_dense_equals_reference(beta, rank, data, dtype, weighted, batch, generator):
    m, n = 37, 67
    y = matrix((n, m), beta, generator, data).mT
    w, h = factors(batch, (m, n), rank, generator, dtype)
    if beta <= 0:
        w, h = w + 0.1, h + 0.1
    weights = (torch.rand(m, n, generator=generator) > 0.3).to(data) if weighted else None
    expected = reference(y, w, h, beta, weights)
    joint = joint_parts(y, w, h, beta, weights)
    positive, negative = factor_parts(y, w, h, beta, weights)
    for found, wanted in zip((*joint, positive, negative), (*expected, *expected[:2]), strict=True):
        if found is not None:
            close(found, wanted, dtype)
    assert (joint.positive_w is None) == (positive is None) == (beta == 1 and not weighted)
    close(divergence_sum(y, w, h, beta, weights), expected.value, dtype)


def test_transposed_data_give_the_other_factor(generator):
    y = matrix((70, 40), 1.0, generator)
    w, h = factors((), (70, 40), 5, generator)
    close(factor_parts(y.mT, h, w, 1.0)[1], reference(y, w, h, 1.0, None).negative_h, F32)


def test_every_problem_has_its_own_data(generator):
    y, v = matrix((2, 20, 24), 1.0, generator), torch.rand(2, 20, 24, generator=generator)
    w, _ = factors((2,), (20, 24), 3, generator)
    _, h = factors((), (20, 24), 3, generator)
    expected = reference(y, w, h, 1.0, v)
    positive, negative = factor_parts(y, w, h, 1.0, v)
    close(positive, expected.positive_w, F32)
    close(negative, expected.negative_w, F32)
    (nested,) = divergence_sum(y[None], w[None], h, 1.0, v[None])
    close(nested, expected.value, F32)


def test_large_counts_and_data_of_any_sign(generator):
    y = matrix((40, 33), 1.0, generator, most=1e7)
    w, h = factors((), (40, 33), 5, generator)
    expected = reference(y, w, h, 1.0, None)
    found = joint_parts(y, w, h, 1.0)
    close(found.negative_w, expected.negative_w, F32)
    close(found.value, expected.value, F32)
    y = torch.randn(40, 33, generator=generator)
    w = torch.randn(40, 5, generator=generator)
    for found, wanted in zip(joint_parts(y, w, h, 2.0), reference(y, w, h, 2.0, None), strict=True):
        close(found, wanted, F32)


def test_the_same_input_gives_the_same_bits(generator):
    y = matrix((70, 140), 1.0, generator)
    w, h = factors((), (70, 140), 5, generator)
    first, second = joint_parts(y, w, h, 1.0), joint_parts(y, w, h, 1.0)
    assert torch.equal(first.negative_w, second.negative_w)
    assert torch.equal(first.negative_h, second.negative_h)
    assert torch.equal(first.value, second.value)


def test_no_data_no_parts():
    w, h = torch.ones(3, 2), torch.ones(0, 2)
    found = joint_parts(torch.ones(3, 0), w, h, 1.0)
    assert torch.equal(found.negative_w, torch.zeros(3, 2)) and found.value == 0
    assert found.negative_h.shape == (0, 2)


def csr(y, index):
    sparse = y.to_sparse_csr()
    return sparse.crow_indices().to(index), sparse.col_indices().to(index), sparse.values()


@pytest.mark.parametrize(
    ("beta", "rank", "data", "dtype", "index", "weighted", "batch"),
    [
        (1.0, 5, F32, F32, torch.int32, False, ()),
        (1.0, 33, BF16, F32, torch.int64, True, ()),
        (0.5, 16, F64, F64, torch.int64, False, (2,)),
        (1.5, 1, F16, F32, torch.int32, True, ()),
        (2.0, 5, F32, F32, torch.int32, False, ()),
        (3.0, 64, F32, F32, torch.int32, False, ()),
    ],
)
def test_stored_entries_equal_reference(beta, rank, data, dtype, index, weighted, batch, generator):
    m, n = 9, 23
    y = matrix((m, n), beta, generator)
    y[6] = 1  # a row that is cut, among rows that are not
    crow, col, values = csr(y, index)
    where = y.nonzero(as_tuple=True)
    dense = torch.zeros(m, n)
    dense[where] = torch.rand(len(col), generator=generator) + 0.1 if weighted else 1.0
    entries = Entries(crow, col, values.to(data), dense[where].to(data) if weighted else None)
    dense[where] = dense[where].to(data).float()
    w, h = factors(batch, (m, n), rank, generator, dtype)
    plan = row_plan(crow, len(col), chunk=8)
    expected = reference(y, w, h, beta, dense)
    positive, negative = row_parts(entries, w, h, beta, positive=True, plan=plan)
    close(positive, expected.positive_w, dtype)
    close(negative, expected.negative_w, dtype)
    assert (negative[..., 3, :] == 0).all()
    p = (w.double() @ h.double().mT)[(..., *where)]
    close(stored_predictions(entries, w, h, plan), p, dtype)
    close(stored_value(entries, w, h, beta), expected.value, dtype)
    beyond = expected.value - reference(torch.zeros(()), w, h, beta, dense).value
    close(stored_value(entries, w, h, beta, beyond_zero=True), beyond, dtype)


def test_stored_zeros_and_nothing_stored(generator):
    w, h = factors((), (4, 6), 3, generator)
    none = Entries(torch.zeros(5, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), w[0, :0])
    assert torch.equal(row_parts(none, w, h, 1.0)[1], torch.zeros(4, 3))
    assert stored_value(none, w, h, 1.0) == 0 and stored_predictions(none, w, h).shape == (0,)
    crow, col = torch.tensor([0, 2, 2, 3, 3]), torch.tensor([1, 4, 0])
    zeros = Entries(crow, col, torch.zeros(3))
    assert torch.equal(row_parts(zeros, w, h, 1.0)[1], torch.zeros(4, 3))
    p = stored_predictions(zeros, w, h)
    close(stored_value(zeros, w, h, 1.0), p.double().sum(), F32)


def test_long_and_short_rows_are_chunked_alike(generator):
    lengths = torch.tensor([0, 1, 8, 9, 0, 40, 7])
    crow = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    plan = row_plan(crow, 65, chunk=8)
    counts = plan.owner[plan.owner < 7].long().bincount(minlength=7)
    assert counts.tolist() == [1, 1, 1, 2, 1, 5, 1]
    assert torch.equal(plan.first.diff().long(), counts)


@pytest.mark.parametrize("interval", [(0.0, float("inf")), (0.1, 0.4), (-0.2, 0.6)])
@pytest.mark.parametrize(
    ("rank", "dtype", "batch", "own"),
    [(5, F64, (), False), (1, F32, (2,), False), (16, F32, (), False), (3, F64, (2,), True)],
)
def test_sweeps_equal_the_plain_ones(rank, dtype, batch, own, interval, generator):
    rows = 19
    x = torch.rand(*batch, rank, rows, generator=generator, dtype=dtype)
    a = torch.rand(*batch, *(rows,) * own, 9, rank, generator=generator, dtype=dtype)
    a[..., rank // 2] = 0
    cross = torch.randn(*batch, rows, rank, generator=generator, dtype=dtype).mT
    gram = a.mT @ a
    expected = plain_sweeps(x.mT, gram, cross.mT, None, interval, 2).mT
    found = fused_sweeps(x, gram, cross, *interval, 2)
    assert found.is_contiguous() and found.dtype == dtype
    close(found, expected.double(), dtype)


def test_sweeps_read_any_strides(generator):
    x, cross = torch.rand(2, 7, 3, generator=generator).mT, torch.rand(3, 7, generator=generator)
    gram = torch.eye(3).expand(7, 3, 3)
    expected = plain_sweeps(x.mT, torch.eye(3), cross.mT, None, (0.0, 2.0), 1).mT
    close(fused_sweeps(x, gram.expand(2, 7, 3, 3), cross, 0.0, 2.0, 1), expected, F32)
