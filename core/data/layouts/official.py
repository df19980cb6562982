"""Vehicle registrations and visas: coded fields and heavy security print, without the shape of a card."""

from core.data.layouts.canvas import Canvas, mix
from core.data.layouts.emblems import draw_emblem
from core.data.layouts.families import Skeleton
from core.data.layouts.grounds import draw_ground
from core.data.layouts.livery import Livery
from core.data.layouts.slots import Slot
from core.data.layouts.stationery import stamp, stars
from core.data.layouts.words import LABELS, capitals, transliterate

# Harmonised codes of EU registration certificates, Council Directive 1999/37/EC, annex I.
_CODES = ("A", "B", "D.1", "D.2", "D.3", "E", "F.1", "G", "H", "I", "J", "K", "P.1", "P.2", "P.3", "Q", "R", "S.1")


def vehicle_registration(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Registration certificate: a grid of coded fields in one or two panels, number plate, emblem, stamp."""
    w, h = canvas.width, canvas.height
    draw_ground(canvas, lv, 0.3 + 0.3 * s.dials[0])
    head = 30 + 8 * s.dials[1]
    band = "header band" in s.parts
    ink, ground = ((250, 250, 250), lv.accent) if band else (lv.ink, lv.ground)
    if band:
        canvas.box(0, 0, w, head, lv.accent)
    radius = 0.4 * head
    x = s.flip(w, 8, 2 * radius) + radius
    if "star ring" in s.parts:
        canvas.box(x - radius - 2, 2, 2 * radius + 4, head - 4, (30, 50, 150))
        stars(canvas, x, head / 2, 0.72 * radius, 12, (250, 210, 40))
        other = s.flip(w, w - 2 * radius - 8, 2 * radius) + radius
        draw_emblem(canvas, lv.emblem, other, head / 2, radius, ink if band else lv.accent, ground, s.frame)
    else:
        draw_emblem(canvas, lv.emblem, x, head / 2, radius, ink if band else lv.accent, ground, s.frame)
    anchor, align = (x - radius - 8, "right") if s.mirrored else (x + radius + 8, "left")
    room = w - 4 * radius - 36
    title = capitals(transliterate(lv.title, s.script), s.script)
    canvas.text(anchor, 3, title, s.faces.title, 12, ink, align, room)
    canvas.text(anchor, head - 15, lv.subtitle, s.faces.text, 9, ink, align, room)
    if "large emblem" in s.parts:
        draw_emblem(canvas, lv.emblem, w / 2, h * 0.6, 0.26 * min(w, h), mix(lv.ground, lv.accent, 0.3), lv.ground)
    slots: list[Slot] = []
    top = head + 5
    if "number plate" in s.parts:
        canvas.box(10, top, 96, 20, (250, 250, 250), (20, 20, 20))
        canvas.box(10, top, 9, 20, (30, 60, 160))
        slots.append(Slot("number", 62, top + 2, 78, 16, (20, 20, 24), s.faces.bold, 15, "centre", "@@ ### @@"))
        top += 25
    columns = 2 if w > h else 1 + int(2 * s.dials[2])
    pitch = 15 + 5 * s.dials[3]
    rows = max(3, int((h - top - 26) / pitch))
    rule = mix(lv.ground, lv.ink, 0.45)
    coded = s.dials[4] < 0.7
    first = int(s.dials[5] * 8)
    for k in range(rows * columns):
        left, y = 8 + (k % columns) * (w - 16) / columns, top + (k // columns) * pitch
        wide = (w - 16) / columns - 4
        label = _CODES[(first + k) % len(_CODES)] if coded else transliterate(LABELS[(first + k) % 15], s.script)
        canvas.text(left, y + 3, label, s.faces.bold, 7, lv.accent, fit=0.4 * wide)
        if s.dials[6] < 0.6:
            canvas.box(left, y + pitch - 2, wide, 0, rule)
        else:
            canvas.box(left - 2, y, wide + 2, pitch - 2, None, rule)
        kind = ("number", "name", "date", "place", "number")[(k + int(5 * s.dials[7])) % 5]
        offset = 24 if coded else 0.44 * wide
        slots.append(
            Slot(kind, left + offset, y + 2, wide - offset, 9, lv.ink, s.faces.mono, 8, pattern="@####-##")
            if kind in ("number", "date")
            else Slot(kind, left + offset, y + 2, wide - offset, 9, lv.ink, s.faces.text, 8, script=s.script)
        )
    if "stamp" in s.parts:
        stamp(canvas, lv, w - 34, h - 30, 22)
    if "barcode" in s.parts:
        slots.append(Slot("barcode", 10, h - 20, 0.45 * w, 14))
    return slots


def visa(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Visa sticker after ICAO 9303 part 7: large word, captioned fields, optional portrait, machine-readable zone."""
    w, h = canvas.width, canvas.height
    draw_ground(canvas, lv, 0.45 + 0.35 * s.dials[0])
    zone = 0.2 * h
    side = (0.24 + 0.06 * s.dials[1]) * w
    x = s.flip(w, 6, side)
    if "large emblem" in s.parts:
        draw_emblem(canvas, lv.emblem, w * 0.6, h * 0.45, 0.28 * h, mix(lv.ground, lv.second, 0.4), lv.ground)
    title = capitals(transliterate(lv.title, s.script), s.script)
    canvas.text(w / 2, 3, title, s.faces.title, 10, lv.accent, "centre", w - 44)
    canvas.text(s.flip(w, side + 14, 70), 14, lv.subtitle.upper(), s.faces.bold, 20, lv.accent, fit=80)
    draw_emblem(canvas, lv.emblem, s.flip(w, 4, 14) + 7, 9, 7, lv.accent, lv.ground)
    slots = []
    left = 10.0 if s.mirrored else x + side + 8
    if "portrait" in s.parts:
        slots.append(Slot("portrait", x, 18, side, h - zone - 24))
    else:
        radius = 0.46 * side
        draw_emblem(canvas, "sun", x + side / 2, 22 + radius, radius, lv.second, lv.ground)
        draw_emblem(canvas, lv.emblem, x + side / 2, 22 + radius, 0.5 * radius, lv.ground, lv.second)
    if "hologram" in s.parts:
        cx = s.flip(w, w - 40, 26)
        canvas.pen.ellipse((cx, 14, cx + 26, 40), fill=mix((190, 194, 200), lv.second, 0.35))
        stars(canvas, cx + 13, 27, 9, 8, (240, 240, 240))
    rows, room = 4, w - side - 24
    pitch = (h - zone - 44) / rows
    first = int(s.dials[2] * len(LABELS))
    for k in range(2 * rows):
        at, y = left + (k % 2) * room / 2, 38 + (k // 2) * pitch
        label = transliterate(LABELS[(first + k) % len(LABELS)], s.script)
        canvas.text(at, y, label, s.faces.text, 5, mix(lv.ink, lv.accent, 0.4), fit=room / 2 - 4)
        kind = ("date", "date", "number", "place", "name", "number", "name", "place")[(k + int(8 * s.dials[3])) % 8]
        slots.append(Slot(kind, at, y + 6, room / 2 - 6, 9, lv.ink, s.faces.mono, 8, pattern="@ #######"))
    canvas.box(0, h - zone, w, zone, mix(lv.ground, (255, 255, 255), 0.6))
    slots.append(Slot("mrz", 8, h - zone + 3, w - 16, zone - 6, (25, 25, 28), s.faces.mono_bold, 10))
    if "stamp" in s.parts:
        stamp(canvas, lv, left + 0.8 * room, h - zone - 26, 20)
    return slots
