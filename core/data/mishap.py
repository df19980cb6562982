"""Mishaps of taking the photograph that neither training's augmentation nor `capture` draws: a function of planes each.

The contract is that of `damage`: planes (3, S, S) float32 in 0..255, a generator and a severity in (0, 1] give new
planes. They happen between the document and the file, after the light has fallen on the page.
"""

import numpy as np

from core.data.optics import between, box_blur, grid, resize


def finger(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """A finger or two that hold the document at one side and cover up to a third of the way in."""
    size = planes.shape[-1]
    x, y = grid(size)
    side, tone = int(4 * rng.random()), between(rng, 0.35, 1.0)
    inwards, along = ((x, y), (y, x), (1 - x, y), (1 - y, x))[side]
    skin = np.array((232, 184, 156), dtype=np.float32) * np.float32(tone)
    covered, place = planes, between(rng, 0.12, 0.6)
    for _ in range(1 + int(2 * rng.random())):
        reach, half, tilt = between(rng, 0.16, 0.34) * severity, between(rng, 0.055, 0.09), between(rng, -0.5, 0.5)
        centre = along - place - tilt * inwards
        tip = np.clip(inwards - (reach - half), 0, None)
        distance = np.hypot(centre, tip) / np.float32(half)
        round_off = np.sqrt(np.clip(1 - distance**2, 0, 1))
        nail = np.exp(-(((centre / (0.5 * half)) ** 2 + ((inwards - reach + 0.7 * half) / (0.55 * half)) ** 2) ** 3))
        light = 0.62 + 0.38 * round_off
        colour = skin[:, None, None] * light * (1 + 0.10 * nail)
        # Its shadow on the page reaches a little further than the finger.
        cast = 1 - 0.35 * severity / (1 + np.exp(np.clip((distance - 1.25) / 0.10, -30, 30)))
        edge = 1 / (1 + np.exp(np.clip((distance - 1) * half * size / 0.5, -30, 30)))
        covered = covered * cast
        covered = covered + (colour - covered) * edge
        place += between(rng, 0.18, 0.26)
    return covered.astype(np.float32)


def screen(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """A document shown on a display: its rows of pixels, coloured columns, and a slow band of refresh."""
    size = planes.shape[-1]
    x, y = grid(size)
    pitch, depth = between(rng, 2.2, 4.5), between(rng, 0.15, 0.34) * severity
    rows = 1 - depth * (0.5 + 0.5 * np.cos(2 * np.pi * (128 / pitch) * y + 6 * rng.random()))
    thirds = np.array((0, 1, 2), dtype=np.float32)[:, None, None] * np.float32(2 * np.pi / 3)
    columns = 1 - 0.7 * depth * (0.5 + 0.5 * np.cos(np.float32(2 * np.pi * 128 / pitch) * x[None] + thirds))
    band = 1 - between(rng, 0, 0.25) * severity * np.exp(-(((y - rng.random()) / 0.15) ** 2))
    shown = planes * (rows * band).astype(np.float32)
    shown *= columns.astype(np.float32)
    shown *= np.float32(1 + 0.55 * depth)
    shown += np.array((2, 4, 14), dtype=np.float32)[:, None, None] * np.float32(severity)
    return shown


def drops(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Five to twelve drops of water, each a small lens: what lies under it is magnified, with a bright and dark rim."""
    size = planes.shape[-1]
    wet = planes.copy()
    for _ in range(5 + int(8 * rng.random())):
        radius = between(rng, 0.025, 0.085) * (0.5 + 0.5 * severity) * size
        cx, cy = size * rng.random(), size * rng.random()
        power = 1 - between(rng, 0.35, 0.65) * severity
        left, right = max(0, int(cx - radius)), min(size, int(cx + radius) + 2)
        top, bottom = max(0, int(cy - radius)), min(size, int(cy + radius) + 2)
        x, y = np.arange(left, right, dtype=np.float32)[None, :] - cx, np.arange(top, bottom)[:, None] - cy
        far = np.hypot(x, y) / radius
        inside = np.clip((1 - far) * radius, 0, 1).astype(np.float32)
        bent = power + (1 - power) * far**2
        columns = np.clip(cx + x * bent, 0, size - 1).astype(int)
        rows = np.clip(cy + y * bent, 0, size - 1).astype(int)
        rim = (0.45 * severity * np.clip(far, 0, 1) ** 3 * (x + y) / (1.4 * radius)).astype(np.float32)
        shine = np.exp(-(((x / radius + 0.35) ** 2 + (y / radius + 0.35) ** 2) / 0.02)).astype(np.float32)
        lens = planes[:, rows, columns] * (1 + rim) + np.float32(150 * severity) * shine
        patch = wet[:, top:bottom, left:right]
        patch += (lens - patch) * inside
    return wet


def stripes(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Long straight reflections in a laminate's wavy surface: two to five slanted bands of white."""
    size = planes.shape[-1]
    x, y = grid(size)
    angle, position = np.pi * rng.random(), np.float32(between(rng, -0.6, -0.2))
    across = np.float32(np.cos(angle)) * (x - 0.5) + np.float32(np.sin(angle)) * (y - 0.5)
    along = np.float32(np.cos(angle)) * (y - 0.5) - np.float32(np.sin(angle)) * (x - 0.5)
    across += np.float32(between(rng, 0.005, 0.03)) * np.sin(
        np.float32(between(rng, 3, 8)) * along + np.float32(6 * rng.random())
    )
    share = np.zeros((size, size), dtype=np.float32)
    for _ in range(2 + int(4 * rng.random())):
        width = between(rng, 0.015, 0.06)
        square = ((across - position) * np.float32(1 / width)) ** 2
        share += np.float32(between(rng, 0.25, 0.75)) * np.exp(-square * square)
        position += np.float32(between(rng, 0.14, 0.36))
    share = np.clip(share, 0, 0.8) * np.float32(severity)
    reflected: np.ndarray = planes + (np.float32(250) - planes) * share
    return reflected


def overexposed(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Exposed for something darker: light tones run into white, and bright areas bleed over their edges."""
    gain = np.float32(1 + between(rng, 0.20, 0.45) * severity)
    burnt = planes * gain
    excess = np.clip(burnt - 235, 0, 180)
    burnt += box_blur(excess, planes.shape[-1] * 2.5 / 128) * np.float32(0.35 * severity)
    return np.minimum(burnt, 255)


def posterised(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """Five to eight levels a channel, as of a poor screen grab or a palette."""
    step = np.float32(255 / (4 + int(4 * rng.random())))
    offset = np.float32(between(rng, 0.3, 0.7))
    levels = np.floor(planes / step + offset) * step
    mixed: np.ndarray = planes + (levels - planes) * np.float32(severity)
    return mixed


def flicker(planes: np.ndarray, rng: np.random.Generator, severity: float) -> np.ndarray:
    """A dim room lit by a flickering lamp: a rolling shutter's bands across a dark picture, and noise of whole rows."""
    size = planes.shape[-1]
    _, y = grid(size)
    dim, depth = 1 - between(rng, 0.25, 0.5) * severity, between(rng, 0.2, 0.45) * severity
    phase = 2 * np.pi * (between(rng, 2.5, 9) * y + rng.random())
    bands = dim * (1 + depth * np.sin(phase) * np.ones(size))
    rows = resize(rng.standard_normal((128, 1)).astype(np.float32), size, 1) * np.float32(5 * severity)
    turn = np.array((1.0, 0.99, 0.93), dtype=np.float32)[:, None, None] ** np.float32(severity)
    banded: np.ndarray = planes * bands.astype(np.float32) * turn + rows
    return banded
