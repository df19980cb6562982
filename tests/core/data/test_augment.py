"""The policies of augmentation, their geometry and their colours."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.augment import COLOURS, POLICIES, Augment, colour_map, crop_maps, shift_scale_rotate_maps
from tests.core.data.random_images import generator, pixels, smooth, uniform


def _coloured(option: str, images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    matrices, offsets = colour_map(option, u, images.mean((2, 3)))
    return torch.baddbmm(offsets, matrices, images.flatten(2)).view_as(images)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("n", "size"), [(40, 32), (1, 64), (9, 50), (70, 128)])
def test_range_shape_type_and_input_unchanged(policy: str, n: int, size: int) -> None:
    images = pixels(n, size)
    before = images.clone()
    out = Augment(policy)(images, generator())
    assert out.shape == images.shape
    assert out.dtype == torch.float32
    assert out.is_contiguous()
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "none"])
def test_the_generator_decides_everything(policy: str) -> None:
    images, augment = pixels(16, 32), Augment(policy)
    first = augment(images, generator(1))
    torch.manual_seed(99)
    assert torch.equal(first, augment(images, generator(1)))
    other = augment(images, generator(2))
    assert all(not torch.equal(a, b) for a, b in zip(first, other, strict=True))
    one_generator = generator(1)
    augment(images, one_generator)
    assert not torch.equal(first, augment(images, one_generator))


def test_none_is_division_by_255_and_draws_nothing() -> None:
    images, stream = pixels(4, 32), generator()
    assert torch.equal(Augment("none")(images, stream), images / 255)
    assert torch.equal(stream.get_state(), generator().get_state())


def test_draws_depend_on_the_batch_shape_only() -> None:
    augment, first, second = Augment("documented"), generator(3), generator(3)
    augment(pixels(12, 32, seed=1), first)
    augment(torch.zeros(12, 3, 32, 32, dtype=torch.uint8), second)
    assert torch.equal(first.get_state(), second.get_state())
    # Other options drawn, as many numbers consumed: a reference generator that skips that many agrees afterwards.
    for seed in range(5):
        used, skipped = generator(seed), generator(seed)
        augment(pixels(12, 32), used)
        torch.rand(12, 27, generator=skipped)
        torch.empty(12 * 3 * 32 * 32 // 8, dtype=torch.int64).random_(-(2**63), None, generator=skipped)
        assert torch.equal(used.get_state(), skipped.get_state())


def test_samples_stay_in_their_places() -> None:
    levels = torch.arange(24, dtype=torch.uint8) * 10
    images = levels[:, None, None, None].expand(24, 3, 32, 32).contiguous()
    out = Augment("geometric")(images, generator())[:, :, 14:18, 14:18]
    assert torch.allclose(out.mean((1, 2, 3)) * 255, levels.float(), atol=0.1)
    documented = torch.stack([Augment("documented")(images, generator(s)).mean((1, 2, 3)) for s in range(24)])
    # Half of the colour options keep the order of brightness, so the mean over draws must follow it.
    assert np.corrcoef(documented.mean(0).numpy(), levels.numpy())[0, 1] > 0.9


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="documented"):
        Augment("strong")
    augment = Augment("documented")
    with pytest.raises(ValueError, match="uint8"):
        augment(pixels(2, 32).float(), generator())
    for shape in ((2, 1, 32, 32), (2, 3, 32, 30), (3, 32, 32), (2, 3, 8, 8)):
        with pytest.raises(ValueError, match="S >= 16"):
            augment(torch.zeros(shape, dtype=torch.uint8), generator())


def test_crops_lie_inside_the_image_with_the_documented_area() -> None:
    u = uniform(4000, 4)
    maps = crop_maps(u)
    width, height = maps[:, 0, 0], maps[:, 1, 1]
    assert (maps[:, 0, 2].abs() + width).max() <= 1 + 1e-6
    assert (maps[:, 1, 2].abs() + height).max() <= 1 + 1e-6
    area, aspect = width * height, width / height
    assert area.min() >= 0.8 - 1e-6
    assert aspect.min() >= 3 / 4 - 1e-6
    # The library's rejection sampling, done as it is written there.
    rng = np.random.default_rng(0)
    tried_area = rng.uniform(0.8, 1, 200_000)
    tried_aspect = np.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3), 200_000))
    fits = (tried_area * tried_aspect <= 1) & (tried_area / tried_aspect <= 1)
    assert abs(area.mean() - tried_area[fits].mean()) < 0.005
    assert abs(aspect.log().std() - np.log(tried_aspect[fits]).std()) < 0.01


def test_shift_scale_rotate_maps_invert_the_forward_transform() -> None:
    u = uniform(50, 4)
    maps = shift_scale_rotate_maps(u).double()
    scale = 0.9 + 0.2 * u[:, 3].double()
    angle = (2 * u[:, 2].double() - 1) * math.radians(15)
    for map_, s, a, shift in zip(maps, scale, angle, u[:, :2].double() * 0.4 - 0.2, strict=True):
        rotation = torch.stack((torch.stack((a.cos(), a.sin())), torch.stack((-a.sin(), a.cos()))))
        point = torch.tensor([0.3, -0.7], dtype=torch.float64)
        moved = s * rotation @ point + shift
        assert torch.allclose(map_ @ torch.cat((moved, moved.new_ones(1))), torch.tensor([0.3, -0.7, 1.0]).double())


def test_invert_twice_is_the_identity() -> None:
    images, u = smooth(3, 16), uniform(3, 4)
    assert torch.allclose(_coloured("invert", _coloured("invert", images, u), u), images, atol=1e-6)
    assert torch.allclose(_coloured("invert", images, u), 1 - images, atol=1e-6)


def test_gray_and_sepia_have_one_tone() -> None:
    images, u = smooth(3, 16), uniform(3, 4)
    red, green, blue = _coloured("gray", images, u).unbind(1)
    assert torch.allclose(red, green)
    assert torch.allclose(red, blue)
    expected = np.asarray(Image.fromarray((images[0] * 255).byte().permute(1, 2, 0).numpy()).convert("L"))
    assert np.abs(red[0].numpy() * 255 - expected).max() < 2
    red, green, blue = _coloured("sepia", images, u).unbind(1)
    assert (red >= green).all()
    assert (green >= blue).all()


def test_channel_options_drop_or_reorder_channels() -> None:
    images, u = smooth(60, 16), uniform(60, 4)
    dropped = (_coloured("channel_dropout", images, u).flatten(2).abs().amax(2) == 0).int()
    assert (dropped.sum(1) == 1).all()
    assert (dropped.sum(0) > 5).all()
    shuffled = _coloured("channel_shuffle", images, u)
    assert torch.equal(shuffled.sort(1).values, images.sort(1).values)
    orders = {tuple(o) for o in (shuffled[:, :, None] == images[:, None]).all(-1).all(-1).int().argmax(2).tolist()}
    assert len(orders) == 6


def test_shift_and_jitter_stay_within_their_ranges() -> None:
    images, u = smooth(50, 16), uniform(50, 4)
    shift = _coloured("rgb_shift", images, u) - images
    assert shift.flatten(2).std(2).max() < 1e-6
    assert shift.abs().max() <= 20 / 255 + 1e-6
    grey = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    brightness = _coloured("jitter", grey, u).mean((1, 2, 3)) / grey.mean((1, 2, 3))
    assert torch.allclose(brightness, 0.7 + 0.6 * u[:, 0], atol=1e-4)
    neutral = torch.full((50, 4), 0.5)
    assert torch.allclose(_coloured("jitter", images, neutral), images, atol=1e-5)


@pytest.mark.parametrize("option", COLOURS)
def test_colour_maps_have_one_row_a_sample(option: str) -> None:
    matrices, offsets = colour_map(option, uniform(5, 4), torch.rand(5, 3, generator=generator()))
    assert matrices.shape == (5, 3, 3)
    assert offsets.shape == (5, 3, 1)
