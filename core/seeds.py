"""One named random stream per source of variation, so that arms share every stream that they can.

A stream's seed is a hash of (run seed, stream name): an arm that does not use a stream, or a stream
added later, shifts none of the others (common random numbers; Bouthillier et al. 2021, section 2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from core.errors import nearest

if TYPE_CHECKING:
    import torch

STREAMS = (
    "subset",  # which images of the pool are trained on
    "order",  # the order of the classes
    "augment",  # augmentation parameters, and on the CPU noise
    "augment.noise",  # noise of pixels that are on another device
    "partial_fc",  # sampled negative classes
    "init.backbone",
    "init.head",
    "init.centres",  # class centres of the margin head
    "init.projection",  # the distillation projection
    "teacher.random",  # the control teacher's features
)


def stream_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream `name` of run `seed`; unknown names raise `ValueError`."""
    if name not in STREAMS:
        raise ValueError(f"unknown random stream '{name}'{nearest(name, STREAMS)}")
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_stream(seed: int, name: str) -> np.random.Generator:
    """A fresh numpy generator at the start of the stream."""
    return np.random.default_rng(stream_seed(seed, name))


def torch_stream(seed: int, name: str, device: torch.device | None = None) -> torch.Generator:
    """A fresh torch generator at the start of the stream, on the CPU by default."""
    import torch

    return torch.Generator(device or "cpu").manual_seed(stream_seed(seed, name))


@contextmanager
def global_stream(seed: int, name: str) -> Iterator[None]:
    """Torch's global generator set to the stream and put back after: for initialisers that take none."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, name))
        yield
