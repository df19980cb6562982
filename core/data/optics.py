"""Geometry and sharpness of a simulated photograph: the crop of an imperfect corner detector, and blur.

Pixels are worked on as planes, (3, S, S) float32 in 0..255: arithmetic on whole planes is several times as fast as
on interleaved colours, because the inner loops are long.
"""

from functools import lru_cache

import numpy as np
from PIL import Image

_MARGIN = 0.12  # of the side: background kept around the document, beyond any corner error
_CORNER_LIMIT = 0.10
_BLOCK = 8192  # pixels warped at once
_SQUARE = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=np.float64)
# Chances of the three blurs; they exclude each other, and the rest of the photographs is sharp.
BLUR_RATES = {"defocus": 0.30, "low resolution": 0.15, "motion": 0.15}


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """One uniform number; a third of the cost of `rng.uniform`, of which a photograph needs dozens."""
    return low + (high - low) * rng.random()


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns (1, S) and rows (S, 1) in sides, 0..1."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    return axis[None, :], axis[:, None]


def homography(corners: np.ndarray, size: int) -> tuple[float, ...]:
    """The eight coefficients, as Pillow's PERSPECTIVE wants them, that take a square of side `size` to `corners`.

    `corners` (4, 2): where (0, 0), (size, 0), (size, size) and (0, size) go. Closed form: Heckbert, "Fundamentals
    of Texture Mapping and Image Warping", 1989, section 2.2.3.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners.tolist()
    dx1, dx2, sx = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, sy = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    area = dx1 * dy2 - dx2 * dy1
    g, h = (sx * dy2 - dx2 * sy) / area, (dx1 * sy - sx * dy1) / area
    a, b, d, e = x1 - x0 + g * x1, x3 - x0 + h * x3, y1 - y0 + g * y1, y3 - y0 + h * y3
    return a / size, b / size, x0, d / size, e / size, y0, g / size, h / size


def place_corners(rng: np.random.Generator, size: int, severity: float) -> np.ndarray:
    """Where the four corners of the crop fall, in pixels of the document: errors within 10 % of the side."""
    strength = between(rng, 0.3, 1.0) * severity
    normal = rng.standard_normal(12)
    angle = np.deg2rad(1.3 * normal[0]) * strength
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    zoom = 1 + (0.022 * normal[1] - 0.005) * strength
    moved = (_SQUARE - 0.5) @ turn.T * zoom + 0.5 + 0.012 * strength * normal[2:4]
    moved += np.clip(0.022 * normal[4:].reshape(4, 2), -0.07, 0.07) * strength
    return np.clip(moved, _SQUARE - _CORNER_LIMIT, _SQUARE + _CORNER_LIMIT) * size


@lru_cache(maxsize=64)
def _taps(out: int, cells: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Resizing of an axis as Pillow's BILINEAR does it: pairs of positions (out,) and float32 weights (out,).

    An output is the sum over the pairs of weight times the cell at that position; there are two or three pairs when
    enlarging, more when shrinking, which averages.
    """
    scale = cells / out
    reach = max(scale, 1.0)
    centres = (np.arange(out) + 0.5) * scale - 0.5
    positions = np.floor(centres - reach).astype(np.intp)[:, None] + np.arange(1, int(2 * reach) + 2)
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - positions) / reach)
    weights[(positions < 0) | (positions >= cells)] = 0
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    positions = positions.clip(0, cells - 1)
    used = [k for k in range(weights.shape[1]) if weights[:, k].any()]
    return [(np.ascontiguousarray(positions[:, k]), np.ascontiguousarray(weights[:, k])) for k in used]


def resize(field: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Resize the last two axes of a float32 array, several times as fast as Pillow at the sizes met here.

    Elementwise on purpose: a matrix product is quicker still, but its rounding depends on the number of threads.
    """
    for axis, count in ((-1, columns), (-2, rows)):
        total: np.ndarray | None = None
        for positions, weights in _taps(count, field.shape[axis]):
            share = field.take(positions, axis)
            share *= weights if axis == -1 else weights[:, None]
            total = share if total is None else np.add(total, share, out=total)
        assert total is not None
        field = total
    return field


def _scene(image: np.ndarray, rng: np.random.Generator, size: int, margin: int) -> np.ndarray:
    """The document (H, W, 3) on a plain or mottled surface: (side, side) uint64, three colours of 16 bits a pixel."""
    if image.shape != (size, size, 3):
        image = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    side, inner = size + 2 * margin, slice(margin, margin + size)
    base = between(rng, 20, 235) + 18 * rng.standard_normal(3)
    cells = between(rng, 2, 26) * rng.standard_normal((6, 3 + int(6 * rng.random())))
    # The mottle is grey, so that one table of packed colours paints the surface.
    palette = np.zeros((256, 4), dtype=np.uint16)
    palette[:, :3] = np.clip(np.arange(-128, 128)[:, None] + base, 0, 255)
    mottle = resize((cells + 128).clip(0, 255).astype(np.float32), side, side).astype(np.uint8)
    scene = palette.view(np.uint64)[:, 0].take(mottle)
    lanes = scene.view(np.uint16).reshape(side, side, 4)
    for channel in range(3):
        lanes[inner, inner, channel] = image[:, :, channel]
    return scene


def _warp(scene: np.ndarray, coefficients: tuple[float, ...], size: int) -> np.ndarray:
    """Bilinear values of a packed scene at a homography's pixel centres: planes (3, size, size) float32.

    Weights of a pixel's four neighbours are in 256ths and add up to 256, so that each colour stays within its 16
    bits and one integer product serves all three: about half the time of Pillow's PERSPECTIVE. Rows are taken in
    blocks, whose temporaries stay in the cache and below the size at which each would be mapped and faulted in anew.
    """
    a, b, c, d, e, f, g, h = np.array(coefficients, dtype=np.float32)
    side, flat = scene.shape[1], scene.ravel()
    planes = np.empty((3, size, size), dtype=np.float32)
    x, step = np.arange(size, dtype=np.float32) + np.float32(0.5), max(1, _BLOCK // size)
    for top in range(0, size, step):
        y = x[top : top + step, None]
        # In sixteenths of a pixel; half a pixel back to the centres of the scene, then rounded.
        scale = g * x + (h * y + 1)
        np.divide(16, scale, out=scale)
        columns, rows = a * x + (b * y + c), d * x + (e * y + f)
        columns *= scale
        rows *= scale
        columns, rows = (columns - 7.5).astype(np.int32), (rows - 7.5).astype(np.int32)
        first = ((rows >> 4) * side + (columns >> 4)).astype(np.intp)
        right, down = (columns & 15).astype(np.uint64), (rows & 15).astype(np.uint64)
        left, up = 16 - right, 16 - down
        total = flat.take(first) * (left * up)
        total += flat[1:].take(first) * (right * up)
        total += flat[side:].take(first) * (left * down)
        total += flat[side + 1 :].take(first) * (right * down)
        for channel in range(3):
            planes[channel, top : top + step] = total.view(np.uint16)[:, channel::4]
    planes *= np.float32(1 / 256)
    return planes


def crop(image: np.ndarray, rng: np.random.Generator, size: int, severity: float) -> np.ndarray:
    """Lay the document (H, W, 3) uint8 on a desk and cut it out by its detected corners: planes (3, size, size)."""
    margin = round(_MARGIN * size) + 1
    scene = _scene(image, rng, size, margin)
    return _warp(scene, homography(place_corners(rng, size, severity) + margin, size), size)


def planes_of(image: Image.Image | np.ndarray) -> np.ndarray:
    """An RGB image or (H, W, 3) array as (3, H, W) float32 planes."""
    return np.asarray(image).transpose(2, 0, 1).astype(np.float32, order="C")


def image_of(planes: np.ndarray) -> Image.Image:
    """Planes (3, S, S) as an RGB image; values are cut off to 0..255 and truncated."""
    channels = np.clip(planes, 0, 255).astype(np.uint8)
    return Image.merge("RGB", [Image.fromarray(channel) for channel in channels])


def _padded(planes: np.ndarray, width: int) -> np.ndarray:
    """Borders repeated `width` times: np.pad(mode="edge"), whose overhead exceeds its work here."""
    _, rows, columns = planes.shape
    out = np.empty((3, rows + 2 * width, columns + 2 * width), dtype=planes.dtype)
    out[:, width:-width, width:-width] = planes
    out[:, width:-width, :width], out[:, width:-width, -width:] = planes[:, :, :1], planes[:, :, -1:]
    out[:, :width], out[:, -width:] = out[:, width : width + 1], out[:, -width - 1 : -width]
    return out


def box_blur(planes: np.ndarray, radius: float) -> np.ndarray:
    """Mean over squares of 2 * radius + 1 pixels, radius not necessarily whole: a new (3, S, S) float32."""
    whole = int(radius)
    part, width = np.float32((radius - whole) / (2 * radius + 1)), np.float32(1 / (2 * radius + 1))
    reach, size = whole + 1, planes.shape[-1]
    blurred = _padded(planes, reach)
    for axis in (1, 2):
        views = [blurred[(slice(None),) * axis + (slice(k, k + size),)] for k in range(2 * reach + 1)]
        total = views[0] + views[-1]
        total *= part
        inner = views[1].copy()
        for view in views[2:-1]:
            inner += view
        inner *= width
        total += inner
        blurred = total
    return blurred


def motion_blur(planes: np.ndarray, reach: float, angle: float) -> np.ndarray:
    """Mean along a straight stroke of `reach` pixels at `angle` radians: (3, S, S) float32."""
    steps = 2 + round(reach)
    size, shares = planes.shape[-1], np.linspace(-0.5, 0.5, steps) * reach
    moves = [(round(share * np.cos(angle)), round(share * np.sin(angle))) for share in shares]
    source, total = _padded(planes, steps), np.zeros_like(planes)
    for dx, dy in moves:
        total += source[:, steps + dy : steps + dy + size, steps + dx : steps + dx + size]
    total *= np.float32(1 / steps)
    return total


def focus(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Defocus (near a box, as a lens's is near a disc), low resolution, motion, or none: planes (3, S, S)."""
    draw, strength, angle = rng.random(), rng.random(), 2 * np.pi * rng.random()
    size = planes.shape[-1]
    if draw < BLUR_RATES["defocus"]:
        return box_blur(planes, (0.3 + 0.9 * strength) * severity * size / 128)
    draw -= BLUR_RATES["defocus"]
    if draw < BLUR_RATES["low resolution"]:
        # Eight steps, so that the weights of each are computed once.
        small = max(8, round(size * (1 - (0.5 - 0.05 * int(8 * strength)) * severity)))
        return resize(resize(planes, small, small), size, size)
    if draw < BLUR_RATES["low resolution"] + BLUR_RATES["motion"]:
        return motion_blur(planes, (1 + 3 * strength) * severity * size / 128, angle)
    return planes
