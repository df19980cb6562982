"""Processes that train one run together: who this one is, its part of a batch or a table, and what all of them share.

Every collective call must be made by all ranks, in the same order. A process that trains alone is `ALONE`, for which
they all do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed

from core.errors import RunFailure, UserError

T = TypeVar("T")
# One function, renamed in torch 2.14.
_all_gather = getattr(distributed, "all_gather_single", None) or distributed.all_gather_into_tensor


@dataclass(frozen=True)
class Part:
    """Rows `start` to `stop` of `of`."""

    start: int
    stop: int
    of: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start

    def bounds_in(self, rows: torch.Tensor) -> tuple[int, int]:
        """Of rows (N,) in rising order, where those of this part begin and end."""
        first, last = torch.searchsorted(rows, torch.tensor([self.start, self.stop], device=rows.device)).tolist()
        return first, last


class Ranks:
    """Rank `index` of `count`; more than one need torch's default process group.

    `broken` is set once a rank left the others in the middle of something: no collective call can be made any more.
    """

    def __init__(self, index: int = 0, count: int = 1) -> None:
        self.index, self.count, self.broken = index, count, False
        self._led: BaseException | None = None

    @property
    def alone(self) -> bool:
        return self.count == 1

    @property
    def leads(self) -> bool:
        """Whether this is the rank that judges, writes and tells."""
        return self.index == 0

    def part(self, total: int, index: int | None = None) -> Part:
        """This rank's rows of `total`, or those of rank `index`: neighbours, as even as can be, rank 0's the most."""
        index = self.index if index is None else index
        return Part(-(-total * index // self.count), -(-total * (index + 1) // self.count), total)

    def sum_(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks, in place of every rank's values."""
        if not self.alone:
            distributed.all_reduce(values)
        return values

    def max_(self, values: torch.Tensor) -> torch.Tensor:
        """The maximum over all ranks, in place."""
        if not self.alone:
            distributed.all_reduce(values, op=distributed.ReduceOp.MAX)
        return values

    def gather(self, rows: torch.Tensor, total: int) -> torch.Tensor:
        """(total, ...) from every rank's `part(total)` of them; without a gradient."""
        if self.alone:
            return rows
        most = len(self.part(total, 0))
        padded = rows.new_zeros(most, *rows.shape[1:])
        padded[: len(rows)] = rows.detach()
        found = rows.new_empty(self.count * most, *rows.shape[1:])
        _all_gather(found, padded)
        return torch.cat([found[rank * most :][: len(self.part(total, rank))] for rank in range(self.count)])

    def collect(self, rows: torch.Tensor, total: int) -> torch.Tensor:
        """(total, ...) from every rank's `part(total)`, on the leader and on its CPU; nothing on the others.

        No other memory is taken than that of the whole: tables may fill most of a machine.
        """
        if self.alone:
            return rows
        rows = rows.detach().cpu().contiguous()
        if not self.leads:
            distributed.send(rows, 0)
            return rows[:0]
        found = rows.new_empty(total, *rows.shape[1:])
        found[self.part(total).rows] = rows
        for rank in range(1, self.count):
            distributed.recv(found[self.part(total, rank).rows], rank)
        return found

    def gather_shared(self, rows: torch.Tensor, total: int) -> torch.Tensor:
        """`gather` with a gradient, for what every rank computes its own share from: shares of it are summed."""
        gathered: torch.Tensor = rows if self.alone else _GatherShared.apply(rows, self, total)
        return gathered

    def gather_same(self, rows: torch.Tensor, total: int) -> torch.Tensor:
        """`gather` with a gradient, for what all ranks compute alike: each takes its own rows of it."""
        gathered: torch.Tensor = rows if self.alone else _GatherSame.apply(rows, self, total)
        return gathered

    def mean(self, rows: torch.Tensor) -> torch.Tensor:
        """(D,) the mean of all ranks' rows (B, D), with a gradient."""
        averaged: torch.Tensor = rows.mean(0) if self.alone else _Mean.apply(rows, self)
        return averaged

    def agree(self, value: bool) -> bool:
        """The leader's value."""
        return value if self.alone else bool(self.send(value))

    def same(self, value: Any) -> bool:
        """Whether all ranks have an equal one."""
        if self.alone:
            return True
        told: list[Any] = [None] * self.count
        distributed.all_gather_object(told, value)
        return all(one == told[0] for one in told)

    def require_same(self, value: Any, failure: RunFailure) -> None:
        """Raise the failure, on all ranks, where they do not have equal values."""
        if not self.same(value):
            self._led = failure
            raise failure

    def send(self, value: Any = None) -> Any:
        """The leader's object, on every rank; what other ranks give does not matter."""
        box = [value if self.leads else None]
        if not self.alone:
            distributed.broadcast_object_list(box)
        return box[0]

    def lead(self, act: Callable[[], T]) -> T:
        """What `act` returns to the leader, who alone calls it; where it raises there, it fails on all ranks.

        Raises:
            RunFailure, UserError: on other ranks, what the leader's raised, or of kind ``error`` for anything else.
        """
        if self.alone:
            return act()
        if self.leads:
            try:
                value = act()
            except Exception as error:
                self._led = error
                self.send(("raised", type(error) is UserError, getattr(error, "kind", "error"), str(error)))
                raise
            self.send(("value", value))
            return value
        told = self.send()
        if told[0] == "value":
            return told[1]
        self._led = UserError(told[3]) if told[1] else RunFailure(told[2], told[3])
        raise self._led

    def shares(self, error: BaseException) -> bool:
        """Whether all ranks have met an error at the same place, so that they can go on together with another run."""
        return self.alone or error is self._led or (isinstance(error, RunFailure) and error.kind == "diverged")


class _GatherShared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, ranks: Ranks, total: int) -> torch.Tensor:
        ctx.ranks, ctx.part = ranks, ranks.part(total)
        return ranks.gather(rows, total)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = upstream
        return ctx.ranks.sum_(gradient.clone(memory_format=torch.contiguous_format))[ctx.part.rows], None, None


class _GatherSame(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, ranks: Ranks, total: int) -> torch.Tensor:
        ctx.part = ranks.part(total)
        return ranks.gather(rows, total)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = upstream
        return gradient[ctx.part.rows], None, None


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, ranks: Ranks) -> torch.Tensor:
        told = ranks.sum_(torch.cat([rows.sum(0), rows.new_full((1,), len(rows))]))
        ctx.ranks, ctx.rows, ctx.count = ranks, len(rows), told[-1]
        return told[:-1] / told[-1]

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = upstream
        return (ctx.ranks.sum_(gradient.clone()) / ctx.count).expand(ctx.rows, -1), None


ALONE = Ranks()
