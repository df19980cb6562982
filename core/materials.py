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

_KEPT = 4  # sets of arrays kept in memory, least recently used dropped first
_PIECE = 16 * 1024 * 1024  # bytes of images copied at a time
_arrays: dict[tuple[Any, ...], Any] = {}


@dataclass(frozen=True)
class Materials:
    """Arrays of one run. `pool` (N, 3, S, S) uint8 holds the drawn images, `teacher` (classes, D) or None.

    The pool is on the device that trains, as it may be too large to be in memory twice; all else is on the CPU.
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
    prints, source = fingerprints(config), _source(config)
    pool, validation, test, shifted = _resident(config, source, progress)
    drawn = drawn_images(config.seed, len(source.train), config.data.images)
    teacher = _teacher_rows(config, pool, drawn, progress)
    images = _drawn_pool(pool, drawn, torch.device(config.runtime.device))
    notes = dict(source.notes, skipped=source.skipped)
    notes["train"] = f"{config.data.images} of {notes['train']}"
    if config.eval.judged == "validation":
        notes["test"] = notes["validation"]
    return Materials(images, teacher, validation, test, shifted, prints, notes)


def prepare(config: RunConfig, progress: Progress | None = None) -> None:
    """Make what `load_materials` reads from the cache and is not there yet, and no more; errors as it raises."""
    fingerprints(config)
    pool, *_ = _resident(config, _source(config), progress)
    if config.distill.active:
        class_features(config, pool, progress)
        cache.let_go(pool)


def _source(config: RunConfig) -> Corpus:
    """The run's corpus, if it has images enough."""
    source = corpus_of(config)
    available = len(source.train)
    if config.data.images > available:
        raise RunFailure(
            "too_few_images",
            f"data.images is {config.data.images}, but there are {available} to train on: add images or lower it",
        )
    return source


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

        judged = source.judged_part(config.eval.judged)
        shifted = made(judged, shifted=True) if source.shifted else None
        pool = pool_images(source, size, folder, progress)
        _arrays[identity] = (pool, made(source.validation), made(judged), shifted)
    _arrays[identity] = _arrays.pop(identity)
    kept: tuple[np.ndarray, Captures, Captures, Captures | None] = _arrays[identity]
    return kept


def _drawn_pool(pool: np.ndarray, drawn: np.ndarray, device: torch.device) -> torch.Tensor:
    """The drawn of the images (P, S, S, 3) as (N, 3, S, S) on the device, each of them in memory once.

    They are copied in the order of the file, which may be larger than the memory that is left to cache it.
    """
    images = torch.empty((len(drawn), 3, *pool.shape[1:3]), dtype=torch.uint8, device=device)
    order = np.argsort(drawn)
    for places in np.array_split(order, -(-images.nbytes // _PIECE)):
        to = torch.from_numpy(places).to(device)
        images[to] = torch.from_numpy(pool[drawn[places]]).to(device).permute(0, 3, 1, 2)
        cache.let_go(pool)
    return images


def _teacher_rows(
    config: RunConfig, pool: np.ndarray, drawn: np.ndarray, progress: Progress | None
) -> torch.Tensor | None:
    if not config.distill.active:
        return None
    features = class_features(config, pool, progress)
    cache.let_go(pool)  # which was read whole for its digest
    variants = np.arange(config.data.expansion)
    rows = (drawn[:, None] * config.data.expansion + variants).reshape(-1)
    return features[torch.from_numpy(rows)]
