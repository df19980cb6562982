"""One image file: every mode and kind that is decoded, and those that are refused with a reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.folder import decode
from tests.conftest import gradient


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.png", "RGBA"), ("a.png", "P"), ("a.png", "L"), ("a.png", "LA"), ("a.png", "1"),
     ("a.jpg", "CMYK"), ("a.jpg", "L"), ("a.tif", "CMYK"), ("a.bmp", "RGB"), ("a.webp", "RGBA")],
)  # fmt: skip
def test_modes_become_rgb(tmp_path: Path, name: str, mode: str) -> None:
    gradient(mode).save(tmp_path / name)
    image = decode(tmp_path / name)
    assert image.mode == "RGB"
    assert image.size == (64, 48)


def test_transparent_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert np.asarray(decode(tmp_path / "clear.png")).min() == 255


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "deep.png")
    decoded = np.asarray(decode(tmp_path / "deep.png"))[..., 0]
    assert np.abs(decoded.astype(int) - (values // 256).astype(int)).max() <= 1


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = gradient("RGB", (64, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate 90 degrees clockwise to view
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert decode(tmp_path / "turned.jpg").size == (32, 64)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert np.asarray(decode(tmp_path / "moving.gif"))[0, 0].tolist() == [255, 0, 0]


def test_bomb_is_skipped(tmp_path: Path) -> None:
    Image.new("1", (20_000, 5_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="megapixels"):
        decode(tmp_path / "bomb.png")


def test_adobe_cmyk_keeps_its_colours(tmp_path: Path) -> None:
    # Pillow writes CMYK JPEG files inverted, with the Adobe marker, as Photoshop does.
    for name in ("a.jpg", "a.tif"):
        Image.new("RGB", (64, 64), (250, 20, 30)).convert("CMYK").save(tmp_path / name)
        assert np.abs(np.asarray(decode(tmp_path / name)).astype(int) - [250, 20, 30]).max() < 12


def test_deep_tiffs_keep_their_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    for name, values in {
        "16.tif": (ramp * 65535).astype(np.uint16), "32.tif": (ramp * 65535).astype(np.int32), "f1.tif": ramp,
        "f255.tif": ramp * 255, "f65535.tif": ramp * 65535,
    }.items():  # fmt: skip
        Image.fromarray(values).save(tmp_path / name)
        decoded = np.asarray(decode(tmp_path / name))[..., 0].astype(float)
        assert np.abs(decoded - ramp * 255).max() <= 1.5, name


def test_deep_pixels_that_would_come_out_black_are_refused(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    for name, top, kind in (("12.tif", 4095, np.uint16), ("8.tif", 255, np.int32)):
        Image.fromarray((ramp * top).astype(kind)).save(tmp_path / name)
        with pytest.raises(ValueError, match="under 13 of 16 bits used"):
            decode(tmp_path / name)
    Image.fromarray((ramp * 4096).astype(np.uint16)).save(tmp_path / "dark.tif")
    assert np.asarray(decode(tmp_path / "dark.tif")).max() == 16


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"%PDF-1.7\n", "PDF: save its pages as images"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC: save it as JPEG or PNG"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIC: save it as JPEG or PNG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "not an image"),  # a film
        (b"%", "not an image"),
    ],
)
def test_documents_that_are_no_images_say_what_to_do(tmp_path: Path, start: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(start)
    with pytest.raises(ValueError, match=f"^{reason}$"):
        decode(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("value", "reason"), [(np.nan, "not finite"), (np.inf, "not finite"), (1e9, "over 16 bits")]
)  # fmt: skip
def test_float_pixels_without_a_known_range(tmp_path: Path, value: float, reason: str) -> None:
    values = np.zeros((32, 32), np.float32)
    values[3, 3] = value
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=reason):
        decode(tmp_path / "x.tif")


def test_sixteen_bit_rgb_png(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">3H", 65535, 32768, 0) * 16 for _ in range(16))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(content)
    assert np.asarray(decode(tmp_path / "deep.png"))[5, 5].tolist() == [255, 128, 0]


def test_transparent_colour_becomes_white(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (9, 9, 9)).save(tmp_path / "a.png", transparency=(9, 9, 9))
    assert np.asarray(decode(tmp_path / "a.png")).min() == 255


def test_damaged_exif_does_not_cost_the_image(tmp_path: Path) -> None:
    gradient("RGB").save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 40)
    assert decode(tmp_path / "a.jpg").size == (64, 48)


def test_postscript_is_never_run(tmp_path: Path) -> None:
    gradient("RGB").save(tmp_path / "a.eps")
    with pytest.raises(ValueError, match="not an image"):
        decode(tmp_path / "a.eps")


@pytest.mark.parametrize(("size", "expected"), [((8, 5000), (1, 256)), ((5000, 8), (256, 1)), ((8, 8), (8, 8))])
def test_extreme_shapes_keep_a_pixel(tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png").size == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (7, 300)])
def test_slivers_are_skipped(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="under 8 pixels a side"):
        decode(tmp_path / "a.png")


def test_bomb_is_told_by_its_header_alone(tmp_path: Path) -> None:
    """No pixels follow the header, so anything that decoded would say damaged."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    (tmp_path / "a.png").write_bytes(start + struct.pack(">I", 10) + b"IDAT")
    with pytest.raises(ValueError, match="over 50 megapixels"):
        decode(tmp_path / "a.png")


def test_pixels_as_text_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "small.ppm").write_bytes(b"P3 10 10 255\n" + b"1 2 3 " * 100)
    assert decode(tmp_path / "small.ppm").size == (10, 10)
    (tmp_path / "large.ppm").write_bytes(b"P3 3000 3000 255\n" + b"1 2 " * 6_000_000)
    with pytest.raises(ValueError, match="over 20 MB of pixels as text"):
        decode(tmp_path / "large.ppm")
