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


def best_known(tracks: Sequence[Track], keys: Sequence[str], folder: Path) -> list[float]:
    """The least objective from each start, of these runs and all that wrote into the folder."""
    path = folder / "best.json"
    known: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}
    for number, key in enumerate(keys):
        runs = [track.runs[number] for track in tracks if track.runs]
        values = [check.objective for run in runs for check in run if np.isfinite(check.objective)]
        known[key] = min([*values, known.get(key, float("inf"))])
    path.write_text(json.dumps(known, indent=1))
    return [known[key] for key in keys]


def race_table(tracks: Sequence[Track], bests: Sequence[float], absent: Mapping[str, str]) -> str:
    """Seconds to the gaps, the last gap and the KKT residual: medians over the starts."""
    lines = [
        "| method | iter. | ms/iter. | s to 1% | to 0.1% | to 0.01% | last gap | KKT |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for track in tracks:
        if not track.runs:
            continue
        last = track.curve(bests)[-1]
        times = [_seconds(track.seconds_to(bests, gap)) for gap in GAPS]
        lines.append(
            f"| {track.name} | {last.iteration} | {_short(1e3 * last.seconds / last.iteration)} "
            f"| {' | '.join(times)} | {last.objective:.0e} | {last.kkt:.0e} |"
        )
    failures = {track.name: track.failure for track in tracks if track.failure} | dict(absent)
    text = "\n".join(lines) + "\n"
    if failures:
        reasons = "; ".join(f"{name} ({reason})" for name, reason in failures.items())
        text += "\n" + textwrap.fill(f"Left out: {reasons}.", 80) + "\n"
    return text + _verdict(tracks, bests)


def _verdict(tracks: Sequence[Track], bests: Sequence[float], gap: float = 1e-3) -> str:
    """The first of ours against the first of the others, to a gap, in one sentence."""
    times = {track.name: track.seconds_to(bests, gap) for track in tracks if track.runs}
    ours, others = (
        sorted(
            (t.name for t in tracks if t.ours == kind and t.name in times),
            key=lambda name: statistics.median(times[name]),
        )
        for kind in (True, False)
    )
    reached = [name for name in (*ours[:1], *others[:1]) if np.isfinite(np.median(times[name]))]
    if not reached:
        return "\nNone came within 0.1% of the best known from half of the starts.\n"
    if reached[0] not in ours:
        return f"\nTo 0.1%: {reached[0]} is the first; none of ours came there.\n"
    first = f"\nTo 0.1%: of ours '{ours[0]}' is the first, after {_seconds(times[ours[0]])} s"
    if len(reached) == 1:
        return f"{first}; no other package came there.\n"
    pairs = zip(times[reached[1]], times[ours[0]], strict=True)
    ratio = statistics.median(b / a if np.isfinite(a) else 0.0 for b, a in pairs)
    return f"{first};\n{reached[1]} takes {ratio:.1f} times as long (median of the pairs).\n"


def race_plot(tracks: Sequence[Track], bests: Sequence[float], title: str) -> Figure:
    """The curves of all that ran: medians over the starts."""
    curves = {}
    for track in tracks:
        if track.runs:
            points = track.curve(bests)[1:]
            curves[track.name] = [p._replace(objective=1 + p.objective) for p in points]
    others = [track.name for track in tracks if track.runs and not track.ours]
    return race_figure(curves, 1.0, others, title=title)


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


def archive(tracks: Sequence[Track], bests: Sequence[float]) -> str:
    """Everything measured, as JSON."""
    content = {
        track.name: {
            "ours": track.ours,
            "runs": [[check._asdict() for check in run] for run in track.runs],
            "memory": track.memory,
            "failure": track.failure,
        }
        for track in tracks
    }
    return json.dumps({"bests": list(bests), "methods": content}, indent=1)


def _seconds(times: Sequence[float]) -> str:
    middle = statistics.median(times)
    return _short(middle) if np.isfinite(middle) else "-"


def _short(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
