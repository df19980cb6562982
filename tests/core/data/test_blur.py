"""Blurs of the documented augmentation against scipy and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from core.data.blur import (
    BLURS,
    blur,
    defocus_kernels,
    filter2d,
    gaussian_kernels,
    median3,
    motion_kernels,
    sampling_grid,
    zoom_blur,
)
from tests.core.data.random_images import generator, pixels, smooth, uniform


def test_sampling_grid_is_torchs() -> None:
    theta = torch.randn(5, 2, 3, generator=generator())
    expected = F.affine_grid(theta, [5, 3, 20, 20], align_corners=False)
    assert torch.allclose(sampling_grid(theta, 20).permute(0, 2, 3, 1), expected, atol=1e-5)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("option", BLURS)
def test_every_blur_smooths_and_keeps_the_mean(option: str, size: int) -> None:
    images = (smooth(6, size) + 0.1 * torch.rand(6, 3, size, size, generator=generator())).clamp(0, 1)
    before = images.clone()
    out = blur(images, option, uniform(6, 5))
    assert out.shape == images.shape
    assert torch.equal(images, before)
    assert out.min() >= -1e-5
    assert out.max() <= 1 + 1e-5
    assert (out.mean((2, 3)) - images.mean((2, 3))).abs().max() < (0.1 if option == "zoom" else 0.04)
    if option not in ("jpeg", "zoom"):
        assert out.diff(dim=3).abs().mean() < images.diff(dim=3).abs().mean()


def test_filter2d_is_scipys_for_any_number_of_images() -> None:
    images = torch.rand(17, 3, 12, 12, generator=generator())
    kernels = torch.rand(17, 5, 5, generator=generator(1))
    out = filter2d(images, kernels)
    for i in (0, 9, 16):
        expected = ndimage.correlate(images[i, 1].numpy(), kernels[i].numpy(), mode="mirror")
        assert np.allclose(out[i, 1].numpy(), expected, atol=1e-5)


def test_kernels_are_weights_with_the_asked_spread() -> None:
    windows = torch.tensor([3, 5, 7])
    gauss = gaussian_kernels(torch.tensor([0.8, 1.1, 1.4]), windows)
    disc = defocus_kernels(torch.tensor([3.0, 4.0, 5.0]))
    stroke = motion_kernels(torch.tensor([[[0.0, 0.5], [1.0, 0.5]]] * 3), windows)
    for kernels in (gauss, disc, stroke):
        assert torch.allclose(kernels.sum((1, 2)), torch.ones(3))
        assert kernels.min() >= 0
    assert (gauss > 0).sum((1, 2)).tolist() == [9, 25, 49]
    assert disc.shape[-1] == 11
    assert torch.allclose(1 / disc.amax((1, 2)), math.pi * torch.tensor([9.0, 16.0, 25.0]) * 1.02, rtol=0.05)
    # A horizontal stroke across the whole window is one row of equal weights.
    for kernel, window in zip(stroke, windows.tolist(), strict=True):
        assert torch.allclose(kernel[3, 3 - window // 2 : 4 + window // 2], torch.full((window,), 1 / window))


def test_median_is_scipys() -> None:
    images = pixels(2, 18)
    out = median3(images / 255) * 255
    expected = ndimage.median_filter(images.numpy(), size=(1, 1, 3, 3), mode="nearest")
    assert np.array_equal(out.round().numpy().astype(np.uint8), expected)


def test_zoom_blur_by_one_is_the_identity_and_spares_the_centre() -> None:
    images = torch.rand(2, 3, 32, 32, generator=generator())
    assert torch.allclose(zoom_blur(images, torch.ones(2), 2), images, atol=1e-5)
    change = (zoom_blur(images, torch.full((2,), 1.3), 2) - images).abs().mean((0, 1))
    assert change[14:18, 14:18].mean() < 0.7 * change[:4].mean()
