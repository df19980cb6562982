"""The margin softmax of one step over blocks of class centres, and its gradient, block by block.

No matrix of all classes is made, and no graph: exponentials, embedding gradient and centre gradients are found in
sweeps over blocks that fit a core's cache, each of which costs one or two matrix products a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch

from core.loss.class_sampling import Block, Sample
from core.loss.margin import apply_margin
from core.loss.row_optimizer import RowGradient
from core.loss.table_rows import Runs, pieces
from core.ranks import ALONE, Ranks

# Exponentials of logits in +-REACH are normal numbers whose sums do not overflow: no maximum has to be subtracted,
# and none is subnormal, on which processors are tens of times slower.
_REACH = {torch.float32: 64.0, torch.float64: 320.0}
_LOWEST = 80.0  # below the running maximum; what is lower adds nothing, and would be subnormal in float32
_NO_CLASS = -1e30  # the peak where there is no logit: finite, so that differences are, too
_TINY = 1e-12  # length below which a centre is not scaled up, as `torch.nn.functional.normalize` has it

_Parts = list[tuple[torch.Tensor, slice]]


class Scratch:
    """Memory that steps reuse; it grows to the largest step and is never given back."""

    def __init__(self) -> None:
        self._held: dict[str, torch.Tensor] = {}

    def take(self, name: str, like: torch.Tensor, *shape: int) -> torch.Tensor:
        """Uninitialised memory of the given shape, of the type and device of `like`; the last taker's is reused."""
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or held.numel() < size or held.device != like.device or held.dtype != like.dtype:
            self._held[name] = held = torch.empty(size, dtype=like.dtype, device=like.device)
        return held[:size].view(shape)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(held.nbytes for held in self._held.values())


class ChunkedSoftmax:
    """One step: mean loss and embedding gradient at once, centre gradients when asked for.

    With unit rows e (B, D), unit centres c_j and cosines e c_j, the logits are those of
    `core.loss.margin.margin_logits`. Under autocast the logits' product runs in the lower precision, all else not.
    Centres are not written out at unit length: with w_j = l_j c_j, what would be multiplied by c_j is divided by l_j,
    which takes a pass over a block's (R, B) products in place of one over its (R, D) rows.

    Args:
        unit: (B, D) embeddings of unit length, of the table's type.
        table: (C, D) class centres, of any length; it must not change before the gradients are read.
        keep_bytes: up to so much memory is used to keep exponentials and gradients between sweeps; where that is too
            little they are computed again, at about twice the products.
        ranks: that each have a part of the table and of the sample, and all of the embeddings.

    Attributes:
        loss: scalar, of all ranks' classes.
        unit_gradient: (B, D), by `unit`, of the loss times one; of several ranks the share of this one's classes.
    """

    def __init__(
        self,
        unit: torch.Tensor,
        sample: Sample,
        table: torch.Tensor,
        kind: str,
        scale: float,
        margin: float,
        *,
        scratch: Scratch,
        keep_bytes: int,
        ranks: Ranks = ALONE,
    ) -> None:
        self._unit, self._scaled, self._table, self._scratch = unit, unit * scale, table, scratch
        self._blocks = (Block(sample.positives), *sample.blocks)
        self._ranks, self._margin = ranks, (kind, scale, margin)
        # Kept, as gradients may be asked for, and exponentials computed again, where autocast is not on any more.
        device = table.device.type
        self._lower = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        # Rows of the batch whose class this rank has: all of them, where it is alone.
        self._mine: slice | torch.Tensor = slice(None) if ranks.alone else (sample.target >= 0).nonzero().squeeze(1)
        self._target = sample.target[self._mine]
        self._columns = torch.arange(len(unit), device=unit.device)[self._mine]
        self._inverse = scratch.take("inverse", table, sum(len(block) for block in self._blocks), 1)
        width = max(unit.shape)
        size = len(self._inverse) * width
        self._kept = scratch.take("kept", table, size) if size * table.element_size() <= keep_bytes else None
        self._starts = [0]
        for block in self._blocks:
            self._starts.append(self._starts[-1] + len(block))
        self._shifts = scale > _REACH[table.dtype]
        self._peak = unit.new_full((1, len(unit)), _NO_CLASS if self._shifts else 0.0)
        self._gradients: list[RowGradient] = []
        self._forward()

    def _forward(self) -> None:
        batch, scale = len(self._unit), self._margin[1]
        total, pulled = torch.zeros_like(self._peak), torch.zeros_like(self._unit)
        peaks = []
        for index in range(len(self._blocks)):
            parts, inverse = self._measured(index)
            before = self._peak
            powers = self._powers(index, parts, inverse, first=True)
            if self._shifts and index:
                faded = (before - self._peak).exp_()
                total.mul_(faded)
                pulled.mul_(faded.T)
            total.add_(powers.sum(0, keepdim=True))
            powers.mul_(inverse)
            for centres, place in parts:
                pulled.addmm_(powers[place].T, centres)
            peaks.append(self._peak)
        log_total = self._log_total(total)
        # What makes each block's exponentials probabilities over B; where no peak is taken off, the same for all.
        factors = [(peak - log_total).exp_().div_(batch).T for peak in (peaks if self._shifts else peaks[:1])]
        self._factors = factors if self._shifts else factors * len(peaks)
        log_total = log_total.T
        probability = (self._logit - log_total[self._mine]).exp_()
        self.loss = self._mean_loss(log_total)
        # The target's share of the gradient passes through the margin, all others' through the cosine alone.
        self._correction = ((probability - 1) * self._slope - probability).div_(batch)
        pulled.mul_(self._factors[-1])
        positives = self._blocks[0].rows
        assert isinstance(positives, torch.Tensor)
        own = self._table.index_select(0, positives[self._target]).mul_(self._inverse[self._target])
        if isinstance(self._mine, slice):
            pulled.addcmul_(own, self._correction)
        else:
            pulled.index_add_(0, self._mine, own * self._correction)
        self.unit_gradient = pulled.mul_(scale)

    def _log_total(self, total: torch.Tensor) -> torch.Tensor:
        """(1, B) logarithm of the sum of all ranks' exponentials, of which `total` is this one's over its peak."""
        if self._ranks.alone:
            return total.log_().add_(self._peak)
        highest = self._ranks.max_(self._peak.clone())
        return self._ranks.sum_(total.mul_((self._peak - highest).exp_())).log_().add_(highest)

    def _mean_loss(self, log_total: torch.Tensor) -> torch.Tensor:
        if self._ranks.alone:
            return (log_total - self._logit).mean()
        logits = torch.zeros_like(log_total)
        logits[self._mine] = self._logit
        return (log_total - self._ranks.sum_(logits)).mean()

    def _measured(self, index: int) -> tuple[_Parts, torch.Tensor]:
        """The block's centres, and (R, 1) one over their lengths."""
        parts = self._parts(index)
        inverse = self._inverse_of(index)
        for centres, place in parts:
            torch.linalg.vector_norm(centres, dim=1, keepdim=True, out=inverse[place])
        return parts, inverse.clamp_(min=_TINY).reciprocal_()

    def _inverse_of(self, index: int) -> torch.Tensor:
        return self._inverse[self._starts[index] : self._starts[index + 1]]

    def _parts(self, index: int) -> _Parts:
        """The block's centres as (r, D) parts with their places among its R rows; the next block reuses the memory."""
        rows = self._blocks[index].rows
        if isinstance(rows, Runs):
            return [(self._table[run], place) for run, place in pieces(rows)]
        gathered = self._scratch.take("centres", self._table, len(rows), self._table.shape[1])
        return [(torch.index_select(self._table, 0, rows, out=gathered), slice(0, len(rows)))]

    def _powers(self, index: int, parts: _Parts, inverse: torch.Tensor, first: bool) -> torch.Tensor:
        """(R, B) exponentials of the block's logits minus the peak; `first` finds target logits and peak as well."""
        block = self._blocks[index]
        powers = self._slot(index, len(block), len(self._unit))
        self._product(parts, inverse, powers)
        if index == 0:
            if first:
                self._margin_of(powers[self._target, self._columns][:, None])
            powers[self._target, self._columns] = self._logit.squeeze(1)
        if self._shifts and len(block):  # of several ranks one may have no class of the batch
            if first:
                if block.hidden is not None:  # without its margin, a class of the batch may be far above all that count
                    powers.index_fill_(0, block.hidden, _NO_CLASS)
                highest = powers.amax(0, keepdim=True)
                self._peak = torch.maximum(self._peak, highest) if index else highest
            powers.sub_(self._peak).clamp_(min=-_LOWEST)
        powers.exp_()
        if block.hidden is not None:
            powers.index_fill_(0, block.hidden, 0)
        return powers

    def _product(self, parts: _Parts, inverse: torch.Tensor, out: torch.Tensor) -> None:
        if self._lower is None:
            for centres, place in parts:
                torch.mm(centres, self._scaled.T, out=out[place])
            out.mul_(inverse)
            return
        for centres, place in parts:
            unit = centres * inverse[place]  # first: a lower precision may not reach as far as their lengths do
            with torch.autocast(self._table.device.type, self._lower):
                out[place].copy_(torch.mm(unit, self._scaled.T))

    def _margin_of(self, logits: torch.Tensor) -> None:
        """From the targets' logits (M, 1) those with their margin, and their slope by the cosine over the scale.

        M is the number of rows of the batch whose class is here.
        """
        kind, scale, margin = self._margin
        cosine = (logits / scale).clamp_(-1, 1).requires_grad_()
        with torch.enable_grad():
            logit = apply_margin(cosine, torch.zeros_like(self._target), kind, scale, margin)
            (slope,) = torch.autograd.grad(logit.sum(), cosine)
        self._logit, self._slope = logit.detach(), slope.div_(scale)

    def _slot(self, index: int, *shape: int) -> torch.Tensor:
        """Where the block's exponentials, and later its gradient, are kept."""
        if self._kept is None:
            return self._scratch.take("block", self._table, *shape)
        start = self._starts[index] * max(self._unit.shape)
        return self._kept[start : start + math.prod(shape)].view(shape)

    def gradient_norm(self) -> torch.Tensor:
        """Euclidean norm (scalar tensor) of the gradient of all the step's centres."""
        squares, kept = [], []
        for index, (_, gradient) in enumerate(self.gradients()):
            squares.append(gradient.square_norms().sum())
            if self._kept is not None:
                raw = self._slot(index, *gradient.raw.shape).copy_(gradient.raw)
                kept.append(replace(gradient, raw=raw))
        self._gradients = kept
        return torch.stack(squares).sum().sqrt_()

    def gradients(self) -> Iterator[tuple[Block, RowGradient]]:
        """Each block with the gradient of its centres, zero in hidden rows; the next block reuses the memory.

        A caller may change the table's rows of a block that it has been given, and its gradient.
        """
        for index, block in enumerate(self._blocks):
            yield block, self._gradients[index] if self._gradients else self._gradient(index)

    def _gradient(self, index: int) -> RowGradient:
        if self._kept is None:
            parts, inverse = self._measured(index)
            powers = self._powers(index, parts, inverse, first=False).mul_(inverse)
            factor = self._factors[-1]  # as they were found anew, from the last peak
        else:
            parts, inverse = self._parts(index), self._inverse_of(index)
            powers, factor = self._slot(index, len(self._blocks[index]), len(self._unit)), self._factors[index]
        raw = self._scratch.take("gradient", self._table, len(powers), self._table.shape[1])
        torch.mm(powers, self._scaled * factor, out=raw)
        if index == 0:
            raw.index_add_(0, self._target, self._scaled[self._mine] * (self._correction * inverse[self._target]))
        inverse = inverse.squeeze(1)
        along = torch.empty_like(inverse)
        for centres, place in parts:
            product = torch.mul(raw[place], centres, out=self._scratch.take("product", self._table, *centres.shape))
            torch.sum(product, 1, out=along[place])
        return RowGradient(raw, along.mul_(inverse), inverse)
