"""A solver file for benchopt's benchmark_nmf.

Copy it into ``solvers/`` of a clone of https://github.com/benchopt/benchmark_nmf, in an environment
where rlra_torch is installed, and run ``benchopt run . -s rlra_torch`` there.
"""

from benchopt import BaseSolver, safe_import_context
from benchopt.stopping_criterion import SufficientProgressCriterion

with safe_import_context() as import_ctx:
    import torch

    from rlra_torch.estimators.inputs import to_tensor
    from rlra_torch.estimators.names import iteration_named, loss_named, matrix_start
    from rlra_torch.iterations import Alternating, Extrapolated
    from rlra_torch.models import NMF
    from rlra_torch.problem import Problem
    from rlra_torch.regularizers import NonNegative

LOSSES = {"frobenius": "frobenius", "kullback-leibler": "kl"}


class Solver(BaseSolver):
    """Iterations of rlra_torch, from the same start as all others."""

    name = "rlra_torch"

    parameters = {
        "loss": list(LOSSES),
        "iteration": ["hals", "mu"],
        "extrapolated": [False, True],
    }

    sampling_strategy = "callback"
    stopping_criterion = SufficientProgressCriterion(
        strategy="callback", key_to_monitor="objective_frobenius"
    )

    def skip(self, X, rank, factors_init=None):  # noqa: N803
        """Whether the iteration cannot do with the loss, and why."""
        try:
            self._step().check(self._problem(X))
        except (TypeError, ValueError) as error:
            return True, str(error)
        return False, None

    def set_objective(self, X, rank, factors_init=None):  # noqa: N803
        """Take the data, (m, n), and the start, (m, r) and (r, n) or None."""
        self.stopping_criterion.key_to_monitor = f"objective_{self.loss}"
        self.problem, self.step = self._problem(X), self._step()
        if factors_init:
            w, h = (to_tensor(x, "factor")[0] for x in factors_init)
            self.start = w, h.mT.contiguous()
        else:
            begin = matrix_start("random", self.problem.y, rank, 0)
            self.start = self.problem.scaled(begin)
        self.factors = self.start

    def warm_up(self):
        """What a first call costs is not counted."""
        self.run_once()

    def run(self, callback):
        """One iteration between two calls of the callback."""
        with torch.no_grad():
            state = self.step.init(self.start, self.problem)
            self.factors = state.factors
            while callback():
                state = self.step(state, self.problem)
                self.factors = state.factors

    def get_result(self):
        """W (m, r) and H (r, n)."""
        w, h = (x.cpu().numpy() for x in self.factors)
        return {"W": w, "H": h.T}

    def _problem(self, data):
        y, _ = to_tensor(data, "X")
        return Problem(y, NMF(), self._loss(), (NonNegative(), NonNegative()))

    def _loss(self):
        return loss_named(LOSSES[self.loss])

    def _step(self):
        step = iteration_named(self.iteration, self._loss())
        return Extrapolated(step) if self.extrapolated and isinstance(step, Alternating) else step
