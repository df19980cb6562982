"""Letters and forms."""

from core.data.layouts.canvas import Canvas, mix
from core.data.layouts.emblems import draw_emblem
from core.data.layouts.families import Skeleton
from core.data.layouts.grounds import draw_ground
from core.data.layouts.livery import Livery
from core.data.layouts.slots import Slot
from core.data.layouts.stationery import edges, letterhead, paragraph, small_print, stamp
from core.data.layouts.words import LABELS, transliterate


def letter(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Form letter: printed body; recipient, reference and signature vary."""
    draw_ground(canvas, lv, 0.0)
    if s.dials[7] < 0.25:
        draw_emblem(
            canvas, lv.emblem, canvas.width / 2, canvas.height * 0.58, 55, mix(lv.ground, lv.accent, 0.14), lv.ground
        )
    y = letterhead(canvas, s, lv, "header band" in s.parts)
    edges(canvas, s, lv)
    left, w = 18.0, canvas.width - 36
    slots = [
        Slot(
            "address",
            left if s.dials[8] < 0.7 else left + 0.55 * w,
            y + 4,
            0.45 * w,
            26,
            lv.ink,
            s.faces.text,
            7,
            script=s.script,
        )
    ]
    slots.append(Slot("date", left + w, y + 34, 60, 8, lv.ink, s.faces.text, 7, "right"))
    y += 44
    canvas.text(
        left,
        y,
        transliterate(small_print(lv.dials, 9, 4).capitalize(), s.script),
        s.faces.bold,
        8,
        lv.accent if s.dials[9] < 0.5 else lv.ink,
        fit=w,
    )
    y += 14
    for k in range(2 + int(2 * s.dials[10])):
        y = paragraph(canvas, s, lv, left, y, w, 2 + int(4 * s.dials[11 + k]), 6) + 5
    if "signature" in s.parts:
        slots.append(
            Slot(
                "signature",
                left + (0.5 * w if s.dials[14] < 0.4 else 0),
                min(y, canvas.height - 44),
                0.4 * w,
                18,
                (28, 36, 110),
            )
        )
    if "stamp" in s.parts:
        stamp(canvas, lv, left + 0.75 * w, canvas.height - 44, 20)
    return slots


def form(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Application form: captioned boxes in a ruled grid, tick boxes, a place for a photo."""
    draw_ground(canvas, lv, 0.12 if s.tone == "tint" else 0.0)
    y = letterhead(canvas, s, lv, s.dials[15] < 0.4)
    left, w = 10.0, canvas.width - 20
    photo = 44.0 if "photo box" in s.parts else 0.0
    slots: list[Slot] = []
    if photo:
        canvas.box(left + w - photo, y, photo, 54, (235, 235, 235), lv.ink)
        slots.append(Slot("portrait", left + w - photo + 1, y + 1, photo - 1, 53))
    rows = 5 + int(4 * s.dials[16])
    pitch = (canvas.height - y - 34) / rows
    line = mix(lv.ink, lv.accent, 0.5)
    for k in range(rows):
        top = y + k * pitch
        width = w - photo - 4 if photo and top < y + 56 else w
        # One row at least has a single cell, where tick boxes go.
        cells = 1 if k == 1 else 1 + int(3 * s.dials[(17 + k) % 32])
        if k in (2, 5) and s.dials[9] < 0.6:
            canvas.box(left, top, width, pitch * 0.7, lv.accent)
            canvas.text(
                left + 4, top + 1, transliterate(LABELS[(3 * k) % 15], s.script), s.faces.bold, 8, (250, 250, 250)
            )
            continue
        for cell in range(cells):
            x, each = left + cell * width / cells, width / cells - 3
            canvas.box(x, top, each, pitch - 3, mix(lv.ground, (255, 255, 255), 0.6), line)
            label = transliterate(LABELS[int(s.dials[(k + 7 * cell) % 32] * 15)], s.script)
            canvas.text(x + 2, top + 0.5, label, s.faces.text, 5, lv.accent, fit=each - 4)
            if "tick boxes" in s.parts and cells == 1:
                for box in range(4):
                    canvas.box(x + 6 + box * each / 4, top + 7, 7, 7, None, lv.ink)
                slots.append(Slot("ticks", x + 6, top + 7, each, 7, (28, 36, 110), pattern="4"))
            else:
                kind = ("name", "date", "place", "number")[int(4 * s.dials[(k + cell + 5) % 32])]
                slots.append(Slot(kind, x + 4, top + pitch * 0.38, each - 6, 9, (28, 36, 110), s.faces.italic, 9))
    if "stamp" in s.parts:
        stamp(canvas, lv, left + 0.2 * w + 60 * s.dials[11], canvas.height - 34, 22)
    slots.append(Slot("signature", left + 0.6 * w, canvas.height - 28, 0.35 * w, 16, (28, 36, 110)))
    return slots
