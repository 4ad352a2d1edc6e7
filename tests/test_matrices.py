"""Matrices in files."""

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from rlra_torch.datasets import load_matrix

Y = np.array([[1.0, 0.0, 2.5], [0.0, 3.0, np.nan]])
Z = np.nan_to_num(Y)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def same(found, expected=Y):
    dense = found.toarray() if scipy.sparse.issparse(found) else found
    np.testing.assert_array_equal(dense, expected)


def test_arrays():
    np.save("y.npy", Y)
    same(load_matrix("y.npy"))
    np.savez("y.npz", a=Y, vector=np.ones(3))
    same(load_matrix("y.npz"))
    np.savez("two.npz", a=Y, b=Z)
    same(load_matrix("two.npz", "b"), Z)
    np.save("counts.npy", Z.astype(np.int32))
    same(load_matrix("counts.npy"), Z.astype(int))


def test_sparse_matrices_stay_sparse():
    for make in (scipy.sparse.csr_matrix, scipy.sparse.csc_array, scipy.sparse.coo_matrix):
        scipy.sparse.save_npz("y.npz", make(Z))
        found = load_matrix("y.npz")
        assert scipy.sparse.issparse(found)
        same(found, Z)
    scipy.io.mmwrite("y.mtx", scipy.sparse.coo_matrix(Z))
    assert scipy.sparse.issparse(load_matrix("y.mtx"))
    same(load_matrix("y.mtx"), Z)
    scipy.io.savemat("y.mat", {"counts": scipy.sparse.csc_matrix(Z), "cube": np.ones((2, 2, 2))})
    assert scipy.sparse.issparse(load_matrix("y.mat"))
    same(load_matrix("y.mat"), Z)


def test_matlab():
    scipy.io.savemat("y.mat", {"a": Y, "b": Z})
    same(load_matrix("y.mat", "b"), Z)
    with pytest.raises(ValueError, match=r"2 2-D variables .* choose one with variable="):
        load_matrix("y.mat")
    h5py = pytest.importorskip("h5py")
    with h5py.File("new.mat", "w") as file:
        file["a"] = Y.T
    same(load_matrix("new.mat"))


@pytest.mark.parametrize(
    "text",
    [
        "1,0,2.5\n0,3,\n",
        "1,0,2.5\n0,3,NaN\n\n",
        "a,b,c\n1,0,2.5\n0,3,NA\n",
        ",a,b,c\nx,1,0,2.5\ny,0,3,\n",
        'gene,a,b,c\n"x",1,0,2.5\n"y",0,3e0, nan \n',
        "\ufeff1,0,2.5\r\n0,3,null\r\n",
        "1,2,3\nx,1,0,2.5\n",
    ],
)
def test_tables(text):
    with open("y.csv", "w", encoding="utf-8", newline="") as file:
        file.write(text)
    if text.startswith("1,2,3"):
        with pytest.raises(
            ValueError, match=r"line 2 of y.csv does not fit: 3 numbers; each line needs 2"
        ):
            load_matrix("y.csv")
        return
    same(load_matrix("y.csv"))
    with open("y.tsv", "w", encoding="utf-8", newline="") as file:
        file.write(text.replace(",", "\t"))
    same(load_matrix("y.tsv"))


def test_one_line_and_one_column():
    for text, expected in (("1,2,3\n", [[1, 2, 3]]), ("1\n2\n", [[1], [2]]), ("a\n2\n", [[2]])):
        with open("y.csv", "w") as file:
            file.write(text)
        same(load_matrix("y.csv"), np.array(expected))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("y.csv", b"1,2\n3,x\n", "line 2 of y.csv does not fit: 'x' is no number"),
        ("y.csv", b"1,2\n3\n", "line 2 of y.csv does not fit: 1 numbers; each line needs 2"),
        ("y.csv", b"", "y.csv is empty"),
        ("y.csv", b"a,b\n", "needs a matrix"),
        ("y.npy", b"noise", "is not a .npy file of numbers"),
        ("y.npz", b"noise", "is not a .npz file that can be read"),
        ("y.mtx", b"noise", "is not a Matrix Market file"),
        ("y.mat", b"noise", "is not a MATLAB file"),
        ("y.txt", b"1", "matrices are read from .csv, .tsv, .mat, "),
    ],
)
def test_what_cannot_be_read(name, content, message):
    with open(name, "wb") as file:
        file.write(content)
    with pytest.raises(ValueError, match=message):
        load_matrix(name)


def test_what_is_no_matrix():
    for array in (np.ones(3), np.ones((2, 2, 2)), np.ones((0, 2)), np.ones((2, 2)) * 1j):
        np.save("y.npy", array)
        with pytest.raises(ValueError, match="y.npy needs a matrix of real numbers, got"):
            load_matrix("y.npy")
    with pytest.raises(FileNotFoundError, match="no file at nowhere.npy"):
        load_matrix("nowhere.npy")
    np.savez("y.npz", a=Y, b=Z)
    for variable, message in ((None, "2 2-D variables"), ("c", "has no variable 'c'")):
        with pytest.raises(ValueError, match=message):
            load_matrix("y.npz", variable)
    np.savez("none.npz", a=np.ones(2))
    with pytest.raises(ValueError, match="no 2-D variable .* save it as a matrix"):
        load_matrix("none.npz")
    with open("y.csv", "w") as file:
        file.write("1\n")
    with pytest.raises(ValueError, match="has no variables; leave variable out"):
        load_matrix("y.csv", "a")
