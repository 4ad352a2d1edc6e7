"""Templates that are pieces of a spectrogram, cut out where it is loudest."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, pad

from ..functional.pixels import select_columns
from .spa import ProjectedColumns, check_columns, with_unused

# Of the length of a piece that counts where another frame of it is louder than its peak.
OVERHEARD = 0.1


def loudest_windows(y: Tensor, rank: int, window: int, quiet: float = 0.1) -> Tensor:
    """Pieces of a spectrogram around its loudest frames, each of one sound as far as there are.

    A frame counts if no other within half a window is louder, and if it is not quiet. Pieces of one
    length around such frames all begin the same number of frames before: those at which they hold
    most of it. Scaled to sum one, pieces with a single sound are then corners of a simplex
    that holds those with several, and successive projection finds the corners. A piece in which a
    louder sound begins is no corner of interest: where that sound alone is left in its last frames
    it is a corner nevertheless, moved in time. Such pieces come last.

    Args:
        y: (*, frequencies, frames), nonnegative.
        rank: how many, at most the frames.
        window: their length, at most the frames.
        quiet: frames below this fraction of the loudest one do not count.

    Returns:
        (*, frequencies, window, rank), with frames of zeros beyond the ends of the data. Where
        there are not so many sounds the pieces at the loudest frames that are left follow.

    Raises:
        ValueError: a rank or a window that is not between 1 and the number of frames.

    References:
        | Degleris, Gillis, A provably correct and robust algorithm for convolutive nonnegative
        | matrix factorization (2020)
        | Cohen, Regularized low-rank approximations (HDR, 2026), section 21.2.2

    Example:
        >>> y = torch.tensor([[0.0, 2.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 4.0, 1.0]])
        >>> loudest_windows(y, 2, 2).movedim(-1, 0)
        tensor([[[0., 0.],
                 [4., 1.]],
        <BLANKLINE>
                [[2., 1.],
                 [0., 0.]]])
    """
    check_columns("a start from the loudest frames", y, rank)
    frames = y.shape[-1]
    if not 1 <= window <= frames:
        raise ValueError(f"a window of {window} frames does not fit data of {frames}")
    y = y.detach()
    loud = y.sum(-2)
    loudest = loud.amax(-1, keepdim=True)
    peaks = _peaks(loud, window) & (loud >= quiet * loudest) & (loud > 0)
    # Peaks are apart, so that no more of them fit; other frames follow where there are few.
    most = max(rank, -(-frames // (window // 2 + 1)))
    order = (loud + torch.where(peaks, loudest, 0)).topk(min(most, frames)).indices
    before = _before(loud, peaks, window)
    pieces = _pieces(y, order - before[..., None], window)
    flat = pieces.flatten(-3, -2)
    size = flat.sum(-2, keepdim=True)
    flat = flat / torch.where(size > 0, size, 1)
    # A piece in which another sound is louder would be taken for that one, moved.
    flat = flat * torch.where(_led(loud, order, before, window), 1, OVERHEARD)[..., None, :]
    # A piece that is cut off by the end of the data would look like another sound.
    whole = order - before[..., None] + window <= frames
    chosen = _corners(flat, rank, window, whole & peaks.gather(-1, order))
    where = with_unused(chosen, order.shape[-1])[..., None, None, :]
    return pieces.gather(-1, where.expand(*pieces.shape[:-1], rank))


def _corners(flat: Tensor, rank: int, window: int, allowed: Tensor) -> Tensor:
    """Indices (*, rank) of pieces (*, frequencies window, k), -1 where none is left.

    With each its moves in time are projected out, for what a piece holds of another sound that
    began before it or begins within it is such a move.
    """
    left = ProjectedColumns(flat, allowed)
    tolerance = 20 * rank * torch.finfo(flat.dtype).eps
    chosen = []
    for _ in range(rank):
        chosen.append(left.largest(tolerance))
        piece = select_columns(flat, chosen[-1]).unflatten(-2, (-1, window))
        for moved in pad(piece, (0, 0, window - 1, window - 1)).unfold(-2, window, 1).unbind(-3):
            left.project_out(moved.mT.flatten(-3, -2))
    return torch.cat(chosen, -1)


def _peaks(loud: Tensor, window: int) -> Tensor:
    """Whether a frame (*, frames) is the loudest of those up to half a window away."""
    reach = window // 2
    flat = loud.reshape(-1, 1, loud.shape[-1])
    return loud >= max_pool1d(flat, 2 * reach + 1, 1, reach).reshape(loud.shape)


def _led(loud: Tensor, order: Tensor, before: Tensor, window: int) -> Tensor:
    """Whether no frame of the pieces around frames (*, k) is louder than that one."""
    pieces = _pieces(loud[..., None, :], order - before[..., None], window)
    return pieces.amax((-3, -2)) <= loud.gather(-1, order)


def _before(loud: Tensor, peaks: Tensor, window: int) -> Tensor:
    """How many frames (*,) pieces begin before their peak to hold most of what is around it.

    What is around a peak is the lower quartile over all peaks, which other sounds hardly move.
    """
    around = pad(loud, (window - 1, window - 1)).unfold(-1, 2 * window - 1, 1)
    around = torch.where(peaks[..., None], around / loud[..., None], torch.nan)
    shape = around.nanquantile(0.25, -2).nan_to_num(0)
    return shape.unfold(-1, window, 1).sum(-1).flip(-1).argmax(-1)


def _pieces(y: Tensor, starts: Tensor, window: int) -> Tensor:
    """The pieces (*, frequencies, window, k) that begin at frames (*, k), inside or not."""
    frames = y.shape[-1]
    where = starts[..., None, :] + torch.arange(window, device=y.device)[:, None]
    inside = (where >= 0) & (where < frames)
    index = where.clamp(0, frames - 1).flatten(-2)[..., None, :]
    found = y.gather(-1, index.expand(*y.shape[:-1], index.shape[-1]))
    return torch.where(inside[..., None, :, :], found.unflatten(-1, where.shape[-2:]), 0)
