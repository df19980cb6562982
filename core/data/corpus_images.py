"""The pixels of a corpus: training images and captures, from the cache where they are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data import cache, folder
from core.data.corpus import Corpus, RealCaptures, held_out_fingerprint
from core.data.rendering import Progress
from core.data.scans import ImageFile
from core.data.sources import Documents

_CAPTURE_SEED = 7_001
_SHIFTED_SEED = 7_002


@dataclass(frozen=True)
class Captures:
    """Images (M, S, S, 3) uint8 of held-out identities (M,) int64."""

    images: np.ndarray
    identities: np.ndarray

    @property
    def identity_count(self) -> int:
        return len(np.unique(self.identities))


@dataclass(frozen=True)
class _Clean:
    """Draws a training image."""

    documents: Documents
    size: int

    def __call__(self, index: int) -> np.ndarray:
        return self.documents.clean(index, self.size)


@dataclass(frozen=True)
class _Simulated:
    """Draws a capture: `count` of each document, one after another."""

    documents: Documents
    count: int
    size: int
    severity: float
    shifted: bool

    def __call__(self, index: int) -> np.ndarray:
        from core.data.capture import capture
        from core.data.shifted import shifted_capture

        identity, number = divmod(index, self.count)
        rng = np.random.default_rng([_SHIFTED_SEED if self.shifted else _CAPTURE_SEED, identity, number])
        photograph = shifted_capture if self.shifted else capture
        return photograph(self.documents.page(identity, number, self.size), rng, self.size, self.severity)


@dataclass(frozen=True)
class _Own:
    """Reads a capture that the user has."""

    files: tuple[tuple[ImageFile, int], ...]
    size: int

    def __call__(self, index: int) -> np.ndarray:
        return folder.squash(folder.read(self.files[index][0]), self.size)


def pool_images(source: Corpus, size: int, cache_folder: Path, progress: Progress | None = None) -> np.ndarray:
    """The clean training images, (P, size, size, 3) uint8, from the cache where they are there."""
    count = len(source.train)
    draw = _Clean(source.train, size)
    return cache.cached_images(cache_folder, "pool", _description(source, size), (count, size, size, 3), draw, progress)


def pool_in_cache(source: Corpus, size: int, cache_folder: Path) -> np.ndarray | None:
    """As `pool_images`, where they are there, and not read through; None where they would have to be drawn."""
    path = cache.path_of(cache_folder, "pool", _description(source, size))
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found


def _description(source: Corpus, size: int) -> str:
    """Everything that decides the pool's pixels."""
    return f"pool {source.train.fingerprint} {len(source.train)} {size}"


def described(
    held_out: Documents | RealCaptures, count: int, size: int, severity: float, shifted: bool
) -> tuple[str, str]:
    """Under what name the cache keeps such captures, and everything that decides their pixels; arguments as theirs."""
    total = len(held_out.files) if isinstance(held_out, RealCaptures) else len(held_out) * count
    name = "shifted captures" if shifted else "captures"
    return name, f"{name} {held_out_fingerprint(held_out, shifted)} {total} {count} {size} {severity}"


def captures(
    held_out: Documents | RealCaptures,
    count: int,
    size: int,
    cache_folder: Path,
    progress: Progress | None = None,
    severity: float = 1.0,
    shifted: bool = False,
) -> Captures:
    """Captures of held-out identities, simulated (`count` of each) or the user's own.

    Args:
        severity: of simulated captures, in (0, 1].
        shifted: with corruptions that neither training nor the usual captures have (`core.data.shifted`).
    """
    draw: _Own | _Simulated
    name, description = described(held_out, count, size, severity, shifted)
    if isinstance(held_out, RealCaptures):
        identities = np.array([identity for _, identity in held_out.files], np.int64)
        draw = _Own(held_out.files, size)
    else:
        identities = np.repeat(np.arange(len(held_out), dtype=np.int64), count)
        draw = _Simulated(held_out, count, size, severity, shifted)
    total = len(identities)
    images = cache.cached_images(cache_folder, name, description, (total, size, size, 3), draw, progress)
    return Captures(images, identities)
