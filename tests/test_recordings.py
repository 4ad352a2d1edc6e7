"""Made-up recordings, and networks that learn to transcribe from them."""

import importlib.util
import math

import pytest
import torch

from rlra_torch.datasets.ensembles import LEAD, Ensemble, draw_recordings, instrument
from rlra_torch.datasets.scenes import Scenes
from rlra_torch.functional.spectrograms import ConstantQ
from rlra_torch.training import Factorizer, Loudness, Recordings, Sizes, transcriber, unit_sums
from rlra_torch.unrolled import RowGain, TemplateStart, learned, unrolled_regression

RATE, ANALYSIS, PITCHES = 22050, ConstantQ(), range(60, 73)


def simple(bright):
    """An instrument of decaying harmonic notes; `bright` is the ratio of successive partials."""
    sounds = {}
    time = torch.arange(int(0.8 * RATE)) / RATE
    for pitch in PITCHES:
        f = 440 * 2 ** ((pitch - 69) / 12)
        wave = sum(bright**k * torch.sin(2 * math.pi * k * f * time + k) for k in range(1, 9))
        sound = torch.zeros(LEAD * ANALYSIS.hop + len(time))
        sound[LEAD * ANALYSIS.hop :] = 0.05 * wave * torch.exp(-time / 0.4)
        sounds[pitch] = sound
    return instrument(sounds, ANALYSIS)


def drawn(instruments, seed, count=2):
    generator = torch.Generator().manual_seed(seed)
    return draw_recordings(instruments, ANALYSIS, count, generator, seconds=1.6)


def loss(network, scenes):
    system = Factorizer(network, Loudness(), scale=unit_sums)
    return system.loss(scenes)


def test_recordings_are_what_their_notes_add_up_to():
    scenes = drawn([simple(0.6)], 0)
    assert scenes.Y.shape[-1] == scenes.H.shape[-2] and scenes.W.shape[-1] == len(PITCHES)
    torch.testing.assert_close(scenes.Y.mean((-2, -1)), torch.ones(2))
    # Sounds add and magnitudes only nearly, but far better than those of other moments.
    true, late = (
        (scenes.Y - scenes.W @ h.mT).abs().sum() for h in (scenes.H, scenes.H.roll(20, 1))
    )
    assert true < 0.7 * late
    again = drawn([simple(0.6)], 0)
    assert all(torch.equal(a, b) for a, b in zip(scenes, again, strict=True))


def test_an_untrained_network_of_the_true_templates_is_near():
    piano = simple(0.6)
    network = unrolled_regression(TemplateStart(piano.templates), depth=12)
    wrong = unrolled_regression(TemplateStart(simple(0.1).templates), depth=12)
    scenes = drawn([piano], 0)
    assert loss(network, scenes) < 0.9 * loss(wrong, scenes)


def test_training_helps_with_an_instrument_that_was_not_heard():
    heard, other = [simple(0.3), simple(0.9)], [simple(0.6)]
    torch.manual_seed(0)
    mean = torch.stack([each.templates for each in heard]).mean(0)
    start = learned(TemplateStart(mean), "templates")
    network = unrolled_regression(start, 6, lambda _: RowGain(8))
    test = drawn(other, 1000, count=4)
    before = loss(network, test).item()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(20):
        optimizer.zero_grad()
        loss(network, drawn(heard, step)).backward()
        optimizer.step()
    assert loss(network, test).item() < 0.9 * before


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="an ensemble has programs"):
        Ensemble(())
    with pytest.raises(ValueError, match="an ensemble has programs"):
        Ensemble(representation="mel")
    with pytest.raises(ValueError, match="need the same pitches"):
        Recordings(Ensemble(), Ensemble(lowest=40))
    with pytest.raises(ValueError, match="need the same analysis"):
        Recordings(Ensemble(), Ensemble(representation="stft"))
    with pytest.raises(ValueError, match="whose activations are known"):
        Loudness()(None, (torch.ones(1, 1, 3, 2), torch.ones(1, 1, 4, 2)), Scenes(torch.ones(3)))


@pytest.mark.skipif(
    importlib.util.find_spec("tinysoundfont") is None
    or importlib.util.find_spec("pretty_midi") is None,
    reason="needs a renderer and a soundfont",
)
def test_ensembles_of_a_soundfont_are_data_for_training():
    piano, guitar = (Ensemble((program,), lowest=60, highest=63) for program in (0, 24))
    data = Recordings(piano, guitar, seconds=1.0, sizes=Sizes(2, 2, 2, 2))
    network = transcriber(piano, depth=3, hidden=4)
    for batches in (data.train_dataloader(), *data.test_dataloader().values()):
        (batch,) = list(batches)
        assert batch.H.shape == (2, batch.Y.shape[-1], 4)
        assert loss(network, batch).isfinite()
