"""The patterns of single-pixel cameras equal their dense matrices."""

import time

import pytest
import torch
from scipy.linalg import hadamard
from torch.testing import assert_close

from rlra_torch.functional.hadamard import ORDERS, pattern_order, walsh_hadamard
from rlra_torch.models import NMF, Sensed
from rlra_torch.operators import Adapted, RasterScan, SMatrix, SplitHadamard

F64 = torch.float64


def full(n):
    return torch.from_numpy(hadamard(n)).double()


def cameras():
    draw = torch.Generator().manual_seed(3)
    some = torch.randperm(64, generator=draw)
    for order in ORDERS:
        for count in (None, 1, 21):
            yield SplitHadamard((8, 8), order, count)
    yield SplitHadamard((4, 8), "cake_cutting", 11)
    yield SplitHadamard((32,), "sequency")
    yield SplitHadamard((8, 8), some[some != 0][:20])
    yield SplitHadamard((1,))
    yield SMatrix((7, 9))
    yield SMatrix((15,), "sequency", 6)
    yield RasterScan((3, 5))
    yield RasterScan((3, 5), 4, torch.randperm(15, generator=draw))


def dense(camera):
    """The matrix from its definition alone."""
    n, rows = camera.pixels, camera.chosen
    if isinstance(camera, RasterScan):
        return torch.eye(n, dtype=F64)[rows]
    if isinstance(camera, SMatrix):
        return (1 - full(n + 1)[rows][:, 1:]) / 2
    h = full(n)[rows]
    return torch.cat([(1 + h) / 2, ((1 - h) / 2)[rows != 0]])


@pytest.mark.parametrize("camera", list(cameras()), ids=str)
def test_equals_its_matrix(camera):
    a, draw = dense(camera), torch.Generator().manual_seed(0)
    x = torch.randn(2, camera.pixels, 3, dtype=F64, generator=draw)
    y = torch.randn(2, camera.measurements, 3, dtype=F64, generator=draw)
    assert len(a) == camera.measurements
    assert_close(camera(x), a @ x)
    assert_close(camera.adjoint(y), a.mT @ y)
    assert_close(camera.pseudo_inverse(y), torch.linalg.pinv(a) @ y)
    normal = a.mT @ a + 0.3 * torch.eye(camera.pixels, dtype=F64)
    found = torch.linalg.solve(normal, x)
    assert_close(camera.resolvent(x, 0.3), found)
    rho = torch.tensor([0.3, 2.0, 50.0], dtype=F64)
    assert_close(camera.resolvent(x, rho)[..., 0], found[..., 0])
    back = camera.resolvent(x, rho)
    assert_close(a.mT @ a @ back + rho * back, x)
    assert torch.autograd.gradcheck(camera, (x[0, :, :1].requires_grad_(),))


@pytest.mark.parametrize("order", ORDERS)
def test_large_split_hadamard(order):
    for count in (None, 1000):
        camera = SplitHadamard((64, 64), order, count)
        a = dense(camera)
        x = torch.rand(4096, 1, dtype=F64, generator=torch.Generator().manual_seed(1))
        y = a @ x
        assert_close(camera(x), y)
        assert_close(camera.adjoint(y), a.mT @ y)
        # A A^+ A = A and A^+ y in the row space characterize the pseudo-inverse.
        back = camera.pseudo_inverse(y)
        assert_close(camera(back), y)
        if count is None:
            assert_close(back, x)


def test_normal_operator_of_all_patterns():
    n, camera = 64, SplitHadamard((8, 8), "cake_cutting")
    eye = torch.eye(n, dtype=F64)
    assert_close(camera.adjoint(camera(eye)), n / 2 * (eye + 1))


def test_orders_count_sign_changes():
    h = full(16)
    changes = (h.diff(dim=1) != 0).sum(1)
    assert changes[pattern_order((16,), "sequency")].tolist() == list(range(16))
    for order in ORDERS:
        rows = pattern_order((4, 8), order)
        assert rows[0] == 0 and sorted(rows.tolist()) == list(range(32))
    pictures = full(32)[pattern_order((4, 8), "cake_cutting")].reshape(32, 4, 8)
    pieces = [
        int((p[0].diff() != 0).sum() + 1) * int((p[:, 0].diff() != 0).sum() + 1) for p in pictures
    ]
    assert pieces == sorted(pieces)


def test_transform_of_a_picture_is_that_of_its_pixels():
    x = torch.rand(4, 8, dtype=F64, generator=torch.Generator().manual_seed(2))
    assert_close(walsh_hadamard(x.reshape(32, 1)).reshape(4, 8), full(4) @ x @ full(8))


def test_measurements_in_pairs():
    camera = SplitHadamard((4, 4), "sequency", 5)
    h = full(16)[camera.chosen]
    x = torch.rand(16, 2, dtype=F64, generator=torch.Generator().manual_seed(4))
    alternating = torch.stack([(1 + h) @ x / 2, (1 - h) @ x / 2], 1).flatten(0, 1)
    y, dark = camera.from_pairs(alternating + 0.5)
    assert_close(y, camera(x) + 0.5)
    assert_close(dark, torch.full((2,), 0.5, dtype=F64))


@pytest.mark.slow
def test_a_megapixel_takes_less_than_a_second():
    camera = SplitHadamard((1024, 1024))
    x = torch.rand(1024 * 1024, 1)
    camera(x)
    begin = time.perf_counter()
    camera(x)
    assert time.perf_counter() - begin < 1


class Physics:
    """What deepinv's operators look like."""

    def __init__(self, a):
        self.a = a

    def A(self, x):  # noqa: N802
        return x.flatten(2) @ self.a.mT

    def A_adjoint(self, y):  # noqa: N802
        return (y @ self.a).reshape(len(y), 1, 4, 4)


class Camera(torch.nn.Module):
    """What spyrit's operators look like; their A is a matrix."""

    def __init__(self, a):
        super().__init__()
        self.A = a

    def measure(self, x):
        return x.flatten(-2) @ self.A.mT

    def adjoint(self, y):
        return y @ self.A


@pytest.mark.parametrize("kind", [Physics, Camera])
def test_foreign_operators(kind):
    a = torch.rand(9, 16, dtype=F64, generator=torch.Generator().manual_seed(5))
    camera = Adapted(kind(a), (4, 4), F64)
    x = torch.rand(2, 16, 3, dtype=F64, generator=torch.Generator().manual_seed(6))
    y = torch.rand(2, 9, 3, dtype=F64, generator=torch.Generator().manual_seed(7))
    assert camera.measurements == 9
    assert_close(camera(x), a @ x)
    assert_close(camera.adjoint(y), a.mT @ y)
    w, v = x[0, :, :2], x[1, :5, :2]
    assert_close(Sensed(NMF(), camera)((w, v)), a @ w @ v.mT)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SplitHadamard((3, 5)), ["power of two", "15"]),
        (lambda: SplitHadamard((6, 6), "sequency"), ["power of two", "36"]),
        (lambda: SplitHadamard((4, 4), "random"), ["cake_cutting", "random"]),
        (lambda: SplitHadamard((4, 4), torch.tensor([1, 1])), ["each once"]),
        (lambda: SplitHadamard((4, 4), torch.tensor([16])), ["0 to 15"]),
        (lambda: SplitHadamard((4, 4), "natural", 17), ["1 to 16", "17"]),
        (lambda: SMatrix((4, 4)), ["power of two", "17"]),
        (lambda: SplitHadamard((4, 4))(torch.ones(15, 1)), ["16 pixels", "(15, 1)"]),
        (lambda: SplitHadamard((4, 4)).adjoint(torch.ones(30, 1)), ["31 measure", "(30, 1)"]),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert all(word in str(caught.value) for word in words)


def test_not_an_operator():
    with pytest.raises(TypeError, match="neither measure and adjoint nor A and A_adjoint"):
        Adapted(object(), (2, 2))
