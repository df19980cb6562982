"""A drawing surface with fast text. Glyphs are cut once per process, because FreeType costs more than the rest."""

import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.data.layouts.fonts import bundled_face

Colour = tuple[int, int, int]

_CAPITAL, _BASELINE, _LINE = 0.729, 0.93, 1.17  # of the size, as in DejaVu, whose measures the layouts are made for
_OVERHANG_FROM = 12  # pixels; below that what a letter lends to its neighbour is less than one


@cache
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    """A face scaled so that its capitals are as tall as every other face's at `size`."""
    # Basic layout: Raqm is optional in Pillow, and shaping would differ between machines.
    probe = ImageFont.truetype(face, 100, layout_engine=ImageFont.Layout.BASIC)
    tall = -probe.getbbox("H", anchor="ls")[1] / 100
    scale = min(max(_CAPITAL / tall, 0.75), 1.4) if tall > 0 else 1.0
    return ImageFont.truetype(face, size * scale, layout_engine=ImageFont.Layout.BASIC)


@cache
def _glyph(face: str, size: int, letter: str, pad: int = 0) -> np.ndarray:
    """Coverage of one letter, (line height, advance + 2 * pad) uint8, on a common baseline."""
    try:
        font = _font(face, size)
        width = min(max(1, round(font.getlength(letter))), 3 * size)
        cell = Image.new("L", (width + 2 * pad, math.ceil(_LINE * size)))
        ImageDraw.Draw(cell).text((pad, math.ceil(_BASELINE * size)), letter, font=font, fill=255, anchor="ls")
    except Exception:  # a font may be damaged in one letter only
        spare = bundled_face()
        return (
            np.zeros((math.ceil(_LINE * size), size), np.uint8) if face == spare else _glyph(spare, size, letter, pad)
        )
    return np.asarray(cell)


def text_mask(text: str, face: str, size: int) -> np.ndarray:
    """Coverage of a line of text, (height, width) uint8; an empty text is one blank."""
    if size < _OVERHANG_FROM:
        return np.concatenate([_glyph(face, size, letter) for letter in text or " "], axis=1)
    pad = size // 4
    cells = [_glyph(face, size, letter, pad) for letter in text or " "]
    line = np.zeros((cells[0].shape[0], sum(cell.shape[1] - 2 * pad for cell in cells) + 2 * pad), np.uint8)
    left = 0
    for cell in cells:
        under = line[:, left : left + cell.shape[1]]
        np.maximum(under, cell, out=under)
        left += cell.shape[1] - 2 * pad
    # Half of the room at the sides goes to the last letter: words stay where they begin.
    return line[:, pad : line.shape[1] - pad // 2]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` moved towards `second` by `share` in 0..1."""
    return (
        int(first[0] + (second[0] - first[0]) * share),
        int(first[1] + (second[1] - first[1]) * share),
        int(first[2] + (second[2] - first[2]) * share),
    )


@cache
def _corners(width: int, height: int) -> Image.Image:
    """Coverage of what lies outside a card's rounded corners (3.18 mm on 85.6 mm, ISO/IEC 7810)."""
    mask = Image.new("L", (4 * width, 4 * height), 255)
    radius = 0.15 * max(width, height)  # four times 0.037 of the long side
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), radius, fill=0)
    return mask.resize((width, height), Image.Resampling.BOX)


class Canvas:
    """An RGB image of `width` x `height` pixels with its pen; coordinates are in pixels from the top left."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.width, self.height = image.size
        self.pen = ImageDraw.Draw(image)

    def text(
        self, x: float, y: float, text: str, face: str, size: int, colour: Colour, align: str = "left", fit: float = 0
    ) -> int:
        """Draw one line with its top at `y`; `fit` > 0 shrinks it to that width. Returns the width drawn."""
        mask = text_mask(text, face, size)
        height, width = mask.shape
        stencil = Image.frombuffer("L", (width, height), np.ascontiguousarray(mask), "raw", "L", 0, 1)
        if 0 < fit < width:
            width = max(1, int(fit))
            stencil = stencil.resize((width, height), Image.Resampling.BOX)
        left = x - (width if align == "right" else width / 2 if align == "centre" else 0)
        self.image.paste(colour, (int(left), int(y)), stencil)
        return width

    def box(self, x: float, y: float, w: float, h: float, fill: Colour | None, outline: Colour | None = None) -> None:
        """A rectangle, filled, outlined, or both."""
        self.pen.rectangle((x, y, x + max(w, 0), y + max(h, 0)), fill=fill, outline=outline)

    def curve(self, xs: np.ndarray, ys: np.ndarray, colour: Colour, width: int = 1) -> None:
        """A polyline through (n,) `xs` and (n,) `ys`."""
        self.pen.line(np.stack((xs, ys), axis=1).ravel().tolist(), fill=colour, width=width)

    def shape(self, points: np.ndarray, fill: Colour | None, outline: Colour | None = None) -> None:
        """A filled polygon through (n, 2) `points`."""
        self.pen.polygon(points.ravel().tolist(), fill=fill, outline=outline)

    def shades(self, corners: list[Colour]) -> None:
        """Fill the whole surface with a smooth gradient between four corner colours (row by row)."""
        patch = Image.new("RGB", (2, 2))
        patch.putdata(corners)
        half = (0.25, 0.25, 1.75, 1.75)
        self.image.paste(patch.resize((self.width, self.height), Image.Resampling.BILINEAR, box=half))

    def round_corners(self) -> None:
        """Leave white paper outside a card's rounded corners."""
        self.image.paste((253, 253, 253), (0, 0), _corners(self.width, self.height))
