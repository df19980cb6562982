"""Public sets, from archives like theirs made here, to folders that `--data` and `--eval` take."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.folder_check import check_folder
from core.data.prepare_public import fetch
from core.data.public_sets import public_set, public_sets
from core.data.rectify import rectify, usable_quad
from core.errors import UserError
from tests.core.data.public_archives import QUAD, encoded, local, page, photograph, write_tar


def is_the_page(path: Path) -> bool:
    image = Image.open(path).convert("RGB")
    width, height = image.size
    found = [image.getpixel((int(width * x), int(height * y))) for x, y in ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8))]
    return all(
        np.abs(np.array(a) - b).max() < 60 for a, b in zip(found, [(255, 0, 0), (255,) * 3, (0, 0, 255)], strict=True)
    )


def test_registry() -> None:
    assert list(public_sets()) == ["unique-pool", "indoor67", "smartdoc15", "midv500", "midv2020"]
    for known in public_sets().values():
        assert known.licence
        assert known.permits
        assert known.use in ("--data", "--eval")
        assert all(known.url(file).startswith(("http://", "https://", "ftp://")) for file in known.files)
        assert len({file.name for file in known.files}) == len(known.files)
    assert len(public_set("midv500").files) == 50
    assert public_set("indoor67").url(public_set("indoor67").files[0], "http://m/x/") == "http://m/x/indoorCVPR_09.tar"
    with pytest.raises(UserError, match="did you mean 'smartdoc15'"):
        public_set("smartdoc")


@pytest.mark.parametrize(
    "quad",
    [None, "x", [[0, 0]], [[0, 0], [100, 0], [100, 100], [0, float("nan")]], QUAD[::-1],
     [QUAD[0], QUAD[2], QUAD[1], QUAD[3]], [[0, 0], [9, 0], [9, 9], [0, 9]],
     [[-90, 0], [100, 0], [100, 100], [-90, 100]], [[0, 0], [400, 0], [400, 100], [0, 100]], [["a", 1]] * 4],
)  # fmt: skip
def test_corners_that_cannot_be_used(quad: object) -> None:
    assert usable_quad(quad, 320, 240) is None


def test_rectified_page_is_upright_and_of_bounded_size() -> None:
    corners = usable_quad(QUAD, 320, 240)
    assert corners is not None
    flat = rectify(photograph(), corners, aspect=100 / 140)
    assert abs(flat.width / flat.height - 100 / 140) < 0.02
    large = photograph().resize((3200, 2400))
    assert max(rectify(large, corners * 10).size) == 512


def test_smartdoc15(tmp_path: Path) -> None:
    header = "bg_name,bg_id,model_name,model_id,modeltype_name,modeltype_id,model_subid,image_path,frame_index," \
        "model_width,model_height,tl_x,tl_y,bl_x,bl_y,br_x,br_y,tr_x,tr_y"  # fmt: skip
    lines, files = [header], {}
    (tlx, tly), (trx, try_), (brx, bry), (blx, bly) = QUAD
    for model in range(5):
        for background in (1, 2):
            for index in range(1, 13):
                name = f"background0{background}/tax00{model}/frame_{index:04d}.jpeg"
                files[name] = encoded(photograph(number=index + 12 * background + 24 * model), "JPEG")
                lines.append(f"background0{background},0,tax00{model},{model},tax,5,0,{name},{index},2100.0,2970.0,"
                             f"{tlx},{tly},{blx},{bly},{brx},{bry},{trx},{try_}")  # fmt: skip
    lines[1] = lines[1].rsplit(",", 8)[0] + ",0,0,0,0,0,0,0,0"  # the first frame of the first clip
    files["metadata.csv.gz"] = gzip.compress("\n".join(lines).encode())
    write_tar(tmp_path / "smartdoc15" / "downloads" / "frames.tar.gz", files)
    prepared = fetch(local("smartdoc15", ["frames.tar.gz"]), tmp_path)
    assert (prepared.images, prepared.identities, dict(prepared.skipped)) == (19, 5, {"no usable corners": 1})
    made = sorted(str(path.relative_to(prepared.folder)) for path in prepared.folder.rglob("*.jpg"))
    assert made[:2] == ["tax000/background01_frame_0011.jpg", "tax000/background02_frame_0001.jpg"]
    assert all(is_the_page(prepared.folder / name) for name in made)
    rows = list(csv.DictReader((tmp_path / "smartdoc15" / "manifest.csv").open()))
    assert rows[0] == {
        "path": "identities/tax000/background01_frame_0011.jpg", "identity": "tax000", "group": "tax",
        "capture": "background01_frame_0011", "source": "background01/tax000/frame_0011.jpeg",
    }  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "smartdoc15").iterdir()) == [
        "downloads", "identities", "manifest.csv", "prepared.json"
    ]  # fmt: skip
    assert check_folder(prepared.folder, tmp_path).evaluation.usable
    assert fetch(local("smartdoc15", ["frames.tar.gz"]), tmp_path, every=4).images == 29


def test_midv500(tmp_path: Path) -> None:
    names = ["01_alb_id", "02_aut_drvlic_new"]
    for name in names:
        number = name[:2]
        (tmp_path / "midv500" / "downloads").mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(tmp_path / "midv500" / "downloads" / f"{name}.zip", "w") as archive:
            for clip in ("CA", "TS"):
                for index in range(1, 5):
                    stem = f"{clip}/{clip}{number}_{index:02d}"
                    quad: object = {"quad": QUAD if index < 3 else [[-500, 0], *QUAD[1:]]}
                    text = "{" if (clip, index) == ("TS", 1) else json.dumps(quad)
                    archive.writestr(f"{name}/images/{stem}.tif", encoded(photograph(number=20 * index), "TIFF"))
                    archive.writestr(f"{name}/ground_truth/{stem}.json", text)
            archive.writestr(f"{name}/ground_truth/{name}.json", json.dumps({"field01": {"quad": QUAD}}))
    prepared = fetch(local("midv500", [f"{name}.zip" for name in names]), tmp_path, every=1)
    assert (prepared.images, prepared.identities, dict(prepared.skipped)) == (6, 2, {"no usable corners": 10})
    assert is_the_page(prepared.folder / "alb_id" / "CA01_01.jpg")
    rows = list(csv.DictReader((tmp_path / "midv500" / "manifest.csv").open()))
    assert {row["group"] for row in rows} == {"id", "drvlic"}


def test_midv2020(tmp_path: Path) -> None:
    entries = {}
    files = {}
    for index in range(3):
        regions: list[object] = [
            {"shape_attributes": {"name": "rect"}, "region_attributes": {"field_name": "face"}},
            {"shape_attributes": {"name": "polygon", "all_points_x": [x for x, _ in QUAD],
                                  "all_points_y": [y for _, y in QUAD]},
             "region_attributes": {"field_name": "doc_quad"}},
        ]  # fmt: skip
        entries[f"{index:02d}.jpg123"] = {"filename": f"{index:02d}.jpg", "regions": regions[: 2 - index // 2]}
        files[f"photo/images/alb_id/{index:02d}.jpg"] = encoded(photograph(number=20 * index), "JPEG")
    entries["x"] = {"filename": "../../../../../etc/passwd", "regions": []}
    files["photo/annotations/alb_id.json"] = json.dumps({"_via_img_metadata": entries}).encode()
    write_tar(tmp_path / "midv2020" / "downloads" / "photo.tar", files)
    prepared = fetch(local("midv2020", ["photo.tar"]), tmp_path)
    assert prepared.images == 2
    assert dict(prepared.skipped) == {"no usable corners": 1, "no image for an annotation": 1}
    assert is_the_page(prepared.folder / "alb_id" / "photo_00.jpg")


@pytest.mark.parametrize("identity", ["../../x", "/tmp/x", "a/b", ".hidden", ""])
def test_annotations_cannot_choose_where_files_go(tmp_path: Path, identity: str) -> None:
    header = (
        "bg_name,model_name,modeltype_name,image_path,model_width,model_height,tl_x,tl_y,tr_x,tr_y,br_x,br_y,bl_x,bl_y"
    )
    corners = ",".join(str(value) for point in QUAD for value in point)
    text = f"{header}\nb,{identity},t,a.jpg,2,3,{corners}\n"
    write_tar(tmp_path / "smartdoc15" / "downloads" / "frames.tar.gz",
              {"a.jpg": encoded(photograph(), "JPEG"), "metadata.csv.gz": gzip.compress(text.encode())})  # fmt: skip
    with pytest.raises(UserError, match="1 a name that is not plain"):
        fetch(local("smartdoc15", ["frames.tar.gz"]), tmp_path)
    assert sorted(path.name for path in (tmp_path / "smartdoc15").iterdir()) == ["downloads"]


def test_damaged_metadata_is_one_line(tmp_path: Path) -> None:
    write_tar(tmp_path / "smartdoc15" / "downloads" / "frames.tar.gz", {"metadata.csv.gz": b"no gzip"})
    with pytest.raises(UserError, match=r"metadata\.csv\.gz cannot be read"):
        fetch(local("smartdoc15", ["frames.tar.gz"]), tmp_path)


def test_first_digest_is_kept_and_held_to(tmp_path: Path) -> None:
    chosen = dataclasses.replace(local("indoor67", ["rooms.tar"]), inside="Images")
    archive = tmp_path / "indoor67" / "downloads" / "rooms.tar"
    picture = encoded(page(), "JPEG")
    write_tar(archive, {"Images/bar/a.jpg": picture, "Images/bar/A.jpg": picture, "Annotations/a.xml": b"x"})
    prepared = fetch(chosen, tmp_path)
    assert prepared.images == 2
    assert (prepared.folder / "bar" / "A.jpg").is_file()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert (archive.parent / "SHA256SUMS").read_text() == f"{digest}  rooms.tar\n"
    (tmp_path / "indoor67" / "prepared.json").unlink()
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(UserError, match=digest):
        fetch(chosen, tmp_path)


def test_what_macos_adds_to_an_archive_is_no_image(tmp_path: Path) -> None:
    files = {"Images/a.jpg": encoded(page(), "JPEG"), "Images/._a.jpg": b"of the Finder", "Images/.b.jpg": b"hidden"}
    write_tar(tmp_path / "indoor67" / "downloads" / "rooms.tar", files)
    prepared = fetch(local("indoor67", ["rooms.tar"]), tmp_path)
    assert prepared.images == 1
    assert [path.name for path in prepared.folder.iterdir()] == ["a.jpg"]


def test_every_is_of_videos(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--every is of sets of videos, and indoor67 is one of images"):
        fetch(local("indoor67", ["rooms.tar"]), tmp_path, every=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_users_own_is_not_replaced(tmp_path: Path) -> None:
    write_tar(tmp_path / "indoor67" / "downloads" / "rooms.tar", {"Images/a.jpg": encoded(page(), "JPEG")})
    (tmp_path / "indoor67" / "images").mkdir()
    (tmp_path / "indoor67" / "images" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match="was not made by"):
        fetch(local("indoor67", ["rooms.tar"]), tmp_path)
    assert (tmp_path / "indoor67" / "images" / "mine.jpg").read_bytes() == b"mine"
