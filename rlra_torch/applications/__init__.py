"""Applications: each chooses a model, a loss, regularizers, a start and what is worth showing."""

from .calcium import CalciumSpikes, calcium_spikes
from .note_templates import NoteTemplates, learn_notes
from .reconstruction import reconstruct
from .recovery import Recovery, recover
from .singlepixel import SinglePixel, unmix_measurements
from .transcription import transcribe
from .unmixed import Unmixing
from .unmixing import unmix

__all__ = [
    "CalciumSpikes",
    "NoteTemplates",
    "Recovery",
    "SinglePixel",
    "Unmixing",
    "calcium_spikes",
    "learn_notes",
    "reconstruct",
    "recover",
    "transcribe",
    "unmix",
    "unmix_measurements",
]
