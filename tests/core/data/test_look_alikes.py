"""Images that look like another: copies saved anew are found, different documents are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data import look_alikes as module
from core.data.folder import scan
from core.data.look_alikes import MOST_LEVELS, SIDE, elsewhere, likenesses, look_alikes, small
from core.data.sources import ProceduralDocuments
from tests.conftest import make_images


def brute(levels: np.ndarray) -> list[bool]:
    """Whether each has another within reach, pair by pair."""
    far = np.abs(levels[:, None].astype(int) - levels[None]).max(axis=2)
    np.fill_diagonal(far, 256)
    return (far.min(axis=1) <= MOST_LEVELS).tolist()


def test_pairs_are_those_of_every_pair_compared() -> None:
    random = np.random.default_rng(0)
    levels = random.integers(0, 256, (300, SIDE * SIDE))
    for copy, of in ((100, 3), (101, 3), (200, 201), (250, 7)):
        levels[copy] = levels[of] + random.integers(-MOST_LEVELS, MOST_LEVELS + 1, SIDE * SIDE)
    levels[202] = levels[200]
    levels[299] = levels[8]
    levels[299, 17] = levels[8, 17] + (1 if levels[8, 17] < 128 else -1) * (MOST_LEVELS + 1)  # just too far
    levels = levels.clip(0, 255).astype(np.uint8)
    alike = look_alikes(levels)
    assert (alike >= 0).tolist() == brute(levels)
    for image in np.flatnonzero(alike >= 0):
        other = alike[image]
        assert other != image
        assert np.abs(levels[image].astype(int) - levels[other]).max() <= MOST_LEVELS
    assert (alike[202], alike[299]) == (200, -1)


def test_likenesses_are_those_of_every_pair_compared() -> None:
    random = np.random.default_rng(1)
    levels = random.integers(0, 256, (80, SIDE * SIDE), np.uint8)
    others = random.integers(0, 256, (120, SIDE * SIDE), np.uint8)
    for copy, of in ((3, 7), (50, 7), (79, 119)):
        shift = random.integers(-MOST_LEVELS, MOST_LEVELS + 1, SIDE * SIDE)
        levels[copy] = (others[of].astype(int) + shift).clip(0, 255)
    found = likenesses(levels, others)
    far = np.abs(levels[:, None].astype(int) - others[None]).max(axis=2)
    expected = np.where(far.min(axis=1) <= MOST_LEVELS, far.argmin(axis=1), -1)
    assert found.tolist() == expected.tolist()
    assert set(np.flatnonzero(found >= 0)) == {3, 50, 79}
    assert likenesses(levels[:0], others).tolist() == []
    assert likenesses(levels, others[:0]).tolist() == [-1] * len(levels)


@pytest.mark.parametrize("count", [0, 1])
def test_so_few_have_no_other(count: int) -> None:
    assert look_alikes(np.zeros((count, SIDE * SIDE), np.uint8)).tolist() == [-1] * count


def test_among_too_many_none_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IMAGES", 2)
    same = np.zeros((3, SIDE * SIDE), np.uint8)
    assert look_alikes(same).tolist() == [-1] * 3
    assert (look_alikes(same[:2]) >= 0).all()


def test_many_of_the_same_each_have_another() -> None:
    alike = look_alikes(np.zeros((50, SIDE * SIDE), np.uint8))
    assert (alike >= 0).all()
    assert (alike != np.arange(50)).all()


@pytest.mark.parametrize("few", [1, 8, 64])
def test_elsewhere_is_every_pair_of_two_homes_compared(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Homes of many images alike, of which some are like another home's, by each of the two ways to look."""
    monkeypatch.setattr(module, "_FEW", few)
    random = np.random.default_rng(2)
    documents = random.integers(0, 256, (40, SIDE * SIDE))
    homes = random.integers(0, 12, 300)
    shown = np.where(random.random(300) < 0.8, homes, random.integers(0, 40, 300))  # mostly a document of its own
    levels = (documents[shown] + random.integers(-3, 4, (300, SIDE * SIDE))).clip(0, 255).astype(np.uint8)
    levels[7] = levels[homes != homes[7]][0]  # equal to the last level
    far = np.abs(levels[:, None].astype(int) - levels[None]).max(axis=2)
    far[homes[:, None] == homes] = 999
    found = elsewhere(levels, homes, look_alikes(levels))
    assert (found >= 0).tolist() == (far.min(axis=1) <= MOST_LEVELS).tolist()
    assert 0 < (found < 0).sum() < 300
    images = np.flatnonzero(found >= 0)
    assert far[images, found[images]].tolist() == far[images].min(axis=1).tolist()
    assert elsewhere(levels, np.zeros(300, int), look_alikes(levels)).tolist() == [-1] * 300


def test_copies_saved_anew_are_found_and_documents_of_the_same_kinds_are_not(tmp_path: Path) -> None:
    documents = ProceduralDocuments("test", 60)
    for index in range(len(documents)):
        Image.fromarray(documents.clean(index, 256)).save(tmp_path / f"{index:02}.png")
    assert scan([str(tmp_path)], tmp_path / "cache").alike == ()
    for index in range(20):
        with Image.open(tmp_path / f"{index:02}.png") as image:
            copy = image.resize((128, 128)) if index % 2 else image
            copy.save(tmp_path / f"{index:02} again.jpg", quality=75)
    found = scan([str(tmp_path)], tmp_path / "cache")
    names = {frozenset(found.images[place].path.name for place in pair) for pair in found.alike}
    assert names == {frozenset((f"{index:02}.png", f"{index:02} again.jpg")) for index in range(20)}


def test_what_is_alike_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_images(tmp_path / "a", 5)[0]
    with Image.open(first) as image:
        image.save(tmp_path / "a" / "again.jpg", quality=90)
    found = scan([str(tmp_path / "a")], tmp_path / "cache")
    assert len(found.alike) == 2  # each of the two names the other
    monkeypatch.setattr("core.data.folder.draw_rows", lambda *_: pytest.fail("scanned again"))
    assert scan([str(tmp_path / "a")], tmp_path / "cache") == found


def test_what_is_compared_is_grey_and_small() -> None:
    levels = small(Image.new("RGB", (300, 200), (255, 255, 255)))
    assert levels.shape == (SIDE * SIDE,)
    assert (levels == 255).all()
