"""Batch statistics over all ranks: BatchNorm (and centring) of a part of a batch as if it had been the whole.

PyTorch's own `SyncBatchNorm` runs on GPUs only; this one runs wherever the collectives do. Its statistics are joined
from each rank's mean and sum of squared deviations (Chan, Golub and LeVeque 1983), so that nothing cancels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.model.embedder import Centring
from core.ranks import Ranks

_kinds: dict[type[_BatchNorm], type[_BatchNorm]] = {}  # made once each


def synchronise(model: nn.Module, ranks: Ranks) -> nn.Module:
    """Let the batch norms and centrings of a model see the batches of all ranks; parameters and names stay.

    A timm norm keeps its dropout and activation. Returns the model, as it is where the rank is alone.
    """
    if ranks.alone:
        return model
    for module in model.modules():
        if isinstance(module, Centring):
            module.ranks = ranks
        elif isinstance(module, _BatchNorm):
            module.__class__ = _synchronised(type(module))
            module.__dict__["_ranks"] = ranks  # no parameter, buffer or module
    return model


def _synchronised(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    """The subclass of a batch norm whose training statistics are of all ranks."""
    if kind in _kinds:
        return _kinds[kind]

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            normed: torch.Tensor = kind.forward(self, x)
            return normed
        normed, mean, variance, count = _Norm.apply(x, self.weight, self.bias, self.eps, self._ranks)
        if self.track_running_stats and self.running_mean is not None:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.to(self.running_mean), momentum)
                self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), momentum)
        for name in ("drop", "act"):  # of timm's BatchNormAct2d
            normed = getattr(self, name)(normed) if hasattr(self, name) else normed
        return normed

    _kinds[kind] = type(f"Synchronised{kind.__name__}", (kind,), {"forward": forward})
    return _kinds[kind]


class _Norm(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias over all but the second dimension, of all ranks."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float, ranks: Ranks
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        ctx.over = [0, *range(2, x.ndim)]
        ctx.shape = [1, -1, *([1] * (x.ndim - 2))]
        wide = x if x.dtype == torch.float64 else x.float()
        count = wide.new_full((1,), x.numel() / x.shape[1])
        mean = wide.mean(ctx.over)
        deviations = (wide - mean.view(ctx.shape)).square().sum(ctx.over)
        told = ranks.gather(torch.cat([mean, deviations, count])[None], ranks.count)
        means, deviation, counts = told[:, : len(mean)], told[:, len(mean) : -1], told[:, -1:]
        total = counts.sum()
        mean = (means * counts).sum(0) / total
        variance = (deviation.sum(0) + (counts * (means - mean).square()).sum(0)) / total
        inverse = (variance + eps).rsqrt()
        unit = (wide - mean.view(ctx.shape)) * inverse.view(ctx.shape)
        ctx.save_for_backward(unit, inverse, weight)
        ctx.ranks, ctx.total, ctx.has_bias, ctx.dtype = ranks, total, bias is not None, x.dtype
        ctx.mark_non_differentiable(mean, variance, total)
        out = unit if weight is None else unit * weight.view(ctx.shape)
        out = out if bias is None else out + bias.view(ctx.shape)
        return out.to(x.dtype), mean, variance, total

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        unit, inverse, weight = ctx.saved_tensors
        gradient = upstream[0].to(unit.dtype)
        along = (gradient * unit).sum(ctx.over)
        whole = gradient.sum(ctx.over)
        # Parameters' gradients stay each rank's own share: they are summed with all others.
        of_weight = along.clone() if weight is not None else None
        of_bias = whole.clone() if ctx.has_bias else None
        told = ctx.ranks.sum_(torch.cat([whole, along])) / ctx.total
        mean, mean_along = (part.view(ctx.shape) for part in told.chunk(2))
        slope = inverse if weight is None else inverse * weight
        by_x = (gradient - mean - unit * mean_along) * slope.view(ctx.shape)
        return by_x.to(ctx.dtype), of_weight, of_bias, None, None
