"""Small files for commands, under the names that the documentation gives them."""

import json
import os
import warnings
from importlib.util import find_spec

import numpy as np

from rlra_torch.datasets import mixture
from rlra_torch.functional.spectrograms import Analysis

ROWS, COLS, BANDS = 8, 9, 20
RATE = Analysis().rate

LITTLE = """
data:
  class_path: rlra_torch.training.SyntheticMixtures
  init_args:
    bands: 20
    law: {pixels: 20, rank: 3}
    sizes: {train: 4, val: 4, test: 4, batch: 4}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false}
"""
TRAINING = """
model:
  network: {class_path: rlra_torch.unrolled.nalmu, init_args: {rank: 3, depth: 2}}
  supervision: {class_path: rlra_torch.training.Reconstruction}
  optimizer: {class_path: torch.optim.Adam, init_args: {lr: 0.01}}
"""


def made_up():
    """Write them into the working folder."""
    draw = np.random.default_rng(0)
    images()
    matrices(draw)
    np.savetxt("traces.csv", draw.random((2, 120)), delimiter=",")
    np.save("image.npy", draw.random((30, 28)))
    np.save("movie.npy", movie(draw))
    np.save("camera.npy", draw.poisson(50, (31, 5)).astype(np.float32))
    np.savetxt("filters.csv", draw.random((5, 2)), delimiter=",")
    if find_spec("soundfile"):
        sounds()
    if find_spec("spectral"):
        spectral_files()
    if find_spec("PIL"):
        pages(np.load("movie.npy"))
    with open("tiny.yaml", "w") as file:
        file.write(TRAINING + LITTLE)


def images():
    scene = mixture(BANDS, ROWS * COLS, 5, purity=0.2)
    cube = scene.Y.mT.reshape(ROWS, COLS, BANDS).numpy()
    np.save("scene.npy", cube)
    np.savez("truth.npz", spectra=scene.W.numpy(), abundances=scene.H.numpy())
    regions = [{"name": "all", "count": 3, "rectangle": [0, 0, ROWS, COLS]}]
    with open("regions.json", "w") as file:
        json.dump(regions, file)


def spectral_files():
    """An ENVI image and a library; needs spectral."""
    import spectral.io.envi as envi

    places = {"wavelength": list(np.linspace(400, 2500, BANDS)), "wavelength units": "nm"}
    names = {"spectra names": [f"mineral {k}" for k in range(9)]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        envi.save_image("scene.hdr", np.load("scene.npy"), metadata=places)
        spectra = mixture(BANDS, 9, 9, seed=1).W.mT.double().numpy()
        envi.SpectralLibrary(spectra, {**places, **names}).save("usgs")


def matrices(draw):
    import scipy.sparse

    counts = draw.poisson(draw.gamma(1, 1, (60, 4)) @ draw.gamma(1, 1, (4, 40)) / 3)
    np.save("counts.npy", counts.astype(np.float32))
    np.save("large.npy", counts.astype(np.float32))
    np.save("huge.npy", counts.astype(np.float32))
    np.savetxt("table.csv", counts, delimiter=",")
    scipy.sparse.save_npz("counts.npz", scipy.sparse.csr_array(counts.astype(np.float32)))


def movie(draw):
    """Frames x rows x columns of two blinking squares."""
    frames = 0.05 * draw.random((60, 12, 12), dtype=np.float32)
    for row, col in ((1, 1), (7, 6)):
        trace = np.zeros(60, dtype=np.float32)
        for begin in draw.integers(0, 50, 4):
            trace[begin:] += np.exp(-np.arange(60 - begin) / 5)
        frames[:, row : row + 4, col : col + 4] += trace[:, None, None]
    return frames


def pages(frames):
    """The frames as pages of a picture; needs Pillow."""
    from PIL import Image

    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save("movie.tif", save_all=True, append_images=others)


def sounds():
    """A folder of notes and a song of two of them; needs soundfile."""
    import soundfile

    times = np.arange(RATE // 2) / RATE
    waves = {}
    for pitch in (60, 64):
        base = 440 * 2 ** ((pitch - 69) / 12)
        partials = [np.sin(2 * np.pi * k * base * times) / k for k in (1, 2, 3)]
        waves[pitch] = 0.3 * sum(partials) * np.exp(-5 * times)
    os.makedirs("piano", exist_ok=True)
    for pitch, wave in waves.items():
        soundfile.write(f"piano/{pitch}.wav", wave, RATE)
    soundfile.write("song.wav", np.concatenate([waves[60], waves[64]]), RATE)
