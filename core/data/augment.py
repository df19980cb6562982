"""The documented augmentation, batched: every sample gets one geometric change, one blur, one noise, one colour change.

Source: the record's training code (DocClassifier 0.4.0, `DefaultImageAug` and `ImageNetAug`), which used
albumentations 1.x on 8-bit images of 128 px; options of a group are equally likely there (`OneOf`). Lengths that
the record gives in pixels are scaled by S / 128.
"""

import math

import torch

from core.data.blur import BLURS, between, blur, choice, sample, sampling_grid
from core.data.noise import NOISES, add_noise, random_bytes
from core.data.views import photographed
from core.device import constant, send
from core.precision import full_product
from core.ranks import Part

POLICIES = ("documented", "geometric", "photographed", "none")
COLOURS = ("jitter", "gray", "sepia", "channel_shuffle", "channel_dropout", "rgb_shift", "invert")

# Columns of the (B, _PARAMETERS) uniform numbers: first the choice in each group, then that group's parameters.
_GEOMETRY, _CROP, _SHIFT, _BORDER = 0, slice(1, 5), slice(5, 9), slice(9, 13)
_BLUR, _BLUR_ARGS, _NOISE, _NOISE_ARGS, _COLOUR, _COLOUR_ARGS = 13, slice(14, 19), 19, slice(20, 22), 22, slice(23, 27)
_PARAMETERS = 27
# Bytes of a float batch worked on at once on the CPU: the caches hold no more, and the allocator keeps what is freed.
# An accelerator takes the batch whole, as there each of the many small operations has its price.
_PIECE = 16 * 2**20

_GRAY = ((0.299, 0.587, 0.114),) * 3
_SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
_HUE = ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))
_SHUFFLES = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def crop_maps(u: torch.Tensor) -> torch.Tensor:
    """Random resized crops, u (B, 4) -> affine maps (B, 3, 3): area 0.8 to 1, aspect 3/4 to 4/3, inside the image.

    The library draws area and aspect until the crop fits. Given area a that keeps log-aspects within +-log(1 / a),
    and areas with probability proportional to -log(a), here as 1 - a, whose inverse is a square root.
    """
    area = 1 - 0.2 * u[:, 0].sqrt()
    log_aspect = (2 * u[:, 1] - 1) * (-area.log()).clamp_max(math.log(4 / 3))
    size = torch.stack((area.log() + log_aspect, area.log() - log_aspect), 1).mul_(0.5).exp_()
    maps = torch.diag_embed(torch.cat((size, torch.ones_like(size[:, :1])), 1))
    maps[:, :2, 2] = (2 * u[:, 2:4] - 1) * (1 - size)
    return maps


def shift_scale_rotate_maps(u: torch.Tensor) -> torch.Tensor:
    """Shift by up to 0.1 of the side, scale 0.9 to 1.1, rotation up to 15 degrees: u (B, 4) -> (B, 3, 3)."""
    shift = between(u[:, :2], -0.2, 0.2)
    angle = between(u[:, 2], -math.pi / 12, math.pi / 12)
    scale = between(u[:, 3], 0.9, 1.1)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    maps = torch.zeros(u.shape[0], 3, 3, device=u.device)
    maps[:, 0, 0], maps[:, 0, 1], maps[:, 1, 0], maps[:, 1, 1] = cos, -sin, sin, cos
    maps[:, :2, 2] = -full_product(maps[:, :2, :2], shift[:, :, None]).squeeze(2)
    maps[:, 2, 2] = 1
    return maps


def _warp(images: torch.Tensor, maps: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Resample uint8 (B, 3, S, S) through maps (B, 3, 3) to [0, 1], but for rounding; u (B, 4): border rule and colour.

    Maps and numbers may be on the CPU.

    What comes in over the border repeats the edge or has one random colour, an even chance, as in the record.
    Colour is subtracted before and added after, so that zero padding stands for it.
    """
    size = images.shape[-1]
    maps, u = send(maps, images.device), send(u, images.device)
    colour = u[:, 1:4, None, None] * 255
    edge = torch.where(u[:, 0] < 0.5, 1 - 1 / size, math.inf)[:, None, None, None]
    grid = sampling_grid(maps[:, :2], size)
    torch.minimum(grid, edge, out=grid)
    torch.maximum(grid, -edge, out=grid)
    warped = sample(images.to(torch.float32).sub_(colour), grid, "zeros")
    return torch.add(colour * (1 / 255), warped, alpha=1 / 255, out=warped)


def _jitter(u: torch.Tensor, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Brightness +-0.3, contrast and saturation +-0.1, hue +-0.2 of a turn (the library's default) about the grey axis.

    In this order; the library shuffles it and clips in between.
    """
    device = u.device
    eye, gray = torch.eye(3, device=device), constant(_GRAY, device)
    brightness = _column(between(u[:, 0], 0.7, 1.3))
    contrast, saturation = (_column(between(u[:, i], 0.9, 1.1)) for i in (1, 2))
    angle = _column(between(u[:, 3], -0.4 * math.pi, 0.4 * math.pi))
    cos, sin = angle.cos(), angle.sin()
    hue = cos * eye + (1 - cos) / 3 + (sin / math.sqrt(3)) * constant(_HUE, device)
    saturate = saturation * eye + (1 - saturation) * gray
    mixed, grays = full_product(hue, saturate), full_product(gray, mean[:, :, None])
    return mixed * (brightness * contrast), (1 - contrast) * brightness * grays


def _column(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None]


def colour_map(option: str, u: torch.Tensor, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One of COLOURS as affine maps of RGB: u (N, 4), mean colour (N, 3) -> matrices (N, 3, 3), offsets (N, 3, 1)."""
    n, device = u.shape[0], u.device
    eye = torch.eye(3, device=device)
    offset = torch.zeros(n, 3, 1, device=device)
    if option == "jitter":
        return _jitter(u, mean)
    if option == "gray":
        return constant(_GRAY, device).expand(n, 3, 3), offset
    if option == "sepia":
        return constant(_SEPIA, device).expand(n, 3, 3), offset
    if option == "channel_shuffle":
        return eye[constant(_SHUFFLES, device).long()[choice(u[:, 0], 6)]], offset
    if option == "channel_dropout":
        return eye - torch.diag_embed(eye[choice(u[:, 0], 3)]), offset
    if option == "rgb_shift":
        return eye.expand(n, 3, 3), between(u[:, :3], -20 / 255, 20 / 255)[:, :, None]
    return -eye.expand(n, 3, 3), offset + 1


class Augment:
    """Callable augmentation of a batch by one of POLICIES.

    `documented`: one option of each group for every sample. `geometric`: random resized crop, then shift, scale
    and rotation, composed into one resampling (the record's ImageNet policy). `photographed`: as if photographed by
    hand (`core.data.views`), this project's own. `none`: division by 255 only. As in the record there is no
    normalisation by mean and deviation. Raises ValueError for an unknown policy.
    """

    def __init__(self, policy: str) -> None:
        if policy not in POLICIES:
            raise ValueError(f"augmentation policy is {policy!r}, choose one of {', '.join(POLICIES)}")
        self.policy = policy

    def __call__(
        self,
        images: torch.Tensor,
        generator: torch.Generator,
        part: Part | None = None,
        noise: torch.Generator | None = None,
    ) -> torch.Tensor:
        """images uint8 (B, 3, S, S) -> float32 (B, 3, S, S) in [0, 1], new and contiguous; the input is unchanged.

        How many numbers are drawn depends on B, S and the policy only. An accelerator is never waited for. Raises
        ValueError for another dtype, shape or device.

        Args:
            generator: CPU generator of the numbers that say what is done to each image.
            part: the images are these of a batch of `part.of`. All numbers of the batch are drawn, so that each image
                comes out as it does with the others.
            noise: generator of the pixels' noise, on the images' device; by default `generator`, for images on the CPU.
        """
        noise = noise or generator
        if images.dtype != torch.uint8:
            raise ValueError(f"augmentation needs uint8 images, got {images.dtype}")
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3] or images.shape[2] < 16:
            raise ValueError(f"augmentation needs images (B, 3, S, S), S >= 16, got {tuple(images.shape)}")
        if generator.device.type != "cpu":
            raise ValueError(f"augmentation takes a generator on the CPU, not on {generator.device}")
        if noise.device.type != images.device.type:
            raise ValueError(f"images are on {images.device}, the noise's generator on {noise.device}: use one device")
        if self.policy == "none" or not len(images):
            return images.to(torch.float32).div_(255)
        if self.policy == "photographed":
            return photographed(images, generator, part=part, noise=noise)
        part = part or Part(0, len(images), len(images))
        u = torch.rand(part.of, _PARAMETERS, generator=generator)[part.rows]
        if self.policy == "geometric":
            maps = full_product(crop_maps(u[:, _CROP]), shift_scale_rotate_maps(u[:, _SHIFT]))
            return _warp(images, maps, u[:, _BORDER]).clamp_(0, 1)
        grain = random_bytes((part.of, *images.shape[1:]), noise)[part.rows]
        out = torch.empty(images.shape, device=images.device)
        piece = max(_PIECE // (4 * images[0].numel()), 1) if images.device.type == "cpu" else len(images)
        for some in zip(*(tensor.split(piece) for tensor in (images, u, grain, out)), strict=True):
            _documented(*some)
        return out


def _groups(u: torch.Tensor, options: tuple[str, ...]) -> tuple[torch.Tensor, list[tuple[str, slice]]]:
    """The order (B,) that sorts samples by the option they drew, and each drawn option with its slice of that order."""
    drawn = choice(u, len(options))
    ends = torch.bincount(drawn, minlength=len(options)).cumsum(0).tolist()
    slices = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    present = [(option, part) for option, part in zip(options, slices, strict=True) if part.stop > part.start]
    return torch.argsort(drawn, stable=True), present


def _documented(images: torch.Tensor, u: torch.Tensor, noise: torch.Tensor, out: torch.Tensor) -> None:
    """The documented policy, written to `out`; `u` (B, _PARAMETERS) is on the CPU, all else on the images' device.

    Samples are put in the order of their blur, then of their noise, so that each option works on one slice. The orders
    are found on the CPU, as an accelerator would have to be waited for.
    """
    device = images.device
    order, blurs = _groups(u[:, _BLUR], BLURS)
    u = u.index_select(0, order)
    cropped = (u[:, _GEOMETRY] < 0.5)[:, None, None]
    maps = torch.where(cropped, crop_maps(u[:, _CROP]), shift_scale_rotate_maps(u[:, _SHIFT]))
    warped = _warp(images.index_select(0, send(order, device)), maps, u[:, _BORDER])
    for option, part in blurs:
        warped[part] = blur(warped[part], option, u[part, _BLUR_ARGS])

    by_noise, noises = _groups(u[:, _NOISE], NOISES)
    order, u = order[by_noise], u.index_select(0, by_noise)
    noisy = warped.index_select(0, send(by_noise, device))
    for option, part in noises:
        grain = noise.index_select(0, send(order[part], device))
        add_noise(noisy[part], option, u[part, _NOISE_ARGS], grain)

    matrices, offsets = _colour_maps(u, noisy.mean((2, 3)))
    coloured = full_product(matrices, noisy.flatten(2), plus=offsets, out=warped.view(noisy.shape[0], 3, -1))
    coloured.clamp_(0, 1)
    torch.index_select(coloured.view_as(noisy), 0, send(torch.argsort(order), device), out=out)


def _colour_maps(u: torch.Tensor, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The affine colour map of every sample: matrices (B, 3, 3), offsets (B, 3, 1), where the mean colours are."""
    device = mean.device
    order, colours = _groups(u[:, _COLOUR], COLOURS)
    u, mean = send(u[:, _COLOUR_ARGS].index_select(0, order), device), mean.index_select(0, send(order, device))
    matrices, offsets = zip(*(colour_map(option, u[part], mean[part]) for option, part in colours), strict=True)
    back = send(torch.argsort(order), device)
    return torch.cat(matrices).index_select(0, back), torch.cat(offsets).index_select(0, back)
