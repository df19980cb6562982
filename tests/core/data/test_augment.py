import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional as F

from core.data.augment import (
    COLOURS,
    POLICIES,
    Augment,
    colour_map,
    crop_maps,
    shift_scale_rotate_maps,
)
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
from core.data.jpeg import jpeg
from core.data.noise import NOISES, add_noise


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pixels(n: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, size, size), generator=_generator(seed), dtype=torch.uint8)


def _smooth(n: int, size: int, seed: int = 0) -> torch.Tensor:
    """Images of low frequency in [0, 1]."""
    coarse = torch.rand(n, 3, 4, 4, generator=_generator(seed))
    return F.interpolate(coarse, size, mode="bicubic", align_corners=False).clamp(0, 1)


def _uniform(n: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, columns, generator=_generator(seed))


def _coloured(option: str, images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    matrices, offsets = colour_map(option, u, images.mean((2, 3)))
    return torch.baddbmm(offsets, matrices, images.flatten(2)).view_as(images)


# The policies


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("n", "size"), [(40, 32), (1, 64), (9, 50), (70, 128)])
def test_range_shape_type_and_input_unchanged(policy: str, n: int, size: int) -> None:
    images = _pixels(n, size)
    before = images.clone()
    out = Augment(policy)(images, _generator())
    assert out.shape == images.shape
    assert out.dtype == torch.float32
    assert out.is_contiguous()
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "none"])
def test_the_generator_decides_everything(policy: str) -> None:
    images, augment = _pixels(16, 32), Augment(policy)
    first = augment(images, _generator(1))
    torch.manual_seed(99)
    assert torch.equal(first, augment(images, _generator(1)))
    other = augment(images, _generator(2))
    assert all(not torch.equal(a, b) for a, b in zip(first, other, strict=True))
    one_generator = _generator(1)
    augment(images, one_generator)
    assert not torch.equal(first, augment(images, one_generator))


def test_none_is_division_by_255_and_draws_nothing() -> None:
    images, generator = _pixels(4, 32), _generator()
    assert torch.equal(Augment("none")(images, generator), images / 255)
    assert torch.equal(generator.get_state(), _generator().get_state())


def test_draws_depend_on_the_batch_shape_only() -> None:
    augment, first, second = Augment("documented"), _generator(3), _generator(3)
    augment(_pixels(12, 32, seed=1), first)
    augment(torch.zeros(12, 3, 32, 32, dtype=torch.uint8), second)
    assert torch.equal(first.get_state(), second.get_state())
    # Other options drawn, as many numbers consumed: a reference generator that skips that many agrees afterwards.
    for seed in range(5):
        used, skipped = _generator(seed), _generator(seed)
        augment(_pixels(12, 32), used)
        torch.rand(12, 27, generator=skipped)
        torch.empty(12 * 3 * 32 * 32 // 8, dtype=torch.int64).random_(-(2**63), None, generator=skipped)
        assert torch.equal(used.get_state(), skipped.get_state())


def test_samples_stay_in_their_places() -> None:
    levels = torch.arange(24, dtype=torch.uint8) * 10
    images = levels[:, None, None, None].expand(24, 3, 32, 32).contiguous()
    out = Augment("geometric")(images, _generator())[:, :, 14:18, 14:18]
    assert torch.allclose(out.mean((1, 2, 3)) * 255, levels.float(), atol=0.1)
    documented = torch.stack([Augment("documented")(images, _generator(s)).mean((1, 2, 3)) for s in range(24)])
    # Half of the colour options keep the order of brightness, so the mean over draws must follow it.
    assert np.corrcoef(documented.mean(0).numpy(), levels.numpy())[0, 1] > 0.9


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="documented"):
        Augment("strong")
    augment = Augment("documented")
    with pytest.raises(ValueError, match="uint8"):
        augment(_pixels(2, 32).float(), _generator())
    for shape in ((2, 1, 32, 32), (2, 3, 32, 30), (3, 32, 32), (2, 3, 8, 8)):
        with pytest.raises(ValueError, match="S >= 16"):
            augment(torch.zeros(shape, dtype=torch.uint8), _generator())


# Geometry


def test_sampling_grid_is_torchs() -> None:
    theta = torch.randn(5, 2, 3, generator=_generator())
    expected = F.affine_grid(theta, [5, 3, 20, 20], align_corners=False)
    assert torch.allclose(sampling_grid(theta, 20).permute(0, 2, 3, 1), expected, atol=1e-5)


def test_crops_lie_inside_the_image_with_the_documented_area() -> None:
    u = _uniform(4000, 4)
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
    u = _uniform(50, 4)
    maps = shift_scale_rotate_maps(u).double()
    scale = 0.9 + 0.2 * u[:, 3].double()
    angle = (2 * u[:, 2].double() - 1) * math.radians(15)
    for map_, s, a, shift in zip(maps, scale, angle, u[:, :2].double() * 0.4 - 0.2, strict=True):
        rotation = torch.stack((torch.stack((a.cos(), a.sin())), torch.stack((-a.sin(), a.cos()))))
        point = torch.tensor([0.3, -0.7], dtype=torch.float64)
        moved = s * rotation @ point + shift
        assert torch.allclose(map_ @ torch.cat((moved, moved.new_ones(1))), torch.tensor([0.3, -0.7, 1.0]).double())


# Blurs


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("option", BLURS)
def test_every_blur_smooths_and_keeps_the_mean(option: str, size: int) -> None:
    images = (_smooth(6, size) + 0.1 * torch.rand(6, 3, size, size, generator=_generator())).clamp(0, 1)
    before = images.clone()
    out = blur(images, option, _uniform(6, 5))
    assert out.shape == images.shape
    assert torch.equal(images, before)
    assert out.min() >= -1e-5
    assert out.max() <= 1 + 1e-5
    assert (out.mean((2, 3)) - images.mean((2, 3))).abs().max() < (0.1 if option == "zoom" else 0.04)
    if option not in ("jpeg", "zoom"):
        assert out.diff(dim=3).abs().mean() < images.diff(dim=3).abs().mean()


def test_filter2d_is_scipys_for_any_number_of_images() -> None:
    images = torch.rand(17, 3, 12, 12, generator=_generator())
    kernels = torch.rand(17, 5, 5, generator=_generator(1))
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
    images = _pixels(2, 18)
    out = median3(images / 255) * 255
    expected = ndimage.median_filter(images.numpy(), size=(1, 1, 3, 3), mode="nearest")
    assert np.array_equal(out.round().numpy().astype(np.uint8), expected)


def test_zoom_blur_by_one_is_the_identity_and_spares_the_centre() -> None:
    images = torch.rand(2, 3, 32, 32, generator=_generator())
    assert torch.allclose(zoom_blur(images, torch.ones(2), 2), images, atol=1e-5)
    change = (zoom_blur(images, torch.full((2,), 1.3), 2) - images).abs().mean((0, 1))
    assert change[14:18, 14:18].mean() < 0.7 * change[:4].mean()


@pytest.mark.parametrize("block", [2, 4, 8])
def test_jpeg_at_high_quality_is_close_to_the_identity(block: int) -> None:
    images = _smooth(3, 40)
    gray = images[:, :1].expand(-1, 3, -1, -1).contiguous()
    assert (jpeg(gray, torch.full((3,), 100.0), block) - gray).abs().mean() < 0.003
    # Colour is halved in resolution at any quality.
    assert (jpeg(images, torch.full((3,), 100.0), block) - images).abs().mean() < 0.02
    error = [(jpeg(images, torch.full((3,), q), block) - images).abs().mean() for q in (50.0, 20.0, 5.0)]
    assert error[0] < error[1] < error[2]


@pytest.mark.parametrize("quality", [5, 20, 50, 90])
def test_jpeg_has_the_losses_of_pillows(quality: int) -> None:
    noise = 0.05 * torch.randn(1, 3, 64, 64, generator=_generator())
    image = ((_smooth(1, 64) + noise).clamp(0, 1) * 255).round() / 255
    stream = io.BytesIO()
    pixels = (image[0] * 255).to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling="4:2:0")
    expected = torch.from_numpy(np.asarray(Image.open(stream)).astype(np.float32) / 255).permute(2, 0, 1)
    out = jpeg(image, torch.tensor([float(quality)]))[0]
    assert (out - expected).abs().mean() < 0.4 * (expected - image[0]).abs().mean()


# Noise and colour


def _bytes(like: torch.Tensor) -> torch.Tensor:
    return torch.randint(0, 256, like.shape, generator=_generator(5), dtype=torch.uint8)


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
    images = _smooth(4, 32)
    gain = []
    for intensity in (0.0, 1.0):
        out = images.clone()
        add_noise(out, "iso", torch.tensor([[0.5, intensity]] * 4), _bytes(images))
        gain.append((out - images).mean())
    assert 0 < gain[0] < gain[1]


def test_invert_twice_is_the_identity() -> None:
    images, u = _smooth(3, 16), _uniform(3, 4)
    assert torch.allclose(_coloured("invert", _coloured("invert", images, u), u), images, atol=1e-6)
    assert torch.allclose(_coloured("invert", images, u), 1 - images, atol=1e-6)


def test_gray_and_sepia_have_one_tone() -> None:
    images, u = _smooth(3, 16), _uniform(3, 4)
    red, green, blue = _coloured("gray", images, u).unbind(1)
    assert torch.allclose(red, green)
    assert torch.allclose(red, blue)
    expected = np.asarray(Image.fromarray((images[0] * 255).byte().permute(1, 2, 0).numpy()).convert("L"))
    assert np.abs(red[0].numpy() * 255 - expected).max() < 2
    red, green, blue = _coloured("sepia", images, u).unbind(1)
    assert (red >= green).all()
    assert (green >= blue).all()


def test_channel_options_drop_or_reorder_channels() -> None:
    images, u = _smooth(60, 16), _uniform(60, 4)
    dropped = (_coloured("channel_dropout", images, u).flatten(2).abs().amax(2) == 0).int()
    assert (dropped.sum(1) == 1).all()
    assert (dropped.sum(0) > 5).all()
    shuffled = _coloured("channel_shuffle", images, u)
    assert torch.equal(shuffled.sort(1).values, images.sort(1).values)
    orders = {tuple(o) for o in (shuffled[:, :, None] == images[:, None]).all(-1).all(-1).int().argmax(2).tolist()}
    assert len(orders) == 6


def test_shift_and_jitter_stay_within_their_ranges() -> None:
    images, u = _smooth(50, 16), _uniform(50, 4)
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
    matrices, offsets = colour_map(option, _uniform(5, 4), torch.rand(5, 3, generator=_generator()))
    assert matrices.shape == (5, 3, 3)
    assert offsets.shape == (5, 3, 1)
