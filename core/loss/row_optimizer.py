"""AdamW on the rows of a table that a step used, and on no others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from core.errors import nearest
from core.loss.table_rows import Rows, numbers, pieces, put_back, take

UPDATES = ("rows", "row_scalar")


@dataclass(frozen=True)
class RowGradient:
    """The gradient of rows that are only used at unit length, as what makes it up: it is not always worth writing out.

    Of the loss's gradient by the unit row c = w / l of a row w of length l only what is at right angles to c passes:
    with `raw` that gradient over l, g = raw - along * c.

    Attributes:
        raw: (R, D), the gradient by the unit rows over the rows' lengths.
        along: (R,), its component along each row.
        inverse: (R,), one over the lengths of the rows.
    """

    raw: torch.Tensor
    along: torch.Tensor
    inverse: torch.Tensor

    def part(self, place: slice) -> RowGradient:
        """Of some neighbouring rows."""
        return RowGradient(self.raw[place], self.along[place], self.inverse[place])

    def dense(self, values: torch.Tensor) -> torch.Tensor:
        """(R, D) the gradient of the rows `values`, in the memory of `raw`."""
        return self.raw.addcmul_(values, (self.along * self.inverse)[:, None], value=-1)

    def square_norms(self) -> torch.Tensor:
        """(R,)"""
        squares = torch.linalg.vector_norm(self.raw, dim=1).square_()
        return squares.addcmul_(self.along, self.along, value=-1).clamp_(min=0)


class RowOptimizer(nn.Module):
    """State and update of the rows of a (C, D) table, without a dense gradient.

    With g a row's gradient and t the number of steps that used the row, this one included:

    * ``rows``: AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2) with both moments of every value. A
      row that is always used moves as under the dense optimiser; one that is left out stays where it is, moments
      and all, while the dense one moves it on by its momentum.
    * ``row_scalar``: one number a row, the decaying mean of g's mean square, in place of two moments a value; no
      momentum. A third of the memory, for tables of millions of rows (row-wise scaling as in Mudigere et al. 2022,
      arXiv 2104.05158, section 4.1.3, with Adam's decay).

    Bias is corrected by each row's own t, so that a rarely used row does not start with oversized steps.

    Args:
        kind: one of `UPDATES`.
        table: (C, D) the rows' first values, for sizes, type and device.
    """

    def __init__(
        self,
        kind: str,
        table: torch.Tensor,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__()
        if kind not in UPDATES:
            raise ValueError(f"unknown row update '{kind}'{nearest(kind, UPDATES)}")
        if not (0 <= betas[0] < 1 and 0 <= betas[1] < 1 and eps > 0 and weight_decay >= 0):
            raise ValueError(f"betas {betas} must be in [0, 1), eps {eps} positive, weight decay {weight_decay} >= 0")
        self.kind, self.betas, self.eps, self.weight_decay = kind, betas, eps, weight_decay
        self.used: torch.Tensor
        self.second: torch.Tensor
        self.first: torch.Tensor | None
        rows = len(table)
        self.register_buffer("used", torch.zeros(rows, dtype=torch.int32, device=table.device))
        if kind == "rows":
            self.register_buffer("first", torch.zeros_like(table))
            self.register_buffer("second", torch.zeros_like(table))
        else:
            self.register_buffer("first", None)
            self.register_buffer("second", table.new_zeros(rows))

    @torch.no_grad()
    def update(
        self,
        table: torch.Tensor,
        rows: Rows,
        gradient: RowGradient,
        lr: float,
        factor: torch.Tensor,
        hidden: torch.Tensor | None = None,
    ) -> None:
        """One step of some rows of `table` (C, D), in place.

        Args:
            rows: R of them, distinct.
            gradient: of these rows; its memory is overwritten.
            factor: scalar that the gradient is multiplied by.
            hidden: (H,) int64 indices among the R that are not to move, nor their state.
        """
        if self.first is None:
            self._scalar(table, rows, gradient, lr, factor, hidden)
            return
        found = list(pieces(rows))
        for piece, place in found:
            still = hidden
            if hidden is not None and len(found) > 1:
                still = hidden[(hidden >= place.start) & (hidden < place.stop)] - place.start
            self._moments(table, piece, gradient.part(place), lr, factor, still)

    def _scalar(
        self, table: torch.Tensor, rows: Rows, gradient: RowGradient, lr: float, factor: torch.Tensor,
        hidden: torch.Tensor | None,
    ) -> None:  # fmt: skip
        beta = self.betas[1]
        found = list(pieces(rows))
        ids = found[0][0] if len(found) == 1 else numbers(rows).to(table.device)
        used, second = take(self.used, ids), take(self.second, ids)
        if hidden is not None:
            before = used[hidden], second[hidden]
        used += 1
        mean_square = gradient.square_norms().mul_(factor.square() / table.shape[1])
        second.lerp_(mean_square, 1 - beta)
        size = (second / _bias(beta, used.to(table.dtype))).sqrt_().add_(self.eps)
        # w (1 - lr decay) - lr factor g / size, with g taken apart, so that the rows are passed over but twice.
        share = factor * -lr / size
        keep = (1 - lr * self.weight_decay) - share * gradient.along * gradient.inverse
        if hidden is not None:
            used[hidden], second[hidden] = before
            share.index_fill_(0, hidden, 0)
            keep.index_fill_(0, hidden, 1)
        put_back(self.used, ids, used)
        put_back(self.second, ids, second)
        keep, share = keep[:, None], share[:, None]
        for piece, place in found:
            values = take(table, piece)
            put_back(table, piece, values.mul_(keep[place]).addcmul_(gradient.raw[place], share[place]))

    def _moments(
        self, table: torch.Tensor, rows: slice | torch.Tensor, gradient: RowGradient, lr: float, factor: torch.Tensor,
        hidden: torch.Tensor | None,
    ) -> None:  # fmt: skip
        assert self.first is not None
        (beta1, beta2), tensors = self.betas, (table, self.used, self.first, self.second)
        taken = [take(tensor, rows) for tensor in tensors]
        before = None if hidden is None else [part[hidden] for part in taken]
        values, used, first, second = taken
        used += 1
        steps = used.to(table.dtype)
        dense = gradient.dense(values).mul_(factor)
        first.lerp_(dense, 1 - beta1)
        second.mul_(beta2).addcmul_(dense, dense, value=1 - beta2)
        size = torch.sqrt(second, out=dense).div_(_bias(beta2, steps).sqrt_()[:, None]).add_(self.eps)
        torch.div(first, size, out=size)
        values.mul_(1 - lr * self.weight_decay).addcmul_(size, (-lr / _bias(beta1, steps))[:, None])
        if before is not None:
            for part, held in zip(taken, before, strict=True):
                part[hidden] = held
        for tensor, part in zip(tensors, taken, strict=True):
            put_back(tensor, rows, part)


def _bias(beta: float, steps: torch.Tensor) -> torch.Tensor:
    """1 - beta**t of rows (R,), by an exponential, which is several times as fast as a power."""
    return (steps * math.log(beta)).expm1_().neg_() if beta > 0 else torch.ones_like(steps)
