"""Figures: pure functions from tensors to matplotlib figures, and one that saves them."""

from rlra_torch.plots.comparison import maps_against_truth
from rlra_torch.plots.components import Mode, components
from rlra_torch.plots.consistency import core_consistencies
from rlra_torch.plots.curves import Record, convergence
from rlra_torch.plots.deconvolution import deconvolution, transition
from rlra_torch.plots.evolving import evolving
from rlra_torch.plots.feasible import feasible_regions
from rlra_torch.plots.maps import abundance_maps
from rlra_torch.plots.overlays import abundance_overlay, pixels_on_image
from rlra_torch.plots.paths import penalty_path
from rlra_torch.plots.piano_roll import piano_roll
from rlra_torch.plots.races import race
from rlra_torch.plots.ranks import rank_curves
from rlra_torch.plots.recovery import Panel, recovery
from rlra_torch.plots.spectra import spectra
from rlra_torch.plots.style import OKABE_ITO, save

__all__ = [
    "OKABE_ITO",
    "Mode",
    "Panel",
    "Record",
    "abundance_maps",
    "abundance_overlay",
    "components",
    "convergence",
    "core_consistencies",
    "deconvolution",
    "evolving",
    "feasible_regions",
    "maps_against_truth",
    "penalty_path",
    "piano_roll",
    "pixels_on_image",
    "race",
    "rank_curves",
    "recovery",
    "save",
    "spectra",
    "transition",
]
