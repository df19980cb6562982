"""Variable fields: a layout says where each goes (`Slot`), `fill` redraws them for one holder."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.data.layouts import words
from core.data.layouts.canvas import Canvas, Colour, mix


@dataclass(frozen=True)
class Slot:
    """A field's kind, its box in pixels, and its type; `pattern` is for numbers ('#' digit, '@' letter)."""

    kind: str
    x: float
    y: float
    w: float
    h: float
    colour: Colour = (20, 20, 24)
    face: str = ""
    size: int = 9
    align: str = "left"
    pattern: str = "#########"
    script: str = "latin"


def _holder(slot: Slot, rng: np.random.Generator) -> str:
    if slot.kind == "name":
        return words.transliterate(words.person(rng), slot.script)
    if slot.kind == "capitals":
        return words.person(rng).upper()
    if slot.kind == "date":
        return words.date(rng)
    if slot.kind == "place":
        return words.transliterate(words.place(rng), slot.script)
    return words.digits(rng, slot.pattern)


def _line(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    canvas.text(slot.x, slot.y, _holder(slot, rng), slot.face, slot.size, slot.colour, slot.align, slot.w)


def _embossed(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    text = words.digits(rng, slot.pattern)
    canvas.text(slot.x + 1, slot.y + 1, text, slot.face, slot.size, mix(slot.colour, (0, 0, 0), 0.6), fit=slot.w)
    canvas.text(slot.x, slot.y, text, slot.face, slot.size, slot.colour, fit=slot.w)


def _mrz(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    holder = words.person(rng)
    pitch = slot.h / 2
    for k, name in enumerate((holder, "")):
        text = words.machine_readable_line(rng, 36, name)
        canvas.text(slot.x, slot.y + k * pitch, text, slot.face, slot.size, slot.colour, fit=slot.w)


def _portrait(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    d = rng.random(12)
    grey = slot.pattern == "ghost"
    wall = mix((225, 228, 232), (150, 180, 210), float(d[0]))
    skin = mix((242, 205, 175), (95, 60, 42), float(d[1]))
    hair = mix((25, 20, 18), (190, 150, 90), float(d[2] ** 2))
    cloth = tuple(int(40 + 190 * v) for v in d[3:6])
    if grey:
        wall, skin, hair, cloth = (mix(slot.colour, (120, 120, 120), share) for share in (0.05, 0.25, 0.5, 0.4))
    w, h = max(8, int(slot.w)), max(8, int(slot.h))
    face = Canvas(Image.new("RGB", (w, h), wall))
    cx, cy, rx, ry = (
        w * (0.47 + 0.06 * d[6]),
        h * (0.4 + 0.05 * d[7]),
        w * (0.19 + 0.05 * d[8]),
        h * (0.21 + 0.04 * d[9]),
    )
    if d[10] < 0.45:
        face.pen.ellipse((cx - 1.45 * rx, cy - 1.4 * ry, cx + 1.45 * rx, cy + 1.9 * ry), fill=hair)
    face.pen.ellipse((w * 0.08, h * 0.74, w * 0.92, h * 1.5), fill=cloth)
    face.box(cx - 0.45 * rx, cy + 0.5 * ry, 0.9 * rx, ry, mix(skin, (0, 0, 0), 0.15))
    face.pen.ellipse((cx - 1.12 * rx, cy - 1.25 * ry, cx + 1.12 * rx, cy + 0.6 * ry), fill=hair)
    face.pen.ellipse((cx - rx, cy - 0.85 * ry, cx + rx, cy + 1.1 * ry), fill=skin)
    dark = mix(skin, (0, 0, 0), 0.7)
    for side in (-0.4, 0.4):
        face.box(cx + side * rx - 1, cy - 0.1 * ry, 2, 1, dark)
    face.box(cx - 0.3 * rx, cy + 0.55 * ry, 0.6 * rx, 1, mix(skin, (150, 20, 30), 0.6))
    canvas.image.paste(face.image, (int(slot.x), int(slot.y)))


def _barcode(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    length = slot.h if slot.pattern == "upright" else slot.w
    bars = rng.random(max(8, int(length / 2))) < 0.5
    bars[:2] = bars[-2:] = True
    row = Image.fromarray(np.where(bars, 20, 250).astype(np.uint8)[None, :])
    code = row.resize((max(1, int(slot.w)), max(1, int(slot.h))), Image.Resampling.NEAREST)
    if slot.pattern == "upright":
        code = row.resize((max(1, int(slot.h)), max(1, int(slot.w))), Image.Resampling.NEAREST).rotate(90, expand=True)
    canvas.image.paste(code.convert("RGB"), (int(slot.x), int(slot.y)))


def _matrix_code(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    cells = (rng.random((21, 21)) < 0.5).astype(np.uint8)
    finder = np.ones((8, 8), np.uint8)
    finder[1:6, 1:6], finder[2:5, 2:5], finder[7], finder[:, 7] = 0, 1, 0, 0
    cells[:8, :8], cells[:8, 13:], cells[13:, :8] = finder, finder[:, ::-1], finder[::-1]
    framed = np.pad(cells, 1)
    code = Image.fromarray((250 - 235 * framed).astype(np.uint8)).resize(
        (int(slot.w), int(slot.h)), Image.Resampling.NEAREST
    )
    canvas.image.paste(code.convert("RGB"), (int(slot.x), int(slot.y)))


def _signature(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    d = rng.random(10)
    t = np.linspace(0, 1, 50)
    xs = slot.x + slot.w * (t + 0.08 * np.sin(2 * np.pi * (3 + 4 * d[0]) * t + 6 * d[1]))
    envelope = (1 - 0.7 * t) * (0.35 + 0.25 * np.sin(9 * d[6] * t + 6 * d[2]))
    ys = slot.y + slot.h * (0.5 + envelope * np.sin(2 * np.pi * (4 + 4 * d[3]) * t + 6 * d[4]) + 0.2 * (d[5] - 0.5) * t)
    canvas.curve(xs, ys, slot.colour)


def _amounts(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    """Rows of item and amount, `h / size` of them at most; the last few may stay empty."""
    pitch = slot.size + 2
    rows = int(slot.h / pitch)
    for k in range(max(1, rows - int(rng.random() * rows * 0.4))):
        y = slot.y + k * pitch
        canvas.text(slot.x, y, words.pick(rng, words.ITEMS), slot.face, slot.size, slot.colour)
        amount = words.digits(rng, ("#.##", "##.##", "###.##")[int(rng.random() * 3)])
        canvas.text(slot.x + slot.w, y, amount, slot.face, slot.size, slot.colour, "right")


def _address(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    lines = (
        words.person(rng),
        f"{words.place(rng)} {int(1 + 98 * rng.random())}",
        words.digits(rng, "#### ") + words.place(rng),
    )
    for k, text in enumerate(lines):
        canvas.text(
            slot.x,
            slot.y + k * (slot.size + 2),
            words.transliterate(text, slot.script),
            slot.face,
            slot.size,
            slot.colour,
            fit=slot.w,
        )


def _ticks(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    """One of `w / h` boxes in a row is crossed."""
    k = int(rng.random() * max(1, int(slot.pattern)))
    x = slot.x + k * slot.w / max(1, int(slot.pattern))
    canvas.pen.line((x, slot.y, x + slot.h, slot.y + slot.h), fill=slot.colour)
    canvas.pen.line((x + slot.h, slot.y, x, slot.y + slot.h), fill=slot.colour)


def _fingerprint(canvas: Canvas, slot: Slot, rng: np.random.Generator) -> None:
    d = rng.random(4)
    turn = np.linspace(0, 2 * np.pi, 40)
    for k in range(1, 8):
        radius = k / 7 * (1 + 0.12 * np.sin(3 * turn + 6 * d[0]) + 0.08 * np.sin(5 * turn + 6 * d[1] + k * d[2]))
        canvas.curve(
            slot.x + slot.w / 2 * (1 + radius * np.cos(turn)),
            slot.y + slot.h / 2 * (1 + radius * np.sin(turn)),
            slot.colour,
        )


_FILLERS: dict[str, Callable[[Canvas, Slot, np.random.Generator], None]] = {
    "name": _line,
    "capitals": _line,
    "date": _line,
    "place": _line,
    "number": _line,
    "embossed": _embossed,
    "mrz": _mrz,
    "portrait": _portrait,
    "barcode": _barcode,
    "matrix code": _matrix_code,
    "signature": _signature,
    "amounts": _amounts,
    "address": _address,
    "ticks": _ticks,
    "fingerprint": _fingerprint,
}


def fill(canvas: Canvas, slots: tuple[Slot, ...], rng: np.random.Generator) -> None:
    """Draw every slot's content for one holder."""
    for slot in slots:
        _FILLERS[slot.kind](canvas, slot, rng)
