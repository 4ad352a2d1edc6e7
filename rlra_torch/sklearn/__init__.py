"""Factorizations with the faces, names and defaults of scikit-learn: change one import.

What is added is `device`, and tensors of torch as input. It is the extra ``rlra-torch[sklearn]``.
"""

from .dictionary import DictionaryNMF
from .minibatch import MiniBatchNMF
from .nmf import NMF, non_negative_factorization
from .separable import SeparableNMF

__all__ = [
    "NMF",
    "DictionaryNMF",
    "MiniBatchNMF",
    "SeparableNMF",
    "non_negative_factorization",
]
