"""Images that look like another: a copy saved anew, or the same form filled in a little otherwise.

Each is a document of its own to everything else, and two that look alike are judged as different ones, where the pair
lies above any threshold. Measured on cards and documents: copies at half the size, or of JPEG quality 50, differ from
their original by at most 5 levels of any of the 256 compared here, at a third of it or quality 30 mostly by at most 8;
different documents by 25 and more.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 16  # pixels that are compared, after averaging over twice the spacing: so a copy of another size differs little
MOST_LEVELS = 8  # of 255, that any pixel of two that look alike differs by
MOST_IMAGES = 100_000  # among more it is not looked for: of documents that are all much alike it takes the square


def small(image: Image.Image) -> np.ndarray:
    """What is compared of an image: grey levels (SIDE * SIDE,) uint8."""
    reduced = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(reduced, np.uint8).reshape(-1)


def look_alikes(levels: np.ndarray) -> np.ndarray:
    """Of each of the images (N, SIDE * SIDE) uint8 the one that is most alike, or -1: indices (N,).

    Of more than `MOST_IMAGES` it is not looked for, and all are -1.
    """
    if not 2 <= len(levels) <= MOST_IMAGES:
        return np.full(len(levels), -1)
    found = _nearest(levels, levels, 2)
    # Of several that are equal to the last level an image itself need not come first.
    itself = found[:, 0] == np.arange(len(levels))
    return np.where(itself, found[:, 1], found[:, 0])


def likenesses(levels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each of the images (N, SIDE * SIDE) uint8 the one of `others` (M, SIDE * SIDE) that is most alike, or -1."""
    if not (len(levels) and len(others)):
        return np.full(len(levels), -1)
    return _nearest(levels, others, 1)[:, 0]


def _nearest(levels: np.ndarray, others: np.ndarray, count: int) -> np.ndarray:
    """The `count` most alike of `others` of each image, -1 where there is none within reach: (N, count)."""
    from scipy.spatial import KDTree  # takes a while to import, and most commands find their scan in the cache

    reach = np.nextafter(MOST_LEVELS, MOST_LEVELS + 1)  # a distance below it is found
    tree, points = KDTree(others.astype(np.float32)), levels.astype(np.float32)
    _, found = tree.query(points, k=range(1, count + 1), p=np.inf, distance_upper_bound=reach)
    return np.where(found < len(others), found, -1)
