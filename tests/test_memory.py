"""Memory: what there is, what a solve takes, and the sentence when it does not fit."""

import pytest
import torch
from zoo import BLOCK_ITERATIONS, example, uniform

from rlra_torch.functional import memory as there
from rlra_torch.functional.memory import available_bytes, peak_bytes
from rlra_torch.iterations import HALS, MU, Alternating
from rlra_torch.losses import KullbackLeibler
from rlra_torch.models import NMF
from rlra_torch.problem import Problem
from rlra_torch.regularizers import NonNegative
from rlra_torch.solvers import memory, solve
from rlra_torch.solvers.memory import solve_bytes


def test_what_there_is(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(there.psutil, "virtual_memory", lambda: type("", (), {"available": 700}))
    for group, expected in ((None, 700), (900, 700), (300, 300)):
        monkeypatch.setattr(there, "_control_group", lambda group=group: group)
        assert available_bytes(cpu) == expected
    assert available_bytes(torch.device("meta")) is None


def test_cuda_counts_what_is_kept_and_not_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 30)
    assert available_bytes(torch.device("cuda")) == 120


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_container(version, tmp_path):
    names = {1: ("limit_in_bytes", "usage_in_bytes"), 2: ("max", "current")}[version]
    folder = tmp_path / "memory" if version == 1 else tmp_path
    folder.mkdir(exist_ok=True)
    assert there._control_group(tmp_path) is None
    for name, value in zip(names, ("1000\n", "700\n"), strict=True):
        (folder / f"memory.{name}").write_text(value)
    (folder / "memory.stat").write_text("anon 500\ninactive_file 100\n")
    assert there._control_group(tmp_path) == 400
    (folder / f"memory.{names[0]}").write_text("max\n")
    assert there._control_group(tmp_path) is None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", BLOCK_ITERATIONS)
def test_the_plan_is_what_is_taken(name, weighted, generator):
    """On tensors with values the same operators make the same storages."""
    case = BLOCK_ITERATIONS[name]
    iteration = Alternating(case.make())
    for loss in case.losses[:2]:
        problem, start = example(generator, "nmf", loss, case.reg, batch=(3,))
        weights = uniform(generator, *problem.y.shape) if weighted else None
        problem = Problem(problem.y, problem.model, problem.loss, problem.regs, weights)

        @torch.no_grad()
        def once(problem=problem, start=start):
            after = iteration(iteration.init(start, problem), problem)
            problem.objective(after.factors), problem.kkt(after.factors)

        planned, taken = solve_bytes(iteration, problem, start), peak_bytes(once)
        assert planned is not None and taken <= planned <= 1.7 * taken


def test_data_that_all_share_is_planned_once(generator):
    y, start = uniform(generator, 60, 50), (torch.ones(8, 60, 2), torch.ones(8, 50, 2))
    start = tuple(x.double() for x in start)
    regs = (NonNegative(), NonNegative())
    from rlra_torch.losses import Frobenius

    plans = [
        solve_bytes(Alternating(HALS()), Problem(data, NMF(), Frobenius(), regs), start)
        for data in (y.expand(8, 60, 50), y.repeat(8, 1, 1))
    ]
    assert plans[0] <= plans[1]


@pytest.mark.parametrize(
    ("batch", "dtype", "advice"),
    [
        ((), torch.float64, "use float32"),
        ((), torch.float32, "use a machine with more, or less data"),
        ((5,), torch.float32, "solve fewer than 5 problems at once"),
    ],
)
def test_too_much_gets_one_sentence_before_any_work(batch, dtype, advice, monkeypatch):
    y = torch.ones(*batch, 300, 200, dtype=dtype)
    problem = Problem(y, NMF(), KullbackLeibler(), (NonNegative(), NonNegative()))
    start = tuple(torch.ones(*batch, size, 2, dtype=dtype) for size in (300, 200))
    monkeypatch.setattr(memory, "SMALL", 0)
    called = []
    for free in (100, y.numel() * y.element_size()):
        monkeypatch.setattr(memory, "available_bytes", lambda device, free=free: free)
        with pytest.raises(MemoryError, match=f"MB are free on cpu; {advice}") as caught:
            solve(Alternating(MU()), problem, start, callbacks=[called.append])
        assert "this solve needs" in str(caught.value) and not called
    monkeypatch.setattr(memory, "available_bytes", lambda device: 10**9)
    assert solve(Alternating(MU()), problem, start, max_iter=1).n_iter.max() <= 1


def test_what_cannot_be_planned_is_tried(generator, monkeypatch):
    """An iteration that reads values has no plan without them."""

    class Reads(Alternating):
        def forward(self, state, problem):
            assert float(state.factors[0].sum()) > 0
            return super().forward(state, problem)

    problem, start = example(generator)
    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1)
    assert solve_bytes(Reads(HALS()), problem, start) is None
    assert solve(Reads(HALS()), problem, start, max_iter=2, tol=0).n_iter == 2
