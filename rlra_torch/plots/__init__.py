"""Figures: pure functions from tensors to matplotlib figures, and one that saves them."""

from rlra_torch.plots.components import Mode, components
from rlra_torch.plots.consistency import core_consistencies
from rlra_torch.plots.curves import Record, convergence
from rlra_torch.plots.evolving import evolving
from rlra_torch.plots.maps import abundance_maps
from rlra_torch.plots.paths import penalty_path
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
    "components",
    "convergence",
    "core_consistencies",
    "evolving",
    "penalty_path",
    "race",
    "rank_curves",
    "recovery",
    "save",
    "spectra",
]
