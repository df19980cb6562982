"""Images of random pixels, and the numbers that say what is done to them."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(n: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, size, size), generator=generator(seed), dtype=torch.uint8)


def smooth(n: int, size: int, seed: int = 0) -> torch.Tensor:
    """Images of low frequency in [0, 1]."""
    coarse = torch.rand(n, 3, 4, 4, generator=generator(seed))
    return F.interpolate(coarse, size, mode="bicubic", align_corners=False).clamp(0, 1)


def uniform(n: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, columns, generator=generator(seed))
