"""A teacher's features in the cache: what decides them, and how many are still to be encoded.

Nothing here needs PyTorch, which takes seconds to import: a plan asks, too.
"""

from __future__ import annotations

import hashlib

import numpy as np

from core.config import RunConfig
from core.config_sections import device_kind
from core.data import cache
from core.data.corpus_images import pool_in_cache
from core.inputs import corpus_of, teacher_fingerprint

NAME = "teacher"  # of the files


def description_of(config: RunConfig, pixels: np.ndarray, expansion: int) -> str:
    """Everything that decides the features of images (N, S, S, 3) uint8, each expanded to so many.

    The kind of device is part of it, as its bits are others; of the CPU nothing is said, as once there was none other.
    """
    digest = hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()
    kind = device_kind(config.runtime.device)
    description = f"teacher {teacher_fingerprint(config)} {digest} {expansion}"
    return description if kind == "cpu" else f"{description} {kind}"


def views_to_encode(config: RunConfig) -> int:
    """How many views of the pool the run's teacher has yet to encode: 0 where it has, or where none sees an image.

    Arrays of the cache are taken at their word: to read them through is for who uses them.
    """
    if not config.distill.active or config.distill.teacher == "random":
        return 0
    source, folder = corpus_of(config), cache.cache_dir(config.runtime.cache_dir)
    pool = pool_in_cache(source, config.data.image_size, folder)
    if pool is not None and cache.path_of(folder, NAME, description_of(config, pool, config.data.expansion)).exists():
        return 0
    return len(source.train) * config.data.expansion
