"""What JPEG loses, against Pillow's."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.jpeg import jpeg
from tests.core.data.random_images import generator, smooth


@pytest.mark.parametrize("block", [2, 4, 8])
def test_jpeg_at_high_quality_is_close_to_the_identity(block: int) -> None:
    images = smooth(3, 40)
    gray = images[:, :1].expand(-1, 3, -1, -1).contiguous()
    assert (jpeg(gray, torch.full((3,), 100.0), block) - gray).abs().mean() < 0.003
    # Colour is halved in resolution at any quality.
    assert (jpeg(images, torch.full((3,), 100.0), block) - images).abs().mean() < 0.02
    error = [(jpeg(images, torch.full((3,), q), block) - images).abs().mean() for q in (50.0, 20.0, 5.0)]
    assert error[0] < error[1] < error[2]


@pytest.mark.parametrize("quality", [5, 20, 50, 90])
def test_jpeg_has_the_losses_of_pillows(quality: int) -> None:
    noise = 0.05 * torch.randn(1, 3, 64, 64, generator=generator())
    image = ((smooth(1, 64) + noise).clamp(0, 1) * 255).round() / 255
    stream = io.BytesIO()
    pixels = (image[0] * 255).to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling="4:2:0")
    expected = torch.from_numpy(np.asarray(Image.open(stream)).astype(np.float32) / 255).permute(2, 0, 1)
    out = jpeg(image, torch.tensor([float(quality)]))[0]
    assert (out - expected).abs().mean() < 0.4 * (expected - image[0]).abs().mean()
