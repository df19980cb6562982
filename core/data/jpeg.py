"""What JPEG loses, batched, every sample with its own quality."""

import math
from functools import cache

import torch
from torch.nn import functional as F

from core.device import constant, send
from core.precision import full_product

# ITU-T T.81, Annex K.1: the example quantisation tables, row by row.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
# ITU-T T.871 (JFIF): RGB to luma and the two colour differences, all in 0..255 units around 0.
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


@cache
def _block_dct(size: int, block: int, device: torch.device) -> torch.Tensor:
    """Orthonormal DCT-II of the consecutive blocks of a row, as one block-diagonal (size, size) matrix."""
    k = torch.arange(block, dtype=torch.float64)
    basis = torch.cos(math.pi / block * (k[None, :] + 0.5) * k[:, None]) * math.sqrt(2 / block)
    basis[0] /= math.sqrt(2)
    return send(torch.block_diag(*[basis.float()] * (size // block)), device)


def _requantise(planes: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Quantise the DCT of contiguous (N, C, H, H) planes with the steps (N, b, b) of b x b blocks."""
    n, c, size, _ = planes.shape
    block = steps.shape[-1]
    # A few blocks a product: one block is too thin for a fast product, a whole row multiplies mostly zeros.
    tile = block * math.gcd(size // block, max(32 // block, 1))
    dct = _block_dct(tile, block, planes.device)
    steps = steps.repeat(1, size // block, size // block)[:, None]
    coefficients = full_product(planes.reshape(-1, tile), dct.T).view(-1, tile, size)
    coefficients = full_product(dct, coefficients).view(n, c, size, size).div_(steps).round_().mul_(steps)
    rows = full_product(dct.T, coefficients.view(-1, tile, size))
    return full_product(rows.view(-1, tile), dct).view(n, c, size, size)


def jpeg(images: torch.Tensor, quality: torch.Tensor, block: int = 8) -> torch.Tensor:
    """Losses of JPEG at the given quality (N,) in 0..100: 4:2:0 colour, block DCT, quantisation (ITU-T T.81).

    `block` < 8 gives the losses of an image 8 / block times larger that is shrunk afterwards: the quantised
    low-frequency quarter of its DCT is, up to scale, the DCT of the small image. Quality is scaled as in libjpeg.
    """
    n, _, size, _ = images.shape
    device = images.device
    tables = constant((_LUMINANCE, _CHROMINANCE), device)[:, :block, :block]
    quality = quality.clamp(1, 100)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    steps = ((tables[:, None] * percent[:, None, None] + 50) / 100).floor_().clamp_(1, 255)
    steps = steps * (block / 8)
    spare = -size % (2 * block)
    padded = F.pad(images, (0, spare, 0, spare), mode="replicate") if spare else images
    side = size + spare
    to_ycc = constant(_TO_YCC, device).mul(255).expand(n, 3, 3)
    ycc = full_product(to_ycc, padded.reshape(n, 3, -1)).view(n, 3, side, side)
    luma = _requantise(ycc[:, :1].sub(128).contiguous(), steps[0])
    rows = ycc[:, 1:].unflatten(2, (side // 2, 2))
    rows = rows[:, :, :, 0] + rows[:, :, :, 1]
    chroma = _requantise((rows[..., ::2] + rows[..., 1::2]).mul_(0.25), steps[1])
    ycc[:, :1] = luma
    ycc[:, 1:].view(n, 2, side // 2, 2, side // 2, 2).copy_(chroma[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2))
    to_rgb = constant(_TO_RGB, device).div(255).expand(n, 3, 3)
    rgb = full_product(to_rgb, ycc.view(n, 3, -1)).add_(128 / 255).clamp_(0, 1).view(n, 3, side, side)
    return rgb[:, :, :size, :size].contiguous() if spare else rgb
