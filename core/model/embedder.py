"""The embedder: backbone, neck, and the record's two-layer head with the ablated norms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from core.config_sections import ModelConfig
from core.errors import RunFailure
from core.model.backbone import Backbone, build_backbone
from core.model.depthwise import plain_depthwise
from core.model.timm_models import cannot_take
from core.ranks import ALONE
from core.seeds import global_stream

SQUEEZE_RATIO = 0.25


class Centring(nn.Module):
    """Rows (B, D) less the mean of the batch, or in eval mode its running mean: BatchNorm without the division.

    Momentum as in `torch.nn.BatchNorm1d`; no parameters. A control for BatchNorm's two effects. The batch is that of
    all `ranks`.
    """

    def __init__(self, dim: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum, self.ranks = momentum, ALONE
        self.running_mean: torch.Tensor
        self.register_buffer("running_mean", torch.zeros(dim))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return rows - self.running_mean
        mean = self.ranks.mean(rows)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        return rows - mean


def head_norm(kind: str, dim: int) -> nn.Module:
    """The norm after each linear layer of the head: (B, dim) -> (B, dim)."""
    make: dict[str, Callable[[int], nn.Module]] = {"bn": nn.BatchNorm1d, "ln": nn.LayerNorm, "centre": Centring}
    return nn.Sequential(*(make[part](dim) for part in kind.split("_") if part != "none"))


def neck(kind: str, channels: int) -> nn.Module:
    """From feature maps (B, C, H, W) to rows: flatten them, pool them, or squeeze channels to a quarter first."""
    if kind == "gap":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if kind == "squeeze":
        return nn.Sequential(nn.Conv2d(channels, int(channels * SQUEEZE_RATIO), 1, bias=False), nn.Flatten())
    return nn.Flatten()


class Embedder(nn.Module):
    """Images (B, 3, S, S) in [0, 1] -> embeddings (B, embed_dim), not normalised.

    The head is the record's: neck, linear, norm, linear, norm, both linear layers without bias; both
    norms are of the ablated kind (DocClassifier 0.4.0 and 0.8.0).

    Raises:
        RunFailure: as `build_backbone`, and `bad_config` for a backbone that cannot take images of `image_size`.
        UserError: as `build_backbone`.
    """

    def __init__(self, config: ModelConfig, image_size: int, seed: int) -> None:
        super().__init__()
        self.backbone = build_backbone(config, seed)
        shape = _map_shape(self.backbone, config.backbone, image_size)
        with global_stream(seed, "init.head"):
            self.neck = neck(config.neck, shape[1])
            width = self.neck(torch.zeros(shape)).shape[1]
            self.head = nn.Sequential(
                nn.Linear(width, config.embed_dim, bias=False),
                head_norm(config.norm, config.embed_dim),
                nn.Linear(config.embed_dim, config.embed_dim, bias=False),
                head_norm(config.norm, config.embed_dim),
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        embeddings: torch.Tensor = self.head(self.neck(self.backbone(images)))
        return embeddings


def _map_shape(backbone: Backbone, name: str, image_size: int) -> torch.Size:
    """(1, C, H, W) of the map of one image, by a forward of it in eval mode."""
    try:
        with torch.no_grad():
            shape: torch.Size = backbone.eval()(torch.zeros(1, 3, image_size, image_size)).shape
    except Exception as error:  # models that are made for one size say so in many ways, if at all
        raise RunFailure("bad_config", cannot_take(name, image_size, error)) from error
    if len(shape) != 4:
        raise RunFailure("bad_config", f"model.backbone: {name} gives no feature map (B, C, H, W)")
    return shape


def parameter_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def size_mb(module: nn.Module) -> float:
    """Megabytes (10^6) of the parameters in float32, as the record counts model size."""
    return parameter_count(module) * 4 / 1e6


def flops_g(module: nn.Module, image_size: int) -> float:
    """GFLOPs of one image forward, a multiply-add counted as two, whatever way a device takes to compute it."""
    from torch.utils.flop_counter import FlopCounterMode

    device = next(module.parameters()).device
    was_training = module.training
    module.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), plain_depthwise(module), counter:
        module(torch.zeros(1, 3, image_size, image_size, device=device))
    module.train(was_training)
    return counter.get_total_flops() / 1e9
