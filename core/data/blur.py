"""Blurs of the documented augmentation, batched, every sample with its own parameters.

Images are float32 (N, 3, S, S) in [0, 1], contiguous; results are new tensors of that shape. Lengths are in
pixels of the images given. Windows and ranges follow albumentations 1.x, which the documented runs used.
"""

import math

import torch
from torch.nn import functional as F

from core.data.jpeg import jpeg
from core.device import send

BLURS = ("motion", "median", "gaussian", "zoom", "defocus", "jpeg")

# The side of the record's images, in pixels: its windows and radii are meant at this size.
RECORD_SIZE = 128
# Convolutions are padded to a multiple of this many planes, oneDNN's channel block.
_PLANES = 16


def choice(u: torch.Tensor, count: int) -> torch.Tensor:
    """Uniform numbers in [0, 1) -> uniform integers in [0, count)."""
    return (u * count).long().clamp_max_(count - 1)


def between(u: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return u * (high - low) + low


def sampling_grid(theta: torch.Tensor, size: int) -> torch.Tensor:
    """Affine maps (N, 2, 3) from output to input, in [-1, 1] coordinates -> grid (N, 2, size, size), x then y.

    The planes are kept apart in memory: that is several times faster than `affine_grid` here, and `grid_sample`
    takes the permuted view as it is.
    """
    centres = (torch.arange(size, device=theta.device, dtype=theta.dtype) + 0.5) * (2 / size) - 1
    along_x = theta[:, :, 0, None] * centres
    along_y = theta[:, :, 1, None] * centres + theta[:, :, 2, None]
    return along_y[:, :, :, None] + along_x[:, :, None, :]


def sample(images: torch.Tensor, grid: torch.Tensor, padding: str = "border") -> torch.Tensor:
    """Bilinear values of (N, C, S, S) images at a planar grid (N, 2, S, S)."""
    return F.grid_sample(images, grid.permute(0, 2, 3, 1), "bilinear", padding, align_corners=False)


def filter2d(images: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Correlate every image with its own kernel: kernels (N, K, K), K odd, also on the CPU; borders are mirrored."""
    n, channels, size, _ = images.shape
    kernels = send(kernels, images.device)
    half = kernels.shape[-1] // 2
    planes = F.pad(images, (half, half, half, half), mode="reflect").view(1, n * channels, *(size + 2 * half,) * 2)
    weight = kernels[:, None].repeat_interleave(channels, 0)
    # oneDNN compiles a kernel for every new shape, which takes longer than running it: allow few shapes.
    spare = -n * channels % _PLANES
    planes, weight = F.pad(planes, (0, 0, 0, 0, 0, spare)), F.pad(weight, (0, 0, 0, 0, 0, 0, 0, spare))
    filtered = F.conv2d(planes, weight, groups=n * channels + spare)
    return filtered[:, : n * channels].view(n, channels, size, size)


def _offsets(half: int, device: torch.device) -> torch.Tensor:
    return torch.arange(-half, half + 1, device=device, dtype=torch.float32)


def gaussian_kernels(sigma: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """Gaussians (N, K, K) of standard deviation sigma (N,), cut to odd windows (N,); K is the largest window."""
    offsets = _offsets(int(window.max()) // 2, sigma.device)
    profile = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    profile = profile * (offsets.abs() <= window[:, None] // 2)
    profile = profile / profile.sum(1, keepdim=True)
    return profile[:, :, None] * profile[:, None, :]


def motion_kernels(ends: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """One-pixel-wide strokes (N, K, K) between two points of each window.

    ends (N, 2, 2) in [0, 1): the two (x, y) points as fractions of the odd window (N,). As in the record's
    library a stroke need not pass through the middle, so the image may shift by up to half a window.
    """
    offsets = _offsets(int(window.max()) // 2, ends.device)
    points = (ends - 0.5) * (window[:, None, None] - 1)
    start, stroke = points[:, 0], points[:, 1] - points[:, 0]
    dx = offsets[None, None, :] - start[:, 0, None, None]
    dy = offsets[None, :, None] - start[:, 1, None, None]
    sx, sy = stroke[:, 0, None, None], stroke[:, 1, None, None]
    along = ((dx * sx + dy * sy) / (sx * sx + sy * sy).clamp_min(1e-6)).clamp(0, 1)
    distance = torch.hypot(dx - along * sx, dy - along * sy)
    weight = (1 - distance).clamp_min(0)
    return weight / weight.sum((1, 2), keepdim=True)


def defocus_kernels(radius: torch.Tensor) -> torch.Tensor:
    """Discs (N, K, K) of the given radii (N,) with a soft rim of one pixel, in place of the library's aliased disc."""
    offsets = _offsets(max(math.ceil(float(radius.max()) + 0.5) - 1, 1), radius.device)
    distance = torch.hypot(offsets[:, None], offsets[None, :])
    weight = (radius[:, None, None] + 0.5 - distance).clamp(0, 1)
    return weight / weight.sum((1, 2), keepdim=True)


def median3(images: torch.Tensor) -> torch.Tensor:
    """3 x 3 median at 8-bit precision, as OpenCV's on 8-bit images; borders are replicated.

    A sorting network on shifted copies: columns first, then the median of (largest minimum, median of medians,
    smallest maximum). Shifts are taken in the flattened padded batch, where they are contiguous; what wraps
    around falls into the padding.
    """
    padded = F.pad(images * 255 + 0.5, (1, 1, 1, 1), mode="replicate").to(torch.uint8)
    flat, pitch = padded.view(-1), padded.shape[-1]
    first, second, third = flat[: -2 * pitch], flat[pitch:-pitch], flat[2 * pitch :]
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    middle = torch.maximum(low, torch.minimum(high, third))
    low, high = torch.minimum(low, third), torch.maximum(high, third)
    low = torch.maximum(torch.maximum(low[:-2], low[1:-1]), low[2:])
    high = torch.minimum(torch.minimum(high[:-2], high[1:-1]), high[2:])
    middle = _median_of_3(middle[:-2], middle[1:-1], middle[2:])
    result = torch.zeros_like(flat)
    result[pitch + 1 : -pitch - 1] = _median_of_3(low, middle, high)
    return result.view_as(padded)[:, :, 1:-1, 1:-1].to(images.dtype).div_(255)


def _median_of_3(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return torch.maximum(torch.minimum(a, b), torch.minimum(torch.maximum(a, b), c))


def zoom_blur(images: torch.Tensor, factor: torch.Tensor, doublings: int) -> torch.Tensor:
    """Mean of the image zoomed about its centre by 2 ** doublings factors, geometrically from 1 to `factor` (N,).

    Averaging with a zoomed copy doubles the number of taps, so m resamplings make 2 ** m of them; the record's
    library sums up to 31 arithmetic steps (Hendrycks and Dietterich 2019, zoom blur).
    """
    step = factor ** (1 / (2**doublings - 1))
    theta = torch.zeros(images.shape[0], 2, 3, device=images.device)
    blurred = images
    for doubling in range(doublings):
        theta[:, 0, 0] = theta[:, 1, 1] = 1 / step ** (2**doubling)
        zoomed = sample(blurred, sampling_grid(theta, images.shape[-1]))
        blurred = zoomed.add_(blurred).mul_(0.5)
    return blurred


def _window(u: torch.Tensor, size: int) -> torch.Tensor:
    """The record's odd window of 3, 5 or 7 px, scaled to size / 128 and to the nearest odd number of at least 3."""
    window = (3 + 2 * choice(u, 3)) * (size / RECORD_SIZE)
    return (2 * ((window - 1) / 2).round().long() + 1).clamp_min_(3)


def _median(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """A window of 3 + 2 i px is approximated by i + 1 passes of 3 px."""
    passes = _window(u, images.shape[-1]) // 2
    images = median3(images)
    for done in range(1, int(passes.max())):
        more = send((passes > done).nonzero().squeeze(1), images.device)
        images.index_copy_(0, more, median3(images.index_select(0, more)))
    return images


def blur(images: torch.Tensor, option: str, u: torch.Tensor) -> torch.Tensor:
    """One of BLURS on images (N, 3, S, S) in [0, 1] with uniform numbers u (N, 5) -> new (N, 3, S, S).

    Numbers on the CPU spare an accelerator from waiting: sizes of windows are read from them.
    """
    size = images.shape[-1]
    scale = size / RECORD_SIZE
    if option == "motion":
        return filter2d(images, motion_kernels(u[:, 1:5].reshape(-1, 2, 2), _window(u[:, 0], size)))
    if option == "median":
        return _median(images, u[:, 0])
    if option == "gaussian":
        # OpenCV's rule for the standard deviation of a window, at the record's size.
        sigma = (0.3 * choice(u[:, 0], 3) + 0.8) * scale
        return filter2d(images, gaussian_kernels(sigma, _window(u[:, 0], size)))
    if option == "zoom":
        factor = send(between(u[:, 0], 1, 1.31), images.device)
        return zoom_blur(images, factor, doublings=2 if size <= 64 else 3)
    if option == "defocus":
        return filter2d(images, defocus_kernels((3 + choice(u[:, 0], 3)) * scale))
    block = min(max(round(8 * scale), 2), 8)
    return jpeg(images, send(choice(u[:, 0], 51).float(), images.device), block)
