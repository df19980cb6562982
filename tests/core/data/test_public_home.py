"""What is prepared of a public set takes the place of what was there: never half, and of nothing that others made."""

from __future__ import annotations

import csv
import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.data.prepare_public import fetch
from core.data.public_home import Prepared
from core.errors import UserError
from tests.core.data.public_archives import QUAD, encoded, local, photograph, write_tar

PAGES = local("smartdoc15", ["frames.tar.gz"])

# Ends, as if killed, before the n-th time that something is put in place, or that what was replaced is removed.
KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.core.data.test_public_home import PAGES, fetch
out, left = Path(sys.argv[1]), int(sys.argv[2])
def watch(event, given):
    global left
    placing = event == "os.rename" and out / "smartdoc15" in (Path(given[0]).parent, Path(given[1]).parent)
    if placing or (event == "shutil.rmtree" and ".preparing." in str(given[0]) and "raw" not in str(given[0])):
        left -= 1
        if left == 0:
            os._exit(9)
sys.addaudithook(watch)
fetch(PAGES, out, every=1)
"""


def serve(out: Path) -> Path:
    """The archive of two pages, filmed for three frames each, put where it is downloaded to."""
    corners = ",".join(str(value) for point in QUAD for value in point)
    lines = ["bg_name,model_name,modeltype_name,image_path,model_width,model_height,tl_x,tl_y,tr_x,tr_y,br_x,br_y,"
             "bl_x,bl_y"]  # fmt: skip
    files = {}
    for model in ("letter", "form"):
        for index in range(3):
            files[f"{model}{index}.jpg"] = encoded(photograph(number=20 * index), "JPEG")
            lines.append(f"b,{model},t,{model}{index}.jpg,2,3,{corners}")
    files["metadata.csv.gz"] = gzip.compress("\n".join(lines).encode())
    write_tar(out / "smartdoc15" / "downloads" / "frames.tar.gz", files)
    return out / "smartdoc15"


def assert_whole(home: Path, prepared: Prepared, images: int) -> None:
    """The folder, its manifest and the note are of the same call, and nothing else is there."""
    assert prepared.images == images
    listed = sorted(row["path"] for row in csv.DictReader((home / "manifest.csv").open()))
    assert listed == sorted(str(path.relative_to(home)) for path in prepared.folder.rglob("*.jpg"))
    assert len(listed) == images
    assert sorted(path.name for path in home.iterdir()) == ["downloads", "identities", "manifest.csv", "prepared.json"]


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6, 7, 8])
def test_killed_at_any_step_it_is_done_by_running_again(tmp_path: Path, step: int) -> None:
    serve(tmp_path / "a")
    fetch(PAGES, tmp_path / "a", every=3)
    root = str(Path(__file__).parents[3])
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a"), str(step), root], check=False)
    assert ended.returncode == (9 if step < 8 else 0)  # of seven steps; the eighth there is not
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for out, every, images in (("a", 1, 6), ("b", 3, 2)):
        assert_whole(tmp_path / out / "smartdoc15", fetch(PAGES, tmp_path / out, every=every), images)


def test_another_choice_of_frames_replaces_the_first(tmp_path: Path) -> None:
    home = serve(tmp_path)
    for every, images in ((3, 2), (1, 6), (2, 4)):
        assert_whole(home, fetch(PAGES, tmp_path, every=every), images)


def test_files_that_were_added_are_not_removed(tmp_path: Path) -> None:
    home = serve(tmp_path)
    fetch(PAGES, tmp_path, every=3)
    before = (home / "manifest.csv").read_bytes()
    (home / "identities" / "letter" / ".DS_Store").write_bytes(b"of the Finder")
    own = home / "identities" / "mine" / "a.jpg"
    own.parent.mkdir()
    own.write_bytes(b"mine")
    with pytest.raises(UserError, match="holds 3 files where `data fetch` put 2: move those away") as caught:
        fetch(PAGES, tmp_path, every=1)
    assert str(home / "identities") in str(caught.value)
    assert own.read_bytes() == b"mine"
    assert (home / "manifest.csv").read_bytes() == before
    assert fetch(PAGES, tmp_path, every=3).images == 2  # what is done needs no replacing
    own.unlink()
    assert fetch(PAGES, tmp_path, every=1).images == 6


def test_files_that_are_added_meanwhile_are_not_removed(tmp_path: Path) -> None:
    home = serve(tmp_path)
    fetch(PAGES, tmp_path, every=3)

    def add(what: str, done: int, total: int) -> None:
        (home / "identities" / "mine.jpg").write_bytes(b"mine")

    with pytest.raises(UserError, match="holds 3 files"):
        fetch(PAGES, tmp_path, every=1, progress=add)
    assert (home / "identities" / "mine.jpg").read_bytes() == b"mine"
    (home / "identities" / "mine.jpg").unlink()
    assert_whole(home, fetch(PAGES, tmp_path, every=3), 2)


@pytest.mark.parametrize("name", ["manifest.csv", "identities"])
def test_what_others_made_stays_and_nothing_is_written_beside_it(tmp_path: Path, name: str) -> None:
    home = serve(tmp_path)
    (home / name).write_bytes(b"mine")
    told: list[str] = []
    with pytest.raises(UserError, match=rf"{name}' is there already and was not made by"):
        fetch(PAGES, tmp_path, progress=lambda what, done, total: told.append(what))
    assert told == []  # before anything is unpacked
    assert (home / name).read_bytes() == b"mine"
    assert sorted(path.name for path in home.iterdir()) == sorted(["downloads", name])


def test_without_a_note_that_can_be_read_nothing_is_replaced(tmp_path: Path) -> None:
    home = serve(tmp_path)
    fetch(PAGES, tmp_path, every=3)
    (home / "prepared.json").write_text("{")
    with pytest.raises(UserError, match=r"as far as prepared\.json beside it tells"):
        fetch(PAGES, tmp_path, every=3)
    assert len(list((home / "identities").rglob("*.jpg"))) == 2
