"""Solvers: the one loop, with stopping and callbacks around it."""

from .callbacks import Checkpoint, EarlyStop, ProgressBar, load_checkpoint
from .history import History, Record, Traced
from .journal import Journal
from .online import OnlineNMF
from .path import solve_path
from .plug_and_play import Pictures, plug_and_play
from .progress import Progress
from .reweighting import solve_reweighted
from .solve import Solution, solve
from .starts import best_start
from .watching import Watching

__all__ = [
    "Checkpoint",
    "EarlyStop",
    "History",
    "Journal",
    "OnlineNMF",
    "Pictures",
    "Progress",
    "ProgressBar",
    "Record",
    "Solution",
    "Traced",
    "Watching",
    "best_start",
    "load_checkpoint",
    "plug_and_play",
    "solve",
    "solve_path",
    "solve_reweighted",
]
