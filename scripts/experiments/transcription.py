"""Transcription of rendered pieces: onset F1 at 50 ms, and seconds.

    PYTHONPATH=. python scripts/experiments/transcription.py --soundfont FluidR3_GM.sf2 \\
        --network runs/transcriber/version_0/checkpoints/best.ckpt

Templates are of the piano of pretty_midi's soundfont. It plays first, then instruments of another
soundfont do. The threshold of onsets of each method is the best one on average over the pieces of
TUNING and the instruments; F1 is the mean over the pieces of HELD_OUT. The network is that of
configs/music/transcriber.yaml.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rlra_torch.applications.note_events import note_events, onset_f1
from rlra_torch.applications.note_templates import NoteTemplates, learn_notes
from rlra_torch.applications.transcription import sounding
from rlra_torch.datasets.ensembles import Ensemble
from rlra_torch.datasets.sounds import Note, rendered, score
from rlra_torch.functional.spectrograms import Analysis, ConstantQ
from rlra_torch.training import transcriber

TUNING = ("mozart/k545/movement1_exposition", "bach/bwv269", "schumann_robert/opus48no2")
HELD_OUT = ("bach/bwv846", "joplin/maple_leaf_rag", "mozart/k155/movement1", "bach/bwv66.6")
THRESHOLDS = (0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
PIANO = Ensemble((0,))
OTHERS = {"piano": 0, "electric piano": 4, "harpsichord": 6, "guitar": 24, "organ": 19}
# Five notes together, near and far, six times.
CHORDS = (
    (60, 64, 67, 71, 74),
    (48, 55, 60, 64, 72),
    (53, 60, 65, 69, 76),
    (50, 57, 62, 65, 69),
    (43, 59, 62, 67, 77),
    (45, 52, 61, 64, 81),
)


def piece(name: str, seconds: float) -> list[Note]:
    """The beginning of a piece; notes that two parts share count once."""
    found = {}
    for n in score(name):
        if n.offset <= seconds and n.offset - n.onset > 0.05 and n.pitch in PIANO.pitches:
            found.setdefault((round(n.onset, 3), n.pitch), n)
    return sorted(found.values())


def curve(truth: Sequence[Note], sound: Tensor, method: dict[str, Any]) -> Tensor:
    """F1 for each threshold."""
    notes, h = sounding(sound, **method)
    return torch.tensor([onset_f1(truth, note_events(h, notes, x))[2] for x in THRESHOLDS])


def methods(network: Path | None) -> dict[str, dict[str, Any]]:
    """What `transcribe` is called with."""
    alone = PIANO.alone(0)
    stft, cqt = learn_notes(alone, analysis=Analysis()), learn_notes(alone, analysis=ConstantQ())
    found: dict[str, dict[str, Any]] = {
        "fixed, STFT": {"notes": stft},
        "fixed, STFT, 4 frames": {"notes": learn_notes(alone, 4)},
        "adapted, STFT": {"notes": stft, "adapt": True},
        "fixed, CQT": {"notes": cqt},
        "adapted, CQT": {"notes": cqt, "adapt": True},
    }
    if network is not None:
        found["network, CQT"] = {"notes": cqt, "network": trained(network)}
    return found


def trained(checkpoint: Path) -> torch.nn.Module:
    """The network of a checkpoint."""
    state = torch.load(checkpoint, weights_only=False)["state_dict"]
    network = transcriber(PIANO)
    network.load_state_dict(
        {k.removeprefix("network."): v for k, v in state.items() if k.startswith("network.")}
    )
    return network


def chords(notes: NoteTemplates) -> None:
    """Six chords of five notes each, played by the piano of the templates."""
    truth = sorted(Note(0.2 + i, 1.0 + i, p) for i, chord in enumerate(CHORDS) for p in chord)
    sound = rendered(truth)
    scores = curve(truth, sound, {"notes": notes}).tolist()
    print("six chords of five notes, F1 for thresholds of", *THRESHOLDS)
    print(" " * 46, *(f"{x:.3f}" for x in scores))


def main() -> None:
    parser = argparse.ArgumentParser(description="onset F1 of rendered pieces, and seconds")
    parser.add_argument("--seconds", type=float, default=10, help="of each piece (default: 10)")
    parser.add_argument("--soundfont", type=Path, help="of the others, such as FluidR3_GM.sf2")
    parser.add_argument("--network", type=Path, help="checkpoint of a trained network")
    arguments = parser.parse_args()
    every = methods(arguments.network)
    chords(every["fixed, STFT"]["notes"])
    pieces = {name: piece(name, arguments.seconds) for name in TUNING + HELD_OUT}
    played = {"same": (0, None)}
    if arguments.soundfont:
        played |= {name: (program, arguments.soundfont) for name, program in OTHERS.items()}
    print(f"{'':24}{'threshold':>10}" + "".join(f"{who[:7]:>8}" for who in played), "  s")
    for name, method in every.items():
        begin = time.perf_counter()
        f1 = {
            (who, what): curve(truth, rendered(truth, soundfont, program), method)
            for who, (program, soundfont) in played.items()
            for what, truth in pieces.items()
        }
        best = int(torch.stack([f1[w, p] for w in played for p in TUNING]).mean(0).argmax())
        row = [float(torch.stack([f1[w, p] for p in HELD_OUT]).mean(0)[best]) for w in played]
        spent = (time.perf_counter() - begin) / len(f1)
        cells = "".join(f"{x:8.3f}" for x in row)
        print(f"{name:24}{THRESHOLDS[best]:10.2f}{cells}{spent:5.1f}", flush=True)


if __name__ == "__main__":
    main()
