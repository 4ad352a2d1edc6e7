"""Real and synthetic data as torch tensors, each with what is known about it."""

from rlra_torch.datasets.cache import ARCHIVES, Archive, archive_path, data_folder
from rlra_torch.datasets.calcium import CalciumTraces, calcium_traces
from rlra_torch.datasets.counts import Counts, load_counts
from rlra_torch.datasets.envi import write_abundances
from rlra_torch.datasets.hyperspectral import HyperspectralImage, load_image
from rlra_torch.datasets.libraries import Faces, SpectralLibrary, load_orl, load_usgs
from rlra_torch.datasets.matrices import load_matrix, open_matrix
from rlra_torch.datasets.movies import CalciumMovie, calcium_movie
from rlra_torch.datasets.notes import Spectrogram, note_spectrogram
from rlra_torch.datasets.photons import photon_counts
from rlra_torch.datasets.regions import ImageRegion, load_regions
from rlra_torch.datasets.spectral_files import Truth, load_library, load_truth, resampled
from rlra_torch.datasets.synthetic import LowRank, Mixture, low_rank_nonnegative, mixture
from rlra_torch.datasets.tensors import Kinetic, load_kinetic
from rlra_torch.datasets.topics import Topics, topics

__all__ = [
    "ARCHIVES",
    "Archive",
    "CalciumTraces",
    "CalciumMovie",
    "Counts",
    "Faces",
    "HyperspectralImage",
    "ImageRegion",
    "Kinetic",
    "LowRank",
    "Mixture",
    "SpectralLibrary",
    "Spectrogram",
    "Topics",
    "Truth",
    "archive_path",
    "calcium_traces",
    "calcium_movie",
    "data_folder",
    "load_counts",
    "load_image",
    "load_kinetic",
    "load_library",
    "load_matrix",
    "load_orl",
    "load_regions",
    "load_truth",
    "load_usgs",
    "low_rank_nonnegative",
    "mixture",
    "note_spectrogram",
    "open_matrix",
    "photon_counts",
    "resampled",
    "topics",
    "write_abundances",
]
