"""Tables and figures of what was measured."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from race.running import Step, Track
from race.tasks import Data, Pair
from rlra_torch.plots import race as race_figure

GAPS = (1e-2, 1e-3, 1e-4)
_PACKAGES = ("torch", "scikit-learn", "torchnmf", "nmf-torch", "tensorly")


def machine(device: str, threads: int) -> str:
    """What the numbers were measured on and with."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    if device != "cpu":
        import torch

        model = torch.cuda.get_device_name()
    versions = []
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return textwrap.fill(f"{model}, {threads} threads; {', '.join(versions)}.", 80)


def best_known(tracks: Sequence[Track], key: str, folder: Path) -> float:
    """The least objective of these runs and of all former ones that wrote into the folder."""
    path = folder / "best.json"
    known: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
    values = [value for track in tracks for value, _ in track.judged if np.isfinite(value)]
    known[key] = min([*values, known.get(key, float("inf"))])
    path.write_text(json.dumps(known, indent=1))
    return known[key]


def race_table(tracks: Sequence[Track], best: float, absent: Mapping[str, str]) -> str:
    """Seconds to the gaps (medians over rounds), the last gap and KKT residual."""
    lines = [
        "| method | iter. | ms/iter. | s to 1% | to 0.1% | to 0.01% | last gap | KKT |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for track in tracks:
        if not track.seconds:
            continue
        last = track.curve()[-1]
        times = [_seconds(track.seconds_to(best, gap)) for gap in GAPS]
        gap = (last.objective - best) / abs(best)
        pace = 1e3 * last.seconds / last.iteration
        lines.append(
            f"| {track.name} | {last.iteration} | {_short(pace)} | {' | '.join(times)} "
            f"| {gap:.0e} | {last.kkt:.0e} |"
        )
    failures = {track.name: track.failure for track in tracks if track.failure} | dict(absent)
    text = "\n".join(lines) + "\n"
    if failures:
        reasons = "; ".join(f"{name} ({reason})" for name, reason in failures.items())
        text += "\n" + textwrap.fill(f"Left out: {reasons}.", 80) + "\n"
    return text + _verdict(tracks, best)


def _verdict(tracks: Sequence[Track], best: float, gap: float = 1e-3) -> str:
    """The first of ours against the first of the others, to a gap, in one sentence."""
    times = {track.name: track.seconds_to(best, gap) for track in tracks}
    ours, others = (
        sorted(
            (t for t in tracks if t.ours == kind and times[t.name]),
            key=lambda t: statistics.median(times[t.name]),
        )
        for kind in (True, False)
    )
    if not ours:
        return "\nNone of ours came within 0.1%.\n"
    leader = ours[0].name
    first = f"\nTo 0.1%: of ours '{leader}' is the first, after {_seconds(times[leader])} s"
    if not others:
        return f"{first}; no other package came there.\n"
    pairs = zip(times[others[0].name], times[leader], strict=False)
    ratio = statistics.median(b / a if a else float("nan") for b, a in pairs)
    return f"{first};\n{others[0].name} takes {ratio:.1f} times as long (median of the pairs).\n"


def race_plot(tracks: Sequence[Track], best: float, title: str) -> Figure:
    """The curves of all that ran."""
    curves = {track.name: track.curve()[1:] for track in tracks if track.seconds}
    others = [track.name for track in tracks if track.seconds and not track.ours]
    return race_figure(curves, best, others, title=title)


def step_table(found: Sequence[Step], data: Data, start: Pair, truth: Pair) -> str:
    """Time of an iteration, and how far the iterates are from those computed in float64."""
    lines = [
        "| method | min ms | median ms | ratio | W off | H off | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    first = found[0]
    for step in found:
        if step.failure or step.factors is None:
            lines.append(f"| {step.name} | failed: {step.failure} | | | | | |")
            continue
        paired = zip(step.seconds, first.seconds, strict=False)
        ratio = statistics.median(b / a for b, a in paired) if first.seconds else float("nan")
        pairs = zip(step.factors, truth, strict=True)
        off = " | ".join(f"{np.abs(a - b).max() / np.abs(b).max():.0e}" for a, b in pairs)
        lines.append(
            f"| {step.name} | {_short(1e3 * min(step.seconds))} "
            f"| {_short(1e3 * statistics.median(step.seconds))} | {ratio:.2f} | {off} "
            f"| {step.memory:.0f} |"
        )
    sizes = sum(x.nbytes for x in start) / 1e6
    legend = (
        "ratio: median of the paired ratios to the first. off: largest difference from the same "
        "iterations in float64, relative to the largest entry. peak MB: the most memory beyond "
        f"data and start (data {data.megabytes:.1f} MB, factors {sizes:.1f} MB)."
    )
    return "\n".join(lines) + "\n\n" + textwrap.fill(legend, 80) + "\n"


def archive(tracks: Sequence[Track], best: float) -> str:
    """Everything measured, as JSON."""
    content = {
        track.name: {
            "ours": track.ours,
            "seconds": track.seconds,
            "curve": [check._asdict() for check in track.curve()],
            "memory": track.memory,
            "failure": track.failure,
        }
        for track in tracks
    }
    return json.dumps({"best": best, "methods": content}, indent=1)


def _seconds(times: Sequence[float]) -> str:
    return _short(statistics.median(times)) if times else "-"


def _short(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
