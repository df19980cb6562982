"""A drawing surface with fast text. Glyphs are cut once per process, because FreeType costs more than the rest."""

import hashlib
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

# Only fonts that ship with matplotlib: a template's pixels must not depend on what a machine has installed.
FACES = {
    "sans": "DejaVuSans.ttf",
    "sans-bold": "DejaVuSans-Bold.ttf",
    "sans-oblique": "DejaVuSans-Oblique.ttf",
    "serif": "DejaVuSerif.ttf",
    "serif-bold": "DejaVuSerif-Bold.ttf",
    "serif-italic": "DejaVuSerif-Italic.ttf",
    "mono": "DejaVuSansMono.ttf",
    "mono-bold": "DejaVuSansMono-Bold.ttf",
    "stix": "STIXGeneral.ttf",
    "stix-bold": "STIXGeneralBol.ttf",
    "stix-italic": "STIXGeneralItalic.ttf",
    "roman": "cmr10.ttf",
    "typewriter": "cmtt10.ttf",
}


def font_path(face: str) -> Path:
    """The file of a face."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / FACES[face]


@cache
def font_digest() -> str:
    """First 16 hex digits of the SHA-256 over the bytes of every font file in use, in the order of `FACES`."""
    digest = hashlib.sha256()
    for face in FACES:
        digest.update(font_path(face).read_bytes())
    return digest.hexdigest()[:16]


@cache
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    # Basic layout: Raqm is optional in Pillow, and shaping would differ between machines.
    return ImageFont.truetype(str(font_path(face)), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def _glyph(face: str, size: int, letter: str) -> np.ndarray:
    """Coverage of one letter, (ascent + descent, advance) uint8."""
    font = _font(face, size)
    ascent, descent = font.getmetrics()
    width = max(1, round(font.getlength(letter)))
    cell = Image.new("L", (width, ascent + descent))
    ImageDraw.Draw(cell).text((0, 0), letter, font=font, fill=255)
    return np.asarray(cell)


def text_mask(text: str, face: str, size: int) -> np.ndarray:
    """Coverage of a line of text, (height, width) uint8; an empty text is one blank."""
    return np.concatenate([_glyph(face, size, letter) for letter in text or " "], axis=1)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` moved towards `second` by `share` in 0..1."""
    return (
        int(first[0] + (second[0] - first[0]) * share),
        int(first[1] + (second[1] - first[1]) * share),
        int(first[2] + (second[2] - first[2]) * share),
    )


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
