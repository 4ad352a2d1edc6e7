"""``rlra learn-notes`` and ``rlra transcribe``: which notes a recording has, and when."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .options import add_config, add_said, count


def add_learn_notes(commands: Any) -> None:  # noqa: ANN401
    """Add the parser of ``rlra learn-notes``."""
    parser = commands.add_parser(
        "learn-notes",
        usage="rlra learn-notes FOLDER [-o FILE] [options]",
        help="learn what each note of an instrument sounds like",
        description=(
            "Learn a template of each note from a folder of sounds, one file for each note,\n"
            "its pitch in the name: 60.wav, C4.wav, F#3.flac or ISOL_M60_S0.wav."
        ),
        epilog=(
            "examples:\n"
            "  rlra learn-notes piano/ --window 4 -o piano.npz\n"
            "  rlra learn-notes piano/ --config configs/music/learn_notes.yaml -o frames.npz"
        ),
    )
    parser.set_defaults(run=_run_learn_notes, configured=True)
    add_config(parser)
    parser.add_argument("folder", metavar="FOLDER", help="sounds of isolated notes")
    parser.add_argument(
        "-o",
        "--notes",
        default="notes.npz",
        metavar="FILE",
        help="where the templates go (default: %(default)s)",
    )
    parser.add_argument(
        "--window",
        type=count,
        default=1,
        metavar="N",
        help="frames of 20 ms of a template: 1 for NMF (default), 4 for convolutive NMF",
    )
    parser.add_argument(
        "--representation",
        choices=("stft", "cqt"),
        default="stft",
        help="rows of the spectra: at equal distances, or quarter tones (default: %(default)s)",
    )
    add_said(parser)


def add_transcribe(commands: Any) -> None:  # noqa: ANN401
    """Add the parser of ``rlra transcribe``."""
    parser = commands.add_parser(
        "transcribe",
        usage="rlra transcribe SOUND -o FILE.mid [options]",
        help="turn a recording into MIDI",
        description=(
            "Find the notes of a recording by Kullback-Leibler regression on templates.\n"
            "Writes a MIDI file, and a figure of the notes beside it."
        ),
        epilog=(
            "examples:\n"
            "  rlra transcribe song.wav --notes piano.npz -o song.mid\n"
            "  rlra transcribe song.wav --notes frames.npz --adapt -o song.mid\n"
            "  rlra transcribe song.wav --notes frames.npz \\\n"
            "      --config configs/music/transcribe.yaml -o song.mid"
        ),
    )
    parser.set_defaults(run=_run_transcribe, configured=True)
    add_config(parser)
    parser.add_argument("sound", metavar="SOUND", help="a recording: .wav, .flac, .ogg, ...")
    parser.add_argument("-o", "--midi", required=True, metavar="FILE", help="where the notes go")
    parser.add_argument(
        "--notes",
        default="notes.npz",
        metavar="FILE",
        help="templates by rlra learn-notes (default: %(default)s)",
    )
    parser.add_argument(
        "--adapt", action="store_true", help="another instrument: move the templates, of one frame"
    )
    parser.add_argument("--truth", metavar="FILE", help="MIDI of what was played, to score with")
    parser.add_argument(
        "--threshold", type=float, metavar="X", help="of onsets, relative to the strongest"
    )
    add_said(parser)


def _run_learn_notes(arguments: argparse.Namespace) -> None:
    from ..applications.note_templates import learn_notes, read_notes
    from ..applications.output import check_writable
    from ..functional.spectrograms import REPRESENTATIONS

    out = Path(arguments.notes).with_suffix(".npz")
    check_writable(out.parent, [out.name])
    analysis = REPRESENTATIONS[arguments.representation]()
    learned = learn_notes(read_notes(arguments.folder), arguments.window, analysis)
    learned.save(out)
    if arguments.json:
        pitches = [int(pitch) for pitch in learned.pitches]
        print(json.dumps({"pitches": pitches, "files": [str(out)]}))
    elif not arguments.quiet:
        print(f"{len(learned.pitches)} notes, MIDI {learned.pitches[0]} to {learned.pitches[-1]}")
        print(out)


def _run_transcribe(arguments: argparse.Namespace) -> None:
    from ..applications.note_events import onset_f1
    from ..applications.note_templates import NoteTemplates
    from ..applications.output import written_together
    from ..applications.transcription import transcribe
    from ..datasets.sounds import read_midi, read_sound, write_midi
    from ..plots import piano_roll, save

    if not Path(arguments.notes).is_file():
        raise FileNotFoundError(
            f"no templates at '{arguments.notes}'; `rlra learn-notes FOLDER` makes them"
        )
    notes = NoteTemplates.load(arguments.notes)
    out = Path(arguments.midi).with_suffix(".mid")
    truth = read_midi(arguments.truth) if arguments.truth else None
    found = transcribe(
        read_sound(arguments.sound, notes.analysis.rate),
        notes,
        adapt=arguments.adapt,
        threshold=arguments.threshold,
    )
    files = (out.name, f"{out.stem}.png")
    with written_together(out.parent, files) as folder:
        write_midi(found, folder / files[0])
        save(piano_roll(found, truth, Path(arguments.sound).name), folder / files[1])
    result: dict[str, Any] = {"notes": len(found)}
    if truth is not None:
        result |= zip(("precision", "recall", "f1"), onset_f1(truth, found), strict=True)
    result["files"] = [str(out.parent / name) for name in files]
    if arguments.json:
        print(json.dumps(result))
    elif not arguments.quiet:
        scores = [
            f"{name} {result[name]:.3f}"
            for name in ("precision", "recall", "f1")[: 3 * (truth is not None)]
        ]
        print(", ".join([f"{len(found)} notes", *scores]))
        print("\n".join(result["files"]))
