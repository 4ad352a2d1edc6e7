"""Iterations: torch modules that improve a state and do nothing else."""

from .accelerated import AcceleratedMU
from .active_set import ActiveSet
from .admm import ADMM
from .alternating import Alternating, Counted
from .balanced import Balanced
from .base import BlockIteration, Iteration, State, iterates, require_iteration
from .best_subset import BestSubset
from .burg import BurgMirrorDescent
from .carried import Carried
from .combinators import Regularized, Repeat
from .coordinate import CoordinateNewton, ScalarNewton
from .coupled_admm import CoupledADMM
from .direct_fitting import DirectFitting
from .extrapolated import Extrapolated
from .gained import Gain, Gained
from .gradient import FISTA, ProjectedGradient
from .hals import HALS
from .homotopy import Homotopy
from .hooi import HOOI
from .imputed import Imputed
from .inertial import Inertial
from .inertial_descent import InertialDescent
from .joint import JointMM
from .lista import LISTA
from .majorized import Majorized
from .marginals import Marginals
from .mu import MU
from .nesterov import Nesterov
from .newton import ProjectedNewton
from .pro_als import ProALS, ProcoALS
from .projected_ls import ProjectedLeastSquares
from .safeguarded import Safeguarded
from .som import MSOM, SOM
from .sparse_nnls import SparseNNLS

__all__ = [
    "ADMM",
    "FISTA",
    "HALS",
    "HOOI",
    "LISTA",
    "MSOM",
    "MU",
    "SOM",
    "AcceleratedMU",
    "ActiveSet",
    "Alternating",
    "Balanced",
    "BestSubset",
    "BlockIteration",
    "BurgMirrorDescent",
    "Carried",
    "CoordinateNewton",
    "CoupledADMM",
    "Counted",
    "DirectFitting",
    "Extrapolated",
    "Gain",
    "Gained",
    "Homotopy",
    "Imputed",
    "Inertial",
    "InertialDescent",
    "Iteration",
    "JointMM",
    "Majorized",
    "Marginals",
    "Nesterov",
    "ProALS",
    "ProcoALS",
    "ProjectedGradient",
    "ProjectedLeastSquares",
    "ProjectedNewton",
    "Regularized",
    "Repeat",
    "Safeguarded",
    "ScalarNewton",
    "SparseNNLS",
    "State",
    "iterates",
    "require_iteration",
]
