"""Views for pretraining: each sample its own, in range, the same for the same stream."""

from __future__ import annotations

import torch

from core.data.views import homography, photographed


def images(count: int = 8, size: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_views_are_in_range_and_repeatable() -> None:
    given = images()
    kept = given.clone()
    first = photographed(given, torch.Generator().manual_seed(5))
    again = photographed(given, torch.Generator().manual_seed(5))
    assert first.shape == (8, 3, 32, 32)
    assert first.dtype == torch.float32
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert torch.equal(first, again)
    assert torch.equal(given, kept)


def test_every_sample_is_seen_differently() -> None:
    same = images(1).expand(6, -1, -1, -1).contiguous()
    seen = photographed(same, torch.Generator().manual_seed(1))
    distances = torch.cdist(seen.flatten(1), seen.flatten(1)) + torch.eye(6) * 1e6
    assert float(distances.min()) > 1


def test_varied_corners_move_less() -> None:
    smooth = torch.nn.functional.interpolate(images(64, 4).float(), (32, 32), mode="bilinear").to(torch.uint8)
    clean = smooth.float().div(255)
    change = [
        float((photographed(smooth, torch.Generator().manual_seed(4), varied=varied) - clean).abs().mean())
        for varied in (False, True)
    ]
    assert change[1] < change[0]


def test_a_view_is_nearer_to_its_image_than_to_others() -> None:
    smooth = torch.nn.functional.interpolate(images(8, 4).float(), (32, 32), mode="bilinear").to(torch.uint8)
    seen = photographed(smooth, torch.Generator().manual_seed(2)).flatten(1)
    clean = smooth.float().div(255).flatten(1)
    likeness = torch.corrcoef(torch.cat([seen, clean]))[:8, 8:]
    assert (likeness.argmax(1) == torch.arange(8)).float().mean() >= 0.75


def test_a_homography_takes_each_corner_to_its_target() -> None:
    generator = torch.Generator().manual_seed(3)
    source = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]).expand(5, 4, 2)
    target = source + 0.3 * torch.rand(5, 4, 2, generator=generator)
    mapped = torch.cat([source, torch.ones(5, 4, 1)], 2) @ homography(source, target).transpose(1, 2)
    assert torch.allclose(mapped[..., :2] / mapped[..., 2:], target, atol=1e-5)
