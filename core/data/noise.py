"""Noise of the documented augmentation, batched, every sample with its own strength."""

import math
from functools import cache

import torch

from core.data.blur import between
from core.device import send

NOISES = ("iso", "gauss", "multiplicative")


def random_bytes(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Uniform bytes of a shape, eight for each number drawn: the cheapest noise there is."""
    words = torch.empty(-(-math.prod(shape) // 8), dtype=torch.int64, device=generator.device)
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.uint8)[: math.prod(shape)].view(shape)


@cache
def _normal_quantiles(device: torch.device) -> torch.Tensor:
    """256 equally likely standard normal values, of unit variance."""
    values = torch.special.ndtri((torch.arange(256, device=device, dtype=torch.float32) + 0.5) / 256)
    return values / values.square().mean().sqrt()


def _normal(noise: torch.Tensor) -> torch.Tensor:
    return _normal_quantiles(noise.device).index_select(0, noise.flatten().int()).view(noise.shape)


def _iso_noise(images: torch.Tensor, u: torch.Tensor, noise: torch.Tensor) -> None:
    """Sensor noise: lightness rises by Poisson noise as strong as the image's own contrast, hue jitters.

    The library's walk through HLS is replaced by its first order: white is mixed in, and colours turn about the
    grey axis. The Poisson variable is its normal approximation, cut at zero.
    """
    intensity = between(u[:, 1], 0.1, 0.5)
    red, green, blue = images.unbind(1)
    lightness = torch.maximum(torch.maximum(red, green), blue)
    lightness = lightness.add_(torch.minimum(torch.minimum(red, green), blue)).mul_(0.5)
    variance = lightness.square().mean((1, 2)) - lightness.mean((1, 2)).square()
    rate = (variance.clamp_min_(0).sqrt_() * intensity * 255)[:, None, None]
    normal = _normal(noise[:, :2])
    gain = normal[:, 0].mul_(rate.sqrt()).add_(rate).clamp_min_(0).mul_(1 / 255)
    turn = (between(u[:, 0], 0.01, 0.05) * intensity * (2 * math.pi / math.sqrt(3)))[:, None, None]
    turn = normal[:, 1].mul_(turn)
    changes = torch.stack((blue - green, red - blue, green - red), 1).mul_(turn[:, None])
    images.add_(changes).sub_(1).mul_(1 - gain[:, None]).add_(1)


def add_noise(images: torch.Tensor, option: str, u: torch.Tensor, noise: torch.Tensor) -> None:
    """One of NOISES, in place, on images (N, 3, S, S) in [0, 1]; u (N, 2), noise: random bytes of the images' shape."""
    u = send(u, images.device)
    if option == "iso":
        _iso_noise(images, u, noise)
    elif option == "gauss":
        deviation = between(u[:, 0], 10, 50).sqrt_().mul_(1 / 255)
        images.addcmul_(_normal(noise), deviation[:, None, None, None])
    else:
        images.mul_(noise.to(torch.float32).add_(128.5).mul_(1 / 256))
    images.clamp_(0, 1)
