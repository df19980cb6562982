"""Tickets and certificates."""

import numpy as np

from core.data.layouts.art import draw_art
from core.data.layouts.canvas import Canvas, mix
from core.data.layouts.emblems import draw_emblem
from core.data.layouts.families import Skeleton
from core.data.layouts.grounds import draw_ground
from core.data.layouts.livery import Livery
from core.data.layouts.slots import Slot
from core.data.layouts.stationery import paragraph
from core.data.layouts.words import transliterate


def ticket(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Admission or travel ticket: main part and a stub, big title, place, seat and a code."""
    draw_ground(canvas, lv, 0.3)
    if "picture" in s.parts:
        lv = draw_art(canvas, lv, 0.4)
    stub = (0.22 + 0.08 * s.dials[0]) * canvas.width if "stub" in s.parts else 0.0
    edge = stub if s.mirrored else canvas.width - stub
    if stub:
        canvas.box(0 if s.mirrored else edge, 0, stub, canvas.height, mix(lv.ground, lv.accent, 0.55 * s.dials[1]))
        for dash in range(2, canvas.height, 7):
            canvas.box(edge, dash, 1, 3, lv.ink)
    if "perforation" in s.parts:
        for hole in range(0, canvas.height, 12):
            for side in (0, canvas.width):
                canvas.pen.ellipse((side - 4, hole - 4, side + 4, hole + 4), fill=(236, 236, 236))
    x0, w = (edge + 10, canvas.width - stub - 20) if s.mirrored else (10.0, canvas.width - stub - 20)
    radius = 0.17 * canvas.height
    draw_emblem(canvas, lv.emblem, x0 + radius, 8 + radius, radius, lv.accent, lv.ground, s.frame)
    canvas.text(
        x0 + 2 * radius + 7, 8, transliterate(lv.title, s.script), s.faces.title, 16, lv.ink, fit=w - 2 * radius - 8
    )
    canvas.text(x0 + 2 * radius + 7, 27, lv.subtitle.upper(), s.faces.text, 10, lv.ink, fit=w - 2 * radius - 8)
    slots = []
    y, columns = canvas.height * 0.5, 2 + int(3 * s.dials[2])
    for k in range(columns):
        x = x0 + k * w / columns
        canvas.text(
            x, y, ("From", "To", "Date", "Seat", "Gate")[(k + int(5 * s.dials[3])) % 5], s.faces.text, 7, lv.ink
        )
        kind = ("place", "place", "date", "number")[k % 4]
        slots.append(Slot(kind, x, y + 9, w / columns - 6, 11, lv.ink, s.faces.bold, 11, pattern="##@"))
    slots.append(Slot("name", x0, canvas.height * 0.8, 0.4 * w, 10, lv.ink, s.faces.text, 10, script=s.script))
    if stub:
        left = 4 if s.mirrored else edge + 6
        if "barcode" in s.parts:
            slots.append(Slot("barcode", left + stub / 2 - 16, 8, 26, canvas.height - 16, pattern="upright"))
        else:
            draw_emblem(
                canvas, lv.emblem, left + stub / 2 - 4, canvas.height * 0.35, 0.3 * stub, lv.accent, lv.ground, s.frame
            )
            slots.append(
                Slot(
                    "number",
                    left,
                    canvas.height * 0.72,
                    stub - 12,
                    12,
                    lv.ink,
                    s.faces.mono_bold,
                    12,
                    pattern="########",
                )
            )
    elif "barcode" in s.parts:
        slots.append(Slot("barcode", x0 + 0.45 * w, canvas.height * 0.78, 0.36 * w, 0.17 * canvas.height))
    if "payment code" in s.parts:
        slots.append(Slot("matrix code", x0 + w - 34, canvas.height - 40, 34, 34))
    return slots


def certificate(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Framed award: ornament border, centred title, holder's name, seal and signatures."""
    draw_ground(canvas, lv, 0.1 + 0.15 * s.dials[0])
    cx, wide, tall = canvas.width / 2, canvas.width, canvas.height
    margin = 5 + 5 * s.dials[1]
    thick = 3 + int(8 * s.dials[2])
    canvas.pen.rectangle((margin, margin, wide - margin, tall - margin), outline=lv.accent, width=thick)
    inset = margin + thick + 3
    canvas.pen.rectangle((inset, inset, wide - inset, tall - inset), outline=lv.second, width=1 + int(2 * s.dials[3]))
    for x in (inset, wide - inset):
        for y in (inset, tall - inset):
            draw_emblem(
                canvas, ("diamond", "flower", "ring", "star")[int(4 * lv.dials[4])], x, y, 9, lv.second, lv.ground
            )
    if "large emblem" in s.parts:
        draw_emblem(canvas, lv.emblem, cx, tall * 0.55, 0.3 * tall, mix(lv.ground, lv.accent, 0.15), lv.ground)
    radius = 15 + 6 * s.dials[5]
    top = inset + 6
    draw_emblem(canvas, lv.emblem, cx, top + radius, radius, lv.accent, lv.ground, s.frame)
    y = top + 2 * radius + 2
    face = s.faces.title if s.script != "latin" or s.dials[6] < 0.5 else s.faces.italic
    canvas.text(cx, y, transliterate(lv.title, s.script), face, 19, lv.ink, "centre", wide - 2 * inset - 16)
    canvas.text(
        cx, y + 24, transliterate(lv.subtitle, s.script), s.faces.text, 8, lv.ink, "centre", wide - 2 * inset - 16
    )
    slots = [
        Slot("name", cx, y + 38, wide - 2 * inset - 30, 14, lv.accent, s.faces.bold, 14, "centre", script=s.script)
    ]
    canvas.box(cx - 60, y + 56, 120, 0, lv.ink)
    if tall > wide:
        paragraph(canvas, s, lv, inset + 12, y + 66, wide - 2 * inset - 24, 5)
    foot = tall - inset - 24
    if "signature" in s.parts:
        slots.append(Slot("signature", inset + 10, foot - 4, 52, 16, (28, 36, 110)))
    slots.append(Slot("date", wide - inset - 10, foot + 8, 60, 8, lv.ink, s.faces.text, 8, "right"))
    if "seal" in s.parts:
        x = cx if s.dials[7] < 0.4 else wide - inset - 34
        draw_emblem(canvas, "sun", x, foot - 2, 17, lv.second, lv.ground)
        draw_emblem(canvas, lv.emblem, x, foot - 2, 8, lv.ground, lv.second)
    if "ribbon" in s.parts:
        corner = np.array([(0, 0), (46, 0), (0, 46)], float)
        canvas.shape(corner, lv.second)
    return slots
