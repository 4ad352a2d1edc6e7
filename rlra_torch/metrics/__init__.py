"""How good a result is: pure functions of tensors."""

from rlra_torch.metrics.consensus import (
    cluster_labels,
    component_stability,
    consensus_matrix,
    cophenetic_correlation,
    dispersion,
)
from rlra_torch.metrics.errors import abundance_rmse, nmse, relative_error, rmse
from rlra_torch.metrics.factors import factor_match, match
from rlra_torch.metrics.spectral import mrsa, spectral_angle
from rlra_torch.metrics.spikes import shift_correlation, spike_score
from rlra_torch.metrics.supports import support_score

__all__ = [
    "abundance_rmse",
    "cluster_labels",
    "component_stability",
    "consensus_matrix",
    "cophenetic_correlation",
    "dispersion",
    "factor_match",
    "match",
    "mrsa",
    "nmse",
    "relative_error",
    "rmse",
    "shift_correlation",
    "spectral_angle",
    "spike_score",
    "support_score",
]
