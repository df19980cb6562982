"""Images that look like another: a copy saved anew, or the same form filled in a little otherwise.

Each is a document of its own to everything else, and two that look alike are judged as different ones, where the pair
lies above any threshold. Measured on cards and documents: copies at half the size, or of JPEG quality 50, differ from
their original by at most 5 levels of any of the 256 compared here, at a third of it or quality 30 mostly by at most 8;
different documents by 25 and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from scipy.spatial import KDTree

SIDE = 16  # pixels that are compared, after averaging over twice the spacing: so a copy of another size differs little
MOST_LEVELS = 8  # of 255, that any pixel of two that look alike differs by
MOST_IMAGES = 100_000  # among more it is not looked for: of documents that are all much alike it takes the square
_FEW = 64  # images alike of one folder, up to which one search looks past them for another folder's


def small(image: Image.Image) -> np.ndarray:
    """What is compared of an image: grey levels (SIDE * SIDE,) uint8."""
    reduced = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(reduced, np.uint8).reshape(-1)


def nearest_pairs(levels: np.ndarray, homes: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Of each of the images (N, SIDE * SIDE) uint8 the one that is most alike, and the one elsewhere that is.

    The first alone may hide the second: two folders may show one document, each in captures that are more alike.

    Args:
        homes: the folder of each image.

    Returns:
        Pairs of an image and another, by the image; of two that are alike each may say so.
    """
    alike = look_alikes(levels)
    numbers = {home: number for number, home in enumerate(dict.fromkeys(homes))}
    numbered = np.array([numbers[home] for home in homes], np.int64)  # an array of text is as wide as the longest
    both = np.stack([alike, elsewhere(levels, numbered, alike)], axis=1)
    pairs = {(image, other) for image, row in enumerate(both.tolist()) for other in row if other >= 0}
    return tuple(sorted(pairs))


def look_alikes(levels: np.ndarray) -> np.ndarray:
    """Of each of the images (N, SIDE * SIDE) uint8 the one that is most alike, or -1: indices (N,).

    Of more than `MOST_IMAGES` it is not looked for, and all are -1.
    """
    if not 2 <= len(levels) <= MOST_IMAGES:
        return np.full(len(levels), -1)
    found = _nearest(_tree(levels), levels, 2)
    # Of several that are equal to the last level an image itself need not come first.
    itself = found[:, 0] == np.arange(len(levels))
    return np.where(itself, found[:, 1], found[:, 0])


def elsewhere(levels: np.ndarray, homes: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Of each of the images (N, SIDE * SIDE) uint8 the one of another home that is most alike, or -1: indices (N,).

    Args:
        homes: a number for the folder of each image, (N,).
        alike: what `look_alikes` found of them. Where that is of another home, or there is none, nothing is left to do.
    """
    found = np.where((alike >= 0) & (homes[alike] != homes), alike, -1)
    left = np.flatnonzero((alike >= 0) & (found < 0))
    if not len(left) or len(np.unique(homes)) == 1:
        return found
    tree, count = _tree(levels), 8
    while len(left) and count <= _FEW:
        near = _nearest(tree, levels[left], count)
        others = (near >= 0) & (homes[near] != homes[left, None])
        has = others.any(axis=1)
        found[left[has]] = near[has, others[has].argmax(axis=1)]
        left = left[~has & (near[:, -1] >= 0)]  # of the rest all that is within reach was seen
        count *= 8
    # Many images alike in one folder, as of a film: to look past all of them one by one would take their square.
    for home in np.unique(homes[left]):
        inside = left[homes[left] == home]
        low, high = levels[inside].min(axis=0), levels[inside].max(axis=0)
        # Bytes go round at their ends, so that these stop there.
        low, high = low - np.minimum(low, MOST_LEVELS), high + np.minimum(255 - high, MOST_LEVELS)
        outside = np.flatnonzero((homes != home) & ((low <= levels) & (levels <= high)).all(axis=1))
        other = likenesses(levels[inside], levels[outside])
        found[inside[other >= 0]] = outside[other[other >= 0]]
    return found


def likenesses(levels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each of the images (N, SIDE * SIDE) uint8 the one of `others` (M, SIDE * SIDE) that is most alike, or -1."""
    if not (len(levels) and len(others)):
        return np.full(len(levels), -1)
    return _nearest(_tree(others), levels, 1)[:, 0]


def _tree(levels: np.ndarray) -> KDTree:
    from scipy.spatial import KDTree  # takes a while to import, and most commands find their scan in the cache

    return KDTree(levels.astype(np.float32))


def _nearest(tree: KDTree, levels: np.ndarray, count: int) -> np.ndarray:
    """The `count` most alike in the tree of each image, nearest first, -1 where there is none within reach."""
    reach = np.nextafter(MOST_LEVELS, MOST_LEVELS + 1)  # a distance below it is found
    _, found = tree.query(levels.astype(np.float32), k=range(1, count + 1), p=np.inf, distance_upper_bound=reach)
    return np.where(found < tree.n, found, -1)
