"""Which images of the user's folders look alike, as pairs of paths, to be told of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.data import cache, folder
from core.data.look_alikes import likenesses
from core.data.scans import SCAN_VERSION, Scan, contents_of
from core.store import told_to_the_user

Pair = tuple[str, str]


def within(found: Scan, sources: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """Pairs of images that look alike, each pair once: of those that lie apart, and of those in one sub-folder.

    To train on, both are of documents that count as different. To judge on, those of one sub-folder are captures of one
    identity, which may look alike.

    Args:
        sources: the folders in which the images were found.
    """
    roots = {Path(source).absolute() for source in sources}
    apart: dict[frozenset[int], Pair] = {}
    together: dict[frozenset[int], Pair] = {}
    for pair in found.alike:
        one, other = (found.images[place].path for place in pair)
        home = one.absolute().parent
        pairs = apart if home in roots or home != other.absolute().parent else together
        pairs.setdefault(frozenset(pair), (str(one), str(other)))
    return sorted(apart.values()), sorted(together.values())


def between(judged: Scan, trained: Scan, cache_folder: Path) -> list[Pair] | None:
    """Images to judge on that look like one to train on, each with the one that is most alike.

    Those to train on that are judged on themselves are passed over: they are left out (`core.data.corpus`).

    Args:
        cache_folder: where both were remembered when they were found, and the result is: of many that are much alike it
            takes the square of their number.

    Returns:
        The pairs, or None where there are too many images to look.

    Raises:
        UserError: the cache cannot be written.
    """
    levels, others = folder.levels_of(judged, cache_folder), folder.levels_of(trained, cache_folder)
    if levels is None or others is None:
        return None
    left_out = contents_of(judged.images)
    theirs = np.array([not image.is_in(left_out) for image in trained.images], bool)
    others = others[theirs]
    found = kept_likenesses(levels, others, cache_folder)
    candidates = np.flatnonzero(theirs)
    return sorted(
        (str(image.path), str(trained.images[candidates[other]].path))
        for image, other in zip(judged.images, found, strict=True)
        if other >= 0
    )


def kept_likenesses(levels: np.ndarray, others: np.ndarray, cache_folder: Path) -> np.ndarray:
    """As `core.data.look_alikes.likenesses`, remembered by the content of both.

    Raises:
        UserError: the cache cannot be written.
    """
    description = f"{SCAN_VERSION} {_digest(levels)} {_digest(others)}"
    with told_to_the_user(cache_folder):
        return cache.cached_array(cache_folder, "alike", description, lambda: likenesses(levels, others))


def _digest(levels: np.ndarray) -> str:
    return hashlib.sha256(levels.tobytes()).hexdigest()
