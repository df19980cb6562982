"""Payment and membership cards."""

from core.data.layouts.art import draw_art
from core.data.layouts.canvas import Canvas, mix
from core.data.layouts.emblems import GOLD, STEEL, draw_chip, draw_emblem
from core.data.layouts.families import Skeleton
from core.data.layouts.grounds import draw_ground
from core.data.layouts.livery import Livery
from core.data.layouts.slots import Slot
from core.data.layouts.words import capitals, transliterate


def _network_mark(canvas: Canvas, s: Skeleton, lv: Livery) -> None:
    """The payment network's mark: two discs, a word, or a tile, at the bottom right."""
    kind = int(3 * s.dials[8])
    x, y = canvas.width - 56, canvas.height - 36
    if kind == 0:
        canvas.pen.ellipse((x, y, x + 28, y + 28), fill=(214, 40, 40))
        canvas.pen.ellipse((x + 18, y, x + 46, y + 28), fill=(244, 160, 30))
    elif kind == 1:
        canvas.text(x + 46, y + 4, "VIDA", s.faces.bold, 18, (245, 245, 245) if lv.is_dark else (26, 42, 110), "right")
    else:
        canvas.pen.rounded_rectangle((x + 6, y - 2, x + 46, y + 28), 5, fill=(245, 245, 245))
        for k, colour in enumerate(((30, 70, 160), (200, 40, 50), (30, 140, 70))):
            canvas.pen.rounded_rectangle((x + 9 + 12 * k, y + 1, x + 19 + 12 * k, y + 25), 4, fill=colour)


def _logo(canvas: Canvas, s: Skeleton, lv: Livery, size: int) -> None:
    """Emblem and issuer's name in one of the top corners."""
    radius = 11 + 8 * s.dials[9]
    margin = 9 + 5 * s.dials[10]
    width = min(canvas.width * 0.62, 40 + 7.2 * len(lv.title))
    left = canvas.width - margin - width - 2 * radius - 6 if s.mirrored else margin
    colour = lv.ink if s.dials[11] < 0.4 else lv.accent
    draw_emblem(canvas, lv.emblem, left + radius, margin + radius, radius, colour, lv.ground, s.frame)
    title = transliterate(lv.title, s.script)
    title = capitals(title, s.script) if s.dials[12] < 0.4 else title
    canvas.text(left + 2 * radius + 6, margin + radius - size * 0.75, title, s.faces.title, size, lv.ink, fit=width)


def bank_card(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Payment card after ISO/IEC 7810 ID-1: chip at the left, number across, holder below, network mark."""
    if canvas.width < canvas.height:
        return _upright_bank_card(canvas, s, lv)
    draw_ground(canvas, lv, 0.0 if "picture" in s.parts else 0.35)
    if "picture" in s.parts:
        lv = draw_art(canvas, lv, 0.35 + 0.6 * lv.dials[28])
    _logo(canvas, s, lv, 13)
    metal = GOLD if s.dials[13] < 0.6 else STEEL
    if "chip" in s.parts:
        draw_chip(canvas, 22 + 8 * s.dials[14], canvas.height * 0.36, 36, 28, metal)
    if "contactless sign" in s.parts:
        x, y = (canvas.width - 34 if s.dials[15] < 0.5 else 70), canvas.height * 0.44
        for k in (4, 8, 12):
            canvas.pen.arc((x - k, y - k, x + k, y + k), -45, 45, fill=lv.ink, width=2)
    if "hologram" in s.parts:
        canvas.pen.rounded_rectangle(
            (canvas.width - 52, canvas.height * 0.42, canvas.width - 18, canvas.height * 0.6),
            4,
            fill=mix(STEEL, lv.second, 0.3),
        )
    if "network mark" in s.parts:
        _network_mark(canvas, s, lv)
    level = (0.27, 0.9, 0.05)[int(3 * s.dials[16])]
    tag_x = canvas.width - (66 if level == 0.9 else 12)
    canvas.text(tag_x, canvas.height * level, lv.subtitle, s.faces.text, 11, lv.ink, "right")
    emboss = mix(lv.ink, STEEL, 0.35) if lv.is_dark else lv.ink
    y = canvas.height * (0.57 + 0.06 * s.dials[17])
    slots = [Slot("embossed", 20, y, 212, 18, emboss, s.faces.mono_bold, 17, pattern="#### #### #### ####")]
    canvas.text(91, y + 21, "VALID THRU", s.faces.text, 5, lv.ink, fit=31)
    slots.append(Slot("number", 124, y + 19, 50, 10, lv.ink, s.faces.mono_bold, 10, pattern="0#/2#"))
    if "cardholder" in s.parts:
        slots.append(Slot("capitals", 20, canvas.height * 0.85, 118, 11, emboss, s.faces.mono_bold, 11))
    return slots


def _upright_bank_card(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """The same turned: chip at the top or in the middle, number in four short lines or in one."""
    w, h = canvas.width, canvas.height
    draw_ground(canvas, lv, 0.0 if "picture" in s.parts else 0.35)
    if "picture" in s.parts:
        lv = draw_art(canvas, lv, 0.35 + 0.6 * lv.dials[28])
    _logo(canvas, s, lv, 11)
    metal = GOLD if s.dials[13] < 0.6 else STEEL
    if "chip" in s.parts:
        draw_chip(canvas, (w - 28) / 2 if s.dials[14] < 0.5 else 16, h * (0.2 + 0.2 * s.dials[17]), 28, 36, metal)
    if "contactless sign" in s.parts:
        for k in (4, 8, 12):
            canvas.pen.arc((w - 34 - k, h * 0.3 - k, w - 34 + k, h * 0.3 + k), -45, 45, fill=lv.ink, width=2)
    if "hologram" in s.parts:
        canvas.pen.rounded_rectangle((14, h - 46, 44, h - 16), 4, fill=mix(STEEL, lv.second, 0.3))
    if "network mark" in s.parts:
        _network_mark(canvas, s, lv)
    canvas.text(14, h * 0.14, lv.subtitle, s.faces.text, 11, lv.ink)
    slots: list[Slot] = []
    if s.dials[16] < 0.5:
        slots += [
            Slot("number", 16, h * 0.52 + 17 * k, 70, 14, lv.ink, s.faces.mono_bold, 15, pattern="####")
            for k in range(4)
        ]
    else:
        pattern = "#### #### #### ####"
        slots.append(Slot("number", 14, h * 0.62, w - 28, 12, lv.ink, s.faces.mono_bold, 12, pattern=pattern))
    slots.append(Slot("number", w - 14, h * 0.72, 40, 9, lv.ink, s.faces.mono, 9, "right", pattern="0#/2#"))
    if "cardholder" in s.parts:
        slots.append(Slot("capitals", 14, h * 0.8, w - 70, 10, lv.ink, s.faces.mono_bold, 10))
    return slots


def membership_card(canvas: Canvas, s: Skeleton, lv: Livery) -> list[Slot]:
    """Club, library or student card: big logo, holder's name, number, often a bar code."""
    draw_ground(canvas, lv, 0.3)
    if "picture" in s.parts:
        lv = draw_art(canvas, lv, 0.5 if s.tone in ("vivid", "dark") else 0.4)
    if "side bar" in s.parts:
        canvas.box(s.flip(canvas.width, 0, 18), 0, 18, canvas.height, lv.accent)
    _logo(canvas, s, lv, 15)
    canvas.text(canvas.width * 0.42, canvas.height * 0.29, lv.subtitle, s.faces.text, 13, lv.ink)
    slots = [
        Slot(
            "name",
            canvas.width * (0.1 if "portrait" not in s.parts or s.mirrored else 0.42),
            canvas.height * 0.5,
            130,
            12,
            lv.ink,
            s.faces.bold,
            12,
            script=s.script,
        )
    ]
    slots.append(
        Slot("number", slots[0].x, canvas.height * 0.61, 120, 11, lv.ink, s.faces.mono, 11, pattern="No. ### ### ###")
    )
    if "portrait" in s.parts:
        w = 0.3 * canvas.width
        slots.append(
            Slot("portrait", s.flip(canvas.width, 22, w), 0.36 * canvas.height, w * 0.74, 0.38 * canvas.height)
        )
    if "barcode" in s.parts:
        x, y, w, h = 0.12 * canvas.width, 0.77 * canvas.height, 0.6 * canvas.width, 0.18 * canvas.height
        canvas.box(x, y, w, h, (250, 250, 250))
        slots.append(Slot("barcode", x + 4, y + 4, w - 8, h - 8))
    if "payment code" in s.parts:
        slots.append(Slot("matrix code", canvas.width - 54, canvas.height - 54, 44, 44))
    return slots
