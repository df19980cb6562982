"""Simulated captures: a document photographed by hand and cropped by an imperfect corner detector.

The effects are those of METHODS C2 (Augraphy's lighting gradient, reflected light, shadow cast, low light noise),
written anew on arrays of the output's size: the originals take tens of milliseconds each.
"""

import io

import numpy as np
from PIL import Image, ImageFilter

# Raised whenever a capture's pixels change, because caches and run keys carry it.
CAPTURE_VERSION: int = 3

_MARGIN = 0.12  # of the side: background kept around the document, beyond any corner error
_CORNER_LIMIT = 0.10
_FIELD = 24  # lighting is smooth: fields are computed on this many cells and enlarged
_ROWS, _COLUMNS = np.mgrid[0:_FIELD, 0:_FIELD].astype(np.float32) / (_FIELD - 1)


def _homography(target: np.ndarray, source: np.ndarray) -> list[float]:
    """The eight coefficients that take `target` (4, 2) to `source` (4, 2), as Pillow's PERSPECTIVE wants them."""
    rows = []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows.append((x, y, 1, 0, 0, 0, -u * x, -u * y))
        rows.append((0, 0, 0, x, y, 1, -v * x, -v * y))
    solution: list[float] = np.linalg.solve(np.array(rows), source.ravel()).tolist()
    return solution


def _desk(side: int, rng: np.random.Generator) -> Image.Image:
    """What lies under the document: a plain or mottled surface, `side` pixels square."""
    base = rng.uniform(20, 235) + rng.normal(0, 18, 3)
    cells = rng.normal(0, rng.uniform(2, 26), (6, 3 + int(6 * rng.random()), 1)) + base
    patch = Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8))
    return patch.resize((side, side), Image.Resampling.BILINEAR)


def _corners(rng: np.random.Generator, size: int, severity: float) -> np.ndarray:
    """Where the four corners of the crop fall, in pixels of the document: errors within 10 % of the side."""
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=np.float64)
    strength = rng.uniform(0.3, 1.0) * severity
    angle = np.deg2rad(rng.normal(0, 1.3) * strength)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    zoom = 1 + rng.normal(-0.005, 0.022) * strength
    moved = (square - 0.5) @ turn.T * zoom + 0.5 + rng.normal(0, 0.012, 2) * strength
    moved += np.clip(rng.normal(0, 0.022, (4, 2)), -0.07, 0.07) * strength
    return np.clip(moved, square - _CORNER_LIMIT, square + _CORNER_LIMIT) * size


def _crop(image: np.ndarray, rng: np.random.Generator, size: int, severity: float) -> Image.Image:
    document = Image.fromarray(image)
    if document.size != (size, size):
        document = document.resize((size, size), Image.Resampling.BILINEAR)
    margin = round(_MARGIN * size)
    scene = _desk(size + 2 * margin, rng)
    scene.paste(document, (margin, margin))
    source = _corners(rng, size, severity) + margin
    target = np.array([(0, 0), (size, 0), (size, size), (0, size)], dtype=np.float64)
    return scene.transform(
        (size, size), Image.Transform.PERSPECTIVE, _homography(target, source), Image.Resampling.BILINEAR
    )


def _blur(crop: Image.Image, rng: np.random.Generator, size: int, severity: float) -> np.ndarray:
    """Defocus (near a box, as a lens's is near a disc), low resolution, motion, or none: (size, size, 3) float32."""
    draw, strength, angle = rng.random(), rng.random(), 2 * np.pi * rng.random()
    if draw < 0.3 * severity:
        crop = crop.filter(ImageFilter.BoxBlur((0.3 + 0.9 * strength) * size / 128))
    elif draw < 0.45 * severity:
        small = max(8, round(size * (0.5 + 0.4 * strength)))
        crop = crop.resize((small, small), Image.Resampling.BILINEAR).resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(crop, dtype=np.float32)
    if draw < 1 - 0.15 * severity:
        return pixels
    reach = (1 + 3 * strength) * size / 128
    steps = 2 + round(reach)
    padded = np.pad(pixels, ((steps, steps), (steps, steps), (0, 0)), mode="edge")
    total = np.zeros_like(pixels)
    for share in np.linspace(-0.5, 0.5, steps):
        dx, dy = round(share * reach * np.cos(angle)), round(share * reach * np.sin(angle))
        total += padded[steps + dy : steps + dy + size, steps + dx : steps + dx + size]
    return total / steps


def _lighting(rng: np.random.Generator, severity: float) -> tuple[np.ndarray, np.ndarray]:
    """Gain (multiplied) and glare (added, of 255), each (_FIELD, _FIELD) float32."""
    gain = np.ones((_FIELD, _FIELD), dtype=np.float32)
    glare = np.zeros_like(gain)
    if rng.random() < 0.55:
        angle, depth = 2 * np.pi * rng.random(), rng.uniform(0.05, 0.38) * severity
        gain *= 1 + depth * (np.cos(angle) * (_COLUMNS - 0.5) + np.sin(angle) * (_ROWS - 0.5))
    if rng.random() < 0.25:
        angle, offset = 2 * np.pi * rng.random(), rng.uniform(-0.3, 0.4)
        distance = np.cos(angle) * (_COLUMNS - 0.5) + np.sin(angle) * (_ROWS - 0.5) - offset
        distance += rng.uniform(-0.5, 0.5) * (_COLUMNS - 0.5) * (_ROWS - 0.5)
        edge = 1 / (1 + np.exp(-np.clip(distance / rng.uniform(0.015, 0.08), -30, 30)))
        gain *= 1 - rng.uniform(0.12, 0.42) * severity * edge
    if rng.random() < 0.3:
        x, y, angle = rng.random(), rng.random(), np.pi * rng.random()
        along, across = rng.uniform(0.10, 0.35), rng.uniform(0.05, 0.14)
        u = np.cos(angle) * (_COLUMNS - x) + np.sin(angle) * (_ROWS - y)
        v = -np.sin(angle) * (_COLUMNS - x) + np.cos(angle) * (_ROWS - y)
        glare += rng.uniform(0.25, 0.8) * severity * np.exp(-((u / along) ** 2 + (v / across) ** 2))
    return gain, glare


def _enlarge(field: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(field).resize((size, size), Image.Resampling.BILINEAR))[..., None]


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Triangular noise of unit variance, float32: four times as fast as normal draws, and alike once compressed."""
    count = int(np.prod(shape))
    draws = np.frombuffer(rng.bytes(2 * count), dtype=np.int8).reshape(2, *shape)
    total: np.ndarray = np.add(draws[0], draws[1], dtype=np.float32)
    return total * np.float32(1 / np.sqrt(2 * (256**2 - 1) / 12))


def _sensor(pixels: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """White balance, exposure, contrast, saturation and noise; returns uint8."""
    balance = 1 + np.clip(rng.normal(0, 0.045, 3), -0.11, 0.11) * severity
    contrast, exposure = 1 + (rng.uniform(0.72, 1.12) - 1) * severity, rng.normal(0, 14) * severity
    saturation, noise = 1 + (rng.uniform(0.7, 1.1) - 1) * severity, rng.uniform(0, 9) * rng.random()
    # Saturation, balance and contrast are linear in a pixel's three values: one matrix does them together.
    colour = (saturation * np.eye(3) + (1 - saturation) / 3) * (balance * contrast)
    toned = pixels.reshape(-1, 3) @ colour.astype(np.float32)
    toned += np.float32(118 * (1 - contrast) + exposure)
    if noise > 0.5:
        toned += np.float32(noise * severity) * _noise(toned.shape, rng)
    return np.clip(toned, 0, 255).astype(np.uint8).reshape(pixels.shape)


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def capture(image: np.ndarray, rng: np.random.Generator, size: int, severity: float = 1.0) -> np.ndarray:
    """Photograph and crop `image` (H, W, 3) uint8 RGB: (size, size, 3) uint8. The input is left as it is.

    `severity` in (0, 1] scales every effect, blur by how often it happens; draws do not depend on it, so the same
    generator gives the same photograph taken with more or less care. All randomness comes from `rng`; every length
    scales with `size`, except noise and JPEG blocks, which a camera adds per pixel. Raises ValueError for another
    dtype or shape, an empty image, a size outside 16..1024 pixels or a severity outside (0, 1].
    """
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
    pixels = _blur(_crop(image, rng, int(size), severity), rng, int(size), severity)
    gain, glare = _lighting(rng, severity)
    if np.ptp(gain) > 0:
        pixels = pixels * _enlarge(gain, size)
    if glare.any():
        share = np.clip(_enlarge(glare, size), 0, 1)
        pixels = pixels + share * (np.float32(262) - pixels)
    shot = _sensor(pixels, rng, severity)
    quality = 30 + int(88 * rng.random())
    quality = 98 if quality > 97 else round(95 - (95 - quality) * severity)
    return _jpeg(shot, quality) if quality <= 97 else shot
