"""One image file: opened without trust, turned upright, made RGB, or refused with a short reason."""

from __future__ import annotations

import functools
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import PIL
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

MAX_PIXELS = 50_000_000
_MAX_TEXT_BYTES = 20_000_000  # of a file of pixels as decimal numbers: Pillow reads some 6 MB a second of it
MIN_SIDE = 8  # pixels; less shows no document
MASTER_SIDE = 256  # captures are simulated from images of at most this many pixels a side
MAX_BYTES = 500_000_000  # of a file: 50 megapixels of four 16-bit channels have fewer, uncompressed
NOT_READABLE = "not readable"  # the reason that may pass: others are the file's own
_FEW_BITS = "under 13 of 16 bits used: save it with 8"
_TOO_LARGE = f"over {MAX_PIXELS // 1_000_000} megapixels"


class Unusable(ValueError):
    """A file that cannot be used; the message is the short reason that is counted."""


@dataclass(frozen=True)
class Header:
    """What an image says of itself before a pixel is decoded; sides in pixels, as stored (not turned upright).

    `pages` are of a TIFF file, of which the first alone is used: others are counted, and need not be readable.
    """

    format: str
    mode: str
    width: int
    height: int
    pages: int = 1


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """The image with its header read and nothing decoded.

    Raises:
        Unusable: for whatever goes wrong, inside the `with` too.
    """
    _require_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; the limit here is ours
            with Image.open(path, formats=_formats()) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Unusable(_TOO_LARGE)
                if min(image.size) < MIN_SIDE:
                    raise Unusable(f"under {MIN_SIDE} pixels a side")
                if any(tile[0] == "ppm_plain" for tile in image.tile) and path.stat().st_size > _MAX_TEXT_BYTES:
                    raise Unusable(f"over {_MAX_TEXT_BYTES // 1_000_000} MB of pixels as text")
                yield image
    except (Unusable, MemoryError):  # that there is no memory says nothing of the file
        raise
    except Image.DecompressionBombError:
        raise Unusable(_TOO_LARGE) from None
    except UnidentifiedImageError:
        raise Unusable(_what_else(path)) from None
    except Exception as error:  # decoders raise whatever they like on damaged input
        # An error number comes from the operating system, not from a decoder.
        unreadable = isinstance(error, OSError) and error.errno is not None
        raise Unusable(NOT_READABLE if unreadable else "damaged image") from error


def _what_else(path: Path) -> str:
    """Of a file that is no image to Pillow: documents come as these two as well, and can be made into images."""
    with path.open("rb") as handle:
        start = handle.read(12)
    if start.startswith(b"%PDF"):
        return "PDF: save its pages as images"
    if start[4:8] == b"ftyp" and start[8:11] in (b"hei", b"hev", b"mif", b"msf"):
        return "HEIC: save it as JPEG or PNG"
    return "not an image"


def _require_bytes(path: Path) -> None:
    """Refuse what must not be opened: opening a FIFO or a device can wait for ever."""
    try:
        status = path.stat()
    except OSError:
        raise Unusable("broken link" if path.is_symlink() else NOT_READABLE) from None
    if not stat.S_ISREG(status.st_mode):
        raise Unusable("not a regular file")
    if not status.st_size:
        raise Unusable("empty file")
    if status.st_size > MAX_BYTES:  # a small image may have any number of bytes after it, and all are digested
        raise Unusable(f"over {MAX_BYTES // 1_000_000} MB")


@functools.cache
def _formats() -> tuple[str, ...]:
    """Raster formats that this Pillow reads. EPS and its like are left out: reading them runs other programs."""
    Image.init()
    wanted = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "TIFF", "WEBP")
    return tuple(name for name in wanted if name in Image.OPEN)


def decoder() -> str:
    """What stands for the library that reads images, and the formats that it reads."""
    return f"Pillow {PIL.__version__} {' '.join(_formats())}"


def header(path: Path) -> Header:
    """Format, mode and size of an image file; `Unusable` as for `decode`, less what only decoding shows."""
    with _opened(path) as image:
        first = Header(image.format or "?", image.mode, image.width, image.height)  # other pages may be of other sizes
        return replace(first, pages=_pages(image)) if isinstance(image, TiffImageFile) else first


def _pages(image: TiffImageFile) -> int:
    """How many there are; where a page after the first cannot be found, which is used without it, two: it is named."""
    try:
        return image.n_frames
    except MemoryError:
        raise
    except Exception:  # as decoders raise whatever they like
        return 2


def open_upright(path: Path, draft: int | None = None) -> Image.Image:
    """The image (of an animation its first frame) upright, in RGB, over white where it is transparent.

    Args:
        draft: pixels a side that are enough; JPEG files are then decoded at a fraction of their size.

    Raises:
        Unusable: with a short reason: not an image, too large, damaged.
    """
    with _opened(path) as opened:
        if draft is not None:
            opened.draft("RGB", (draft, draft))
        deep = _has_deep_colours(opened)
        opened.load()
        if deep:
            _require_upper_bits(opened)
        try:
            image = ImageOps.exif_transpose(opened)
        except Exception:  # a damaged EXIF block says nothing of the pixels
            image = opened.copy()
        if image.mode == "F" or image.mode.startswith("I"):
            levels = _eight_bits(np.asarray(image))
            image = Image.fromarray(255 - levels if _counts_from_white(opened) else levels)
        if image.mode in ("P", "LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        try:
            return image.convert("RGB")
        except ValueError:
            raise Unusable(f"pixels of mode {image.mode}") from None


def _has_deep_colours(image: ImageFile.ImageFile) -> bool:
    """Whether colours are stored in 16 bits each, of which Pillow keeps the upper 8; asked before they are loaded."""
    if image.format not in ("PNG", "TIFF"):  # the "BGR;16" of a BMP file has 16 bits for all three
        return False
    stored = (tile.args[0] if isinstance(tile.args, tuple) else tile.args for tile in image.tile)
    return image.mode in ("RGB", "RGBA", "CMYK") and any(";16" in str(one) for one in stored)


def _require_upper_bits(image: Image.Image) -> None:
    """Refuse colours of 16 bits that leave the upper bits empty, as `_eight_bits` does grey levels."""
    ranges = cast(tuple[tuple[int, int], ...], image.getextrema())
    colours, opacity = (ranges[:3], ranges[3]) if image.mode == "RGBA" else (ranges, (255, 255))
    ink_on_nothing = opacity[0] < 255 and opacity[1] >= 16  # may well be black, and shows over white
    if not ink_on_nothing and all(top < 16 for _, top in colours):
        raise Unusable(_FEW_BITS)


def _counts_from_white(image: ImageFile.ImageFile) -> bool:
    """Whether 16-bit grey levels of a TIFF file are of ink, not of light: Pillow turns those of 8 at most."""
    return isinstance(image, TiffImageFile) and image.mode.startswith("I;16") and image.tag_v2.get(262) == 0


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Deep pixels (H, W) as uint8: integers are taken as 16 bits, floats as 0..1, 0..255 or 0..65535 by their range.

    Integers that leave the upper bits empty, as many 12-bit scanners write them, would come out black.
    """
    if not np.isfinite(values).all():
        raise Unusable("pixel values that are not finite")
    top = float(values.max())
    if top > 65535:
        raise Unusable("pixel values over 16 bits")
    if np.issubdtype(values.dtype, np.integer):
        if top < 4096:
            raise Unusable(_FEW_BITS)
        return (values.clip(0, 65535) // 256).astype(np.uint8)
    scale = 255.0 if top <= 1 else 1.0 if top <= 255 else 1 / 257
    scaled = values * scale
    np.round(scaled, out=scaled)  # in place: of 50 megapixels every copy takes 200 MB
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8)


def decode(path: Path) -> Image.Image:
    """The image upright, in RGB, over white where it is transparent, at most `MASTER_SIDE` pixels a side.

    Raises:
        ValueError: with a short reason: not an image, too large, damaged.
    """
    image = open_upright(path, draft=2 * MASTER_SIDE)
    image.thumbnail((MASTER_SIDE, MASTER_SIDE), Image.Resampling.BILINEAR)
    return image
