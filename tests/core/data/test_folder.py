"""Folders of images: what is found, what is skipped with a reason and a count, what is remembered."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from core.data.folder import read, scan
from core.errors import RunFailure, UserError
from tests.conftest import gradient, make_images


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


def test_a_file_that_could_not_be_read_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that was away for a moment is no property of the file, and decides what runs are trained on."""
    paths, whole = make_images(tmp_path / "a", 5), Image.open
    looked: list[str] = []

    def failing(path: Path, **how: Any) -> Image.Image:
        looked.append(Path(path).name)
        if Path(path) == paths[2]:
            raise OSError(errno.EIO, "Input/output error")
        return whole(path, **how)

    monkeypatch.setattr(Image, "open", failing)
    before = scan([str(tmp_path / "a")], tmp_path)
    assert [reason for _, reason in before.skipped] == ["not readable"]
    looked.clear()
    assert scan([str(tmp_path / "a")], tmp_path) == before
    assert set(looked) == {paths[2].name}
    monkeypatch.setattr(Image, "open", whole)
    assert len(scan([str(tmp_path / "a")], tmp_path).images) == 5


def test_an_image_is_not_damaged_where_memory_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images(tmp_path / "a", 2)

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", full)
    with pytest.raises(MemoryError):
        scan([str(tmp_path / "a")], tmp_path)
    assert not list(tmp_path.glob("scan-*"))


def test_a_scan_is_made_anew_for_another_library_that_reads_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "a", 2)
    scan([str(tmp_path / "a")], tmp_path)
    monkeypatch.setattr(PIL, "__version__", "99.0")
    scan([str(tmp_path / "a")], tmp_path)
    assert len(list(tmp_path.glob("scan-*"))) == 2


@pytest.mark.parametrize("what", ["other", "gone", "torn"])
def test_a_file_that_was_changed_since_it_was_counted_is_not_drawn(tmp_path: Path, what: str) -> None:
    """Its pixels would be kept, and trained on, under the name of those that were there."""
    paths = make_images(tmp_path / "a", 3)
    found = scan([str(tmp_path / "a")], tmp_path)
    assert np.asarray(read(found.images[0])).shape == (40, 60, 3)
    path = found.images[0].path
    if what == "other":
        shutil.copy(next(one for one in paths if one != path), path)
    elif what == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(RunFailure, match=f"'{path}' is not what it was when the images were counted") as failure:
        read(found.images[0])
    assert failure.value.kind == "data_changed"


@pytest.mark.parametrize("kind", ["missing", "empty", "textual"])
def test_folders_without_images_are_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "data"
    if kind != "missing":
        folder.mkdir()
    if kind == "textual":
        (folder / "a.txt").write_text("x")
    with pytest.raises(UserError, match="--data"):
        scan([str(folder)], tmp_path)


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

    def open_files() -> int:
        """Of this test: others may have left some to be closed."""
        return sum(str(tmp_path) in os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir())

    def progress(what: str, done: int, total: int) -> None:
        told.append((what, done, total, open_files()))

    before = open_files()
    scan([str(tmp_path / "a")], tmp_path, progress=progress)
    assert told[-1][:3] == ("checking images", 41, 41)
    assert max(count for *_, count in told) <= before + 1  # what is found goes into a file


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
