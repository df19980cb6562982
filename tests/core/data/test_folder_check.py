"""What `check_folder` says of folders of every layout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from core.config import FPRS
from core.data.folder_check import check_folder
from core.errors import UserError
from tests.conftest import make_images


def test_flat_folder(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 20, size=(60, 40))
    Image.new("L", (500, 300)).save(tmp_path / "a" / "grey.jpg")
    for index in range(7):
        (tmp_path / "a" / f"note {index}.txt").write_text("x")
    report = check_folder(tmp_path / "a", tmp_path)
    assert (report.images, report.formats, report.modes) == (21, {"PNG": 20, "JPEG": 1}, {"RGB": 20, "L": 1})
    assert report.short_side is not None
    assert report.long_side is not None
    assert (report.short_side.least, report.short_side.median, report.short_side.most) == (40, 40, 300)
    assert (report.long_side.least, report.long_side.median, report.long_side.most) == (60, 60, 500)
    count, examples = report.skipped["not an image"]
    assert count == 7
    assert examples == tuple(str(tmp_path / "a" / f"note {index}.txt") for index in range(5))
    assert report.layout.startswith("flat folder of documents")
    assert report.data.usable
    assert report.evaluation.usable
    assert report.identities == 16  # 21, less a quarter for validation
    assert not any(report.rates.values())


def test_identities_with_captures(tmp_path: Path) -> None:
    for index in range(8):
        make_images(tmp_path / "a" / f"id {index}", 2 if index else 5, seed=index)
    report = check_folder(tmp_path / "a", tmp_path)
    assert report.layout == "identities: 8 folders with 19 captures"
    assert report.captures == (2, 2, 5)
    assert report.data.usable
    assert report.evaluation.usable
    assert (report.identities, report.pairs) == (6, 15)


def saved_again(path: Path, to: Path) -> Path:
    with Image.open(path) as image:
        image.save(to, quality=90)
    return to


def test_images_that_look_alike_are_told_unless_they_are_captures_of_one(tmp_path: Path) -> None:
    paths = make_images(tmp_path / "flat", 20)
    again = saved_again(paths[4], tmp_path / "flat" / "again.jpg")
    assert check_folder(tmp_path / "flat", tmp_path).alike in (
        ((str(again), str(paths[4])),),
        ((str(paths[4]), str(again)),),
    )
    for index in range(8):
        first, *_ = make_images(tmp_path / "ids" / f"id {index}", 2, seed=index)
        saved_again(first, tmp_path / "ids" / f"id {index}" / "third.jpg")
    assert check_folder(tmp_path / "ids", tmp_path).alike == ()
    first, *_ = (tmp_path / "ids" / "id 3").iterdir()
    saved_again(first, tmp_path / "ids" / "id 6" / "other.jpg")
    alike = check_folder(tmp_path / "ids", tmp_path).alike
    assert alike
    assert {str(Path(path).parent.name) for pair in alike for path in pair} == {"id 3", "id 6"}


def test_too_many_images_to_compare_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images(tmp_path / "a", 17)
    monkeypatch.setattr("core.data.folder_check.MOST_IMAGES", 16)
    assert check_folder(tmp_path / "a", tmp_path).alike is None


def test_folders_of_one_image_are_no_flat_folder(tmp_path: Path) -> None:
    for index in range(20):
        make_images(tmp_path / "a" / f"id {index}", 1, seed=index)
    report = check_folder(tmp_path / "a", tmp_path)
    assert report.layout == "20 folders of one image each: its own class, and no two captures of an identity"
    assert report.data.usable
    assert "0 identities with two or more captures" in report.evaluation.note


def test_pages_of_a_tiff_are_counted(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 20)
    pages = [Image.open(path) for path in make_images(tmp_path / "b", 3, seed=9)]
    pages[0].save(tmp_path / "a" / "scan.tif", save_all=True, append_images=pages[1:3])
    Image.new("L", (60, 40)).save(tmp_path / "a" / "one.tif")
    report = check_folder(tmp_path / "a", tmp_path)
    assert (report.images, report.formats["TIFF"], report.pages) == (22, 2, 1)


def test_a_tiff_with_a_damaged_second_page_is_counted_as_it_is_used(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 20)
    path = tmp_path / "a" / "scan.tif"
    Image.new("L", (600, 400), 77).save(path)
    with Image.open(path) as image:
        directory = image.tag_v2._offset  # type: ignore[attr-defined]
    content = bytearray(path.read_bytes())
    end = directory + 2 + 12 * int.from_bytes(content[directory : directory + 2], "little")
    assert content[end : end + 4] == bytes(4)  # of the next page there is none
    content[end : end + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    report = check_folder(tmp_path / "a", tmp_path)
    assert (report.images, report.formats, report.modes["L"]) == (21, {"PNG": 20, "TIFF": 1}, 1)
    assert report.long_side is not None
    assert report.long_side.most == 600


def test_too_few_for_either(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 3)
    report = check_folder(tmp_path / "a", tmp_path)
    assert not report.data.usable
    assert not report.evaluation.usable
    assert "at least 16" in report.data.note
    assert "at least 4" in report.evaluation.note


def test_nothing_readable_is_a_report_and_nothing_at_all_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="is empty"):
        check_folder(tmp_path / "a", tmp_path)
    (tmp_path / "a" / "x.jpg").write_bytes(b"no image")
    report = check_folder(tmp_path / "a", tmp_path)
    assert (report.images, report.short_side, report.layout) == (0, None, "no image")
    assert not report.data.usable


def test_rates_follow_the_number_of_identities(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 105)  # 26 go to validation, 79 x 78 / 2 pairs are 3,081
    report = check_folder(tmp_path / "a", tmp_path)
    assert report.identities == 79
    assert [report.rates[fpr] for fpr in FPRS] == [False, False, True]


def test_too_few_for_a_verdict_are_told_with_how_many_it_takes(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 40)
    report = check_folder(tmp_path / "a", tmp_path)
    assert report.data.note.endswith("; no verdict can be reached: it takes 312 images, there are 40")
    assert report.evaluation.note.endswith("; no verdict can be reached: it takes 86 images, there are 40")


def test_a_folder_given_by_another_path_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images(tmp_path / "work" / "a", 20)
    monkeypatch.chdir(tmp_path / "work")
    check_folder(Path("a"), tmp_path)
    monkeypatch.chdir(tmp_path)
    report = check_folder(tmp_path / "work" / "a", tmp_path)
    assert report.formats == {"PNG": 20}
    assert os.listdir(tmp_path / "work") == ["a"]
