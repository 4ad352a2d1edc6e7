"""Tables of counts, drawn topics and notes: what they hold, and what is said about bad input."""

import importlib.util
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch

from rlra_torch.datasets import load_counts, note_spectrogram, topics

TABLE = scipy.sparse.csr_array([[0, 3, 0], [1, 0, 7]])
DENSE = torch.tensor([[0.0, 3, 0], [1, 0, 7]])


class TestLoadCounts:
    def test_npz_of_scipy(self, tmp_path):
        for kind in ("csr", "csc", "coo"):
            scipy.sparse.save_npz(tmp_path / "a.npz", TABLE.asformat(kind))
            table = load_counts(tmp_path / "a.npz", dtype=torch.float64)
            assert table.counts.layout == torch.sparse_csr
            assert torch.equal(table.counts.to_dense(), DENSE.double())
            assert table.rows == table.columns == ()

    def test_matrix_market(self, tmp_path):
        scipy.io.mmwrite(tmp_path / "a.mtx", TABLE)
        assert torch.equal(load_counts(str(tmp_path / "a.mtx")).counts.to_dense(), DENSE)

    def test_repeated_entries_are_added_and_stored_zeros_kept(self, tmp_path):
        values, places = [1.0, 2, 0], ([0, 0, 1], [1, 1, 2])
        scipy.sparse.save_npz(tmp_path / "a.npz", scipy.sparse.coo_array((values, places)))
        counts = load_counts(tmp_path / "a.npz").counts
        assert counts.values().tolist() == [3, 0] and counts.col_indices().tolist() == [1, 2]

    def test_names(self, tmp_path):
        scipy.sparse.save_npz(tmp_path / "a.npz", TABLE)
        contents = dict(np.load(tmp_path / "a.npz"))
        np.savez(tmp_path / "b.npz", **contents, rows=["x", "y"], columns=["a", "b", "c"])
        table = load_counts(tmp_path / "b.npz")
        assert table.rows == ("x", "y") and table.columns == ("a", "b", "c")
        np.savez(tmp_path / "c.npz", **contents, rows=["x"])
        with pytest.raises(ValueError, match=r"c\.npz' has 2 rows but 1 names for them"):
            load_counts(tmp_path / "c.npz")

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ([[1.0, -2.0]], "1 values that are negative or not finite"),
            ([[np.nan, np.inf]], "2 values that are negative or not finite"),
            ([[1j]], "needs a matrix of real numbers, got complex128"),
            (np.zeros((0, 3)), r"needs a matrix of real numbers, got float64 of shape \(0, 3\)"),
        ],
    )
    def test_refuses_what_are_no_counts(self, tmp_path, values, sentence):
        scipy.sparse.save_npz(tmp_path / "a.npz", scipy.sparse.csr_array(np.atleast_2d(values)))
        with pytest.raises(ValueError, match=sentence):
            load_counts(tmp_path / "a.npz")

    def test_refuses_files_that_hold_none(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no file '.*x\.npz'$"):
            load_counts(tmp_path / "x.npz")
        with pytest.raises(ValueError, match=r"x\.csv' is not a table .* give 'debian', or"):
            load_counts(tmp_path / "x.csv")
        with pytest.raises(TypeError, match=r"floating-point dtype, not torch\.int64"):
            load_counts(tmp_path / "x.npz", dtype=torch.int64)
        for name, content in (("a.npz", b"PK half"), ("a.mtx", b"%%MatrixMarket")):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match="is not a"):
                load_counts(tmp_path / name)
        np.savez(tmp_path / "b.npz", x=np.ones((3, 2)))
        with pytest.raises(ValueError, match="holds no sparse matrix"):
            load_counts(tmp_path / "b.npz")


LISTS = {
    "host_main_i18n_Translation-en": """\
Package: one
Description-md5: 0
Description-en: tool of red things
 The thing is red; a1 x.
 .
 Description: things of all sizes

Package: two
Description-en: blue tool

Package: two-copy
Description-en: blue tool
""",
    "host_updates_i18n_Translation-en": "Package: one\nDescription-en: newer red tool\n",
    "host_main_binary-amd64_Packages": """\
Package: one
Section: games
Description: tool

Package: two
Section: net
""",
}


class TestDebian:
    @pytest.fixture
    def script(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RLRA_DATA", str(tmp_path))
        path = Path(__file__).parents[1] / "scripts" / "fetch_data.py"
        spec = importlib.util.spec_from_file_location("fetch_data", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def apt(self, monkeypatch, lists):
        """Replace the download by these lists; returns the commands."""
        commands = []

        def run(command, **_):
            commands.append(command)
            setting = next(part for part in command if part.startswith("Dir::State::Lists="))
            for name, text in lists.items():
                (Path(setting.partition("=")[2]) / name).write_text(text)
            return subprocess.CompletedProcess(command, 0, "", "W: x\nW: Some index files failed")

        monkeypatch.setattr(subprocess, "run", run)
        return commands

    def test_counts_each_description_once(self, tmp_path, monkeypatch, script, capsys):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
        commands = self.apt(monkeypatch, LISTS)
        assert script.main(["debian"]) == script.main(["debian"]) == 0
        assert len(commands) == 1 and commands[0][:2] == ["apt-get", "update"]
        assert "2 documents x 1 terms, 2 counts stored" in capsys.readouterr().out
        assert [path.name for path in tmp_path.iterdir()] == ["debian.npz"]
        table = load_counts("debian")
        # "tool" alone stands in both documents; "red" and "thing" stand in one.
        assert table.columns == ("tool",) and table.rows == ("games", "net")
        assert table.counts.to_dense().tolist() == [[1], [1]]
        assert script.state("debian") == "present"

    def test_a_field_goes_on_over_indented_lines(self, tmp_path, script):
        path = tmp_path / "list"
        path.write_text(LISTS["host_main_i18n_Translation-en"])
        one, *others = script._paragraphs(path)
        assert one["Description-en"].endswith("things of all sizes") and "Description" not in one
        assert [p["Package"] for p in others] == ["two", "two-copy"]

    def test_says_when_it_is_offline(self, tmp_path, monkeypatch, script, capsys):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
        self.apt(monkeypatch, {})
        assert script.main(["debian"]) == 1
        sentence = capsys.readouterr().err
        assert "debian: apt could not get its lists; connect to the archive" in sentence
        assert "(apt said: W: Some index files failed)" in sentence
        assert sentence.count("\n") == 1 and list(tmp_path.iterdir()) == []

    def test_says_when_there_is_no_apt(self, tmp_path, monkeypatch, script, capsys):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert script.main(["debian"]) == 1
        assert "this machine has no apt-get; build them on Debian" in capsys.readouterr().err

    def test_says_how_to_build_it(self, script):
        with pytest.raises(FileNotFoundError, match=r"python scripts/fetch_data.py debian$"):
            load_counts("debian")
        assert script.state("debian") == "missing"

    def test_as_built(self):
        try:
            table = load_counts("debian")
        except FileNotFoundError as error:
            pytest.skip(str(error))
        assert table.counts.shape == (len(table.rows), len(table.columns))
        assert len(table.rows) > 40_000 and len(table.columns) > 20_000
        assert 10 < table.counts._nnz() / len(table.rows) < 100
        assert table.counts.values().min() >= 1
        assert {"games", "python"} <= set(table.rows) and "library" in table.columns
        assert all(re.fullmatch("[a-z]{2,}", term) for term in table.columns[:1000])


class TestTopics:
    def test_factors_are_distributions(self):
        drawn = topics(300, 80, 4, length=20, dtype=torch.float64)
        assert drawn.counts.shape == (300, 80) and drawn.counts.layout == torch.sparse_csr
        assert drawn.W.shape == (300, 4) and drawn.H.shape == (80, 4)
        torch.testing.assert_close(drawn.H.sum(0), torch.ones(4, dtype=torch.float64))
        assert (drawn.W >= 0).all() and (drawn.H >= 0).all()
        # The mean of 300 Gamma draws of shape 2 has the standard deviation 20 / sqrt(600).
        assert drawn.W.sum(1).mean().item() == pytest.approx(20, abs=4)

    def test_counts_are_poisson_with_the_mean_of_the_factors(self):
        # More documents than are drawn at once.
        drawn = topics(9000, 12, 3, length=60, concentration=5.0, seed=1, dtype=torch.float64)
        Y, mean = drawn.counts.to_dense(), drawn.W @ drawn.H.mT
        assert torch.equal(Y, Y.round()) and drawn.counts.values().min() >= 1
        score = (Y - mean).sum(0) / mean.sum(0).sqrt()
        assert score.abs().max() < 4
        for part in (slice(0, 4500), slice(8192, None)):
            total = mean[part].sum()
            assert (Y[part].sum() - total).abs() < 4 * total.sqrt()
        # Mean and variance agree, entry by entry.
        seen = mean > 0.5
        pearson = ((Y - mean).square() / mean)[seen]
        assert pearson.mean().item() == pytest.approx(1, abs=4 * (3 / len(pearson)) ** 0.5)
        # Independent of each other given the mean.
        residual = torch.where(seen, (Y - mean) / mean.sqrt(), 0)
        others = torch.corrcoef(residual.T).fill_diagonal_(0).nan_to_num()
        assert others.abs().max() < 5 / 9000**0.5

    def test_vocabulary_is_that_of_zipf(self):
        H = topics(1, 50, 2000, concentration=1.0, dtype=torch.float64).H
        frequencies = H.mean(1)
        expected = 1 / torch.arange(1, 51, dtype=torch.float64)
        torch.testing.assert_close(frequencies, expected / expected.sum(), rtol=0.2, atol=0)

    def test_seeds(self):
        one, same, other = (topics(50, 40, 3, seed=seed) for seed in (3, 3, 4))
        assert all(torch.equal(a.to_dense(), b.to_dense()) for a, b in zip(one, same, strict=True))
        assert not torch.equal(one.W, other.W)
        generator = torch.Generator().manual_seed(3)
        assert torch.equal(topics(50, 40, 3, seed=generator).H, one.H)
        assert not torch.equal(topics(50, 40, 3, seed=generator).H, one.H)

    def test_documents_without_a_token(self):
        drawn = topics(200, 30, 2, length=0.05)
        sizes = drawn.counts.crow_indices().diff()
        assert (sizes == 0).sum() > 150
        assert topics(1, 1, 1, length=1e-9).counts.to_dense().tolist() == [[0]]

    def test_refuses_what_draws_nothing(self):
        with pytest.raises(ValueError, match="terms is 0, but a size is at least 1"):
            topics(5, 0, 2)
        with pytest.raises(ValueError, match="length is 0, but it must be positive"):
            topics(5, 5, 2, length=0)
        with pytest.raises(ValueError, match="concentration is nan, but it must be positive"):
            topics(5, 5, 2, concentration=float("nan"))
        with pytest.raises(ValueError, match="generator lives on cpu, the data go to cuda"):
            topics(5, 5, 2, seed=torch.Generator(), device="cuda")


class TestNoteSpectrogram:
    def test_a_note_sounds_at_its_harmonics_from_its_onset(self):
        played = note_spectrogram((69,), notes=1, seconds=3.0, noise_db=-200.0, dtype=torch.float64)
        begin = played.onsets.item()
        after = (played.times > begin + 0.1) & (played.times < begin + 0.4)
        loud = played.Y[:, after].mean(1)
        middle = loud[1:-1]
        peaks = (middle > loud[:-2]) & (middle > loud[2:]) & (middle > 0.01 * loud.max())
        heard = played.frequencies[1:-1][peaks]
        # 440 Hz and its multiples, to a bit more than half a bin of 22050 / 2048 Hz.
        torch.testing.assert_close(heard, (heard / 440).round() * 440, atol=6.5, rtol=0)
        assert (heard / 440).round().tolist() == list(range(1, 11))
        assert played.Y[:, played.times < begin - 0.1].sum() < 1e-6 * played.Y.sum()

    def test_shapes_and_noise(self):
        played = note_spectrogram((60, 64), notes=3, seconds=1.0, window=512)
        assert played.Y.shape == (257, 173) and played.Y.dtype == torch.float32
        assert len(played.frequencies) == 257 and len(played.times) == 173
        assert sorted(played.pitches.tolist()) == [60, 60, 64] and played.onsets.shape == (3,)
        assert played.Y.min() > 0
        louder = note_spectrogram((60, 64), notes=3, seconds=1.0, window=512, noise_db=0.0)
        assert louder.Y.median() > 20 * played.Y.median()

    def test_seeds(self):
        one, same, other = (note_spectrogram(notes=2, seconds=0.5, seed=s).Y for s in (3, 3, 4))
        assert torch.equal(one, same) and not torch.equal(one, other)

    def test_refuses_what_makes_no_sound(self):
        with pytest.raises(ValueError, match="the number of pitches is 0, but a size"):
            note_spectrogram(())
        with pytest.raises(ValueError, match="0.05 seconds are 1102 samples, less than a window"):
            note_spectrogram(seconds=0.05)
