"""What a run reads, loaded once a process: pool, captures, teacher features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from core.config import RunConfig
from core.data import cache
from core.data.corpus import Corpus, RealCaptures
from core.data.corpus_images import Captures, captures, pool_images
from core.data.rendering import Progress
from core.data.sources import Documents
from core.errors import RunFailure
from core.inputs import corpus_of, fingerprints
from core.seeds import numpy_stream
from core.teacher import class_features

_GATHERED = 1024  # images that are copied at a time
_KEPT = 4  # sets of arrays kept in memory, least recently used dropped first
_arrays: dict[tuple[Any, ...], Any] = {}


@dataclass(frozen=True)
class Materials:
    """Arrays of one run. `pool` (N, 3, S, S) uint8 holds the drawn images, `teacher` (classes, D) or None.

    `test` and `shifted` are of the identities that the run is judged on (`eval.judged`).
    """

    pool: torch.Tensor
    teacher: torch.Tensor | None
    validation: Captures
    test: Captures
    shifted: Captures | None
    fingerprints: dict[str, str]
    notes: dict[str, Any]


def load_materials(config: RunConfig, progress: Progress | None = None) -> Materials:
    """Load or make everything that the run reads.

    Raises:
        UserError: data or weights that cannot be had.
        RunFailure: `too_few_images` when the pool has fewer than `data.images`.
    """
    prints = fingerprints(config)
    source = corpus_of(config)
    available = len(source.train)
    if config.data.images > available:
        raise RunFailure(
            "too_few_images",
            f"data.images is {config.data.images}, but there are {available} to train on: add images or lower it",
        )
    pool, validation, test, shifted = _resident(config, source, progress)
    drawn = drawn_images(config.seed, available, config.data.images)
    images = gathered(pool, drawn)
    notes = dict(source.notes, skipped=source.skipped)
    notes["train"] = f"{config.data.images} of {notes['train']}"
    if config.eval.judged == "validation":
        notes["test"] = notes["validation"]
    return Materials(images, _teacher_rows(config, pool, drawn, progress), validation, test, shifted, prints, notes)


def gathered(pool: np.ndarray, drawn: np.ndarray) -> torch.Tensor:
    """The drawn (N,) images of a pool (P, S, S, 3), as (N, 3, S, S) uint8: held once, as a million take 50 GB."""
    images = torch.empty((len(drawn), 3, *pool.shape[1:3]), dtype=torch.uint8)
    for start in range(0, len(drawn), _GATHERED):
        part = drawn[start : start + _GATHERED]
        images[start : start + len(part)] = torch.from_numpy(pool[part]).permute(0, 3, 1, 2)
    return images


def drawn_images(seed: int, available: int, count: int) -> np.ndarray:
    """Indices (count,) of the pool's images that a run trains on; a smaller count is a prefix of a larger."""
    return numpy_stream(seed, "subset").permutation(available)[:count]


def _resident(
    config: RunConfig, source: Corpus, progress: Progress | None
) -> tuple[np.ndarray, Captures, Captures, Captures | None]:
    """Pool, validation, test and shifted test captures, kept for the next run of this process."""
    size = config.data.image_size
    folder = cache.cache_dir(config.runtime.cache_dir)
    of = source.captures, source.severity, config.eval.judged
    identity = (*source.fingerprints().values(), *of, size, str(folder))
    if identity not in _arrays:
        while len(_arrays) >= _KEPT:
            _arrays.pop(next(iter(_arrays)))

        def made(held_out: Documents | RealCaptures, shifted: bool = False) -> Captures:
            return captures(held_out, source.captures, size, folder, progress, source.severity, shifted)

        judged = source.validation if config.eval.judged == "validation" else source.test
        shifted = made(judged, shifted=True) if source.shifted else None
        pool = pool_images(source, size, folder, progress)
        _arrays[identity] = (pool, made(source.validation), made(judged), shifted)
    _arrays[identity] = _arrays.pop(identity)
    kept: tuple[np.ndarray, Captures, Captures, Captures | None] = _arrays[identity]
    return kept


def _teacher_rows(
    config: RunConfig, pool: np.ndarray, drawn: np.ndarray, progress: Progress | None
) -> torch.Tensor | None:
    if not config.distill.active:
        return None
    features = class_features(config, pool, progress)
    variants = np.arange(config.data.expansion)
    rows = (drawn[:, None] * config.data.expansion + variants).reshape(-1)
    return features[torch.from_numpy(rows)]
