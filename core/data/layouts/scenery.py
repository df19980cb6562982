"""Photo-like pictures from formulas: what cards and tickets print behind their text.

Every scene is computed at half the canvas's resolution, because it is photographed at half that size, and smooth.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from core.data.layouts.canvas import Canvas, Colour

Picture = np.ndarray  # (h, w, 3) float32, 0..255
_Scene = Callable[[np.random.Generator, int, int, np.ndarray], Picture]


def noise(rng: np.random.Generator, h: int, w: int, columns: int, rows: int, octaves: int = 3) -> np.ndarray:
    """Smooth noise, (h, w) in about 0..1: octaves of random grids, each twice as fine and half as strong."""
    total, weight = np.zeros((h, w), np.float32), 0.0
    for k in range(octaves):
        cells = (min(w, columns << k), min(h, rows << k))
        grid = Image.fromarray(rng.random((cells[1], cells[0]), np.float32))
        total += np.asarray(grid.resize((w, h), Image.Resampling.BICUBIC)) * 0.5**k
        weight += 0.5**k
    return total / weight


def _ramp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _blend(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> Picture:
    return first + (second - first) * share[..., None]


def _grid(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """x in 0..w/h and y in 0..1, as (1, w) and (h, 1)."""
    return np.linspace(0, w / h, w, dtype=np.float32)[None], np.linspace(0, 1, h, dtype=np.float32)[:, None]


def _around(x: float, y: float, radius: float, h: int, w: int) -> tuple[slice, slice]:
    """The rows and columns of a disc's bounding box, its measures in heights."""
    rows = slice(max(0, int((y - radius) * h) - 1), max(1, int((y + radius) * h) + 2))
    return rows, slice(max(0, int((x - radius) * h) - 1), max(1, int((x + radius) * h) + 2))


_SKIES = np.array(
    [
        [(70, 130, 205), (205, 228, 245)],
        [(40, 60, 120), (250, 180, 120)],
        [(130, 165, 190), (240, 238, 225)],
        [(25, 30, 70), (120, 110, 170)],
        [(90, 160, 210), (255, 235, 190)],
        [(200, 90, 70), (255, 210, 110)],
    ],
    np.float32,
)


def _sky(rng: np.random.Generator, h: int, w: int) -> Picture:
    top, low = _SKIES[int(rng.random() * len(_SKIES))]
    _, y = _grid(h, w)
    sky = _blend(top, low, np.broadcast_to(y**0.8, (h, w)))
    cover = _ramp(noise(rng, h, w, 3, 4, 4), 0.45 + 0.2 * rng.random(), 0.8)
    return _blend(sky, np.minimum(low + 40, 255), 0.8 * cover)


def _clouds(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    top, low = _SKIES[int(rng.random() * len(_SKIES))]
    _, y = _grid(h, w)
    body = noise(rng, h, w, 4, 3, 4)
    lit = _ramp(body, 0.4, 0.65)
    shade = 0.75 + 0.5 * (body - np.roll(body, 4, axis=0))
    sky = _blend(top, low, np.broadcast_to(y, (h, w)))
    return _blend(sky, np.clip(250 * shade[..., None], 0, 255), lit)


def _landscape(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    picture = _sky(rng, h, w)
    haze = picture[h // 2].mean(axis=0)
    near = np.array([(52, 92, 40), (96, 84, 42), (40, 70, 74), (118, 92, 60), (70, 118, 50)], np.float32)
    near = near[int(rng.random() * len(near))]
    _, y = _grid(h, w)
    texture = noise(rng, h, w, 24, 24, 2)
    ridges = 3 + int(3 * rng.random())
    rough = 0.6 + 2.4 * rng.random()
    for k in range(ridges):
        depth = (k + 1) / ridges
        line = noise(rng, 1, w, 3, 1, 5 if rough > 1.5 else 2)[0]
        level = 0.35 + 0.5 * depth + 0.22 * rough * (0.5 - line) * (1.2 - depth)
        colour = haze + (near - haze) * (0.25 + 0.75 * depth)
        lit = colour * (0.75 + 0.5 * texture[..., None])
        picture = _blend(picture, lit, np.clip((y - level) * h / 1.5, 0, 1))
    if rng.random() < 0.35:  # a lake that mirrors what is above it
        shore = int(h * (0.66 + 0.14 * rng.random()))
        mirror = picture[max(0, 2 * shore - h) : shore][::-1]
        ripple = 0.72 + 0.3 * noise(rng, mirror.shape[0], w, 4, 20, 1)[..., None]
        picture[shore : shore + len(mirror)] = mirror * ripple
    return picture


def _seascape(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    picture = _sky(rng, h, w)
    x, y = _grid(h, w)
    horizon, sun = 0.4 + 0.25 * rng.random(), 0.2 + 1.2 * rng.random()
    glow = np.exp(-((x - sun) ** 2 + (y - horizon + 0.08) ** 2) / 0.03)
    picture = _blend(picture, np.array((255, 240, 200), np.float32), 0.85 * glow)
    water = np.array([(18, 70, 110), (20, 110, 120), (40, 60, 90), (60, 130, 170)], np.float32)[int(4 * rng.random())]
    waves = noise(rng, h, w, 6, 40, 2)
    sea = water * (0.6 + 0.8 * waves[..., None])
    path = _ramp(waves, 0.45, 0.75) * np.exp(-((x - sun) ** 2) / (0.01 + 0.12 * np.maximum(y - horizon, 0)))
    sea = _blend(sea, np.array((255, 240, 205), np.float32), 0.8 * path)
    return _blend(picture, sea, np.clip((y - horizon) * h + 0 * x, 0, 1))


def _bokeh(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    x, y = _grid(h, w)
    picture = _blend(c[0] * 0.35, c[1] * 0.5, noise(rng, h, w, 2, 2, 2))
    for _ in range(14 + int(16 * rng.random())):
        r, cx, cy = 0.04 + 0.12 * rng.random(), rng.random() * w / h, rng.random()
        patch = _around(cx, cy, r, h, w)
        distance = np.hypot(x[:, patch[1]] - cx, y[patch[0]] - cy)
        disc = np.clip((r - distance) * h / 2, 0, 1) * (0.55 + 0.45 * _ramp(distance, 0.5 * r, r))
        warm = c[int(3 * rng.random())] * 0.6 + 100
        picture[patch] += disc[..., None] * warm * (0.15 + 0.4 * rng.random())
    return picture


def _blossoms(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    x, y = _grid(h, w)
    leaves = noise(rng, h, w, 5, 4, 3)
    picture = _blend(np.array((18, 40, 18), np.float32), np.array((110, 160, 80), np.float32), leaves)
    if rng.random() < 0.4:
        picture = 215 + 0.15 * picture
    petals, colour = 4 + int(5 * rng.random()), 0.35 * c[1] + 0.65 * c[int(3 * rng.random())] + 25
    for _ in range(4 + int(5 * rng.random())):
        size, cx, cy = 0.14 + 0.24 * rng.random(), rng.random() * w / h, rng.random()
        patch = _around(cx, cy, size, h, w)
        across, down = x[:, patch[1]] - cx, y[patch[0]] - cy
        distance, turn = np.hypot(across, down) / size, np.arctan2(down, across)
        edge = 0.55 + 0.45 * np.abs(np.cos(petals / 2 * turn + 6 * rng.random()))
        inside = np.clip((edge - distance) * size * h, 0, 1)
        shade = np.clip(0.45 + 0.55 * distance / edge + 0.12 * np.cos(24 * turn), 0, 1.2)
        flower = _blend(picture[patch], colour * shade[..., None], inside)
        heart = np.clip((0.2 - distance) * size * h, 0, 1)
        picture[patch] = _blend(flower, np.array((235, 190, 50), np.float32), heart)
    return picture


def _stone(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    x, y = _grid(h, w)
    bend = noise(rng, h, w, 3, 2, 4)
    lean = rng.random() - 0.5
    vein = 1 - np.abs(np.sin(3 * x + 6 * lean * y + 9 * bend))
    pale = rng.random() < 0.55
    base = np.array((238, 236, 232) if pale else (30, 30, 36), np.float32)
    line = np.array((150, 148, 150) if pale else (205, 175, 110), np.float32)
    return _blend(base * (0.9 + 0.2 * bend[..., None]), line, 0.8 * vein**6)


def _metal(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    x, y = _grid(h, w)
    metals = np.array([(205, 170, 85), (180, 184, 190), (200, 150, 130), (70, 72, 78), (40, 42, 46)], np.float32)
    colour = metals[int(len(metals) * rng.random())]
    brushed = noise(rng, h, w, 2, h, 1)
    sheen = np.cos(2.2 * x + 2 * (rng.random() - 0.5) * y - 5 * rng.random()) ** 2
    return colour * (0.6 + 0.25 * brushed + 0.45 * sheen)[..., None]


def _light_trails(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    x, y = _grid(h, w)
    picture = np.broadcast_to(c[0] * 0.15, (h, w, 3)) + 10 * y[..., None]
    swing, bend, phase = 0.1 + 0.3 * rng.random(), 1 + 3 * rng.random(), 6 * rng.random()
    for k in range(6 + int(8 * rng.random())):
        drift = 0.06 * k * rng.random()
        path = 0.5 + swing * np.sin(bend * x + phase + drift) + 0.05 * k * np.sin(1.3 * x + phase) + 0.3 * drift
        glow = 1 / (1 + ((y - path) / (0.006 + 0.02 * rng.random())) ** 2)
        picture = picture + glow[..., None] * (0.55 * c[k % 3] + 40)
    return picture


def _wood(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    _, y = _grid(h, w)
    browns = np.array([(196, 160, 110), (120, 80, 48), (165, 120, 75), (82, 54, 38)], np.float32)
    rings = np.sin((25 + 30 * rng.random()) * (y + 0.35 * noise(rng, h, w, 2, 3, 2)))
    grain = noise(rng, h, w, 4, h, 1)
    return browns[int(4 * rng.random())] * (0.82 + 0.1 * rings + 0.28 * grain)[..., None]


def _planet(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    x, y = _grid(h, w)
    across, down = x - (0.3 + rng.random()), y - (0.3 + 0.7 * rng.random())
    r = 0.3 + 0.35 * rng.random()
    distance = np.hypot(across, down) / r
    light = np.clip(
        0.25 + 0.75 * (0.7 * across + -0.7 * down) / r + 0.4 * np.sqrt(np.maximum(1 - distance**2, 0)), 0, 1
    )
    land = _ramp(noise(rng, h, w, 5, 4, 4), 0.48, 0.56)
    body = _blend(0.8 * c[0] + 20, 0.6 * c[1] + 60, land) * light[..., None]
    stars = (rng.random((h, w), np.float32) > 0.994) * 150.0
    space = np.broadcast_to(c[2] * 0.12 + 6, (h, w, 3)) + stars[..., None]
    halo = np.exp(-np.maximum(distance - 1, 0) * 9) * 0.5
    return _blend(_blend(space, 0.5 * c[0] + 120, halo), body, np.clip((1 - distance) * r * h, 0, 1))


def _silk(rng: np.random.Generator, h: int, w: int, c: np.ndarray) -> Picture:
    x, y = _grid(h, w)
    fold = (4 + 5 * rng.random()) * (x * (rng.random() - 0.3) + y) + 5 * noise(rng, h, w, 2, 2, 2)
    light = 0.5 + 0.5 * np.sin(fold + 0.6 * np.sin(2 * fold))
    return _blend(c[0] * 0.45, c[0] * 0.75 + 60, light)


SCENES: dict[str, _Scene] = {
    "landscape": _landscape,
    "seascape": _seascape,
    "clouds": _clouds,
    "bokeh": _bokeh,
    "blossoms": _blossoms,
    "stone": _stone,
    "brushed metal": _metal,
    "light trails": _light_trails,
    "wood": _wood,
    "planet": _planet,
    "silk": _silk,
}


def paint_scene(canvas: Canvas, kind: str, colours: tuple[Colour, Colour, Colour], seed: int, strength: float) -> None:
    """Lay a scene over the whole canvas at `strength` in 0..1.

    `colours` tint the scenes that have no natural colour. Raises KeyError for an unknown kind.
    """
    w, h = max(16, canvas.width // 2), max(16, canvas.height // 2)
    tints = np.array(colours, np.float32)
    rng = np.random.default_rng(seed)
    picture = SCENES[kind](rng, h, w, tints)
    picture = picture + 6 * (rng.random((h, w, 1), np.float32) - 0.5)
    scene = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).resize(
        canvas.image.size, Image.Resampling.BILINEAR
    )
    canvas.image.paste(Image.blend(canvas.image, scene, strength))
