"""Which images of the user's folders look alike, as pairs of paths, to be told of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.data import cache, folder
from core.data.look_alikes import likenesses
from core.data.scans import SCAN_VERSION, Scan
from core.errors import RunFailure, UserError

Pair = tuple[str, str]


def within(found: Scan, sources: Sequence[str]) -> list[Pair]:
    """Pairs of images that look alike, each pair once, and count as different documents.

    Captures of one document look alike, too: those that share a sub-folder are left out.

    Args:
        sources: the folders in which the images were found.
    """
    roots = {Path(source).absolute() for source in sources}
    pairs: dict[frozenset[int], Pair] = {}
    for pair in found.alike:
        one, other = (found.images[place].path for place in pair)
        home = one.absolute().parent
        if home in roots or home != other.absolute().parent:
            pairs.setdefault(frozenset(pair), (str(one), str(other)))
    return sorted(pairs.values())


def in_both(one: Scan, other: Scan) -> set[str]:
    """Images that two scans have, pixel for pixel, by what stands for their pixels."""
    return {image.pixels for image in one.images} & {image.pixels for image in other.images}


def between(judged: Scan, trained: Scan, cache_folder: Path) -> list[Pair] | None:
    """Images to judge on that look like one to train on, each with the one that is most alike.

    Images that both have, pixel for pixel, are passed over: they are not trained on (`core.data.corpus`).

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
    both = in_both(judged, trained)
    ours, theirs = (np.array([one.pixels not in both for one in scan.images], bool) for scan in (judged, trained))
    levels, others = levels[ours], others[theirs]
    description = f"{SCAN_VERSION} {_digest(levels)} {_digest(others)}"
    try:
        found = cache.cached_array(cache_folder, "alike", description, lambda: likenesses(levels, others))
    except RunFailure as failure:
        raise UserError(failure.message) from None
    images, candidates = np.flatnonzero(ours), np.flatnonzero(theirs)
    return sorted(
        (str(judged.images[image].path), str(trained.images[candidates[other]].path))
        for image, other in zip(images, found, strict=True)
        if other >= 0
    )


def _digest(levels: np.ndarray) -> str:
    return hashlib.sha256(levels.tobytes()).hexdigest()
