"""Solvers: the one loop, with stopping and callbacks around it."""

from .callbacks import Checkpoint, EarlyStop, ProgressBar, load_checkpoint
from .history import History, Record, Traced
from .online import OnlineNMF
from .path import solve_path
from .reweighting import solve_reweighted
from .solve import Progress, Solution, solve
from .starts import best_start

__all__ = [
    "Checkpoint",
    "EarlyStop",
    "History",
    "OnlineNMF",
    "Progress",
    "ProgressBar",
    "Record",
    "Solution",
    "Traced",
    "best_start",
    "load_checkpoint",
    "solve",
    "solve_path",
    "solve_reweighted",
]
