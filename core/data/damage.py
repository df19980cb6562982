"""Faults of a document's surface that neither training's augmentation nor `capture` draws: each a function of planes.

Every function takes planes (3, S, S) float32 in 0..255, a generator and a severity in (0, 1], and returns new planes;
lengths scale with S. They happen to the paper, before it is photographed.
"""

import numpy as np
from PIL import Image, ImageDraw

from core.data.optics import between, grid, image_of, planes_of, resize


def _cloud(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth unit normal numbers (S, S) with about `cells` bumps a side."""
    return resize(rng.standard_normal((cells, cells)).astype(np.float32), size, size)


def _mix(planes: np.ndarray, colour: tuple[float, float, float], share: np.ndarray) -> np.ndarray:
    """Planes with `share` (S, S) in 0..1 of a colour mixed in."""
    mixed: np.ndarray = planes + (np.array(colour, dtype=np.float32)[:, None, None] - planes) * share.astype(np.float32)
    return mixed


def stain(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """One or two coffee rings and some specks of dirt, which let light through as watercolour does."""
    size = planes.shape[-1]
    x, y = grid(size)
    depth = np.zeros((size, size), dtype=np.float32)
    wobble = 0.012 * _cloud(rng, size, 5)
    for _ in range(1 + int(2 * rng.random())):
        radius, width = between(rng, 0.14, 0.28), between(rng, 0.010, 0.022)
        distance = np.hypot(x - between(rng, 0.1, 0.9), y - between(rng, 0.1, 0.9)) + wobble - radius
        depth += between(rng, 0.35, 0.75) * np.exp(-((distance / width) ** 2))
        depth += between(rng, 0.05, 0.25) * (distance < 0)
    for _ in range(4 + int(12 * rng.random())):
        cx, cy, radius, weight = rng.random(4, dtype=np.float32)
        radius = np.float32(0.004) + np.float32(0.010) * radius
        # A Gaussian speck is the product of a column and a row.
        column = (np.float32(0.3) + np.float32(0.6) * weight) * np.exp(-(((y - cy) / radius) ** 2))
        depth += column * np.exp(-(((x - cx) / radius) ** 2))
    absorbed = np.array((0.35, 0.62, 0.95), dtype=np.float32)[:, None, None] * np.float32(severity)
    stained: np.ndarray = planes * np.exp(-absorbed * depth)
    return stained


def scribble(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Two to four lines of handwriting, or a signature, in ink of one colour."""
    size = planes.shape[-1]
    scale = 3  # drawn larger, then reduced: Pillow's lines have hard edges
    mask = Image.new("L", (scale * size, scale * size))
    pen, ink = ImageDraw.Draw(mask), ((25, 35, 120), (25, 25, 30), (165, 25, 30))[int(3 * rng.random())]
    angle = between(rng, -0.35, 0.35)
    for _ in range(2 + int(3 * rng.random())):
        length, height = between(rng, 0.3, 0.8), between(rng, 0.025, 0.07)
        along = np.linspace(0, length, 90)
        # The pen hurries and lingers, so that no two letters are alike.
        pace = np.interp(along, np.linspace(0, length, 13), rng.uniform(0.2, 1.8, 13))
        loops = 2 * np.pi * np.cumsum(pace) * (along[1] / (1.5 * height)) + 6 * rng.random()
        bumps = height * np.interp(along, np.linspace(0, length, 9), rng.uniform(0.3, 1.0, 9))
        u, v = along + bumps * (0.5 * np.cos(loops) + 0.3 * np.sin(loops)), bumps * np.sin(loops)
        points = np.stack((u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)), axis=1)
        points += np.array((between(rng, 0.05, 0.9 - 0.8 * length), between(rng, 0.15, 0.85)))
        width = max(1, round(between(rng, 0.006, 0.012) * scale * size))
        pen.line((points * scale * size).ravel().tolist(), fill=255, width=width, joint="curve")
    small = mask.resize((size, size), Image.Resampling.BOX)
    return _mix(planes, ink, np.asarray(small, dtype=np.float32) * np.float32(0.9 * severity / 255))


def fading(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Ink lost in patches and in streaks along the print, as on thermal paper: mixed with the paper's colour."""
    size = planes.shape[-1]
    patches = _cloud(rng, size, 5) + between(rng, -0.2, 0.6)
    streaks = np.interp(np.linspace(0, 1, size), np.linspace(0, 1, 24), np.clip(rng.normal(-0.3, 0.7, 24), 0, 1))
    share = np.clip(0.55 * patches, 0, 1) + 0.8 * streaks.astype(np.float32)
    return _mix(planes, (236.0, 233.0, 224.0), np.clip(share, 0, 0.8) * np.float32(severity))


def halftone(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """The dots of a coarse print screen, of 2.6 to 4 pixels at 128, at an angle of its own for each ink."""
    size = planes.shape[-1]
    x, y = grid(size)
    turns = 2 * np.pi * 128 / between(rng, 2.6, 4.0)
    screened, share = np.empty_like(planes), np.float32(between(rng, 0.35, 0.65) * severity)
    for channel, base in enumerate((0.26, 1.31, 0.79)):
        angle = base + between(rng, -0.1, 0.1)
        u = np.float32(turns * np.cos(angle)) * x + np.float32(turns * np.sin(angle)) * y
        v = np.float32(turns * np.cos(angle)) * y - np.float32(turns * np.sin(angle)) * x
        level = planes[channel] + 64 * (np.cos(u) + np.cos(v))
        # A soft threshold: at this size a dot's rim covers pixels in part.
        screened[channel] = np.clip(1.6 * (level - 128) + 128, 0, 255)
    screened -= planes
    screened *= share
    screened += planes
    return screened


def photocopy(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """A worn copier: contrast driven up, dark borders, vertical streaks of toner and specks. Little colour is left."""
    size = planes.shape[-1]
    x, y = grid(size)
    grey = np.float32(0.3) * planes[0] + np.float32(0.59) * planes[1] + np.float32(0.11) * planes[2]
    gain = between(rng, 1.3, 2.0)
    copied = np.clip((grey - 0.5 * (grey.mean() + np.median(grey))) * gain + between(rng, 150, 205), 18, 250)
    edge = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) + 0.01 * _cloud(rng, size, 12)
    copied = copied * (1 - between(rng, 0.4, 0.9) * np.exp(-np.clip(edge, 0, 1) / between(rng, 0.01, 0.04)))
    for _ in range(1 + int(4 * rng.random())):
        width = between(rng, 0.004, 0.012)
        copied = copied - between(rng, 25, 90) * np.exp(-(((x - rng.random()) / width) ** 2))
    toner = resize(rng.random((1 + size // 2, 1 + size // 2)).astype(np.float32), size, size)
    copied = np.where(toner > 0.93, copied * 0.45, copied)
    share = np.full_like(grey, between(rng, 0.8, 1.0) * severity)
    mixed: np.ndarray = planes + (copied[None] - planes) * share
    return mixed


def _mesh(planes: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Bend the document: knot (r, c) of a regular lattice shows what lies at `moved` (R, C, 2), x then y in sides."""
    size = planes.shape[-1]
    rows, columns = moved.shape[0] - 1, moved.shape[1] - 1
    source = np.clip(moved, 0, 1) * size
    tops, lefts = (np.linspace(0, size, count + 1).round().astype(int).tolist() for count in (rows, columns))
    pieces = []
    for r in range(rows):
        for c in range(columns):
            quad = (source[r, c], source[r + 1, c], source[r + 1, c + 1], source[r, c + 1])
            box = (lefts[c], tops[r], lefts[c + 1], tops[r + 1])
            pieces.append((box, tuple(float(value) for corner in quad for value in corner)))
    bent = image_of(planes).transform((size, size), Image.Transform.MESH, pieces, Image.Resampling.BILINEAR)
    return planes_of(bent)


def _lattice(rows: int, columns: int) -> np.ndarray:
    """Knots of a regular lattice over the document, (rows + 1, columns + 1, 2), x then y in sides."""
    x, y = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    return np.stack((x, y), axis=2)


def crumple(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Paper crushed and flattened: its facets are shifted by a few pixels, and each is lit by its own slope."""
    size, count = planes.shape[-1], 5
    knots = _lattice(count, count)
    shifts = np.clip(rng.standard_normal(knots.shape), -1.7, 1.7) * 0.022 * severity
    shifts[[0, -1]], shifts[:, [0, -1]] = shifts[[0, -1]] * 0.5, shifts[:, [0, -1]] * 0.5
    x, y = grid(size)
    light = np.ones((size, size), dtype=np.float32)
    # Creases run across the whole page; each tilts the paper one way on one side and the other way on the other.
    for _ in range(5 + int(3 * rng.random())):
        angle, depth = np.pi * rng.random(), between(rng, 0.05, 0.15) * severity
        distance = np.float32(np.cos(angle)) * (x - rng.random()) + np.float32(np.sin(angle)) * (y - rng.random())
        fall = np.exp(-np.abs(distance) / np.float32(between(rng, 0.10, 0.40)))
        light *= 1 + np.float32(depth) * np.tanh(distance / np.float32(0.008)) * fall
    lit: np.ndarray = _mesh(planes, knots + shifts) * light
    return lit


def bend(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """A page that rolls up at one side: lines bow, the far side is squeezed and in the shade."""
    size, count = planes.shape[-1], 10
    knots = _lattice(2, count)
    flipped, vertical = rng.random() < 0.5, rng.random() < 0.5
    along = knots[..., 0]
    squeeze, bow = between(rng, 0.5, 1.0) * severity, between(rng, 0.05, 0.10) * (1 if rng.random() < 0.5 else -1)
    bowed = knots.copy()
    bowed[..., 0] = along - 0.22 * squeeze * along * (1 - along) * (0.5 + along)
    inwards = 0.92 * (knots[..., 1] - 0.5) + 0.5
    bowed[..., 1] += severity * (inwards - knots[..., 1] + 0.5 * bow * np.cos(np.pi * along))
    shade = (1 - 0.45 * squeeze * np.linspace(0, 1, size) ** 3).astype(np.float32)[None, None, :]
    turned = planes[:, :, ::-1] if flipped else planes
    turned = turned.transpose(0, 2, 1) if vertical else turned
    turned = _mesh(turned, bowed) * shade
    turned = turned.transpose(0, 2, 1) if vertical else turned
    return np.ascontiguousarray(turned[:, :, ::-1] if flipped else turned)
