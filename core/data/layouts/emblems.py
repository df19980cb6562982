"""Emblems as polygons in the unit square's coordinates (-1..1, y down), stamped at any place and size."""

from functools import cache

import numpy as np

from core.data.layouts.canvas import Canvas, Colour, mix

GOLD: Colour = (212, 175, 90)
STEEL: Colour = (190, 194, 200)


def _polar(radii: np.ndarray, turn: float = -0.25) -> np.ndarray:
    angles = 2 * np.pi * (np.arange(len(radii)) / len(radii) + turn)
    return np.stack((radii * np.cos(angles), radii * np.sin(angles)), axis=1)


def _disc(x: float, y: float, radius: float) -> np.ndarray:
    return _polar(np.full(24, radius)) + np.array((x, y))


def _mirror(half: list[tuple[float, float]]) -> np.ndarray:
    """Close a right-hand outline, given from top to bottom, with its mirror image."""
    return np.array(half + [(-x, y) for x, y in reversed(half)])


def _bar(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def _rotation(turns: float) -> np.ndarray:
    angle = 2 * np.pi * turns
    return np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])


@cache
def polygons(name: str) -> tuple[tuple[np.ndarray, bool], ...]:
    """(polygon (n, 2), solid) in drawing order; what is not solid is cut out in the ground's colour."""
    turns = 2 * np.pi * np.arange(96) / 96
    t = np.linspace(-1, 1, 24)
    shapes: dict[str, list[tuple[np.ndarray, bool]]] = {
        "star": [(_polar(np.tile((1.0, 0.42), 5)), True)],
        "sun": [(_polar(np.tile((1.0, 0.62), 12)), True), (_disc(0, 0, 0.45), False), (_disc(0, 0, 0.33), True)],
        "crown": [
            (_mirror([(0, -0.35), (0.35, 0.1), (0.9, -0.7), (0.75, 0.75)]), True),
            (_bar(-0.7, 0.4, 0.7, 0.5), False),
        ],
        "shield": [
            (_mirror([(0, -0.95), (0.85, -0.75), (0.8, 0.1), (0.45, 0.65), (0, 1)]), True),
            (_bar(-0.12, -0.6, 0.12, 0.6), False),
            (_bar(-0.6, -0.25, 0.6, -0.02), False),
        ],
        "leaf": [
            (_mirror([(0, -1), (0.45, -0.5), (0.6, 0.05), (0.35, 0.55), (0.06, 0.75), (0.06, 1)]), True),
            (_bar(-0.05, -0.6, 0.05, 0.6), False),
        ],
        "gear": [(_polar(np.repeat(np.tile((1.0, 0.72), 9), 3)), True), (_disc(0, 0, 0.34), False)],
        "wave": [
            (
                np.concatenate(
                    (
                        np.stack((t, s + 0.22 * np.sin(5 * t)), 1),
                        np.stack((t, s + 0.28 + 0.22 * np.sin(5 * t)), 1)[::-1],
                    )
                ),
                True,
            )
            for s in (-0.75, -0.15, 0.45)
        ],
        "mountain": [
            (np.array([(-1, 0.8), (-0.25, -0.8), (0.1, -0.1), (0.35, -0.45), (1, 0.8)]), True),
            (np.array([(-0.25, -0.8), (-0.02, -0.32), (-0.25, -0.45), (-0.46, -0.34)]), False),
        ],
        "tree": [
            (_mirror([(0, -1), (0.5, -0.3), (0.25, -0.3), (0.75, 0.35), (0.12, 0.35), (0.12, 1)]), True),
        ],
        "crescent": [(_disc(0, 0, 0.95), True), (_disc(0.38, -0.1, 0.75), False)],
        "cross": [(_bar(-0.3, -0.95, 0.3, 0.95), True), (_bar(-0.95, -0.3, 0.95, 0.3), True)],
        "ring": [(_disc(0, 0, 0.95), True), (_disc(0, 0, 0.6), False), (_disc(0, 0, 0.3), True)],
        "diamond": [(_mirror([(0, -1), (0.75, 0), (0, 1)]), True), (_mirror([(0, -0.5), (0.37, 0), (0, 0.5)]), False)],
        "flower": [(_polar(0.66 + 0.33 * np.cos(6 * turns)), True), (_disc(0, 0, 0.25), False)],
        "hexagon": [
            (_polar(np.full(6, 1.0)), True),
            (_polar(np.full(6, 0.68)), False),
            (_polar(np.full(6, 0.42)), True),
        ],
        "anchor": [
            (_disc(0, -0.72, 0.26), True),
            (_disc(0, -0.72, 0.1), False),
            (_bar(-0.1, -0.5, 0.1, 0.9), True),
            (_bar(-0.45, -0.38, 0.45, -0.2), True),
            (_mirror([(0, 1), (0.6, 0.8), (0.95, 0.2), (0.65, 0.3), (0.4, 0.62), (0, 0.72)]), True),
        ],
        "key": [
            (_disc(-0.5, 0, 0.5), True),
            (_disc(-0.5, 0, 0.22), False),
            (_bar(-0.05, -0.13, 1, 0.13), True),
            (_bar(0.6, 0, 0.75, 0.45), True),
            (_bar(0.85, 0, 1, 0.45), True),
        ],
        "bolt": [(np.array([(0.25, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.25, 1), (0.6, -0.25), (0.05, -0.25)]), True)],
        "tower": [
            (_mirror([(0.15, -0.75), (0.15, -1), (0.5, -1), (0.5, -0.5), (0.35, -0.4), (0.5, 1)]), True),
            (_bar(-0.14, 0.5, 0.14, 1), False),
            (_bar(-0.1, -0.3, 0.1, 0), False),
        ],
        "heart": [
            (
                _mirror(
                    [(0, -0.55), (0.25, -0.85), (0.65, -0.9), (0.95, -0.55), (0.85, -0.05), (0.45, 0.5), (0, 0.95)]
                ),
                True,
            )
        ],
        "wheel": [
            (_disc(0, 0, 1.0), True),
            (_disc(0, 0, 0.76), False),
            *((_bar(-0.07, -0.8, 0.07, 0.8) @ _rotation(k / 8), True) for k in range(4)),
            (_disc(0, 0, 0.24), True),
        ],
        "clover": [
            *((_disc(0.42 * x, 0.42 * y - 0.15, 0.42), True) for x, y in ((1, 0), (-1, 0), (0, -1), (0, 1))),
            (np.array([(-0.06, 0.2), (0.06, 0.2), (0.3, 1.0), (0.12, 1.0)]), True),
        ],
        "sail": [
            (np.array([(0.05, -1), (0.05, 0.4), (0.85, 0.4)]), True),
            (np.array([(-0.08, -0.75), (-0.08, 0.4), (-0.7, 0.4)]), True),
            (_mirror([(0, 0.55), (0.95, 0.55), (0.6, 0.95), (0, 0.95)]), True),
        ],
        "bird": [
            (_mirror([(0, -0.15), (0.35, -0.55), (1, -0.5), (0.7, -0.1), (0.35, 0.2), (0.3, 0.75), (0, 0.5)]), True)
        ],
    }
    return tuple(shapes[name])


def draw_emblem(
    canvas: Canvas, name: str, x: float, y: float, radius: float, colour: Colour, ground: Colour, frame: str = "plain"
) -> None:
    """Stamp an emblem centred at (x, y); a disc or tile reverses it out of its frame."""
    scale = radius
    if frame == "ring":
        canvas.pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), outline=colour, width=max(1, int(radius / 9))
        )
        scale = 0.68 * radius
    elif frame in ("disc", "tile"):
        box = (x - radius, y - radius, x + radius, y + radius)
        if frame == "disc":
            canvas.pen.ellipse(box, fill=colour)
        else:
            canvas.pen.rounded_rectangle(box, radius / 4, fill=colour)
        colour, ground = ground, colour
        scale = 0.66 * radius
    for points, solid in polygons(name):
        canvas.shape(points * scale + (x, y), colour if solid else ground)


def draw_chip(canvas: Canvas, x: float, y: float, w: float, h: float, metal: Colour) -> None:
    """The contact plate of an integrated circuit card."""
    canvas.pen.rounded_rectangle((x, y, x + w, y + h), 4, fill=metal, outline=mix(metal, (0, 0, 0), 0.5))
    line = mix(metal, (0, 0, 0), 0.45)
    for share in (0.33, 0.66):
        canvas.pen.line((x, y + share * h, x + w, y + share * h), fill=line)
    canvas.pen.line((x + 0.35 * w, y, x + 0.35 * w, y + h), fill=line)
    canvas.pen.line((x + 0.65 * w, y, x + 0.65 * w, y + h), fill=line)
    canvas.box(x + 0.35 * w, y + 0.3 * h, 0.3 * w, 0.4 * h, metal, line)
