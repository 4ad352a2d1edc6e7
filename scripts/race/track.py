"""A process for each method: only there the clock runs, and nothing else runs meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import sys
import time
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch

from race.ours import OURS, Ours
from race.peers import PEERS, Peer
from race.tasks import Data, Pair, start

Method = Ours | Peer


@dataclass(frozen=True)
class Run:
    """A run from the start.

    Args:
        start: the factors to begin with.
        counts: iterations of each piece.
        seconds: no further piece begins after as many.
    """

    start: Pair
    counts: tuple[int, ...]
    seconds: float


class Point(NamedTuple):
    """After a piece: iterations and seconds so far, and the factors."""

    iterations: int
    seconds: float
    factors: Pair


class Setting(NamedTuple):
    """What a method works on."""

    data: Data
    loss: str
    rank: int
    device: str
    threads: int


def method_named(name: str) -> Method:
    """One of ours, or a peer."""
    return next(method for method in (*OURS, *PEERS) if method.name == name)


def work(pipe: Connection, name: str, setting: Setting) -> None:
    """The process: answers each `Run` with points, then with the extra memory; None ends it."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(setting.threads)
    torch.set_flush_denormal(True)
    try:
        method = method_named(name)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            native = method.native(setting.data, setting.loss, setting.device)
            # The first call pays for imports, compilation and tuning.
            method.begin(native, start(setting.data, setting.rank, 0)).advance(1)
            pipe.send("ready")
            while (run := pipe.recv()) is not None:
                _serve(pipe, method, native, setting.device, run)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        pipe.send(f"{type(error).__name__}: {first}")


def _serve(pipe: Connection, method: Method, native: Any, device: str, run: Run) -> None:
    before, memory = _mark(device), 0.0
    begin = now(device)
    racer = method.begin(native, run.start)
    spent, done = now(device) - begin, 0
    for count in run.counts:
        begin = now(device)
        racer.advance(count)
        spent, done = spent + now(device) - begin, done + count
        memory = max(memory, _peak(device) - before)
        pipe.send(Point(done, spent, racer.factors()))
        # Whoever judges the factors has the machine to itself, and so has the next piece.
        pipe.recv()
        _reset(device)
        if spent >= run.seconds:
            break
    pipe.send(memory)


def now(device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def _mark(device: str) -> float:
    """Begin to measure memory: what there is now, in MB."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # What was freed must be given back, or it would serve the run unseen.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    _reset(device)
    return _peak(device)


def _reset(device: str) -> None:
    """Forget the peak so far, where the system can."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak(device: str) -> float:
    """The most memory since, in MB."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e6
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
