"""PartialFC whose class centres are shared out over ranks, each with a part of the softmax."""

from __future__ import annotations

from typing import Any

import torch

from core.device import send
from core.loss.margin import check_labels, margin_shift
from core.loss.partial_fc import PartialFC, check_batch, normal_rows
from core.ranks import Part, Ranks


class ShardedPartialFC(PartialFC):
    """`core.loss.partial_fc.PartialFC` on several ranks: the same loss, gradients and draws as on one.

    Every rank has the centres of `part`, as in An et al. 2022 (arXiv 2203.15565, section 3.3), but draws the whole
    sample, so that it does not depend on the number of ranks. `forward` takes this rank's part of the embeddings and
    all labels, and gives the loss of the whole batch, whose gradient is what reaches the embeddings.

    Args:
        as of `PartialFC`, and `ranks`.

    Attributes:
        weight: (len(part), D) the centres of this rank's classes.
    """

    def __init__(self, *shape: Any, ranks: Ranks, **options: Any) -> None:
        self._ranks = ranks
        super().__init__(*shape, **options)

    @property
    def part(self) -> Part:
        """Which classes these are."""
        return self._ranks.part(self.num_classes)

    def _first_weight(self, std: float, generator: torch.Generator) -> torch.Tensor:
        part = self.part
        rows = torch.empty(len(part), self.embed_dim)
        for first, drawn in normal_rows(part.of, self.embed_dim, std, generator):
            low, high = max(first, part.start), min(first + len(drawn), part.stop)
            if low < high:
                rows[low - part.start : high - part.start] = drawn[low - first : high - first]
        return rows

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss of the whole batch, a scalar of at least float32; as of `PartialFC`.

        Args:
            embeddings: (b, D) of this rank's part of the batch.
            labels: (B,) int64 of the whole batch.
        """
        check_batch(embeddings, labels[self._ranks.part(len(labels)).rows], self.embed_dim, self.num_classes)
        check_labels(labels, self.num_classes)
        whole = self._ranks.gather_shared(embeddings, len(labels))
        if self.num_sampled == self.num_classes:
            centres: torch.Tensor = self.weight
            target = send(labels, self.weight.device) - self.part.start
        else:
            sampled = self._sample(labels)
            self.overflow_steps += len(sampled) > self.num_sampled
            first, last = self.part.bounds_in(sampled)
            centres = self.weight.index_select(0, sampled[first:last] - self.part.start)
            target = torch.searchsorted(sampled, send(labels, sampled.device).contiguous()) - first
        mine = ((target >= 0) & (target < len(centres))).nonzero().squeeze(1)
        cosine = self._cosine(whole, centres)
        with torch.autocast(cosine.device.type, enabled=False):
            logits = self._with_margin(cosine, mine, target[mine])
            loss: torch.Tensor = _SharedCrossEntropy.apply(logits, mine, target[mine], self._ranks)
        return loss

    def _with_margin(self, cosine: torch.Tensor, mine: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Scaled logits (B, S), those of rows `mine` with the margin at their targets."""
        logits = cosine * self.scale
        if self.kind == "softmax" or self.margin == 0:
            return logits
        shift = margin_shift(cosine[mine, target][:, None], self.kind, self.margin).squeeze(1)
        return logits.index_put_((mine, target), shift * self.scale, accumulate=True)


class _SharedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of logits (B, S) of which every rank has other columns.

    `mine` (M,) are the rows whose target column `target` (M,) is on this rank.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, mine: torch.Tensor, target: torch.Tensor, ranks: Ranks) -> torch.Tensor:
        batch, width = logits.shape
        lowest = torch.finfo(logits.dtype).min
        peak = logits.amax(1, keepdim=True) if width else logits.new_full((batch, 1), lowest)
        powers = logits.sub(ranks.max_(peak)).exp_()
        told = torch.stack([powers.sum(1), torch.zeros_like(peak[:, 0])])
        told[1, mine] = logits[mine, target]
        total, own = ranks.sum_(told)
        ctx.save_for_backward(powers.div_(total[:, None]), mine, target)
        return (total.log() + peak[:, 0] - own).mean()

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        probability, mine, target = ctx.saved_tensors
        probability[mine, target] -= 1
        return probability.mul_(upstream[0] / len(probability)), None, None, None
