"""The solver file for benchopt, with a stand-in for it."""

import importlib.util
import sys
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

DRAW = np.random.default_rng(0)
X = DRAW.random((20, 3)) @ DRAW.random((3, 15))
START = [DRAW.random((20, 3)), DRAW.random((3, 15))]
for _factor in START:
    _factor.flags.writeable = False


class Criterion:
    def __init__(self, strategy, key_to_monitor):
        self.strategy, self.key_to_monitor = strategy, key_to_monitor


class BaseSolver:
    def run_once(self):
        self.run(counted(1))


def counted(count):
    """A callback that says to go on so many times."""
    answers = iter([True] * count + [False])
    return lambda: next(answers)


@pytest.fixture
def kind(monkeypatch):
    benchopt, criteria = ModuleType("benchopt"), ModuleType("benchopt.stopping_criterion")
    vars(benchopt).update(BaseSolver=BaseSolver, safe_import_context=nullcontext)
    vars(criteria).update(SufficientProgressCriterion=Criterion)
    monkeypatch.setitem(sys.modules, "benchopt", benchopt)
    monkeypatch.setitem(sys.modules, "benchopt.stopping_criterion", criteria)
    path = Path(__file__).parents[1] / "scripts" / "benchopt" / "rlra.py"
    spec = importlib.util.spec_from_file_location("rlra_solver", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Solver


def solver(kind, **parameters):
    """What benchopt makes of the parameters of a solver."""
    made = kind()
    vars(made).update(parameters)
    return made


def objective(loss, result):
    p = result["W"] @ result["H"]
    if loss == "frobenius":
        return 0.5 * np.square(X - p).sum()
    return (X * np.log(X / p) - X + p).sum()


def test_each_choice_of_parameters_comes_closer(kind):
    skipped = []
    for values in product(*kind.parameters.values()):
        parameters = dict(zip(kind.parameters, values, strict=True))
        made = solver(kind, **parameters)
        skip, reason = made.skip(X=X, rank=3, factors_init=START)
        if skip:
            assert "HALS needs a least-squares block" in reason
            skipped.append((parameters["iteration"], parameters["loss"]))
            continue
        made.set_objective(X=X, rank=3, factors_init=START)
        assert made.stopping_criterion.key_to_monitor == f"objective_{parameters['loss']}"
        made.warm_up()
        made.run(counted(0))
        begin = made.get_result()
        np.testing.assert_array_equal(begin["W"], START[0])
        np.testing.assert_array_equal(begin["H"], START[1])
        made.run(counted(30))
        end = objective(parameters["loss"], made.get_result())
        assert end < 0.1 * objective(parameters["loss"], begin)
    assert set(skipped) == {("hals", "kullback-leibler")}


def test_without_a_start(kind):
    made = solver(kind, loss="kullback-leibler", iteration="mu", extrapolated=False)
    made.set_objective(X=X, rank=3, factors_init=None)
    made.run(counted(3))
    result = made.get_result()
    assert result["W"].shape == (20, 3) and result["H"].shape == (3, 15)


def test_data_that_cannot_be_taken_are_skipped(kind):
    made = solver(kind, loss="frobenius", iteration="mu", extrapolated=False)
    assert made.skip(X=X.astype(int), rank=3) == (
        True,
        "X must be real floating point (float32 or float64), got int64; convert it, for instance "
        "with .astype(float)",
    )
