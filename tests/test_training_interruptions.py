"""A training that is killed or interrupted at random moments ends as if it had not been."""

import os
import time
from pathlib import Path

import pytest
import torch
from killed import MOMENTS, ended, moments, said

CONFIG = """
seed_everything: 0
model:
  network: {class_path: rlra_torch.unrolled.nalmu, init_args: {rank: 2, depth: 2, gains: [[1], []]}}
  supervision: {class_path: rlra_torch.training.Reconstruction}
  optimizer: {class_path: torch.optim.Adam, init_args: {lr: 0.02}}
  scheduler:
    {class_path: torch.optim.lr_scheduler.CosineAnnealingLR, init_args: {T_max: 8}}
data:
  class_path: rlra_torch.training.SyntheticMixtures
  init_args:
    bands: 20
    law: {pixels: 20, rank: 2}
    sizes: {train: 24, val: 4, test: 4, batch: 4}
trainer: {max_epochs: 8, accelerator: cpu, enable_progress_bar: false, default_root_dir: runs}
"""
WORDS = ["train", "--config", "tiny.yaml", "--trainer.default_root_dir"]


def results(folder):
    """The newest checkpoints: what lasts of a training, without the paths of files."""
    found = []
    for name in ("last.ckpt", "best.ckpt"):
        path = max(Path(folder).rglob(name), key=lambda path: path.stat().st_mtime)
        content = torch.load(path, weights_only=True)
        curves = content["callbacks"]["LearningCurves"]["history"]
        found.append((content["epoch"], content["state_dict"], curves, content["optimizer_states"]))
    return found


def same(found, expected):
    if isinstance(expected, torch.Tensor):
        return torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children must not import everything again")
def test_random_moments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(CONFIG)
    assert ended([*WORDS, "warm"]) == 0, said()
    begin = time.perf_counter()
    assert ended([*WORDS, "whole"]) == 0, said()
    length, hit = time.perf_counter() - begin, 0
    for moment, (after, number, status) in enumerate(moments(0.5 * length)):
        words = [*WORDS, f"run{moment}"]
        kept = lambda folder=words[4]: any(Path(folder).rglob("last.ckpt"))  # noqa: E731
        if (found := ended(words, after, number, kept)) == status:
            hit += 1
        if found == 130:
            assert said().count("\n") == 1 and "interrupted; go on with" in said()
        assert ended([*words, "--resume"]) == 0, said()
        assert same(results(words[4]), results("whole"))
    assert hit >= MOMENTS // 2
