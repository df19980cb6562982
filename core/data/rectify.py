"""A document cut out of a photograph by its four corners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

LONG_SIDE = 512  # pixels of what is kept: four times what the record trains on
_WORKING_SIDE = 2048  # pixels at which the perspective is undone, before the reduction that smooths
_MIN_EDGE = 32  # pixels; a smaller document in the frame shows nothing of itself
_OUTSIDE = 0.05  # of a side of the frame, by which a corner may lie beyond it

Quad = Sequence[Sequence[float]]


def usable_quad(quad: object, width: int, height: int) -> np.ndarray | None:
    """The corners (4, 2) float64 in pixels: top left, top right, bottom right, bottom left of the document.

    None if they are not four points, not a convex figure in that order (a mirrored one would give a mirrored
    document), smaller than a document can be read at, or beyond the frame of `width` x `height` pixels.
    """
    try:
        corners = np.asarray(quad, np.float64)
    except (TypeError, ValueError):
        return None
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        return None
    edges = np.roll(corners, -1, axis=0) - corners
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if (turns <= 0).any() or np.linalg.norm(edges, axis=1).min() < _MIN_EDGE:
        return None
    slack = _OUTSIDE * np.array([width, height])
    if (corners < -slack).any() or (corners > np.array([width, height]) + slack).any():
        return None
    return corners


def rectify(image: Image.Image, corners: np.ndarray, aspect: float | None = None) -> Image.Image:
    """The document upright and flat, at most `LONG_SIDE` pixels on its long side.

    Args:
        corners: (4, 2) pixels, from `usable_quad`.
        aspect: width over height of the document where it is known; default by the lengths of the edges.
    """
    lengths = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    width, height = max(lengths[0], lengths[2]), max(lengths[1], lengths[3])
    if aspect is not None:
        width, height = max(width, height * aspect), max(height, width / aspect)
    shrink = min(1.0, _WORKING_SIDE / max(width, height))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    flat = image.transform(size, Image.Transform.PERSPECTIVE, _coefficients(corners, size), Image.Resampling.BICUBIC)
    flat.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    return flat


def _coefficients(corners: np.ndarray, size: tuple[int, int]) -> tuple[float, ...]:
    """The 8 numbers of the projective map from the flat rectangle to the corners, as Pillow wants them."""
    width, height = size
    rows, values = [], []
    for (x, y), (u, v) in zip([(0, 0), (width, 0), (width, height), (0, height)], corners.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows, np.float64), np.array(values)).tolist())
