"""Cards that entitle without a portrait: public transport, health insurance, gift cards."""

from core.data.layouts.art import draw_art
from core.data.layouts.canvas import Canvas, mix
from core.data.layouts.emblems import GOLD, draw_chip, draw_emblem
from core.data.layouts.families import Skeleton
from core.data.layouts.grounds import draw_ground
from core.data.layouts.livery import Livery
from core.data.layouts.slots import Slot
from core.data.layouts.stationery import paragraph, stars
from core.data.layouts.words import LABELS, capitals, transliterate

_WHITE = (250, 250, 250)


def transit_card(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Stored-value card of a transport company, lying or upright: large mark, route lines, a small card number."""
    w, h = canvas.width, canvas.height
    draw_ground(canvas, lv, 0.0 if "picture" in s.parts else 0.3)
    if "picture" in s.parts:
        lv = draw_art(canvas, lv, 0.4 + 0.5 * lv.dials[28])
    if "route map" in s.parts:
        for k, colour in enumerate((lv.accent, lv.second, lv.ink)):
            y, bend = h * (0.3 + 0.14 * k + 0.2 * s.dials[k]), w * (0.2 + 0.5 * s.dials[3 + k])
            rise = 0.25 * h * (s.dials[6 + k] - 0.5)
            canvas.pen.line((0, y, bend, y, bend + abs(rise), y + rise, w, y + rise), fill=colour, width=3)
            for stop in (0.1, 0.3, 0.8, 0.92):
                level = y if stop * w < bend else y + rise
                if stop * w < bend or stop * w > bend + abs(rise):
                    canvas.pen.ellipse((stop * w - 3, level - 3, stop * w + 3, level + 3), fill=_WHITE, outline=colour)
    band = (0.3 + 0.12 * s.dials[9]) * min(w, h)
    low = s.dials[10] < 0.4
    top = h - band if low else 0.0
    ink, ground = lv.ink, lv.ground
    if "colour band" in s.parts:
        ink, ground = _WHITE, mix(lv.accent, (0, 0, 0), 0.25)
        canvas.box(0, top, w, band, ground)
    radius = 0.36 * band
    x = s.flip(w, 10, 2 * radius) + radius
    draw_emblem(canvas, lv.emblem, x, top + band / 2, radius, ink, ground, s.frame)
    room = w - 2 * radius - 28
    anchor, align = (x - radius - 8, "right") if s.mirrored else (x + radius + 8, "left")
    title = capitals(transliterate(lv.title, s.script), s.script)
    canvas.text(anchor, top + 0.18 * band, title, s.faces.title, 18, ink, align, room)
    canvas.text(anchor, top + 0.62 * band, lv.subtitle, s.faces.text, 10, ink, align, room)
    other = 0.1 * h if low else 0.88 * h
    slots = [Slot("number", w - 12, other, 0.7 * w, 12, lv.ink, s.faces.mono_bold, 12, "right", "#### #### ####")]
    if "contactless sign" in s.parts:
        cx = s.flip(w, w - 30, 20)
        for k in (5, 10, 15):
            canvas.pen.arc((cx - k, h * 0.5 - k, cx + k, h * 0.5 + k), -50, 50, fill=lv.ink, width=3)
    if "chip" in s.parts:
        draw_chip(canvas, s.flip(w, 18, 34), h * 0.5, 34, 26, GOLD)
    if "cardholder" in s.parts:
        place = 0.22 * h if low else 0.76 * h
        slots.append(Slot("name", 14, place, 0.6 * w, 11, lv.ink, s.faces.bold, 11, script=s.script))
    return slots


def health_card(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Health insurance card: issuer's colours, insured person's data in rows, chip, ring of stars or a tactile mark."""
    w, h = canvas.width, canvas.height
    draw_ground(canvas, lv, 0.3)
    if "picture" in s.parts:
        lv = draw_art(canvas, lv, 0.3)
    stripes = 1 + int(3 * s.dials[0])
    for k, colour in enumerate((lv.accent, lv.second, mix(lv.accent, _WHITE, 0.5))[:stripes]):
        thick = 6 + 14 * s.dials[1 + k]
        canvas.box(
            0, h * (0.26 + 0.02 * s.dials[5]) + 15 * k if s.dials[4] < 0.5 else h - 16 * (k + 1), w, thick, colour
        )
    radius = 14 + 6 * s.dials[6]
    x = s.flip(w, 10, 2 * radius) + radius
    draw_emblem(canvas, lv.emblem, x, 6 + radius, radius, lv.accent, lv.ground, s.frame)
    anchor, align = (x - radius - 7, "right") if s.mirrored else (x + radius + 7, "left")
    room = w - 2 * radius - 74
    canvas.text(anchor, 6, transliterate(lv.title, s.script), s.faces.title, 14, lv.ink, align, room)
    canvas.text(anchor, 23, lv.subtitle, s.faces.text, 10, lv.accent, align, room)
    if "star ring" in s.parts:
        field = mix(lv.second, (20, 40, 140), 0.6)
        left = s.flip(w, w - 46, 36)
        canvas.box(left, 6, 36, 30, field)
        stars(canvas, left + 18, 21, 10, 12, (250, 210, 40))
    if "chip" in s.parts:
        draw_chip(canvas, s.flip(w, 20, 34), 0.44 * h, 34, 27, GOLD)
    left = 72.0 if "chip" in s.parts and not s.mirrored else 14.0
    slots = []
    rows = 3 + int(2 * s.dials[8])
    pitch = 0.52 * h / rows
    first = int(s.dials[9] * len(LABELS))
    kinds = ("name", "number", "date", "place", "number")
    for k in range(rows):
        y = 0.44 * h + k * pitch
        label = transliterate(LABELS[(first + k) % len(LABELS)], s.script)
        canvas.text(left, y, label, s.faces.text, 6, mix(lv.accent, lv.ink, 0.5), fit=90)
        pattern = "##@@ #######" if k % 2 else "### ### ### #"
        slots.append(Slot(kinds[k], left, y + 6, 130, 10, lv.ink, s.faces.bold, 10, pattern=pattern, script=s.script))
    if "signature" in s.parts:
        slots.append(Slot("signature", w - 70, h * 0.8, 54, 14, (28, 36, 110)))
    if "barcode" in s.parts:
        slots.append(Slot("barcode", w - 60, h * 0.5, 48, 22))
    return slots


def gift_card(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Gift or phone card: a big picture, a bold offer, a value, and a code to scratch or to scan."""
    w, h = canvas.width, canvas.height
    draw_ground(canvas, lv, 0.25)
    lv = draw_art(canvas, lv, 0.55 + 0.4 * lv.dials[28])
    if "ribbon" in s.parts:
        x = s.flip(w, (0.12 + 0.2 * s.dials[0]) * w, 16)
        y, shine = h * (0.3 + 0.3 * s.dials[1]), mix(lv.accent, _WHITE, 0.5)
        canvas.box(x, 0, 16, h, lv.accent)
        canvas.box(0, y, w, 14, lv.accent)
        canvas.box(x, 0, 1, h, shine)
        canvas.box(0, y, w, 1, shine)
        draw_emblem(canvas, "flower", x + 8, y + 7, 24, mix(lv.accent, _WHITE, 0.2), lv.ground)
    if "label" in s.parts:
        top = (0.08 + 0.22 * s.dials[2]) * h
        canvas.pen.rounded_rectangle((0.3 * w, top, 0.95 * w, top + 0.4 * h), 6, fill=mix(lv.ground, lv.second, 0.1))
    else:
        top = (0.06 + 0.22 * s.dials[2]) * h
    size = 17 + int(8 * s.dials[3])
    canvas.text(0.62 * w, top + 6, transliterate(lv.title, s.script), s.faces.title, size, lv.ink, "centre", 0.58 * w)
    canvas.text(0.62 * w, top + 10 + size, lv.subtitle, s.faces.italic, 13, lv.ink, "centre", 0.5 * w)
    draw_emblem(canvas, lv.emblem, s.flip(w, 12, 30) + 15, h - 26, 16, lv.ink, lv.ground, s.frame)
    slots = []
    if "value" in s.parts:
        value = (10, 20, 25, 50, 100, 150)[int(6 * lv.dials[7])]
        canvas.text(s.flip(w, w - 52, 40) + 20, h - 34, str(value), s.faces.bold, 24, lv.ink, "centre")
    if "barcode" in s.parts:
        canvas.box(0.3 * w, h - 32, 0.4 * w, 24, _WHITE)
        slots.append(Slot("barcode", 0.3 * w + 4, h - 29, 0.4 * w - 8, 18))
    slots.append(
        Slot("number", w / 2, h - 46, 0.6 * w, 10, lv.ink, s.faces.mono_bold, 10, "centre", "#### #### #### ###")
    )
    if "small print" in s.parts:
        paragraph(canvas, s, lv, 8, 4, 0.4 * w, 2, 5)
    return slots
