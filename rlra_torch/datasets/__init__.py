"""Real and synthetic data as torch tensors, each with what is known about it."""

from rlra_torch.datasets.cache import ARCHIVES, Archive, archive_path, data_folder
from rlra_torch.datasets.hyperspectral import HyperspectralImage, load_image
from rlra_torch.datasets.libraries import Faces, SpectralLibrary, load_orl, load_usgs
from rlra_torch.datasets.matrices import load_matrix
from rlra_torch.datasets.synthetic import LowRank, Mixture, low_rank_nonnegative, mixture
from rlra_torch.datasets.tensors import Kinetic, load_kinetic

__all__ = [
    "ARCHIVES",
    "Archive",
    "Faces",
    "HyperspectralImage",
    "Kinetic",
    "LowRank",
    "Mixture",
    "SpectralLibrary",
    "archive_path",
    "data_folder",
    "load_image",
    "load_kinetic",
    "load_matrix",
    "load_orl",
    "load_usgs",
    "low_rank_nonnegative",
    "mixture",
]
