"""Views: each image as if photographed by hand, batched, every sample with its own parameters.

They serve pretraining, and training as the policy `photographed`. The record's augmentation inverts images and
shuffles their channels: from scratch, and in short trainings, that hides what there is to learn (siblings differ in
colour, too), and features end below those of an untrained network.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from core.data.blur import between
from core.device import send
from core.ranks import Part

_CORNER_SHIFT = 0.12  # of a side: more than the captures' own, so that theirs are inside
_FIELD = 12  # light is smooth: it is computed on this many cells a side and enlarged
_SQUARE = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def photographed(
    images: torch.Tensor,
    generator: torch.Generator,
    *,
    varied: bool = False,
    part: Part | None = None,
    noise: torch.Generator | None = None,
) -> torch.Tensor:
    """(B, 3, S, S) uint8 -> float32 in [0, 1]: perspective, softness, light, shadow, glare, colour and noise.

    Corners move by up to 12 % of a side, or with `varied` by up to a share of that which is each image's own, so that
    careful photographs are among them.

    Args:
        generator: CPU generator that each image's own numbers are drawn from.
        part: the images are these of a batch, whose draws are made whole; by default they are a whole batch.
        noise: generator of the pixels' noise, on the images' device; by default `generator`, for images on the CPU.
    """
    count, channels, size, _ = images.shape
    batch, rows = (count, slice(None)) if part is None else (part.of, part.rows)
    device, noise = images.device, noise or generator
    shift = (torch.rand(batch, 4, 2, generator=generator)[rows] * 2 - 1) * (2 * _CORNER_SHIFT)
    if varied:
        shift = shift * torch.rand(batch, 1, 1, generator=generator)[rows]
    # Solved on the CPU: an accelerator waits to see whether systems could be solved.
    maps = homography(_SQUARE.expand(count, 4, 2), _SQUARE + shift)
    grid = _perspective_grid(send(maps, device), size)
    moved = functional.grid_sample(images.float(), grid, "bilinear", "border", align_corners=False)
    u = send(torch.rand(batch, 16, 1, 1, generator=generator)[rows], device)
    inner = moved[..., 1:, 1:]
    mean = (inner + moved[..., :-1, :-1]).add_(moved[..., 1:, :-1]).add_(moved[..., :-1, 1:]).mul_(0.25)
    inner.lerp_(mean, u[:, :1])
    colour = between(u[:, 1:2], 0.75, 1.25) * between(u[:, 2:5], 0.9, 1.1)
    moved.mul_(colour / 255)
    gain, glare = _light(u[:, 5:15, 0, 0])
    fields = functional.interpolate(torch.stack([gain, glare], 1), (size, size), mode="bilinear", align_corners=False)
    moved.mul_(fields[:, :1])
    moved.addcmul_(fields[:, 1:], 1 - moved)
    # One 64-bit draw is eight bytes of noise: eight times as fast as drawing bytes.
    whole = batch * moved[0].numel()
    words = torch.randint(-(2**62), 2**62, (math.ceil(whole / 8),), generator=noise, device=device)
    grain = words.view(torch.int8)[:whole].view(batch, channels, size, size)[rows]
    return moved.addcmul_(grain.float(), u[:, 15:16] * (0.08 / 128)).clamp_(0, 1)


def _light(u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gain (multiplied) and glare (share moved to white), each (B, _FIELD, _FIELD), from u (B, 10) in [0, 1)."""
    axis = torch.linspace(-1, 1, _FIELD, device=u.device)
    x, y = axis.view(1, 1, -1), axis.view(1, -1, 1)
    angle, depth, edge, dark, has_shadow, gx, gy, has_glare, strength, spread = (v.view(-1, 1, 1) for v in u.unbind(1))
    along = torch.cos(2 * math.pi * angle) * x + torch.sin(2 * math.pi * angle) * y
    gain = 1 + 0.35 * depth * along
    shadow = torch.sigmoid((along - between(edge, -0.5, 1.0)) / 0.1)
    gain = gain * (1 - 0.4 * dark * (has_shadow < 0.3) * shadow)
    squared = (x - between(gx, -1, 1)) ** 2 + (y - between(gy, -1, 1)) ** 2
    glare = (has_glare < 0.35) * 0.9 * strength * torch.exp(-squared / between(spread, 0.06, 0.18))
    return gain, glare


def _perspective_grid(matrix: torch.Tensor, size: int) -> torch.Tensor:
    """(B, 3, 3) maps from output to input -> sampling grid (B, size, size, 2).

    The planes are kept apart in memory, which is several times faster; `grid_sample` takes the permuted view.
    """
    axis = torch.linspace(-1 + 1 / size, 1 - 1 / size, size, device=matrix.device)
    along_x = (matrix[:, :, 0, None] * axis)[:, :, None, :]
    along_y = (matrix[:, :, 1, None] * axis + matrix[:, :, 2, None])[:, :, :, None]
    planes = along_x + along_y
    return (planes[:, :2] / planes[:, 2:]).permute(0, 2, 3, 1)


def homography(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3) maps that take four points (B, 4, 2) to four others: the direct linear transform."""
    x, y = source[..., 0], source[..., 1]
    u, v = target[..., 0], target[..., 1]
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    system = torch.cat([rows_u, rows_v], dim=1)
    solved = torch.linalg.solve(system, torch.cat([u, v], dim=1))
    return torch.cat([solved, torch.ones(len(solved), 1, device=solved.device)], dim=1).view(-1, 3, 3)
