"""How good a result is: pure functions of tensors."""

from rlra_torch.metrics.consensus import (
    cluster_labels,
    component_stability,
    consensus_matrix,
    cophenetic_correlation,
    dispersion,
)
from rlra_torch.metrics.errors import (
    abundance_rmse,
    endmember_rmse,
    nmse,
    relative_error,
    rmse,
    sre,
)
from rlra_torch.metrics.factors import factor_match, match, match_abundances
from rlra_torch.metrics.spectral import mrsa, spectral_angle
from rlra_torch.metrics.spikes import merged_spikes, shift_correlation, spike_score
from rlra_torch.metrics.supports import support_score

__all__ = [
    "abundance_rmse",
    "cluster_labels",
    "component_stability",
    "consensus_matrix",
    "cophenetic_correlation",
    "dispersion",
    "endmember_rmse",
    "factor_match",
    "match",
    "match_abundances",
    "merged_spikes",
    "mrsa",
    "nmse",
    "relative_error",
    "rmse",
    "shift_correlation",
    "spectral_angle",
    "sre",
    "spike_score",
    "support_score",
]
