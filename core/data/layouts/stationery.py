"""What printed papers share: letterhead, small print, edges and stamps."""

import numpy as np

from core.data.layouts.canvas import Canvas, Colour, mix
from core.data.layouts.emblems import draw_emblem
from core.data.layouts.families import Skeleton
from core.data.layouts.livery import Livery
from core.data.layouts.words import CLAUSES, capitals, transliterate


def small_print(d: np.ndarray, start: int, count: int) -> str:
    first = int(d[start % 32] * len(CLAUSES))
    return " ".join(CLAUSES[(first + k) % len(CLAUSES)] for k in range(count))


def paragraph(canvas: Canvas, s: Skeleton, lv: Livery, x: float, y: float, w: float, rows: int, size: int = 6) -> float:
    """Small print, `rows` lines; returns the y below it."""
    for k in range(rows):
        share = 1.0 if k < rows - 1 else 0.35 + 0.5 * s.dials[(k + rows) % 32]
        text = transliterate(small_print(s.dials, k + rows, int(max(2, w * share / (size * 3.4)))), s.script)
        canvas.text(x, y, text, s.faces.text, size, mix(lv.ink, lv.ground, 0.15), fit=w * share)
        y += size + 2.5
    return y


def letterhead(canvas: Canvas, s: Skeleton, lv: Livery, band: bool) -> float:
    """Logo and issuer at the top: left, right or centred, on a coloured band or not. Returns the y below it."""
    place = int(3 * s.dials[4])
    height = 30 + 14 * s.dials[0] + (16 if place == 2 else 0)
    ink, ground, colour = lv.ink, lv.ground, lv.accent
    if band:
        canvas.box(0, 0, canvas.width, height, lv.accent)
        ink, ground, colour = (250, 250, 250), lv.accent, mix(lv.accent, (255, 255, 255), 0.8)
        if s.dials[1] < 0.4:
            canvas.box(0, height, canvas.width, 4, lv.second)
    radius = 11 + 5 * s.dials[2]
    title = transliterate(lv.title, s.script)
    title = capitals(title, s.script) if s.dials[3] < 0.35 else title
    if place == 2:
        draw_emblem(canvas, lv.emblem, canvas.width / 2, 4 + radius, radius, colour, ground, s.frame)
        canvas.text(
            canvas.width / 2,
            5 + 2 * radius,
            title,
            s.faces.title,
            11,
            ink if band else lv.accent,
            "centre",
            canvas.width - 16,
        )
        return max(height, 2 * radius + 20) + 6
    x = 12 + radius if place == 0 else canvas.width - 12 - radius
    draw_emblem(canvas, lv.emblem, x, height / 2, radius, colour, ground, s.frame)
    room = canvas.width - 2 * radius - 32
    anchor, align = (x + radius + 6, "left") if place == 0 else (x - radius - 6, "right")
    canvas.text(anchor, height / 2 - 11, title, s.faces.title, 12, ink, align, room)
    canvas.text(anchor, height / 2 + 3, small_print(lv.dials, 5, 4), s.faces.text, 6, ink, align, room)
    if not band and s.dials[5] < 0.5:
        canvas.box(10, height, canvas.width - 20, 1, lv.accent)
    return height + 6


def edges(canvas: Canvas, s: Skeleton, lv: Livery) -> None:
    """Side bar and footer, where the skeleton has them."""
    if "side bar" in s.parts:
        canvas.box(canvas.width - 9 if s.mirrored else 0, 0, 9, canvas.height, lv.second)
    if "footer" in s.parts:
        canvas.box(0, canvas.height - 14, canvas.width, 14, mix(lv.ground, lv.accent, 0.3 + 0.7 * s.dials[6]))
        canvas.text(
            canvas.width / 2,
            canvas.height - 11,
            small_print(lv.dials, 7, 8),
            s.faces.text,
            6,
            lv.ink,
            "centre",
            canvas.width - 20,
        )


def stamp(canvas: Canvas, lv: Livery, x: float, y: float, radius: float) -> None:
    """A rubber stamp: rings of ink around the emblem."""
    ink = mix(lv.second, (120, 20, 60), 0.3)
    for r in (radius, radius * 0.86):
        canvas.pen.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=2)
    draw_emblem(canvas, lv.emblem, x, y, radius * 0.5, ink, lv.ground)


def stars(canvas: Canvas, x: float, y: float, radius: float, count: int, colour: Colour) -> None:
    """Small stars on a circle."""
    for k in range(count):
        angle = 2 * np.pi * k / count
        place = x + radius * np.cos(angle), y + radius * np.sin(angle)
        draw_emblem(canvas, "star", *place, max(1.6, 0.22 * radius), colour, colour)
