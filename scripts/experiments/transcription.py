"""Transcription of the Prelude in C major, BWV 846: onset F1 at 50 ms, and seconds.

    PYTHONPATH=. python scripts/experiments/transcription.py --seconds 60

Templates of isolated notes of the instrument that plays, then of others: fixed, and adapted to the
recording. The soundfont is that of pretty_midi, and a second one where it is given.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from rlra_torch.applications.note_events import onset_f1
from rlra_torch.applications.note_templates import NoteTemplates, learn_notes
from rlra_torch.applications.transcription import transcribe
from rlra_torch.datasets.sounds import Note, read_midi, rendered, score

PITCHES = range(36, 85)
THRESHOLDS = (0.04, 0.06, 0.1, 0.15, 0.2)


def alone(program: int = 0, soundfont: Path | None = None) -> dict[int, Tensor]:
    """Each note from C2 to C6 for 0.8 seconds."""
    notes = (Note(0.1, 0.9, p) for p in PITCHES)
    return {n.pitch: rendered([n], soundfont, program, tail=0.1) for n in notes}


def templates(other: Path | None) -> Iterator[tuple[str, NoteTemplates, bool]]:
    """Name, templates, and whether they adapt."""
    same = alone()
    yield "same piano, NMF", learn_notes(same), False
    for window in (4, 8):
        yield f"same piano, CNMF, {window} frames", learn_notes(same, window), False
    others = [("harpsichord", 6, None), ("organ", 19, None)]
    others += [("other piano", 0, other)] if other else []
    for name, program, soundfont in others:
        learned = learn_notes(alone(program, soundfont))
        yield f"{name}, fixed", learned, False
        yield f"{name}, adapted", learned, True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="of the piece (default: 60)")
    parser.add_argument("--midi", type=Path, help="another piece")
    parser.add_argument("--soundfont", type=Path, help="of the other piano, such as FluidR3_GM.sf2")
    arguments = parser.parse_args()
    piece = read_midi(arguments.midi) if arguments.midi else score()
    truth = [n for n in piece if n.offset <= arguments.seconds]
    sound = rendered(truth)
    print(f"{len(truth)} notes, {len(sound) / 22050:.0f} s; onset F1 for thresholds of onsets")
    print(f"{'templates':28}" + "".join(f"{x:>8}" for x in THRESHOLDS) + f"{'seconds':>9}")
    for name, notes, adapt in templates(arguments.soundfont):
        begin, scores = time.perf_counter(), []
        for threshold in THRESHOLDS:
            found = transcribe(sound, notes, adapt=adapt, threshold=threshold)
            scores.append(onset_f1(truth, found)[2])
        spent = (time.perf_counter() - begin) / len(THRESHOLDS)
        row = "".join(f"{x:8.3f}" for x in scores)
        print(f"{name:28}{row}{spent:9.1f}", flush=True)


if __name__ == "__main__":
    main()
