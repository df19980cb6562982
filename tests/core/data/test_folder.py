"""Image files of every kind: handled, or skipped with a reason and a count."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.folder import decode, scan
from core.errors import UserError
from tests.conftest import make_images


def gradient(mode: str, size: tuple[int, int] = (64, 48)) -> Image.Image:
    base = np.linspace(0, 255, size[0] * size[1] * 3, dtype=np.uint8).reshape(size[1], size[0], 3)
    return Image.fromarray(base).convert(mode)


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


def test_what_cannot_be_used_is_skipped_with_its_reason(tmp_path: Path) -> None:
    folder = tmp_path / "my images é"
    paths = make_images(folder / "deep er", 3)
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty.jpg").touch()
    gradient("RGB", (200, 200)).save(folder / "torn.jpg")
    torn = (folder / "torn.jpg").read_bytes()
    (folder / "torn.jpg").write_bytes(torn[: len(torn) // 3])
    (folder / "copy.png").write_bytes(paths[0].read_bytes())
    (folder / ".hidden.png").write_bytes(paths[1].read_bytes())
    found = scan([str(folder)], tmp_path)
    assert len(found.images) == 3
    reasons = sorted(reason for _, reason in found.skipped)
    assert reasons == ["damaged image", "duplicate", "empty file", "not an image"]
    assert not list(tmp_path.glob(".scan.*"))
    assert found.skipped_note().startswith("4 skipped (")
    with pytest.raises(UserError, match="--strict"):
        scan([str(folder)], tmp_path, strict=True)


def test_several_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = make_images(tmp_path / "a", 12)
    (tmp_path / "a" / "copy.png").write_bytes(paths[0].read_bytes())
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    (tmp_path / "a" / "odd\udcff.png").write_bytes(paths[1].read_bytes()[:60])
    told: list[tuple[str, int, int]] = []
    alone = scan([str(tmp_path / "a")], tmp_path / "one")
    monkeypatch.setattr("core.data.folder.processes_for", lambda count: 3)
    several = scan([str(tmp_path / "a")], tmp_path / "three", progress=lambda *done: told.append(done))
    assert several == alone
    assert (len(several.images), len(several.skipped)) == (12, 3)
    assert told[-1] == ("checking images", 15, 15)


def test_the_same_pixels_in_other_bytes_are_one_image(tmp_path: Path) -> None:
    """Otherwise a document that is trained on could be judged on as well."""
    paths = make_images(tmp_path / "a", 4)
    for index, path in enumerate(paths[:2]):
        with Image.open(path) as image:
            image.save(tmp_path / "a" / f"again{index}.bmp")
    turned = Image.open(paths[2]).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a" / "turned.png", exif=exif)
    found = scan([str(tmp_path / "a")], tmp_path)
    assert len(found.images) == 4
    assert found.skipped_note() == "3 skipped (3 same pixels as another)"
    (tmp_path / "b").mkdir()
    for index, path in enumerate(sorted((tmp_path / "a").iterdir(), reverse=True)):
        (tmp_path / "b" / str(index)).write_bytes(path.read_bytes())
    assert scan([str(tmp_path / "b")], tmp_path).fingerprint == found.fingerprint


def test_pixels_of_another_shape_are_another_image(tmp_path: Path) -> None:
    for name, size in (("a", (64, 16)), ("b", (32, 32)), ("c", (16, 64))):
        Image.new("RGB", size, "teal").save(tmp_path / f"{name}.png")
    assert len(scan([str(tmp_path)], tmp_path / "cache").images) == 3


def test_a_scan_of_more_than_other_records_hold_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images(tmp_path / "a", 8)
    monkeypatch.setattr("core.json_text.MAX_BYTES", 500)
    scan([str(tmp_path / "a")], tmp_path)
    monkeypatch.setattr("core.data.folder.draw_rows", lambda *_: pytest.fail("scanned again"))
    assert len(scan([str(tmp_path / "a")], tmp_path).images) == 8


def test_bomb_is_skipped(tmp_path: Path) -> None:
    Image.new("1", (20_000, 5_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="megapixels"):
        decode(tmp_path / "bomb.png")


def test_names_and_order_do_not_matter(tmp_path: Path) -> None:
    paths = make_images(tmp_path / "a", 6)
    other = tmp_path / "b"
    other.mkdir()
    for index, path in enumerate(reversed(paths)):
        (other / f"{index}.png").write_bytes(path.read_bytes())
    assert scan([str(tmp_path / "a")], tmp_path).fingerprint == scan([str(other)], tmp_path).fingerprint


def test_scan_is_remembered_until_a_file_changes(tmp_path: Path) -> None:
    paths = make_images(tmp_path / "a", 4)
    before = scan([str(tmp_path / "a")], tmp_path)
    paths[0].write_bytes(b"no longer an image")
    os.utime(paths[0], ns=(1, 1))
    after = scan([str(tmp_path / "a")], tmp_path)
    assert (len(before.images), len(after.images)) == (4, 3)


def test_a_remembered_scan_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 4)
    before = scan([str(tmp_path / "a")], tmp_path)
    (remembered,) = tmp_path.glob("scan-*.json")
    digest = before.images[0].digest
    remembered.write_text(remembered.read_text().replace(digest, digest[::-1]))  # another content, another key
    assert scan([str(tmp_path / "a")], tmp_path) == before
    assert digest in remembered.read_text()


@pytest.mark.parametrize("kind", ["missing", "empty", "textual"])
def test_folders_without_images_are_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "data"
    if kind != "missing":
        folder.mkdir()
    if kind == "textual":
        (folder / "a.txt").write_text("x")
    with pytest.raises(UserError, match="--data"):
        scan([str(folder)], tmp_path)


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_is_no_file_is_skipped_and_never_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    make_images(folder, 2)
    make_images(tmp_path / "elsewhere", 1, seed=5)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "link to pipe.jpg").symlink_to("pipe.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "up").symlink_to(folder)
    (folder / "good link.png").symlink_to(tmp_path / "elsewhere" / "image 000.png")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(folder)  # the path of a socket must be short
        listening.bind("socket.jpg")
        os.chdir(here)
        found = scan([str(folder)], tmp_path)
    assert len(found.images) == 3
    assert Counter(reason for _, reason in found.skipped) == {
        "not a regular file": 4, "broken link": 2, "link to a folder": 1
    }  # fmt: skip


def test_odd_names(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    paths = make_images(folder, 5)
    for path, name in zip(paths, ["a\nb.png", " .png", "日本 e\u0301.png", "-rf *.png", "caf\udce9.png"], strict=True):
        path.rename(folder / name)
    first, again = (scan([str(folder)], tmp_path) for _ in range(2))
    assert len(first.images) == 5
    assert first == again


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_what_may_not_be_read_is_tried_again_once_it_may(tmp_path: Path) -> None:
    paths = make_images(tmp_path / "a", 3)
    (tmp_path / "a" / "closed").mkdir(mode=0)
    paths[0].chmod(0)
    found = scan([str(tmp_path / "a")], tmp_path)
    assert sorted(reason for _, reason in found.skipped) == ["folder not readable", "not readable"]
    paths[0].chmod(0o644)
    (tmp_path / "a" / "closed").chmod(0o755)
    assert len(scan([str(tmp_path / "a")], tmp_path).images) == 3


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="cannot count open files here")
def test_no_file_stays_open_and_progress_is_told(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 40)
    gradient("RGB").save(tmp_path / "a" / "torn.tif")
    (tmp_path / "a" / "torn.tif").write_bytes((tmp_path / "a" / "torn.tif").read_bytes()[:500])
    told: list[tuple[str, int, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        told.append((what, done, total, len(os.listdir("/proc/self/fd"))))

    before = len(os.listdir("/proc/self/fd"))
    scan([str(tmp_path / "a")], tmp_path, progress=progress)
    assert told[-1][:3] == ("checking images", 41, 41)
    assert max(open_files for *_, open_files in told) <= before + 1  # what is found goes into a file


def test_pixels_as_text_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "small.ppm").write_bytes(b"P3 10 10 255\n" + b"1 2 3 " * 100)
    assert decode(tmp_path / "small.ppm").size == (10, 10)
    (tmp_path / "large.ppm").write_bytes(b"P3 3000 3000 255\n" + b"1 2 " * 6_000_000)
    with pytest.raises(ValueError, match="over 20 MB of pixels as text"):
        decode(tmp_path / "large.ppm")


def test_folders_as_deep_as_a_path_can_be(tmp_path: Path) -> None:
    """Deeper than the interpreter's stack."""
    make_images(tmp_path / "a", 2)
    deep = str(tmp_path / "a")
    above = []
    while len(above) < 1200:
        above.append(deep)
        deep += "/d"
        os.mkdir(deep)
    try:
        assert len(scan([str(tmp_path / "a")], tmp_path).images) == 2
    finally:  # pytest's own clearing up would end at the interpreter's depth
        os.rmdir(deep)
        for folder in reversed(above[1:]):
            os.rmdir(folder)


def test_what_comes_after_an_image_is_not_read_for_ever(tmp_path: Path) -> None:
    (first, *_) = make_images(tmp_path / "a", 2)
    with first.open("ab") as handle:
        handle.truncate(10**12)  # takes no space where files may have holes
    found = scan([str(tmp_path / "a")], tmp_path)
    assert found.skipped == ((str(first), "over 500 MB"),)


def test_a_folder_of_hidden_files_is_not_called_empty(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 1)[0].rename(tmp_path / "a" / ".hidden.png")
    with pytest.raises(UserError, match="has only names that start with a dot, which are passed over"):
        scan([str(tmp_path / "a")], tmp_path)


@pytest.mark.parametrize("name", ["x" * 4000, "a/" * 2000, "no\nfolder"])
def test_names_that_are_no_folders(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        scan([name], tmp_path)


def test_a_hundred_thousand_files(tmp_path: Path) -> None:
    """Hard links: as many names as it takes, and one file."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.jpg").touch()
    count = 100_000 if os.environ.get("DOCABLATE_FAULTS") else 5_000
    for index in range(1, count):
        os.link(tmp_path / "a" / f"{(index - 1) // 30_000 * 30_000}.jpg", tmp_path / "a" / f"{index}.jpg") if (
            index % 30_000
        ) else (tmp_path / "a" / f"{index}.jpg").touch()
    (tmp_path / "a" / "good.png").write_bytes(make_images(tmp_path / "b", 1)[0].read_bytes())
    found = scan([str(tmp_path / "a")], tmp_path)
    assert len(found.images) == 1
    assert found.skipped_note() == f"{count} skipped ({count} empty file)"


def test_a_remembered_scan_names_files_as_they_are_named_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images(tmp_path / "work" / "a", 4)
    monkeypatch.chdir(tmp_path / "work")
    scan(["a"], tmp_path)
    monkeypatch.chdir(tmp_path)
    assert all(image.path.is_file() for image in scan([str(tmp_path / "work" / "a")], tmp_path).images)
