"""Identity documents: portrait beside captioned fields."""

from core.data.layouts.art import draw_art
from core.data.layouts.canvas import Canvas, mix
from core.data.layouts.emblems import GOLD, draw_chip, draw_emblem
from core.data.layouts.families import Skeleton
from core.data.layouts.grounds import draw_ground
from core.data.layouts.livery import Livery
from core.data.layouts.slots import Slot
from core.data.layouts.words import LABELS, capitals, transliterate

_VALUE_KINDS = ("name", "name", "name", "date", "place", "place", "number", "number", "date", "date")


def _flag(canvas: Canvas, x: float, y: float, w: float, h: float, lv: Livery) -> None:
    stripes = (lv.accent, (245, 245, 245), lv.second)
    kind = int(4 * lv.dials[29])
    if kind == 3:
        canvas.box(x, y, w, h, lv.accent)
        draw_emblem(canvas, "ring", x + w / 2, y + h / 2, 0.4 * h, (250, 220, 60), lv.accent)
        return
    for k, colour in enumerate(stripes if kind != 2 else stripes[::-1]):
        if kind == 1:
            canvas.box(x + k * w / 3, y, w / 3, h, colour)
        else:
            canvas.box(x, y + k * h / 3, w, h / 3, colour)


def _state_header(canvas: Canvas, s: Skeleton, lv: Livery, height: float) -> None:
    """Emblem, state and document name along the top, on a band, a bar, or the bare ground."""
    style = int(3 * s.dials[0])
    ink, ground = lv.ink, lv.ground
    if style == 0:
        ink, ground = (250, 250, 250), lv.accent
        canvas.box(0, 0, canvas.width, height, lv.accent)
    elif style == 1:
        canvas.box(0, height, canvas.width, 2, lv.accent)
    radius = 0.42 * height
    x = s.flip(canvas.width, 8, 2 * radius) + radius
    colour = mix(lv.accent, (255, 255, 255), 0.75) if style == 0 else lv.accent
    draw_emblem(canvas, lv.emblem, x, height / 2, radius, colour, ground, s.frame)
    flag = 36.0 if "flag" in s.parts else 0.0
    room = canvas.width - 2 * radius - 24 - flag
    left = 10.0 + flag if s.mirrored else 2 * radius + 14
    align, anchor = ("left", left) if s.dials[1] < 0.6 else ("centre", left + room / 2)
    title = transliterate(lv.title, s.script)
    canvas.text(anchor, 0.04 * height, capitals(title, s.script), s.faces.title, 12, ink, align, room)
    line = (
        lv.subtitle
        if s.script == "latin" or s.dials[2] < 0.5
        else f"{transliterate(lv.subtitle, s.script)} / {lv.subtitle}"
    )
    canvas.text(anchor, 0.52 * height, line, s.faces.text, 9, ink, align, room)


def _captioned_fields(
    canvas: Canvas, s: Skeleton, lv: Livery, box: tuple[float, float, float, float], rows: int
) -> list[Slot]:
    """Rows of a small printed label with a field under or beside it, in one or two columns."""
    x, y, w, h = box
    columns = 1 if w < 110 or s.dials[3] < 0.55 else 2
    beside = s.dials[4] < 0.35 and columns == 1
    pitch = h / rows
    slots = []
    first = int(s.dials[5] * len(LABELS))
    label_ink = mix(lv.accent, lv.ink, 0.4)
    for k in range(rows * columns):
        left = x + (k % columns) * w / columns
        top = y + (k // columns) * pitch
        label = transliterate(LABELS[(first + k) % len(LABELS)], s.script)
        size = 6 if pitch < 20 else 7
        if s.dials[6] < 0.2:
            label = f"{k + 1}. {label}"
        canvas.text(left, top, label, s.faces.text, size, label_ink, fit=0.38 * w if beside else w / columns - 4)
        kind = _VALUE_KINDS[int(s.dials[7 + k % 12] * len(_VALUE_KINDS))]
        where = (left + 0.42 * w, top - 1, 0.58 * w) if beside else (left, top + size + 0.5, w / columns - 6)
        slots.append(Slot(kind, *where, 9, lv.ink, s.faces.bold, 9, pattern="##-@@####", script=s.script))
    return slots


def _portrait_slots(
    canvas: Canvas, s: Skeleton, lv: Livery, top: float, w: float, h: float
) -> tuple[float, list[Slot]]:
    x = s.flip(canvas.width, 9 + 6 * s.dials[20], w)
    canvas.box(x - 1, top - 1, w + 2, h + 2, (240, 240, 240), lv.accent)
    slots = [Slot("portrait", x, top, w, h)]
    if "ghost portrait" in s.parts:
        ghost = s.flip(canvas.width, canvas.width - 0.55 * w - 10, 0.55 * w)
        slots.append(
            Slot("portrait", ghost, top + 0.4 * h, 0.55 * w, 0.6 * h, mix(lv.ground, lv.ink, 0.1), pattern="ghost")
        )
    return x, slots


def identity_card(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Identity card, residence permit, driving licence, and the data page of a passport."""
    draw_ground(canvas, lv, 0.25 + 0.4 * s.dials[21])
    if "picture" in s.parts:
        lv = draw_art(canvas, lv, 0.22)
    zone = 0.22 * canvas.height if "machine readable zone" in s.parts else 0.0
    header = (0.19 + 0.06 * s.dials[23]) * canvas.height
    if "large emblem" in s.parts or s.dials[24] < 0.3:
        tint = mix(lv.ground, lv.accent, 0.35)
        draw_emblem(canvas, lv.emblem, canvas.width * 0.62, canvas.height * 0.56, canvas.height * 0.27, tint, lv.ground)
    if "stripe" in s.parts:
        canvas.box(0, canvas.height - zone - 9, canvas.width, 5, lv.accent)
        canvas.box(0, canvas.height - zone - 4, canvas.width, 4, lv.second)
    _state_header(canvas, s, lv, header)
    h = (0.46 + 0.1 * s.dials[25]) * canvas.height * (0.85 if zone else 1.0)
    w = 0.78 * h
    top = header + 6 + 8 * s.dials[26] * (0 if zone else 1)
    x, slots = _portrait_slots(canvas, s, lv, top, w, h)
    left = 10.0 if s.mirrored else x + w + 9
    room = (x - 18) if s.mirrored else canvas.width - left - 8
    crowded = bool(s.parts & {"ghost portrait", "class table", "fingerprint"})
    tail = 0.78 if crowded else 1.0
    start = left + 0.56 * w if s.mirrored and "ghost portrait" in s.parts else left
    rows = 3 if zone else 4 if s.dials[27] < 0.7 else 5
    slots += _captioned_fields(
        canvas, s, lv, (start, header + 5, room * tail, canvas.height - header - zone - 16), rows
    )
    foot = top + h + 3
    if "signature" in s.parts and "number bar" in s.parts:
        slots.append(Slot("signature", x + 4, foot + 8, w - 12, 12, mix(lv.ink, (20, 30, 120), 0.5)))
    if "number bar" in s.parts or (s.dials[28] < 0.5 and "signature" not in s.parts):
        slots.append(Slot("number", x, foot, w, 10, lv.accent, s.faces.bold, 10, pattern="@@ ######"))
    elif "signature" in s.parts:
        slots.append(Slot("signature", x + 4, foot, w - 12, 14, mix(lv.ink, (20, 30, 120), 0.5)))
    slots += _identity_extras(canvas, s, lv, header, zone, left + room)
    return slots


def _identity_extras(canvas: Canvas, s: Skeleton, lv: Livery, header: float, zone: float, right: float) -> list[Slot]:
    slots = []
    if "flag" in s.parts:
        x = s.flip(canvas.width, canvas.width - 36, 28)
        _flag(canvas, x, 0.15 * header, 28, 0.65 * header, lv)
    if "chip" in s.parts:
        draw_chip(canvas, right - 34, header + 8, 28, 22, GOLD)
    if "class table" in s.parts:
        for k in range(4):
            canvas.box(right - 44, canvas.height - 46 + 10 * k, 36, 10, mix(lv.ground, (255, 255, 255), 0.5), lv.ink)
            canvas.text(right - 41, canvas.height - 46 + 10 * k, ("A", "B", "C", "D")[k], s.faces.bold, 8, lv.ink)
        slots.append(Slot("date", right - 34, canvas.height - 35, 25, 8, lv.ink, s.faces.text, 7))
    if "fingerprint" in s.parts:
        slots.append(Slot("fingerprint", right - 34, canvas.height - zone - 48, 26, 34, mix(lv.ink, lv.ground, 0.3)))
    if "barcode" in s.parts:
        slots.append(Slot("barcode", canvas.width * 0.45, canvas.height - 20, canvas.width * 0.4, 14))
    if zone:
        canvas.box(0, canvas.height - zone, canvas.width, zone, mix(lv.ground, (255, 255, 255), 0.7))
        slots.append(
            Slot("mrz", 8, canvas.height - zone + 4, canvas.width - 16, zone - 8, (25, 25, 28), s.faces.mono_bold, 10)
        )
    return slots
