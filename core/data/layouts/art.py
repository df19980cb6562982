"""The large art of cards and tickets, in three colours."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from core.data.layouts.canvas import Canvas, Colour, mix
from core.data.layouts.fonts import families
from core.data.layouts.grounds import cloud
from core.data.layouts.livery import Livery
from core.data.layouts.scenery import SCENES, paint_scene

_STEPS = np.linspace(0.0, 1.0, 48)


def _bands(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    xs = _STEPS * canvas.width
    for k in range(2 + int(2 * d[20])):
        low = canvas.height * (0.35 + 0.2 * k + 0.3 * (d[21] - 0.5)) + canvas.height * 0.25 * np.sin(
            2 * _STEPS * (1 + 2 * d[22]) + 4 * d[23]
        )
        floor = np.full_like(xs, canvas.height * (1.0 if k % 2 == 0 else 0.8))
        canvas.shape(np.concatenate((np.stack((xs, low), 1), np.stack((xs, floor), 1)[::-1])), c[k % 3])


def _bubbles(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    for k in range(4 + int(8 * d[20])):
        x, y, r = (
            d[k % 32] * canvas.width,
            d[(k + 9) % 32] * canvas.height,
            (0.06 + 0.22 * d[(k + 17) % 32]) * canvas.height,
        )
        canvas.pen.ellipse(
            (x - r, y - r, x + r, y + r), fill=c[k % 3] if d[k] < 0.7 else None, outline=c[(k + 1) % 3], width=2
        )


def _petals(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    turn = np.linspace(0, 2 * np.pi, 90)
    for k in range(1 + int(3 * d[20])):
        x, y = canvas.width * (0.3 + 0.6 * d[(21 + k) % 32]), canvas.height * d[(24 + k) % 32]
        for ring in range(3):
            radius = canvas.height * (0.55 - 0.15 * ring) * (0.7 + 0.3 * np.cos((4 + int(5 * d[k])) * turn + ring))
            canvas.shape(np.stack((x + radius * np.cos(turn), y + radius * np.sin(turn)), 1), c[(ring + k) % 3])


def _skyline(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    x, k = 0.0, 0
    while x < canvas.width:
        wide, tall = 10 + 24 * d[k % 32], canvas.height * (0.15 + 0.5 * d[(k + 11) % 32])
        canvas.box(x, canvas.height - tall, wide, tall, c[k % 3])
        if d[(k + 5) % 32] < 0.4:
            canvas.shape(
                np.array(
                    [
                        (x, canvas.height - tall),
                        (x + wide / 2, canvas.height - tall - 14),
                        (x + wide, canvas.height - tall),
                    ]
                ),
                c[k % 3],
            )
        x, k = x + wide + 2, k + 1


def _letter(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    size = (120, 150, 190)[int(3 * d[20])]
    glyph = "ABDEGJKMNQRSVWXYZ1234789&"[int(25 * d[21])]
    typefaces = families("sans", "serif", "display")
    face = typefaces[int(len(typefaces) * d[24])].faces[1 + int(2 * d[25])]
    canvas.text(
        canvas.width * (0.35 + 0.4 * d[22]),
        -0.2 * size * d[23],
        glyph,
        face,
        size,
        c[0],
        "centre",
    )


def _facets(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    columns = 3 + int(4 * d[20])
    xs = np.linspace(0, canvas.width, columns + 1)
    bend = (np.resize(d, columns + 1) - 0.5) * 0.8
    for k in range(columns):
        middle = canvas.height * (0.5 + bend[k])
        top = np.array([(xs[k], 0), (xs[k + 1], 0), (xs[k + 1], canvas.height * (0.5 + bend[k + 1])), (xs[k], middle)])
        canvas.shape(top, mix(c[k % 3], c[(k + 1) % 3], float(d[k])))
        if d[k + 8] < 0.5:
            canvas.shape(
                np.array([(xs[k], middle), (xs[k + 1], canvas.height), (xs[k], canvas.height)]), c[(k + 2) % 3]
            )


def _waves(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    xs = _STEPS * canvas.width
    for k in range(10 + int(12 * d[20])):
        ys = canvas.height * (
            0.2 + 0.04 * k + 0.2 * d[21] * np.sin(2 * np.pi * (0.5 + 2 * d[22]) * _STEPS + 0.25 * k * d[23])
        )
        canvas.curve(xs, ys, c[k % 2], 1 + int(2 * d[24]))


def _contours(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    turn = np.linspace(0, 2 * np.pi, 80)
    wobble = sum(0.25 * (d[k] - 0.5) * np.cos((k + 2) * turn + 6 * d[k + 6]) for k in range(5))
    x, y = canvas.width * (0.2 + 0.6 * d[20]), canvas.height * (0.2 + 0.6 * d[21])
    for k in range(9, 0, -1):
        radius = canvas.height * 0.09 * k * (1 + wobble)
        canvas.shape(
            np.stack((x + 1.4 * radius * np.cos(turn), y + radius * np.sin(turn)), 1),
            mix(c[0], c[1], k / 9) if d[22] < 0.6 else None,
            c[2],
        )


def _mosaic(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    pitch = 12 + 22 * d[20]
    columns = int(canvas.width / pitch) + 1
    for row in range(int(canvas.height / pitch) + 1):
        for column in range(columns):
            draw = (d[(row * 5 + column * 3) % 32] * 7 + d[(row + 3 * column) % 32]) % 1
            if draw < 0.2 + 0.5 * d[21]:
                canvas.box(column * pitch, row * pitch, pitch - 2, pitch - 2, c[int(draw * 31) % 3])


def _patches(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    canvas.image.paste(c[0], (0, 0), cloud(canvas, d, (6 + int(10 * d[20]), 5 + int(6 * d[21]))))
    canvas.image.paste(c[2], (0, 0), cloud(canvas, d[::-1], (4, 3)).point(lambda v: max(0, 2 * v - 255)))


def _arcs(canvas: Canvas, c: list[Colour], d: np.ndarray) -> None:
    x, y = canvas.width * d[20], canvas.height * (1.2 if d[21] < 0.5 else -0.2)
    for k in range(6, 1, -1):
        r = canvas.height * (0.2 + 0.1 * d[22]) * k
        canvas.pen.ellipse(
            (x - r, y - r, x + r, y + r), fill=c[k % 3] if d[23] < 0.6 or k % 2 else None, outline=c[k % 3], width=3
        )


_ARTS: dict[str, Callable[[Canvas, list[Colour], np.ndarray], None]] = {
    "bands": _bands,
    "bubbles": _bubbles,
    "petals": _petals,
    "skyline": _skyline,
    "letter": _letter,
    "facets": _facets,
    "waves": _waves,
    "contours": _contours,
    "mosaic": _mosaic,
    "patches": _patches,
    "arcs": _arcs,
}


def draw_art(canvas: Canvas, livery: Livery, strength: float) -> Livery:
    """The large art in three colours at `strength` of their difference from the ground.

    Returns the livery to print with: on a photo-like scene the ink and the accent follow the scene's brightness.
    """
    if livery.art_kind in SCENES:
        share = strength if strength < 0.3 else min(0.95, 0.3 + strength)
        tints = (livery.second, livery.accent, livery.ground)
        paint_scene(canvas, livery.art_kind, tints, int(livery.dials[20] * 2**53), share)
        return _legible(canvas, livery)
    bright = (255, 255, 255) if livery.dials[30] < 0.5 else livery.accent
    colours = [mix(livery.ground, colour, strength) for colour in (livery.second, bright, livery.accent)]
    _ARTS[livery.art_kind](canvas, colours, livery.dials)
    return livery


def _legible(canvas: Canvas, livery: Livery) -> Livery:
    mean = np.asarray(canvas.image.resize((8, 8), Image.Resampling.BOX)).mean(axis=(0, 1))
    ground = (int(mean[0]), int(mean[1]), int(mean[2]))
    dark = sum(ground) < 420
    ink = (245, 245, 240) if dark else mix(livery.ink, (16, 16, 24), 0.8)
    accent = livery.accent
    if abs(sum(accent) - sum(ground)) < 180:
        accent = mix(accent, ink, 0.65)
    return replace(livery, ground=ground, ink=ink, accent=accent)
