"""Long solves that are killed or interrupted at random moments end as if they had not been."""

import os
import time

import made_up
import numpy as np
import pytest
from killed import MOMENTS, ended, moments, said

COMMANDS = {
    "factorize": "--data long.npy --rank 8 --loss kl --tol 0 --max-iter 300 --check-every 5 "
    "--checkpoint-seconds 0",
    "unmix": "--data scene.npy --rank 3 --method mu hals --tol 0 --max-iter 100 --check-every 5",
}


def arrays(folder):
    """All numbers of the result but the seconds."""
    with np.load(f"{folder}/factors.npz") as file:
        found = {name: file[name] for name in file.files}
    plain = {n: x for n, x in found.items() if x.dtype.kind in "fi" and "seconds" not in n}
    # Where a history is one array, its second column is seconds.
    return {
        n: np.delete(x, 1, 1) if n.startswith("history") and x.ndim > 1 else x
        for n, x in plain.items()
    }


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children must not import everything again")
@pytest.mark.parametrize("command", COMMANDS)
def test_random_moments(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_up.made_up()
    draw = np.random.default_rng(0)
    np.save("long.npy", draw.random((400, 8)) @ draw.random((8, 300)))
    words = [command, *COMMANDS[command].split(), "--quiet", "--out"]
    assert ended([*words, "warm"], brisk=True) == 0, said()
    begin = time.perf_counter()
    assert ended([*words, "whole"], brisk=True) == 0, said()
    length, whole, hit = time.perf_counter() - begin, arrays("whole"), 0
    for moment, (after, number, status) in enumerate(moments(0.9 * length)):
        out = f"run{moment}"
        found = ended([*words, out], after, number, brisk=True)
        hit += found == status
        if found == 130:
            assert said().startswith("rlra: interrupted") and said().count("\n") == 1
        assert ended([*words, out], brisk=True) == 0, said()
        again = arrays(out)
        assert again.keys() == whole.keys()
        for name, x in whole.items():
            np.testing.assert_array_equal(again[name], x, err_msg=name)
        assert not os.path.exists(f"{out}/unfinished")
    assert hit >= MOMENTS // 2
