"""Training: what Lightning needs to fit networks that factorize matrices."""

from .comparison import Baseline, Comparison
from .curves import LearningCurves
from .errors import (
    LogError,
    angle,
    cosine_distance,
    mean_squared_error,
    normalized_error,
    root_mean_squared_error,
    squared_error,
)
from .factorizer import Factorizer, Found
from .layer_weights import LastLayer, LayerWeights, LinearlySpaced, LogSpaced
from .mixtures import Mixtures, Sizes, SpectralMixtures, SyntheticMixtures
from .networks import implicit_nnls
from .patches import ImagePatches
from .paths import ErrorPaths
from .recordings import Loudness, Recordings, transcriber
from .scaling import sum_to_one, unit_columns, unit_sums
from .supervision import FactorSupervision, Mixed, Reconstruction, Supervision, Term

__all__ = [
    "Baseline",
    "Comparison",
    "ErrorPaths",
    "FactorSupervision",
    "Factorizer",
    "Found",
    "ImagePatches",
    "LastLayer",
    "LayerWeights",
    "LearningCurves",
    "LinearlySpaced",
    "LogError",
    "LogSpaced",
    "Loudness",
    "Mixed",
    "Mixtures",
    "Reconstruction",
    "Recordings",
    "Sizes",
    "SpectralMixtures",
    "Supervision",
    "SyntheticMixtures",
    "Term",
    "angle",
    "cosine_distance",
    "implicit_nnls",
    "mean_squared_error",
    "normalized_error",
    "root_mean_squared_error",
    "squared_error",
    "sum_to_one",
    "transcriber",
    "unit_columns",
    "unit_sums",
]
