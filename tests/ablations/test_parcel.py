"""What is shipped to a node arrives as it was, whatever it is called, and nothing lands outside of its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ablations.executors import parcel
from ablations.executors.parcel import Packed, pack, unpack
from core.errors import RunFailure, UserError

# Names that a disk holds and an archive from elsewhere may not have; one is not even text.
NAMES = ["a.png", "one/scan\\1.png", "C:1.png", "soft\u00adhyphen.png", "\u00e9/a.png", "e\u0301/a.png", "A.png",
         os.fsdecode(b"\xff.png"), f"{'deep/' * 40}a.png"]  # fmt: skip


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for name in NAMES:
        file = tmp_path / "scans" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(ascii(name).encode())
    return tmp_path / "scans"


def test_a_folder_arrives_with_its_name_and_every_file_of_it(scans: Path, tmp_path: Path) -> None:
    place = unpack(pack(str(scans)), tmp_path / "node")
    assert place.name == "scans"
    assert content_of(place) == {name: ascii(name).encode() for name in NAMES}
    assert unpack(pack(str(scans)), tmp_path / "node") == place
    assert content_of(tmp_path / "node" / "shipped") == {
        str(place.relative_to(tmp_path / "node" / "shipped") / name): ascii(name).encode() for name in NAMES
    }


def test_a_file_arrives_and_so_does_a_folder_of_no_name(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unpack(pack(str(scans / "a.png")), tmp_path / "node").read_bytes() == b"'a.png'"
    monkeypatch.chdir(scans / "one")
    for path in (".", ".."):
        assert content_of(unpack(pack(path), tmp_path / "node")) == content_of(Path(path))


def test_content_tells_parcels_apart(scans: Path) -> None:
    before = pack(str(scans))
    (scans / "a.png").write_bytes(b"'b.png'")
    assert pack(str(scans)).digest != before.digest


def test_what_a_kill_left_of_unpacking_is_done_anew(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        patch.setattr(parcel.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            unpack(pack(str(scans)), tmp_path / "node")
    assert content_of(unpack(pack(str(scans)), tmp_path / "node")) == content_of(scans)


@pytest.mark.parametrize("name", ["../out.png", "scans/../../out.png", "/out.png"])
def test_no_name_leads_out_of_the_place(tmp_path: Path, name: str) -> None:
    away = str(tmp_path) + name if name.startswith("/") else name
    with pytest.raises(UserError, match="leads out"):
        unpack(Packed("scans", "a" * 32, {away: b"x"}), tmp_path / "node")
    assert not list(tmp_path.rglob("out.png"))


def test_names_that_a_nodes_disk_takes_for_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="for another file"):
        unpack(Packed("scans", "a" * 32, {"scans/a": b"x", "scans//a": b"y"}), tmp_path / "node")
    assert not list((tmp_path / "node" / "shipped").iterdir())


def test_what_a_nodes_disk_cannot_hold_is_told_by_its_type(tmp_path: Path) -> None:
    with pytest.raises(RunFailure) as failure:
        unpack(Packed("scans", "a" * 32, {"scans/a": b"x", f"scans/{'a' * 300}": b"x"}), tmp_path / "node")
    assert failure.value.kind == "store_not_writable"
    assert not list((tmp_path / "node" / "shipped").iterdir())
