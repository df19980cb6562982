"""The drawn images of a pool: the same as of the pool itself, and held once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import torch

from core.materials import drawn_images, gathered


def test_drawn_images_are_the_pools_and_held_once() -> None:
    pool = np.random.default_rng(0).integers(0, 255, (5000, 32, 32, 3), np.uint8)
    drawn = drawn_images(3, len(pool), 4500)
    tracemalloc.start()  # of NumPy's memory; what PyTorch makes is the result
    images = gathered(pool, drawn)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < images.nbytes / 3
    assert images.is_contiguous()
    assert torch.equal(images, torch.from_numpy(pool[drawn]).permute(0, 3, 1, 2))
    assert gathered(pool, drawn[:0]).shape == (0, 3, 32, 32)
