"""Starting factors: pure functions of the data and the rank, on the data's device and dtype."""

from rlra_torch.initialization.dropped_quadratic import dropped_quadratic, windows_of
from rlra_torch.initialization.jennrich import jennrich
from rlra_torch.initialization.loudest import loudest_windows
from rlra_torch.initialization.nndsvd import nndsvd
from rlra_torch.initialization.random import random_factors
from rlra_torch.initialization.spa import spa, spa_indices
from rlra_torch.initialization.svd_modes import hosvd_factors, hosvd_nonnegative

__all__ = [
    "dropped_quadratic",
    "hosvd_factors",
    "hosvd_nonnegative",
    "jennrich",
    "loudest_windows",
    "nndsvd",
    "random_factors",
    "spa",
    "spa_indices",
    "windows_of",
]
