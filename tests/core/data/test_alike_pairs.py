"""Images to judge on that look like one to train on are found, whatever file they were saved as."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data import alike_pairs, folder
from core.data.alike_pairs import between, within
from core.data.scans import Scan
from tests.conftest import make_images


@pytest.fixture
def scans(tmp_path: Path) -> tuple[Scan, Scan]:
    """Eight images to judge on, eleven to train on: one the same, one in other bytes of its pixels, two saved anew."""
    judged, trained = make_images(tmp_path / "judged", 8), make_images(tmp_path / "trained", 7, seed=50)
    shutil.copy(judged[0], trained[0].with_name("the same.png"))
    with Image.open(judged[1]) as image:
        image.save(trained[0].with_name("packed.png"), compress_level=1)
    with Image.open(judged[2]) as image:
        image.save(trained[0].with_name("anew.jpg"), quality=80)
    with Image.open(judged[3]) as image:
        image.resize((image.width * 2, image.height * 2)).save(trained[0].with_name("large.png"))
    found, other = (folder.scan([str(tmp_path / name)], tmp_path / "cache") for name in ("judged", "trained"))
    return found, other


def test_copies_saved_anew_are_found_and_shared_images_are_not(scans: tuple[Scan, Scan], tmp_path: Path) -> None:
    judged, trained = scans
    pixels = {image.pixels for image in judged.images}
    assert sum(image.pixels in pixels for image in trained.images) == 2
    pairs = between(judged, trained, tmp_path / "cache")
    assert pairs is not None
    names = [(Path(one).name, Path(other).name) for one, other in pairs]
    originals = sorted(Path(image.path).name for image in judged.images)
    assert names == [(originals[2], "anew.jpg"), (originals[3], "large.png")]


def test_a_small_copy_is_found_beside_the_image_itself(tmp_path: Path) -> None:
    """The image is left out of what is trained on, its preview is not."""
    judged, trained = make_images(tmp_path / "judged", 6), tmp_path / "trained"
    make_images(trained, 7, seed=50)
    for path in judged[:4]:
        shutil.copy(path, trained / f"copy of {path.name}")
        with Image.open(path) as image:
            image.resize((30, 20)).save(trained / f"preview of {path.name}")
    found, other = (folder.scan([str(tmp_path / name)], tmp_path / "cache") for name in ("judged", "trained"))
    pairs = between(found, other, tmp_path / "cache")
    assert pairs is not None
    names = [(Path(one).name, Path(two).name) for one, two in pairs]
    assert names == [(path.name, f"preview of {path.name}") for path in judged[:4]]


def test_what_was_found_is_remembered_until_images_change(
    scans: tuple[Scan, Scan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, trained = scans
    first = between(judged, trained, tmp_path / "cache")
    monkeypatch.setattr(alike_pairs, "likenesses", lambda *_: pytest.fail("compared again"))
    again = [folder.scan([str(tmp_path / name)], tmp_path / "cache") for name in ("judged", "trained")]
    assert between(again[0], again[1], tmp_path / "cache") == first
    with pytest.raises(pytest.fail.Exception, match="compared again"):
        between(trained, judged, tmp_path / "cache")


def test_images_are_read_again_only_where_what_is_compared_is_gone(
    scans: tuple[Scan, Scan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, read = tmp_path / "cache", folder._checked
    first = between(*scans, cache)
    again: list[int] = []

    def watched(files: list[Path], *rest: Any) -> np.ndarray:
        again.append(len(files))
        return read(files, *rest)

    monkeypatch.setattr(folder, "_checked", watched)
    for kept in cache.glob("alike-*"):
        kept.unlink()
    assert between(*scans, cache) == first
    assert again == []
    for kept in [*cache.glob("alike-*"), *cache.glob("levels-*")]:
        kept.unlink()
    assert between(*scans, cache) == first
    assert sorted(again) == [8, 11]


def test_among_too_many_none_are_looked_for(
    scans: tuple[Scan, Scan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MOST_IMAGES", 9)
    many = folder.scan([str(tmp_path / "trained")], tmp_path / "another cache")
    assert not list((tmp_path / "another cache").glob("levels-*"))
    assert many.images == scans[1].images
    assert between(scans[0], many, tmp_path / "cache") is None


def test_a_document_in_two_folders_is_found_where_another_capture_of_either_is_nearer(tmp_path: Path) -> None:
    for index in range(9):
        page = np.random.default_rng(index % 8).integers(40, 200, (8, 8, 3), np.uint8)
        page += np.uint8(5 if index == 8 else 0)  # of the document in p0, a little lighter
        image = Image.fromarray(page).resize((160, 160), Image.Resampling.BICUBIC)
        home = tmp_path / "ids" / f"p{index}"
        home.mkdir(parents=True)
        image.save(home / "a.png")
        image.save(home / "b.jpg", quality=95)
    found = folder.scan([str(tmp_path / "ids")], tmp_path / "cache")
    apart, together = within(found, [str(tmp_path / "ids")])
    assert apart
    assert all({Path(path).parent.name for path in pair} == {"p0", "p8"} for pair in apart)
    assert {Path(path) for pair in apart for path in pair} == set((tmp_path / "ids").glob("p[08]/*"))
    assert [Path(one).parent.name for one, _ in together] == [f"p{index}" for index in range(9)]
    assert folder.scan([str(tmp_path / "ids")], tmp_path / "cache") == found  # as it is remembered
