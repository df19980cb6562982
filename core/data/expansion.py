"""Class expansion: one image becomes 1, 8 or 24 classes (the documented protocol, `classes`).

Variant k of an image, in the record's order: 0-3 rotations by 0, 90, 180, 270 degrees counter-clockwise;
4-7 the top-bottom flip of 0-3; 8-15 the top half of 0-7, stretched to full size; 16-23 the bottom half of 0-7.
The class of variant k of image i is ``i * factor + k``.
"""

import torch

from core.device import send

FACTORS = (1, 8, 24)
_ORIENTATIONS = 8
# Orientation k as (transpose?, axes reversed afterwards): one strided copy where rotation and flip would make two.
_DIHEDRAL: tuple[tuple[bool, tuple[int, ...]], ...] = (
    (False, ()),
    (True, (-2,)),
    (False, (-2, -1)),
    (True, (-1,)),
    (False, (-2,)),
    (True, ()),
    (False, (-1,)),
    (True, (-2, -1)),
)


def _orient(images: torch.Tensor, k: int) -> torch.Tensor:
    """Orientation k < 8 of (N, C, S, S) images, as a transposition followed by reversals (perhaps a view)."""
    transposed, reversed_axes = _DIHEDRAL[k]
    turned = images.transpose(-2, -1) if transposed else images
    return turned.flip(reversed_axes) if reversed_axes else turned


def _stretch(half: torch.Tensor) -> torch.Tensor:
    """Bilinear resize of (N, C, S / 2, S) to (N, C, S, S), pixel centres aligned as in OpenCV and Pillow.

    At a ratio of two each row becomes two, a quarter of the way to the neighbour above and to the one below;
    8-bit pixels are mixed in integers, so that the result is exact and rounded half up.
    """
    whole = half.dtype == torch.uint8
    near = half.to(torch.int16) if whole else half
    far = near * 3
    if whole:
        far += 2
    pairs = torch.empty((*near.shape[:-1], 2, near.shape[-1]), dtype=near.dtype, device=near.device)
    torch.add(far[..., 1:, :], near[..., :-1, :], out=pairs[..., 1:, 0, :])
    torch.add(far[..., :-1, :], near[..., 1:, :], out=pairs[..., :-1, 1, :])
    torch.add(far[..., 0, :], near[..., 0, :], out=pairs[..., 0, 0, :])
    torch.add(far[..., -1, :], near[..., -1, :], out=pairs[..., -1, 1, :])
    rows = pairs.flatten(-3, -2)
    return rows.bitwise_right_shift_(2).to(torch.uint8) if whole else rows.div_(4)


def _halve(images: torch.Tensor, part: int) -> torch.Tensor:
    """Part 1 (top half) or 2 (bottom half) of (N, C, S, S) images, stretched to full size."""
    middle = images.shape[-1] // 2
    return _stretch(images[..., :middle, :] if part == 1 else images[..., middle:, :])


def _check(images: torch.Tensor, factor: int) -> None:
    if factor not in FACTORS:
        raise ValueError(f"expansion factor is {factor}, choose one of {FACTORS}")
    if images.ndim != 4 or images.shape[-1] != images.shape[-2]:
        raise ValueError(f"expansion needs square images (N, C, S, S), got {tuple(images.shape)}")
    if factor > _ORIENTATIONS and images.shape[-1] % 2:
        raise ValueError(f"expansion by {factor} halves images: their side must be even, got {images.shape[-1]}")
    if images.dtype != torch.uint8 and not images.dtype.is_floating_point:
        raise ValueError(f"expansion needs uint8 or floating-point images, got {images.dtype}")


def expand(images: torch.Tensor, factor: int) -> torch.Tensor:
    """All variants of all images: (N, C, S, S) -> (N * factor, C, S, S), row i * factor + k is variant k of image i.

    Source: the record's data set code (DocClassifier 0.4.0), with labels from 0 in place of 1.
    Raises ValueError for a factor outside FACTORS, images that are not square, or another dtype than uint8 or float.
    """
    _check(images, factor)
    variants = images.new_empty((images.shape[0], factor, *images.shape[1:]))
    for k in range(min(factor, _ORIENTATIONS)):
        oriented = _orient(images, k)
        variants[:, k] = oriented
        if factor > _ORIENTATIONS:
            variants[:, k + 8] = _halve(oriented, 1)
            variants[:, k + 16] = _halve(oriented, 2)
    return variants.flatten(0, 1)


def take(images: torch.Tensor, classes: torch.Tensor, factor: int) -> torch.Tensor:
    """The images of the given classes: equal to ``expand(images, factor)[classes]`` without making all of it.

    images (N, C, S, S), classes int64 (B,) in [0, N * factor) -> (B, C, S, S), same dtype. Classes on the CPU spare an
    accelerator from waiting: what goes where is found where they are.
    Raises ValueError as `expand` does, and for class ids of another dtype, shape or out of range.
    """
    _check(images, factor)
    if classes.dtype != torch.int64 or classes.ndim != 1:
        raise ValueError(f"class ids must be int64 (B,), got {classes.dtype} {tuple(classes.shape)}")
    total = images.shape[0] * factor
    if classes.numel() and not (int(classes.min()) >= 0 and int(classes.max()) < total):
        raise ValueError(f"class ids must lie in [0, {total}), got {int(classes.min())} to {int(classes.max())}")
    device = images.device
    if factor == 1:
        return images.index_select(0, send(classes, device))
    source, variant = classes // factor, classes % factor
    # Sorted by variant, so that every step below works on slices, and one gather restores the order.
    order = torch.argsort(variant, stable=True)
    counts = torch.bincount(variant, minlength=factor).tolist()
    ends = torch.tensor([0, *counts]).cumsum(0).tolist()
    gathered = images.index_select(0, send(source[order], device))
    found = torch.empty_like(gathered)
    for k in range(factor):
        chosen = slice(ends[k], ends[k + 1])
        if counts[k]:
            found[chosen] = _orient(gathered[chosen], k % _ORIENTATIONS)
    if factor > _ORIENTATIONS:
        for part in (1, 2):
            chosen = slice(ends[8 * part], ends[8 * part + 8])
            found[chosen] = _halve(found[chosen], part)
    return found.index_select(0, send(torch.argsort(order), device))
