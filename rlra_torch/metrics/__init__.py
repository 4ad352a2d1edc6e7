"""How good a result is: pure functions of tensors."""

from rlra_torch.metrics.errors import abundance_rmse, nmse, relative_error, rmse
from rlra_torch.metrics.factors import factor_match, match
from rlra_torch.metrics.spectral import mrsa, spectral_angle

__all__ = [
    "abundance_rmse",
    "factor_match",
    "match",
    "mrsa",
    "nmse",
    "relative_error",
    "rmse",
    "spectral_angle",
]
