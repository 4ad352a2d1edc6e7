"""The tasks of the command line: race-NAME and step-NAME."""

from __future__ import annotations

import argparse
import os
import textwrap

import torch

from race import report
from race.judge import multiplied
from race.ours import OURS
from race.peers import PEERS
from race.running import race, steps
from race.tasks import TASKS, Data, start
from race.track import Method, Setting
from rlra_torch.plots import save

STEPS = 10
LOSSES = {"frobenius": "Frobenius", "kl": "Kullback-Leibler"}


def titles() -> dict[str, str]:
    """What there is, and what it does."""
    races, single = {}, {}
    for name, task in TASKS.items():
        what = f"{task.title}, {LOSSES[task.loss]}"
        races[f"race-{name}"] = f"Race: {what}"
        if name != "missing":
            single[f"step-{name}"] = f"One iteration of MU: {what}"
    return races | single


def family(name: str) -> list[str]:
    """All tasks of a family, or the one task."""
    if name in ("race", "step"):
        return [task for task in titles() if task.startswith(f"{name}-")]
    return [name]


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("races")
    group.add_argument("--seconds", type=float, help="for each method and run (default: by task)")
    group.add_argument("--methods", help="only these, separated by semicolons")
    group.add_argument("--threads", type=int, help="for each method (default: one a core)")
    group.add_argument("--small", action="store_true", help="a piece of the data, to try it out")


def run(name: str, options: argparse.Namespace) -> str:
    """Run one task; its table."""
    family, _, key = name.partition("-")
    task = TASKS[key]
    try:
        data = task.make(options.small)
    except FileNotFoundError as error:
        return f"### {titles()[name]}\n\nleft out: {error}\n"
    threads = _threads(options.threads)
    setting = Setting(data, task.loss, task.rank, options.device, threads)
    head = (
        f"### {titles()[name]}\n\n{data.describe()}, rank {task.rank}, float32.\n"
        f"{report.machine(options.device, threads)}\n\n"
    )
    if family == "step":
        return head + _step(setting, options)
    return head + _race(key, setting, options)


def _race(key: str, setting: Setting, options: argparse.Namespace) -> str:
    names, absent = _ready(setting, options.methods)
    task, rounds = TASKS[key], options.rounds or 3
    seconds = options.seconds or (2.0 if options.small else task.seconds)
    starts = [start(setting.data, task.rank, seed) for seed in range(rounds)]
    tracks = race(setting, names, starts, seconds)
    mark = f"{key}{'-small' if options.small else ''}"
    keys = [_identity(mark, setting.data, task.rank, seed) for seed in range(rounds)]
    bests = report.best_known(tracks, keys, options.out)
    title = f"{task.title}, {LOSSES[task.loss]}, {setting.data.describe()}, rank {task.rank}"
    save(report.race_plot(tracks, bests, title), options.out / f"race-{mark}.png")
    (options.out / f"race-{mark}.json").write_text(report.archive(tracks, bests))
    values = ", ".join(f"{best:.6g}" for best in bests)
    effort = f"Medians over {rounds} start{'s' * (rounds > 1)}, {seconds:g} s for each run."
    table = report.race_table(tracks, bests, absent)
    return f"{textwrap.fill(f'{effort} Best known: {values}.', 80)}\n\n{table}"


def _step(setting: Setting, options: argparse.Namespace) -> str:
    names = [name for name in _ready(setting, options.methods)[0] if _is_mu(name, setting.loss)]
    begin = start(setting.data, setting.rank, 0)
    found = steps(setting, names, begin, options.rounds or 5, STEPS)
    truth = multiplied(setting.data, setting.loss, begin, 2 + STEPS)
    return report.step_table(found, setting.data, begin, truth)


def _identity(mark: str, data: Data, rank: int, seed: int) -> str:
    """What a best known objective is of: another release of an archive is another problem."""
    return f"{mark}, {data.describe()}, rank {rank}, seed {seed}"


def _ready(setting: Setting, wanted: str | None) -> tuple[list[str], dict[str, str]]:
    """The names of the methods that can run, and why the others cannot."""
    asked = None if wanted is None else [name.strip() for name in wanted.split(";")]
    masked = setting.data.observed is not None
    methods: list[Method] = [m for m in OURS if setting.loss in m.losses]
    # What is only for missing entries is not missed elsewhere.
    methods += [m for m in PEERS if setting.loss in m.losses and (masked or not m.missing)]
    names, absent = [], {}
    for method in methods:
        if asked is not None and method.name not in asked:
            continue
        reason = method.why_not(setting.data, setting.device)
        if reason is None:
            names.append(method.name)
        else:
            absent[method.name] = reason
    unknown = sorted(set(asked or ()) - {method.name for method in methods})
    if unknown or not names:
        known = ", ".join(method.name for method in methods)
        raise SystemExit(f"no method {unknown[0] if unknown else wanted!r} here; there are {known}")
    return names, absent


def _is_mu(name: str, loss: str) -> bool:
    return name in ("mu", "scikit-learn MU", "torchnmf MU") or (name, loss) == ("nmf-torch", "kl")


def _threads(wanted: int | None) -> int:
    """Set for all libraries, before the processes of the methods begin."""
    threads = wanted or int(os.environ.get("OMP_NUM_THREADS", 0)) or torch.get_num_threads()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    return threads
