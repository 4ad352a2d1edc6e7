"""A page of HTML with everything in it: it opens offline, in any browser, years later."""

from __future__ import annotations

import base64
import gzip
import html
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..functional.files import replaced_file
from .sections import COMMAND, run_sections

__all__ = ["COMMAND", "PAGE", "write_page"]

PAGE = "report.html"
"""What `write_page` writes."""


def write_page(run: str | Path) -> Path:
    """Write the page of a run into its folder, from the files in it.

    Args:
        run: the folder that a command wrote.

    Returns:
        the page.

    Raises:
        FileNotFoundError: there is no such folder, or no run in it.
        ImportError: plotly is missing.
        ValueError: a file in it cannot be read.
    """
    run = Path(run)
    title, sections = run_sections(run)
    page = rendered(title, sections)
    with replaced_file(run / PAGE) as file:
        file.write(page.encode())
    return run / PAGE


def rendered(title: str, sections: list[dict[str, Any]]) -> str:
    """The page of sections; arrays in them become compressed text.

    Args:
        title: what is shown.
        sections: each has a ``kind`` that the page knows how to draw, a ``title``, and its content.

    Example:
        >>> page = rendered("a run", [{"kind": "table", "title": "Settings", "rows": []}])
        >>> page.startswith("<!doctype html>"), "http" in page.split("<script")[0]
        (True, False)
    """
    if find_spec("plotly") is None:
        raise ImportError("the page needs plotly; pip install 'rlra-torch[report]'")
    data = json.dumps(sections, default=array_text).replace("</", "<\\/")
    parts = {
        "@TITLE@": html.escape(title),
        "@PLOTLY@": _plotly(),
        "@DATA@": data,
    }
    page = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page


def array_text(array: np.ndarray) -> dict[str, Any]:
    """Bytes and floats as compressed text; floats keep 12 bits, which no screen tells apart.

    Args:
        array: of any shape.

    Example:
        >>> array_text(np.zeros((2, 3), np.uint8))["shape"]
        [2, 3]
    """
    if array.dtype == np.uint8:
        kind, raw = "uint8", array
    else:
        kind, raw = "float32", np.ascontiguousarray(array, np.float32)
        rounded = (raw.view(np.uint32) + np.uint32(0x800)) & np.uint32(0xFFFFF000)
        raw = np.where(np.isfinite(raw), rounded.view(np.float32), raw).astype(np.float32)
        # Planes of like bytes are shorter when compressed.
        raw = raw.reshape(-1, 1).view(np.uint8).T
    text = _compressed(np.ascontiguousarray(raw).tobytes())
    return {"type": kind, "shape": list(array.shape), "gz": text}


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return _compressed(get_plotlyjs().encode())


def _compressed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
