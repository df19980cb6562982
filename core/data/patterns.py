"""Formula-driven images for pretraining without natural images or documents: every index is a class of one image.

Nested closed contours with random radial harmonics follow RCDB and VisualAtom (Kataoka et al., CVPR 2022; Takashima
et al., CVPR 2023), one image a class follows OFDB (Nakamura et al., ICCV 2023), iterated function systems follow
FractalDB (Kataoka et al., ACCV 2020). Only the ideas are taken; the generator is written for speed at small sizes.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

# Raised whenever a pattern's pixels change, because checkpoints say what they were trained on.
PATTERNS_VERSION: int = 2

_TURN = np.linspace(0, 2 * np.pi, 72, endpoint=False)


def _colours(rng: np.random.Generator, count: int) -> list[tuple[int, int, int]]:
    """`count` colours, some of them near grey. One that is near the last is inverted, to be told apart from it.

    Of two that are near mid-grey the inverse is near, too; a change would be other patterns than those that the
    embedded weights were made from.
    """
    drawn = rng.random((count, 3)) * 255
    if rng.random() < 0.25:
        drawn = drawn.mean(axis=1, keepdims=True) + 0.25 * (drawn - drawn.mean(axis=1, keepdims=True))
    for k in range(1, count):
        if np.abs(drawn[k] - drawn[k - 1]).max() < 60:
            drawn[k] = 255 - drawn[k]
    return [(int(red), int(green), int(blue)) for red, green, blue in drawn]


def _contour(rng: np.random.Generator) -> np.ndarray:
    """A closed curve about the origin with mean radius 1, (72, 2): a few radial harmonics, or a sharp polygon."""
    if rng.random() < 0.2:
        corners = 3 + int(6 * rng.random())
        radii = rng.uniform(0.45, 1.15, corners)
        angles = 2 * np.pi * (np.arange(corners) + 0.5 * rng.random(corners)) / corners
    else:
        orders = 1 + (14 * rng.random(4) ** 1.6).astype(int)
        sizes = rng.uniform(0, 0.55, 4) / np.sqrt(orders)
        phases = 2 * np.pi * rng.random(4)
        radii = 1 + (sizes[:, None] * np.cos(orders[:, None] * _TURN + phases[:, None])).sum(axis=0)
        angles = _TURN
    return radii[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=1)


def _contours(rng: np.random.Generator, side: int) -> Image.Image:
    """Three to ten groups of nested contours on a flat ground."""
    groups = 3 + int(8 * rng.random() ** 1.4)
    colours = _colours(rng, 5)
    image = Image.new("RGB", (side, side), colours[0])
    pen = ImageDraw.Draw(image)
    for _ in range(groups):
        centre, radius = side * rng.uniform(0.05, 0.95, 2), side * rng.uniform(0.10, 0.42)
        stretch = np.array((1.0, rng.uniform(0.4, 1.0)))
        turn = 2 * np.pi * rng.random()
        rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
        outline = (_contour(rng) * stretch) @ rotation.T
        rings, filled = 1 + int(6 * rng.random()), rng.random() < 0.6
        width = 1 + int(rng.random() * side / 40)
        first = int(5 * rng.random())
        drift = side * 0.02 * rng.normal(0, 1, 2)
        for ring in range(rings):
            points = (outline * radius * (1 - ring / (rings + 0.3)) + centre + ring * drift).ravel().tolist()
            colour = colours[(first + ring) % 5]
            if filled:
                pen.polygon(points, fill=colour)
            else:
                pen.line(points + points[:2], fill=colour, width=width)
    return image


def _tone_map(values: np.ndarray, colours: list[tuple[int, int, int]]) -> Image.Image:
    """`values` (side, side) in 0..1 through a ramp of the colours: an RGB image."""
    stops = np.linspace(0, 255, len(colours))
    ramp = np.stack([np.interp(np.arange(256), stops, [c[k] for c in colours]) for k in range(3)], axis=1)
    return Image.fromarray(ramp.astype(np.uint8)[np.clip(values * 255, 0, 255).astype(np.uint8)])


def _texture(rng: np.random.Generator, side: int) -> Image.Image:
    """Noise of several scales, or gratings bent by it, through a colour ramp."""
    total = np.zeros((side, side), dtype=np.float32)
    decay = rng.uniform(0.35, 0.85)
    for octave in range(1, 6):
        cells = np.clip(np.array((2, 2)) ** octave + rng.integers(0, 3, 2), 2, side)
        patch = Image.fromarray(rng.random(tuple(cells), dtype=np.float32))
        total += decay**octave * np.asarray(patch.resize((side, side), Image.Resampling.BICUBIC))
    total = (total - total.min()) / max(float(np.ptp(total)), 1e-6)
    colours = _colours(rng, 2 + int(3 * rng.random()))
    if rng.random() < 0.45:
        return _tone_map(np.floor(total * 7) / 6 if rng.random() < 0.3 else total, colours)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side
    waves = np.zeros_like(total)
    for _ in range(1 + int(2.5 * rng.random())):
        angle, pitch = np.pi * rng.random(), rng.uniform(3, 22)
        bend = rng.uniform(0, 1.2)
        waves += np.sin(2 * np.pi * (pitch * (np.cos(angle) * columns + np.sin(angle) * rows) + bend * total))
    waves = np.sign(waves) if rng.random() < 0.3 else waves
    return _tone_map(0.5 + 0.5 * waves / max(float(np.abs(waves).max()), 1e-6), colours)


def _fractal(rng: np.random.Generator, side: int) -> Image.Image:
    """The attractor of two to five random contractions, by 1,000 orbits of the chaos game."""
    count, orbits, steps = 2 + int(4 * rng.random()), 1000, 26
    angles = 2 * np.pi * rng.random((count, 2))
    scales = rng.uniform(0.35, 0.82, (count, 2))
    first = np.stack((np.cos(angles[:, 0]), -np.sin(angles[:, 0]), np.sin(angles[:, 0]), np.cos(angles[:, 0])), axis=1)
    maps = (first * np.repeat(scales, 2, axis=1)).astype(np.float32)
    maps[:, 1] += 0.25 * np.sin(angles[:, 1])
    shifts = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
    choice = (rng.random((steps, orbits)) * count).astype(np.int64)
    x = y = np.zeros(orbits, dtype=np.float32)
    xs, ys = [], []
    for step in range(steps):
        a, b, c, d = maps[choice[step]].T
        u, v = shifts[choice[step]].T
        # Clipping keeps the rare expanding map from running away.
        x, y = np.clip(a * x + b * y + u, -40, 40), np.clip(c * x + d * y + v, -40, 40)
        if step >= 6:
            xs.append(x)
            ys.append(y)
    cells = [_to_cells(np.concatenate(values), side) for values in (xs, ys)]
    hits = np.bincount(cells[1] * side + cells[0], minlength=side * side).reshape(side, side)
    density = np.log1p(hits) / np.log1p(max(4.0, float(np.quantile(hits[hits > 0], 0.95))))
    return _tone_map(np.minimum(density, 1), _colours(rng, 2 + int(2 * rng.random())))


def _to_cells(values: np.ndarray, side: int) -> np.ndarray:
    low, high = np.quantile(values, (0.005, 0.995))
    spread = max(float(high - low), 1e-3)
    return np.clip((values - low) / spread * 0.9 * side + 0.05 * side, 0, side - 1).astype(np.int64)


def _composition(rng: np.random.Generator, side: int) -> Image.Image:
    """Stripes or a grid beneath a few discs, boxes, triangles and strokes."""
    colours = _colours(rng, 6)
    image = Image.new("RGB", (side, side), colours[0])
    pen = ImageDraw.Draw(image)
    pitch, lean = side * rng.uniform(0.04, 0.25), side * rng.uniform(-1, 1)
    share = rng.uniform(0.2, 0.7)
    kind = rng.random()
    if kind < 0.7:
        for x in np.arange(-side, 2 * side, pitch):
            pen.polygon((x, 0, x + share * pitch, 0, x + share * pitch + lean, side, x + lean, side), fill=colours[1])
    if 0.45 < kind < 0.85:
        for y in np.arange(0, side, pitch * rng.uniform(0.6, 1.6)):
            pen.rectangle((0, y, side, y + 0.4 * share * pitch), fill=colours[2])
    for k in range(3 + int(9 * rng.random())):
        x, y, w, h, draw, turn = rng.random(6) * (side, side, 0.6 * side, 0.6 * side, 4, 2 * np.pi)
        colour = colours[2 + k % 4]
        if draw < 1:
            pen.ellipse((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=colour)
        elif draw < 2:
            pen.rectangle((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=colour)
        elif draw < 3:
            angles = turn + 2 * np.pi * np.arange(3) / 3
            pen.polygon(
                np.stack((x + 0.6 * w * np.cos(angles), y + 0.6 * h * np.sin(angles)), 1).ravel().tolist(), fill=colour
            )
        else:
            pen.line((x, y, x + 2 * w * np.cos(turn), y + 2 * w * np.sin(turn)), fill=colour, width=2 + int(h / 10))
    return image


# Cumulative shares: contours carry most: alone they gave the best features of held-out cards.
_KINDS: tuple[tuple[float, Callable[[np.random.Generator, int], Image.Image]], ...] = (
    (0.60, _contours),
    (0.76, _texture),
    (0.84, _fractal),
    (1.01, _composition),
)


def render_pattern(seed: int, index: int, size: int) -> np.ndarray:
    """The image of class `index` in collection `seed`: (size, size, 3) uint8, the same bytes for equal arguments.

    Raises ValueError for a negative or non-integer seed or index, or a size outside 16..1024 pixels.
    """
    for name, value in (("seed", seed), ("index", index)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise ValueError(f"{name} must be a non-negative integer, not {value!r}")
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 16 <= size <= 1024:
        raise ValueError(f"size must be an integer from 16 to 1024 pixels, not {size!r}")
    rng = np.random.default_rng([seed, 4, index])
    draw = rng.random()
    draw_kind = next(kind for limit, kind in _KINDS if draw < limit)
    # One fixed drawing side: the same class at two sizes is the same picture.
    image = draw_kind(rng, 160)
    return np.array(image.resize((size, size), Image.Resampling.BILINEAR))
