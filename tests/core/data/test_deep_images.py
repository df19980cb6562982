"""Images of 16 bits a channel that Pillow does not write: what they show, and those that are refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from core.data.image_file import Header, decode, header


def deep_png(values: np.ndarray) -> bytes:
    """A PNG file of 16 bits a channel, which Pillow does not write: values (H, W, 2 to 4)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = values.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in values))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiff(
    values: np.ndarray, photometric: int, order: Literal["<", ">"] = "<", packed: bool = False, next_page: int = 0
) -> bytes:
    """A TIFF file of values (H, W), which may be of one bit, or (H, W, 3 or 4).

    Args:
        packed: such files are read by another library.
    """
    height, width, channels = (*values.shape, 1)[:3]
    one_bit = values.dtype == bool
    data = (np.packbits(values) if one_bit else values.astype(values.dtype.newbyteorder(order))).tobytes()
    data = zlib.compress(data) if packed else data
    bits = 1 if one_bit else 8 * values.dtype.itemsize
    tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 8 if packed else 1), (262, 3, photometric),
            (273, 4, 8), (277, 3, channels), (278, 4, height), (279, 4, len(data))]  # fmt: skip
    tags += [(338, 3, 2)] * (channels == 4 and photometric == 2)  # the fourth is how opaque
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(f"{order}{'I' if kind == 4 else 'Hxx'}", value)
        for tag, kind, value in tags
    )
    data += b"\0" * (len(data) % 2)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", next_page)
    return mark + struct.pack(f"{order}I", 8 + len(data)) + data + directory


def ramp(top: int, channels: int) -> np.ndarray:
    """From black to `top` and back, in 16 bits: (64, 64, channels)."""
    values = (np.linspace(0, 1, 64 * 64) * top).astype(np.uint16).reshape(64, 64)
    return np.stack([values if channel % 2 else values[::-1] for channel in range(channels)], axis=2)


def test_deep_colours_that_would_come_out_black_are_refused_as_grey_ones_are(tmp_path: Path) -> None:
    def files(top: int) -> dict[str, bytes]:
        rgb, cmyk = ramp(top, 3), ramp(top, 4)
        opaque = np.concatenate([rgb, np.full((64, 64, 1), 65535, np.uint16)], axis=2)
        return {
            "rgb.png": deep_png(rgb), "rgba.png": deep_png(opaque), "12 bits of opacity.png": deep_png(ramp(top, 4)),
            "la.png": deep_png(opaque[:, :, 2:]), "rgb.tif": tiff(rgb, 2), "big endian.tif": tiff(rgb, 2, ">"),
            "packed.tif": tiff(rgb, 2, packed=True), "rgba.tif": tiff(opaque, 2), "cmyk.tif": tiff(cmyk, 5),
        }  # fmt: skip

    for name, content in files(4095).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="under 13 of 16 bits used: save it with 8"):
            decode(tmp_path / name)
    for name, content in files(4096).items():
        (tmp_path / name).write_bytes(content)
        decode(tmp_path / name)
    assert np.asarray(decode(tmp_path / "rgb.tif")).max() == 16


def test_black_ink_on_nothing_is_no_image_that_came_out_black(tmp_path: Path) -> None:
    page = np.zeros((64, 64, 4), np.uint16)
    page[20:30, :, 3] = 65535
    (tmp_path / "ink.png").write_bytes(deep_png(page))
    assert np.asarray(decode(tmp_path / "ink.png"))[:, 0, 0].tolist() == [255] * 20 + [0] * 10 + [255] * 34


def test_dark_images_of_few_bits_are_not_deep_ones(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (3, 2, 1)).save(tmp_path / "a.png")
    assert np.asarray(decode(tmp_path / "a.png")).max() == 3
    head = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 16, 3, 512, 0, 0, 0, 0)  # 5, 6 and 5 bits of 16: "BGR;16"
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    start = b"BM" + struct.pack("<IHHI", 14 + 52 + 512, 0, 0, 14 + 52)
    (tmp_path / "a.bmp").write_bytes(start + head + masks + struct.pack("<H", 1) * 256)
    assert np.asarray(decode(tmp_path / "a.bmp")).max() == 8


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_levels_that_count_from_white_are_not_taken_for_a_negative(
    tmp_path: Path, kind: type[np.uint8 | np.uint16], packed: bool
) -> None:
    levels = np.linspace(0, np.iinfo(kind).max, 64 * 64).astype(kind).reshape(64, 64)
    for name, photometric in (("from black.tif", 1), ("from white.tif", 0)):
        stored = levels if photometric else np.iinfo(kind).max - levels
        (tmp_path / name).write_bytes(tiff(stored, photometric, packed=packed))
    shown = np.asarray(decode(tmp_path / "from white.tif"))
    assert shown[:, :, 0].tolist() == (levels // 256 ** (levels.itemsize - 1)).tolist()
    assert shown.tolist() == np.asarray(decode(tmp_path / "from black.tif")).tolist()


def test_twelve_bits_that_count_from_white_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(ramp(4095, 1)[:, :, 0], 0))
    with pytest.raises(ValueError, match="under 13 of 16 bits used"):
        decode(tmp_path / "a.tif")


@pytest.mark.parametrize("packed", [False, True])
def test_one_bit_that_counts_from_white(tmp_path: Path, packed: bool) -> None:
    inked = np.arange(64 * 64).reshape(64, 64) % 5 < 2
    (tmp_path / "a.tif").write_bytes(tiff(inked, 0, packed=packed))
    assert np.asarray(decode(tmp_path / "a.tif"))[:, :, 0].tolist() == np.where(inked, 0, 255).tolist()


@pytest.mark.parametrize("packed", [False, True])
def test_a_page_that_is_not_there_does_not_hide_the_first(tmp_path: Path, packed: bool) -> None:
    content = tiff(np.full((40, 30), 99, np.uint8), 1, packed=packed, next_page=9_999_999)
    (tmp_path / "a.tif").write_bytes(content)
    assert decode(tmp_path / "a.tif").size == (30, 40)
    assert header(tmp_path / "a.tif") == Header("TIFF", "L", 30, 40, pages=2)
