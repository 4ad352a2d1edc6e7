"""The Python of the README and of the pages beside it runs as printed."""

import re
from pathlib import Path

import pytest
import torch

from rlra_torch import nmf

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    if page.name != "migration.md"  # whose packages test_migration.py sets beside ours
    for number, block in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    )
]


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_run(block, capsys):
    torch.manual_seed(0)
    names: dict[str, object] = {}
    exec(block, names)
    if "Landweber" in names:
        fit = nmf(torch.rand(9, 3) @ torch.rand(3, 8), 3, iteration=names["Landweber"]())
        assert fit.relative_error < 0.05
    else:
        result = names["W"] if "W" in names else names["fit"].kkt
        assert not torch.as_tensor(result).isnan().any()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists() or target.startswith("https://"), target


def test_there_are_blocks():
    assert len(BLOCKS) >= 8
