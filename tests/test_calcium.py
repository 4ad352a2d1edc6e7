"""Calcium traces: simulated, deconvolved, and as a table of spikes in seconds."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance import close

from rlra_torch.applications import calcium_spikes
from rlra_torch.applications.events import events
from rlra_torch.cli import main
from rlra_torch.datasets import calcium_traces
from rlra_torch.estimators import deconvolve
from rlra_torch.metrics import merged_spikes, shift_correlation, spike_score

CONFIG = Path(__file__).parents[1] / "configs" / "calcium" / "traces.yaml"
RATE = 30.0


def simulated(n, frames=900):
    settings = {"rate": RATE, "firing": 0.8, "decay": 0.3, "rise": 0.04}
    return calcium_traces(n, frames, noise=0.08, baseline=3.0, seed=1, **settings)


def of_events(found, trace, frames):
    x = torch.zeros(frames)
    for event in found:
        if event.trace == trace:
            x[event.sample] = event.amplitude
    return x


@pytest.mark.parametrize("rise", [0.0, 0.1])
def test_traces_are_sums_of_responses(rise):
    data = calcium_traces(2, 400, 20.0, 2.0, 0.5, rise, noise=0.0, baseline=1.5)
    for y, spikes in zip(data.traces, data.spikes, strict=True):
        expected = np.convolve(spikes, data.response)[:400]
        close(y, 1.5 + torch.from_numpy(expected), atol=0.02)
    close(data.response.max(), torch.tensor(1.0, dtype=torch.float64))
    half = data.response[-1] / data.response[-11]
    close(half, torch.tensor(np.exp(-10 / (0.5 * 20))), 0.01)
    for wrong in ({"n": 0}, {"rise": 1.0}, {"rate": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            calcium_traces(**{"n": 1, "frames": 10, **wrong})


def test_neighbours_are_one_spike():
    x = torch.tensor([[0.0, 1.0, 2.0, 2.0, 0.0, 1.0], [1.0, -1.0, -2.0, 0.0, 0.0, 0.0]])
    expected = torch.tensor([[0.0, 0.0, 5.0, 0.0, 0.0, 1.0], [1.0, 0.0, -3.0, 0.0, 0.0, 0.0]])
    close(merged_spikes(x), expected)


@pytest.mark.parametrize("shared", [False, True])
def test_spikes_and_responses_that_are_not_known(shared):
    data = simulated(2)
    found = calcium_spikes(data.traces, RATE, 1.0, shared=shared, reweights=3, starts=2)
    assert found.fit.kernels.shape == ((30, 1) if shared else (2, 30, 1))
    kernels = found.fit.kernels[..., 0]
    assert (shift_correlation(kernels, data.response[:30])[0] > 0.98).all()
    for trace in range(2):
        spikes = of_events(found.events, trace, 900)
        assert spike_score(spikes, data.spikes[trace], 1) > 0.9
        # One spike is one peak of the response, above whatever baseline.
        assert 0.8 < float(spikes[spikes > 0].median()) < 1.2
    close(found.fit.bias, torch.full((2,), 3.0, dtype=torch.float64), 0.03)
    index = (0,)
    assert found.plot(data.traces, index).axes[1].get_xlabel() == "time (s)"


def test_events_are_of_traces():
    y = np.random.default_rng(0).random((8, 9))
    with pytest.raises(ValueError, match="events are of traces"):
        events(deconvolve(y, (2, 2), max_iter=5))


@pytest.mark.parametrize(
    ("rate", "response", "needed"),
    [(0.0, 1.0, "the rate"), (30.0, -1.0, "the response"), (30.0, 0.001, "shorter than a frame")],
)
def test_bad_times_get_one_sentence(rate, response, needed):
    with pytest.raises(ValueError, match=needed):
        calcium_spikes(torch.ones(100), rate, response)


def test_a_configuration_and_a_table_of_seconds(tmp_path, capsys):
    data = simulated(1)
    np.savetxt(tmp_path / "traces.csv", data.traces.numpy(), delimiter=",")
    out, file = tmp_path / "out", str(tmp_path / "traces.csv")
    asked = ["deconvolve", "--data", file, "--out", str(out), "--config", str(CONFIG)]
    assert main([*asked, "--starts", "1"]) == 2
    assert "--kernel-seconds with --rate" in capsys.readouterr().err
    assert main([*asked, "--starts", "1", "--rate", "30", "--dtype", "float64"]) == 0
    with (out / "events.csv").open() as table:
        rows = list(csv.DictReader(table))
    found = torch.zeros(900)
    for row in rows:
        assert float(row["seconds"]) == pytest.approx(int(row["sample"]) / RATE, rel=1e-4)
        found[int(row["sample"])] = float(row["amplitude"])
    assert spike_score(found, data.spikes[0], 1) > 0.9


def test_a_configuration_with_unknown_options(tmp_path, capsys):
    asked = ["deconvolve", "--data", "a.npy", "--out", str(tmp_path / "out"), "--config"]
    (tmp_path / "a.yaml").write_text("reweight: 5")
    assert main([*asked, str(tmp_path / "a.yaml")]) == 2
    assert "'reweight'" in capsys.readouterr().err
    (tmp_path / "b.yaml").write_text("- 5")
    assert main([*asked, str(tmp_path / "b.yaml")]) == 2
    assert "name: value" in capsys.readouterr().err
    assert main([*asked, str(tmp_path / "c.yaml")]) == 2
    assert "c.yaml" in capsys.readouterr().err
