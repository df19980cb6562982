"""Noise of the documented strength."""

from __future__ import annotations

import math

import torch

from core.data.noise import NOISES, add_noise
from tests.core.data.random_images import generator, smooth


def _bytes(like: torch.Tensor) -> torch.Tensor:
    return torch.randint(0, 256, like.shape, generator=generator(5), dtype=torch.uint8)


def test_noises_have_the_documented_strength() -> None:
    images = torch.full((4, 3, 64, 64), 0.5)
    noisy = {option: images.clone() for option in NOISES}
    for option, out in noisy.items():
        add_noise(out, option, torch.tensor([[0.0, 1.0]] * 4), _bytes(images))
    assert torch.equal(noisy["iso"], images)  # without contrast there is no lightness noise, without colour no hue
    gauss = noisy["gauss"] - images
    assert abs(gauss.std() * 255 - math.sqrt(10)) < 0.05
    assert gauss.mean().abs() * 255 < 0.1
    factor = noisy["multiplicative"] / images
    assert factor.min() >= 0.5
    assert factor.max() <= 1.5
    assert abs(factor.std() - 1 / math.sqrt(12)) < 0.005
    assert abs(factor.mean() - 1) < 0.005


def test_iso_noise_brightens_with_contrast() -> None:
    images = smooth(4, 32)
    gain = []
    for intensity in (0.0, 1.0):
        out = images.clone()
        add_noise(out, "iso", torch.tensor([[0.5, intensity]] * 4), _bytes(images))
        gain.append((out - images).mean())
    assert 0 < gain[0] < gain[1]
