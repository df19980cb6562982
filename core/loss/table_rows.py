"""Which rows of a table a block of work uses: runs of neighbours, used where they lie, or rows by number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from core.ranks import Part


@dataclass(frozen=True)
class Runs:
    """Runs of neighbouring rows, one after another: row i of the block is the i-th of them all."""

    slices: tuple[slice, ...]

    def __len__(self) -> int:
        return sum(run.stop - run.start for run in self.slices)

    def within(self, part: Part) -> Runs:
        """The rows that are also in `part` of the table, numbered from its first."""
        inside = [(max(run.start, part.start), min(run.stop, part.stop)) for run in self.slices]
        return Runs(tuple(slice(a - part.start, b - part.start) for a, b in inside if a < b))


Rows = Runs | torch.Tensor  # (R,) int64


def numbers(rows: Rows) -> torch.Tensor:
    """(R,) int64 the rows by number, on the CPU for runs."""
    if not isinstance(rows, Runs):
        return rows
    return torch.cat([torch.arange(run.start, run.stop) for run in rows.slices] or [torch.empty(0, dtype=torch.int64)])


def pieces(rows: Rows) -> Iterator[tuple[slice | torch.Tensor, slice]]:
    """What can index a table at once, and where it lies among the block's rows: each run, or all the numbers."""
    if not isinstance(rows, Runs):
        yield rows, slice(0, len(rows))
        return
    start = 0
    for run in rows.slices:
        stop = start + run.stop - run.start
        yield run, slice(start, stop)
        start = stop


def take(tensor: torch.Tensor, rows: slice | torch.Tensor) -> torch.Tensor:
    """The rows: the tensor's own memory where they are neighbours, else a copy."""
    return tensor[rows] if isinstance(rows, slice) else tensor.index_select(0, rows)


def put_back(tensor: torch.Tensor, rows: slice | torch.Tensor, taken: torch.Tensor) -> None:
    """Write what `take` gave, and was changed since, where it was a copy."""
    if not isinstance(rows, slice):
        tensor.index_copy_(0, rows, taken)
