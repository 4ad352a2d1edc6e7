"""The README's Python runs as printed."""

import re
from pathlib import Path

import pytest
import torch

from rlra_torch import nmf

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_blocks_run(number, capsys):
    torch.manual_seed(0)
    names: dict[str, object] = {}
    exec(BLOCKS[number], names)
    if "Landweber" in names:
        fit = nmf(torch.rand(9, 3) @ torch.rand(3, 8), 3, iteration=names["Landweber"]())
        assert fit.relative_error < 0.05
    else:
        result = names["W"] if "W" in names else names["fit"].kkt
        assert not torch.as_tensor(result).isnan().any()


def test_there_are_blocks():
    assert len(BLOCKS) >= 3
