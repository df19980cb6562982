"""Image files of every kind: handled, or skipped with a reason and a count."""

from __future__ import annotations

import os
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
    assert found.skipped_note().startswith("4 skipped (")
    with pytest.raises(UserError, match="--strict"):
        scan([str(folder)], tmp_path, strict=True)


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


@pytest.mark.parametrize("kind", ["missing", "empty", "textual"])
def test_folders_without_images_are_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "data"
    if kind != "missing":
        folder.mkdir()
    if kind == "textual":
        (folder / "a.txt").write_text("x")
    with pytest.raises(UserError, match="--data"):
        scan([str(folder)], tmp_path)
