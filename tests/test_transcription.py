"""Notes of recordings: spectrograms, templates, activations, events, files and commands."""

import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch

from rlra_torch import nmf
from rlra_torch.applications.note_events import note_events, onset_f1
from rlra_torch.applications.note_templates import (
    NoteTemplates,
    fundamental,
    learn_notes,
    pitch_named,
    read_notes,
)
from rlra_torch.applications.transcription import adapted, transcribe
from rlra_torch.cli import main
from rlra_torch.datasets.sounds import Note, read_midi, read_sound, rendered, write_midi
from rlra_torch.functional.spectrograms import (
    Analysis,
    ConstantQ,
    cqt_magnitudes,
    stft_magnitudes,
)
from rlra_torch.unrolled import TemplateStart, unrolled_regression

RATE = 22050
CHORDS = [(60, 64, 67, 71, 74), (60, 65, 69, 72, 76), (59, 62, 67, 71, 77)]


def needs(*names):
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing) or 'nothing'}")


music = needs("mir_eval", "pretty_midi", "soundfile")
soundfont = needs("mir_eval", "pretty_midi", "tinysoundfont")


def played(notes, bright=0.8, tail=0.3, decay=0.5):
    """Decaying harmonic notes; `bright` is the ratio of a partial's height to the one below."""
    sound = torch.zeros(math.ceil((max(n.offset for n in notes) + tail) * RATE))
    for note in notes:
        begin, size = round(note.onset * RATE), round((note.offset - note.onset) * RATE)
        time = torch.arange(size) / RATE
        wave = torch.zeros(size)
        for k in range(1, 9):
            f = k * 440 * 2 ** ((note.pitch - 69) / 12)
            wave += bright**k * torch.sin(2 * math.pi * f * time + 7 * note.pitch * k)
        envelope = (1 - torch.exp(-time / 0.004)) * torch.exp(-time / decay)
        sound[begin : begin + size] += 0.05 * wave * envelope
    return sound


def isolated(pitches, **options):
    return {p: played([Note(0.1, 0.9, p)], **options) for p in pitches}


def melody(pitches=(60, 64, 67, 64, 60, 62)):
    return [Note(0.2 + 0.3 * i, 0.5 + 0.3 * i, p) for i, p in enumerate(pitches)]


def test_frames_are_centred_and_times_are_right():
    sound = torch.zeros(RATE)
    sound[RATE // 2] = 1
    v = stft_magnitudes(sound, Analysis())
    assert v.shape == (929, 51)
    assert int(v.sum(0).argmax()) == 25


@pytest.mark.parametrize("midi", [33, 45, 69, 93])
def test_constant_q_rows_are_quarter_tones(midi):
    f = 440 * 2 ** ((midi - 69) / 12)
    v = cqt_magnitudes(torch.sin(2 * math.pi * f * torch.arange(RATE) / RATE), ConstantQ())
    assert int(v[:, 25].argmax()) == 2 * (midi - 21)


def test_templates_of_rank_one_are_those_of_nmf():
    sound = played([Note(0.1, 0.9, 60)])
    fit = nmf(stft_magnitudes(sound, Analysis()), 1, "kl", max_iter=50)
    w = fit.factors[0][:, 0]
    found = learn_notes({60: sound}).templates[:, 0, 0]
    torch.testing.assert_close(found, w / w.sum(), rtol=1e-3, atol=1e-6)


@needs("mir_eval")
def test_chords_of_five_notes_are_all_found():
    notes = [Note(0.2 + i, 1.0 + i, p) for i, chord in enumerate(CHORDS) for p in chord]
    templates = learn_notes(isolated(sorted({n.pitch for n in notes})))
    assert onset_f1(notes, transcribe(played(notes), templates))[2] == 1


@needs("mir_eval")
def test_convolutive_templates_find_repeated_notes():
    notes = melody((60, 60, 64, 64))
    templates = learn_notes(isolated((60, 64)), window=4)
    assert templates.templates.shape == (929, 4, 2)
    assert onset_f1(notes, transcribe(played(notes), templates))[2] == 1


def test_templates_adapt_to_what_is_heard_and_stay_elsewhere():
    pitches = (60, 64, 67, 90)
    known = learn_notes(isolated(pitches, bright=0.4))
    own = learn_notes(isolated(pitches, bright=0.9)).templates[:, 0]
    v = stft_magnitudes(played(melody((60, 64, 67)), bright=0.9), Analysis())
    found, h = adapted(v / v.mean(), known)
    assert h.isfinite().all() and h.shape == (v.shape[1], 4)
    torch.testing.assert_close(found.templates.sum((0, 1)), torch.ones(4))
    before, after = ((w[:, 0] - own).abs().sum(0) for w in (known.templates, found.templates))
    assert (after[:3] < 0.8 * before[:3]).all()
    # Of the one that is not heard, only what the filter does: in total variation, an eighth.
    assert (found.templates - known.templates)[..., 3].abs().sum() < 0.3
    with pytest.raises(ValueError, match="window of one frame"):
        adapted(v, learn_notes(isolated((60,)), window=4))
    with pytest.raises(ValueError, match="must be positive"):
        adapted(v, known, prior=0.0)


def test_much_trust_keeps_the_templates():
    known = learn_notes(isolated((60, 67), bright=0.4))
    v = stft_magnitudes(played(melody((60, 67)), bright=0.9), Analysis())
    found, _ = adapted(v, known, prior=1e6)
    torch.testing.assert_close(found.templates, known.templates, rtol=1e-2, atol=1e-5)


def test_a_filter_that_all_notes_share_is_found_from_some_of_them():
    """The same sounds through a filter: notes that are not heard move as those that are."""
    pitches = (60, 62, 64, 65, 67, 69, 71, 72)
    known = learn_notes(isolated(pitches, bright=0.6))
    w = known.templates[:, 0]
    gain = torch.linspace(0.2, 2.0, len(w))[:, None]
    h = torch.rand(200, len(pitches), generator=torch.Generator().manual_seed(0)).pow(4)
    h[:, 3] = 0
    own = gain * w / (gain * w).sum(0)
    found, _ = adapted((gain * w) @ h.mT, known, max_iter=200)
    before, after = ((x[:, 0] - own).abs().sum(0) for x in (known.templates, found.templates))
    assert (after < 0.9 * before).all()
    assert (after < 0.6 * before).sum() == 7


def test_slow_attacks_count_from_where_they_begin():
    """A rise of any length counts from its first frames; a sudden one is where it is."""
    step = Analysis().step
    templates = NoteTemplates(torch.ones(1, 1, 1), (60,))
    for length in (1, 6, 12):
        h = ((torch.arange(60.0) - 20) / length).clamp(0, 1)[:, None]
        (note,) = note_events(h, templates)
        assert abs(note.onset - 20 * step) <= 2 * step


def test_blind_factors_of_isolated_notes_have_their_fundamentals():
    pitches = (60, 62, 64, 65, 67, 72)
    v = stft_magnitudes(played(melody(pitches)), Analysis())
    fit = nmf(v, len(pitches) + 1, "kl", max_iter=200, seed=0)
    found = {fundamental(w, Analysis()) for w in fit.factors[0].mT}
    assert set(pitches) <= found


@needs("mir_eval")
def test_loudness_and_clipping_change_nothing():
    notes, templates = melody(), learn_notes(isolated((60, 62, 64, 67)))
    sound = played(notes)
    clipped = (20 * sound).clamp(-0.5, 0.5)
    assert [n[:3] for n in transcribe(1e-3 * sound, templates)] == [
        n[:3] for n in transcribe(sound, templates)
    ]
    assert onset_f1(notes, transcribe(clipped, templates))[1] >= 0.8


def test_a_network_that_was_not_trained_is_regression():
    notes, templates = melody(), learn_notes(isolated((60, 62, 64, 67)))
    network = unrolled_regression(TemplateStart(templates.templates[:, 0]), depth=30)
    found = transcribe(played(notes), templates, network=network)
    assert [n[:3] for n in found] == [n[:3] for n in transcribe(played(notes), templates)]
    with pytest.raises(ValueError, match="leave one out"):
        transcribe(played(notes), templates, network=network, adapt=True)


@needs("mir_eval")
def test_quarter_tones_find_chords_and_are_saved(tmp_path):
    notes = [Note(0.2 + i, 1.0 + i, p) for i, chord in enumerate(CHORDS) for p in chord]
    learned = learn_notes(isolated(sorted({n.pitch for n in notes})), analysis=ConstantQ())
    learned.save(tmp_path / "notes.npz")
    templates = NoteTemplates.load(tmp_path / "notes.npz")
    assert templates.analysis == ConstantQ() and templates.representation == "cqt"
    assert onset_f1(notes, transcribe(played(notes), templates))[2] == 1


def test_silence_has_no_notes():
    templates = learn_notes(isolated((60,)))
    assert transcribe(torch.zeros(RATE), templates) == []
    assert note_events(torch.zeros(50, 1), templates) == []


def test_bad_input_gets_one_sentence(tmp_path):
    templates = learn_notes(isolated((60,)))
    with pytest.raises(ValueError, match="no notes to learn from"):
        learn_notes({})
    with pytest.raises(ValueError, match="note 60 is silent"):
        learn_notes({60: torch.zeros(RATE)})
    with pytest.raises(ValueError, match="threshold lies"):
        transcribe(torch.ones(RATE), templates, threshold=2)
    with pytest.raises(ValueError, match="no sounds in"):
        read_notes(tmp_path)
    with pytest.raises(ValueError, match="names no pitch"):
        pitch_named("song")
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="holds no templates"):
        NoteTemplates.load(tmp_path / "bad.npz")


@music
def test_sounds_of_any_rate_and_number_of_channels(tmp_path):
    import soundfile

    for rate, name in ((44100, "a"), (48000, "b"), (8000, "c")):
        wave = torch.sin(2 * math.pi * 440 * torch.arange(rate) / rate)
        soundfile.write(tmp_path / f"{name}.wav", torch.stack([wave, wave], 1).numpy(), rate)
        sound = read_sound(tmp_path / f"{name}.wav")
        assert sound.shape == (RATE,)
        v = stft_magnitudes(sound, Analysis())[:, 25]
        assert abs(float(Analysis().frequencies[v.argmax()]) - 440) < 6


@music
def test_broken_sounds_get_one_sentence(tmp_path):
    import soundfile

    whole = tmp_path / "whole.wav"
    soundfile.write(whole, torch.zeros(1000).numpy(), RATE)
    cut, empty = tmp_path / "cut.wav", tmp_path / "empty.wav"
    cut.write_bytes(whole.read_bytes()[:20])
    soundfile.write(empty, torch.zeros(0).numpy(), RATE)
    for path, said in ((cut, "cannot be read"), (empty, "no samples")):
        with pytest.raises(ValueError, match=said):
            read_sound(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        read_sound(tmp_path / "nowhere.wav")


@music
def test_a_sound_cut_off_is_transcribed_as_far_as_it_goes(tmp_path):
    import soundfile

    notes, templates = melody((60, 64, 67)), learn_notes(isolated((60, 64, 67)))
    soundfile.write(tmp_path / "whole.wav", played(notes).numpy(), RATE)
    written = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(written[: len(written) // 2])
    found = transcribe(read_sound(tmp_path / "cut.wav"), templates)
    assert {n.pitch for n in found} == {60, 64}
    assert transcribe(torch.zeros(10), templates) == []
    assert len(transcribe(torch.ones(10), templates)) <= 3


@music
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["learn-notes", "empty"], "no sounds in"),
        (["learn-notes", "broken"], "cannot be read"),
        (["learn-notes", "silent"], "note 60 is silent"),
        (["transcribe", "song.wav", "--notes", "none.npz", "-o", "a.mid"], "no templates at"),
        (["transcribe", "song.wav", "--notes", "bad.npz", "-o", "a.mid"], "holds no templates"),
        (["transcribe", "none.wav", "--notes", "notes.npz", "-o", "a.mid"], "no file at"),
        (
            ["transcribe", "song.wav", "--notes", "notes.npz", "-o", "a.mid", "--threshold", "2"],
            "the threshold lies",
        ),
    ],
)
def test_commands_say_in_one_line_what_is_wrong(words, said, tmp_path, capsys, monkeypatch):
    import soundfile

    monkeypatch.chdir(tmp_path)
    for name in ("empty", "broken", "silent"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken" / "60.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "silent" / "60.wav", torch.zeros(RATE).numpy(), RATE)
    soundfile.write(tmp_path / "song.wav", torch.ones(RATE).numpy() / 2, RATE)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    learn_notes(isolated((60,))).save(tmp_path / "notes.npz")
    assert main(words) == 2
    assert said in (told := capsys.readouterr().err) and told.count("\n") == 1


@music
def test_configurations_are_read(tmp_path):
    import soundfile

    (tmp_path / "piano").mkdir()
    for pitch, sound in isolated((60, 64)).items():
        soundfile.write(tmp_path / "piano" / f"{pitch}.wav", sound.numpy(), RATE)
    soundfile.write(tmp_path / "song.wav", played(melody((60, 64))).numpy(), RATE)
    configs = Path(__file__).parents[1] / "configs" / "music"
    learned, out = str(tmp_path / "piano.npz"), str(tmp_path / "song.mid")
    words = ["learn-notes", str(tmp_path / "piano"), "-o", learned]
    assert main([*words, *["--config", str(configs / "learn_notes.yaml")]]) == 0
    assert NoteTemplates.load(learned).representation == "cqt"
    words = ["transcribe", str(tmp_path / "song.wav"), "--notes", learned, "-o", out]
    assert main([*words, "--config", str(configs / "transcribe.yaml"), "--quiet"]) == 0
    assert {n.pitch for n in read_midi(out)} == {60, 64}


@music
def test_commands_from_sounds_to_midi(tmp_path, capsys):
    import soundfile

    (tmp_path / "piano").mkdir()
    for pitch, sound in isolated((60, 62, 64, 67)).items():
        soundfile.write(tmp_path / "piano" / f"{pitch}.wav", sound.numpy(), RATE)
    notes = melody()
    soundfile.write(tmp_path / "song.wav", played(notes).numpy(), RATE)
    write_midi(notes, tmp_path / "truth.mid")
    learned, out = str(tmp_path / "piano.npz"), str(tmp_path / "song.mid")
    assert main(["learn-notes", str(tmp_path / "piano"), "-o", learned]) == 0
    capsys.readouterr()
    song = ["transcribe", str(tmp_path / "song.wav"), "--notes", learned, "-o", out]
    assert main([*song, "--truth", str(tmp_path / "truth.mid"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["f1"] >= 0.9
    assert {n.pitch for n in read_midi(out)} == {n.pitch for n in notes}
    assert (tmp_path / "song.png").is_file()
    assert main(["learn-notes", str(tmp_path / "nowhere")]) == 2
    assert "no folder" in capsys.readouterr().err


@soundfont
def test_soundfont_piano_is_transcribed():
    notes = melody()
    alone = {p: rendered([Note(0.1, 0.9, p)], tail=0.2) for p in (60, 62, 64, 67)}
    assert onset_f1(notes, transcribe(rendered(notes), learn_notes(alone)))[2] >= 0.95
