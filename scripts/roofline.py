"""What an iteration must at least take: bytes and operations counted, divided by a device's limits.

    python scripts/roofline.py                                 an H100 with 3.35 TB/s, 67 TFLOP/s
    python scripts/roofline.py --bandwidth 2.0e12 --flops 19.5e12     another device

These are predictions from counts, not measurements: no kernel reaches both limits, and the time to
launch kernels is left out. Rows of a factor that sparse kernels gather are counted twice over: as
if each came from memory (far), and as if all but the first reading came from a cache (near).
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

REAL, INDEX = 4, 4  # bytes of a float32 and of an int32
SECTOR = 32  # bytes read at once; gathered rows are padded to whole sectors


class Problem(NamedTuple):
    """A sparse matrix, a rank, and the milliseconds published for an iteration elsewhere."""

    m: int
    n: int
    nnz: int
    rank: int
    published: float

    def turned(self) -> Problem:
        """The transposed one, as the update of the other factor sees it."""
        return self._replace(m=self.n, n=self.m)


class Work(NamedTuple):
    """Operations; bytes that are streamed, that are gathered, and that are gathered if cached."""

    flops: float
    streamed: float
    gathered: float = 0
    distinct: float = 0

    def plus(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(self, other, strict=True)))


PROBLEMS = [
    Problem(5000, 40_000, 33_000_000, 20, 139),
    Problem(5000, 10_000, 8_300_000, 64, 44),
    Problem(8000, 500, 412_000, 16, 99),
]


def row(rank: int) -> int:
    """Bytes of a gathered row of a factor."""
    return -(-rank * REAL // SECTOR) * SECTOR


def multiplied(p: Problem) -> Work:
    """``w * negative / column sums``: reads two factors and the other one, writes one."""
    return Work((2 * p.m + p.n) * p.rank, (3 * p.m + p.n) * p.rank * REAL)


def sparse_fused(p: Problem) -> Work:
    """The negative part in one kernel: values and columns once, each row of H once an entry."""
    streamed = p.nnz * (REAL + INDEX) + (p.m + 1) * INDEX + 2 * p.m * p.rank * REAL
    return Work(4 * p.nnz * p.rank, streamed, p.nnz * row(p.rank), p.n * row(p.rank))


def sparse_two_step(p: Problem) -> Work:
    """Sampled products, the ratio, a sparse product: predictions and ratios go through memory."""
    streamed = p.nnz * (2 * INDEX + 5 * REAL) + 2 * ((p.m + 1) * INDEX + p.m * p.rank * REAL)
    gathered, distinct = 2 * p.nnz * p.rank * REAL, 2 * p.n * p.rank * REAL
    return Work(4 * p.nnz * p.rank, streamed, gathered, distinct)


def dense_fused(p: Problem) -> Work:
    """One reading of the data; the other operands stay in caches."""
    return Work(4 * p.m * p.n * p.rank, (p.m * p.n + (2 * p.m + p.n) * p.rank) * REAL)


def dense_stored(p: Problem) -> Work:
    """The prediction and the ratio as whole matrices: written, and read again."""
    return Work(4 * p.m * p.n * p.rank, (5 * p.m * p.n + (2 * p.m + p.n) * p.rank) * REAL)


def sweeps(p: Problem) -> Work:
    """The gram of the other factor, and one sweep of coordinate descent."""
    return Work(2 * (p.m + p.n) * p.rank**2, (3 * p.m + p.n) * p.rank * REAL + p.rank**2 * REAL)


def sparse_product(p: Problem) -> Work:
    """``Y H``."""
    streamed = p.nnz * (REAL + INDEX) + (p.m + 1) * INDEX + p.m * p.rank * REAL
    return Work(2 * p.nnz * p.rank, streamed, p.nnz * p.rank * REAL, p.n * p.rank * REAL)


def dense_product(p: Problem) -> Work:
    """``Y H``."""
    return Work(2 * p.m * p.n * p.rank, (p.m * p.n + (p.m + p.n) * p.rank) * REAL)


METHODS = {
    "KL-MU, CSR, fused": (sparse_fused, multiplied),
    "KL-MU, CSR, two steps": (sparse_two_step, multiplied),
    "KL-MU, dense, fused": (dense_fused, multiplied),
    "KL-MU, dense, stored": (dense_stored, multiplied),
    "HALS, CSR": (sparse_product, sweeps),
    "HALS, dense": (dense_product, sweeps),
}


def iteration(p: Problem, method: str) -> Work:
    """Both factors once."""
    total = Work(0, 0)
    for side in (p, p.turned()):
        for part in METHODS[method]:
            total = total.plus(part(side))
    return total


def bound(work: Work, bandwidth: float, flops: float, cached: bool) -> tuple[float, str]:
    """Milliseconds, and what takes them."""
    moved = work.streamed + (work.distinct if cached else work.gathered)
    return max((1e3 * moved / bandwidth, "bytes"), (1e3 * work.flops / flops, "flops"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--bandwidth", type=float, default=3.35e12, help="bytes a second")
    parser.add_argument("--flops", type=float, default=67e12, help="float32 operations a second")
    given = parser.parse_args()
    print(f"Predicted, not measured: {given.bandwidth:.3g} B/s, {given.flops:.3g} FLOP/s, float32.")
    print("An iteration updates both factors. far: gathers from memory; near: from a cache.")
    for p in PROBLEMS:
        print(f"\n{p.m} x {p.n}, nnz {p.nnz:,}, rank {p.rank}", end="; ")
        print(f"published on an H100 NVL: {p.published:g} ms")
        print(f"{'':22}{'GFLOP':>7}{'GB far':>8}{'near':>7}{'ms far':>9}{'bound':>7}", end="")
        print(f"{'ms near':>10}{'bound':>7}")
        for method in METHODS:
            work = iteration(p, method)
            far, near = (bound(work, given.bandwidth, given.flops, c) for c in (False, True))
            numbers = work.flops, work.streamed + work.gathered, work.streamed + work.distinct
            gflop, *moved = (x / 1e9 for x in numbers)
            print(f"{method:22}{gflop:7.2f}{moved[0]:8.3f}{moved[1]:7.3f}", end="")
            print(f"{far[0]:9.4f}{far[1]:>7}{near[0]:10.4f}{near[1]:>7}")


if __name__ == "__main__":
    main()
