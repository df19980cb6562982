"""Invoices and receipts."""

import numpy as np

from core.data.layouts.canvas import Canvas, mix
from core.data.layouts.emblems import draw_emblem
from core.data.layouts.families import Skeleton
from core.data.layouts.grounds import draw_ground
from core.data.layouts.livery import Livery
from core.data.layouts.slots import Slot
from core.data.layouts.stationery import edges, letterhead, paragraph, small_print
from core.data.layouts.words import transliterate


def invoice(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Letterhead, customer and dates, a ruled table of amounts, a total."""
    draw_ground(canvas, lv, 0.0)
    y = letterhead(canvas, s, lv, "header band" in s.parts)
    edges(canvas, s, lv)
    left, w = 14.0, canvas.width - 28
    canvas.text(
        left + (w if s.mirrored else 0),
        y,
        transliterate("INVOICE", s.script),
        s.faces.bold,
        14,
        lv.accent,
        "right" if s.mirrored else "left",
    )
    x = left if s.dials[7] < 0.5 else left + 0.5 * w
    slots = [Slot("address", x, y + 18, 0.5 * w, 26, lv.ink, s.faces.text, 7, script=s.script)]
    other = left + 0.55 * w if x == left else left
    for k, label in enumerate(("Number", "Date", "Due")):
        canvas.text(other, y + 18 + 9 * k, transliterate(label, s.script), s.faces.bold, 7, lv.ink)
        slots.append(
            Slot(
                "number" if k == 0 else "date",
                other + 32,
                y + 18 + 9 * k,
                0.45 * w - 32,
                8,
                lv.ink,
                s.faces.text,
                7,
                pattern="A-######",
            )
        )
    top = y + 52 + 10 * s.dials[8]
    bottom = canvas.height * (0.68 + 0.08 * s.dials[9])
    canvas.box(left, top, w, 11, lv.accent)
    columns = np.array((0.0, 0.45, 0.65, 0.8))[: 2 + int(3 * s.dials[10])]
    for share, label in zip(columns, ("Item", "Unit", "Qty", "Amount"), strict=False):
        canvas.text(left + 3 + share * w, top + 1, label, s.faces.bold, 7, (250, 250, 250))
    for k, line in enumerate(np.arange(top + 11, bottom, 10)):
        if s.dials[11] < 0.5 and k % 2:
            canvas.box(left, line, w, 10, mix(lv.ground, lv.accent, 0.12))
        elif s.dials[11] >= 0.5:
            canvas.box(left, line + 10, w, 0, mix(lv.ground, lv.ink, 0.4))
    if s.dials[12] < 0.5:
        for share in (*columns, 1.0):
            canvas.box(left + share * w, top, 0, bottom - top, mix(lv.ground, lv.ink, 0.5))
    slots.append(Slot("amounts", left + 3, top + 12, w - 6, bottom - top - 12, lv.ink, s.faces.text, 8))
    if "total box" in s.parts:
        canvas.box(left + 0.5 * w, bottom + 4, 0.5 * w, 16, mix(lv.ground, lv.second, 0.35), lv.accent)
        canvas.text(left + 0.53 * w, bottom + 7, "Total", s.faces.bold, 9, lv.ink, fit=0.2 * w)
        slots.append(
            Slot("number", left + 0.98 * w, bottom + 7, 0.25 * w, 9, lv.ink, s.faces.bold, 9, "right", "#,###.##")
        )
    if "payment code" in s.parts:
        slots.append(Slot("matrix code", left, bottom + 6, 34, 34))
    else:
        paragraph(canvas, s, lv, left, bottom + 24, 0.9 * w, 2)
    return slots


def receipt(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Till receipt: shop's mark, items with amounts, a total, a code at the end."""
    draw_ground(canvas, lv, 0.0)
    band = "header band" in s.parts
    ink, ground = lv.ink, lv.ground
    radius = 14 + 8 * s.dials[0]
    if band:
        canvas.box(0, 0, canvas.width, 2 * radius + 12, lv.accent)
    mark = (250, 250, 250) if band else (lv.accent if s.dials[1] < 0.6 else ink)
    draw_emblem(canvas, lv.emblem, canvas.width / 2, radius + 6, radius, mark, lv.accent if band else ground, s.frame)
    y = 2 * radius + 15
    face = s.faces.mono_bold if s.dials[2] < 0.6 and s.script == "latin" else s.faces.title
    canvas.text(canvas.width / 2, y, transliterate(lv.title, s.script), face, 11, ink, "centre", canvas.width - 8)
    canvas.text(
        canvas.width / 2, y + 14, small_print(lv.dials, 3, 3), s.faces.mono, 7, ink, "centre", canvas.width - 12
    )
    slots = [
        Slot("date", 6, y + 25, 70, 8, ink, s.faces.mono, 7),
        Slot("number", canvas.width - 6, y + 25, 40, 8, ink, s.faces.mono, 7, "right", "##:##"),
    ]
    y += 36
    rule = "-" * 40 if s.dials[3] < 0.5 else "=" * 40
    canvas.text(4, y, rule, s.faces.mono, 7, ink, fit=canvas.width - 8)
    floor = canvas.height - (52 if s.parts & {"barcode", "payment code"} else 34)
    slots.append(Slot("amounts", 6, y + 10, canvas.width - 12, floor - y - 26, ink, s.faces.mono, 8))
    canvas.text(4, floor - 16, rule, s.faces.mono, 7, ink, fit=canvas.width - 8)
    canvas.text(6, floor - 9, transliterate("TOTAL", s.script), s.faces.bold, 11, ink)
    slots.append(Slot("number", canvas.width - 6, floor - 9, 50, 11, ink, s.faces.mono_bold, 11, "right", "##.##"))
    if "payment code" in s.parts:
        slots.append(Slot("matrix code", canvas.width / 2 - 21, floor + 6, 42, 42))
    elif "barcode" in s.parts:
        slots.append(Slot("barcode", 10, floor + 12, canvas.width - 20, 26))
    else:
        paragraph(canvas, s, lv, 8, floor + 10, canvas.width - 16, 2)
    return slots
