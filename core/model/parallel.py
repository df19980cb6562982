"""The embedder's forward pass in training, and the same on several ranks, whose gradients are summed."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed, nn

from core.model.embedder import Embedder
from core.model.sync_norm import synchronise
from core.precision import autocast
from core.ranks import Ranks


class Forward(nn.Module):
    """Images (B, 3, S, S) -> embeddings (B, D), and the last K again, projected (K, T) if there is a projection.

    Backbone and neck run in full precision, the head's and the projection's products in the precision `mode`.
    """

    def __init__(self, embedder: Embedder, projection: nn.Linear | None, mode: str) -> None:
        super().__init__()
        self.embedder, self.projection, self.mode = embedder, projection, mode

    def forward(self, images: torch.Tensor, students: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`students` is K."""
        rows = self.embedder.neck(self.embedder.backbone(images))
        with autocast(self.mode, images.device):
            embeddings = self.embedder.head(rows)
            last = embeddings[-students:]
            return embeddings, last if self.projection is None else self.projection(last)


def forward_of(embedder: Embedder, projection: nn.Linear | None, mode: str, ranks: Ranks) -> nn.Module:
    """The forward pass; on several ranks with batch statistics of the whole batch and gradients summed over ranks.

    The loss of a rank is its share of the whole batch's mean, not the mean of its part: so a sum is what is wanted,
    where `DistributedDataParallel` by itself takes a mean.
    """
    forward = Forward(embedder, projection, mode)
    if ranks.alone:
        return forward
    synchronise(embedder, ranks)
    parallel = nn.parallel.DistributedDataParallel(forward, broadcast_buffers=False, find_unused_parameters=True)
    # A lambda, as torch compares annotations with a type, and ours are text.
    parallel.register_comm_hook(None, lambda _, bucket: _sum(bucket.buffer()))
    return parallel


def _sum(values: torch.Tensor) -> torch.futures.Future[Any]:
    work = distributed.all_reduce(values, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])
