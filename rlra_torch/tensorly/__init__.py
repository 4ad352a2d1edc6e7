"""Decompositions with the names, the arguments and the types of TensorLy: change one import.

Tensors of NumPy or, as under ``tensorly.set_backend("pytorch")``, of torch. Arguments that are not
here have no counterpart: what stops a fit is ``tol`` on the scale-free KKT residual.
"""

from .decompositions import (
    non_negative_parafac,
    non_negative_parafac_hals,
    non_negative_tucker_hals,
    parafac,
    tucker,
)

__all__ = [
    "non_negative_parafac",
    "non_negative_parafac_hals",
    "non_negative_tucker_hals",
    "parafac",
    "tucker",
]
