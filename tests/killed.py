"""Commands in processes of their own, to which signals are sent at random moments.

The processes are forked from a server that has imported the package and done nothing else: what
other tests left behind, threads and filters of warnings among it, is not theirs.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

ERRORS = "stderr.txt"
MOMENTS = int(os.environ.get("MOMENTS", "10"))
IMPORTED = ("applications.factorizing", "applications.unmixing", "training.command")


def _run(words, ready, brisk):
    """In a child: the command, in silence."""
    import torch

    from rlra_torch import cli
    from rlra_torch.cli import finishing
    from rlra_torch.solvers import journal

    os.setsid()
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = open(ERRORS, "w", buffering=1)  # noqa: SIM115
    torch.set_num_threads(1)
    if brisk:  # no page, which takes time, and each state of a solve is kept
        finishing.find_spec = lambda name: None
        journal.Journal.__init__.__defaults__ = (0.0,)
    ready.set()
    os._exit(cli.main(words))


def ended(words, after=None, number=None, kept=None, brisk=False):
    """The status of a command; a signal is sent some seconds after its start, or once kept() is."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed", *(f"rlra_torch.{name}" for name in IMPORTED)])
    ready = context.Event()
    child = context.Process(target=_run, args=(words, ready, brisk))
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


def moments(length, count=MOMENTS):
    """Random moments below it, with a signal and the status that it leads to."""
    draws = random.Random(0)
    kinds = ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130))
    return [(draws.uniform(0, length), *kinds[k % 2]) for k in range(count)]


def said():
    """What the last command wrote to its standard error."""
    return Path(ERRORS).read_text()
