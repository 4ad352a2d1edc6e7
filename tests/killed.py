"""Commands in processes of their own, to which signals are sent at random moments."""

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from rlra_torch import cli

ERRORS = "stderr.txt"
MOMENTS = int(os.environ.get("MOMENTS", "10"))


def _run(words, ready):
    """In a child: the command, in silence."""
    os.setsid()
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = open(ERRORS, "w", buffering=1)  # noqa: SIM115
    torch.set_num_threads(1)
    ready.set()
    os._exit(cli.main(words))


def ended(words, after=None, number=None, kept=None):
    """The status of a command; a signal is sent some seconds after its start, or once kept() is."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=_run, args=(words, ready))
    child.start()
    ready.wait(60)
    if after is not None:
        while kept is not None and child.is_alive() and not kept():
            time.sleep(0.002)
        time.sleep(after)
        if child.is_alive():
            os.kill(child.pid, number)
    child.join(timeout=120)
    return child.exitcode


def moments(length, seed=0):
    """Random moments below it, with a signal and the status that it leads to."""
    draws = random.Random(seed)
    kinds = ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130))
    return [(draws.uniform(0, length), *kinds[k % 2]) for k in range(MOMENTS)]


def said():
    """What the last command wrote to its standard error."""
    return Path(ERRORS).read_text()
