"""Simulated captures: a document photographed by hand and cropped by an imperfect corner detector.

The page is cropped and blurred (`optics`), lit (`light`), then recorded by a sensor and compressed (here), in the
order in which a camera does it.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image

from core.data.light import illuminate, moire
from core.data.optics import between, crop, focus, image_of

# Raised whenever a capture's pixels change, because caches and run keys carry it.
CAPTURE_VERSION: int = 4

CHROMA_RATE = 0.40
_TABLE = 2**20
_TILE = 256


@lru_cache(maxsize=1)
def _white_table() -> np.ndarray:
    """Standard normal numbers, (_TABLE,) float32: reading some of them is ten times as fast as drawing as many."""
    return np.random.default_rng(0).standard_normal(_TABLE, dtype=np.float32)


@lru_cache(maxsize=1)
def _chroma_table() -> np.ndarray:
    """Blotches about 3 pixels wide without brightness, unit variance, periodic: (3, _TILE, _TILE) float32."""
    noise = np.random.default_rng(1).standard_normal((3, _TILE, _TILE), dtype=np.float32)
    for axis in (1, 2):
        noise = noise + 0.8 * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
        noise = noise + 0.3 * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    noise = noise - noise.mean(axis=0)
    scaled: np.ndarray = noise / noise.std()
    return scaled


def white_noise(size: int, rng: np.random.Generator) -> np.ndarray:
    """Unit normal noise (3, size, size), float32, independent between channels up to size 512: a copy."""
    count = 3 * size * size
    start = int(rng.random() * max(_TABLE - count, _TABLE // 4))
    sign = 1 if rng.random() < 0.5 else -1
    table = _white_table()[start:]
    drawn = table[:count] if len(table) >= count else np.resize(table, count)
    return np.multiply(drawn, np.float32(sign)).reshape(3, size, size)


def chroma_noise(size: int, rng: np.random.Generator) -> np.ndarray:
    """Colour blotches of unit variance (3, size, size), float32: a random window of the table, perhaps negated."""
    row, column = int(_TILE // 2 * rng.random()), int(_TILE // 2 * rng.random())
    sign = 1 if rng.random() < 0.5 else -1
    table, copies = _chroma_table(), -(-(_TILE // 2 + size) // _TILE)
    if copies > 1:
        table = np.tile(table, (1, copies, copies))
    return np.multiply(table[:, row : row + size, column : column + size], np.float32(sign))


def expose(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """White balance, exposure, contrast and saturation: a new (3, S, S) float32."""
    balance = 1 + np.clip(0.045 * rng.standard_normal(3), -0.11, 0.11) * severity
    contrast = 1 + (between(rng, 0.72, 1.12) - 1) * severity
    exposure = 14 * rng.standard_normal() * severity
    saturation = 1 + (between(rng, 0.7, 1.1) - 1) * severity
    gains = (balance * contrast).astype(np.float32)
    grey = planes[0] + planes[1]
    grey += planes[2]
    grey *= np.float32((1 - saturation) / 3)
    # Elementwise rather than by a matrix, whose product would depend on the number of threads in its last bits.
    toned = planes * np.float32(saturation)
    toned += grey
    toned *= gains[:, None, None]
    toned += np.float32(118 * (1 - contrast) + exposure)
    return toned


def grain(planes: np.ndarray, rng: np.random.Generator, severity: float) -> None:
    """Sensor noise of each pixel, and sometimes the colour blotches of a phone in low light, in place."""
    size = planes.shape[-1]
    strength, blotches = between(rng, 0, 9) * rng.random(), between(rng, 1.0, 5.0)
    if strength > 0.5:
        noise = white_noise(size, rng)
        noise *= np.float32(strength * severity)
        planes += noise
    if rng.random() < CHROMA_RATE:
        noise = chroma_noise(size, rng)
        noise *= np.float32(blotches * severity)
        planes += noise


def compress(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Planes (3, S, S) as (S, S, 3) uint8, mostly after a JPEG round trip at quality 30 to 97."""
    image = image_of(planes)
    quality = 30 + int(88 * rng.random())
    if quality > 97:
        return np.array(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=round(95 - (95 - quality) * severity))
    # The decoder alone: opening the file first would cost as much again.
    return np.array(Image.frombytes("RGB", image.size, buffer.getvalue(), "jpeg", "RGB", ""))


def check_arguments(image: np.ndarray, size: int, severity: float) -> None:
    """Refuse what `capture` cannot photograph, by ValueError; see there."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"image must be a (H, W, 3) uint8 array, not {getattr(image, 'shape', type(image).__name__)} "
            f"{getattr(image, 'dtype', '')}; convert it to RGB first"
        )
    if image.size == 0:
        raise ValueError(f"image is empty: shape {image.shape}")
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 16 <= size <= 1024:
        raise ValueError(f"size must be an integer from 16 to 1024 pixels, not {size!r}")
    if not 0 < severity <= 1:
        raise ValueError(f"severity must be in (0, 1], not {severity}")


def capture(image: np.ndarray, rng: np.random.Generator, size: int, severity: float = 1.0) -> np.ndarray:
    """Photograph and crop `image` (H, W, 3) uint8 RGB: (size, size, 3) uint8. The input is left as it is.

    `severity` in (0, 1] scales every effect; draws do not depend on it, so the same generator gives the same
    photograph taken with more or less care. All randomness comes from `rng`; every length scales with `size`,
    except noise and JPEG blocks, which a camera adds per pixel. Raises ValueError for another dtype or shape, an
    empty image, a size outside 16..1024 pixels or a severity outside (0, 1].
    """
    check_arguments(image, size, severity)
    size = int(size)
    planes = focus(crop(image, rng, size, severity), rng, severity)
    illuminate(planes, rng, severity)
    moire(planes, rng, severity)
    planes = expose(planes, rng, severity)
    grain(planes, rng, severity)
    return compress(planes, rng, severity)
