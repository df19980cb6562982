"""Downloads without a published digest: held to what they were when they first turned out to be whole."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from pathlib import Path

import pytest

from core.data.first_digests import FirstDigests
from core.data.prepare_public import fetch
from core.errors import UserError
from tests.core.data.public_archives import encoded, local, page, write_tar

ROOMS = dataclasses.replace(local("indoor67", ["rooms.tar"]), inside="Images")
LOGIN = b"<html>Welcome to our wifi</html>" * 100


def downloads(out: Path) -> Path:
    (out / "indoor67" / "downloads").mkdir(parents=True, exist_ok=True)
    return out / "indoor67" / "downloads"


def test_what_cannot_be_unpacked_is_not_what_is_expected_from_then_on(tmp_path: Path) -> None:
    archive = downloads(tmp_path) / "rooms.tar"
    archive.write_bytes(LOGIN)
    with pytest.raises(UserError, match="Remove it and fetch it again"):
        fetch(ROOMS, tmp_path)
    assert not (archive.parent / "SHA256SUMS").exists()
    archive.unlink()
    write_tar(archive, {"Images/a.jpg": encoded(page(), "JPEG")})
    assert fetch(ROOMS, tmp_path).images == 1
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert (archive.parent / "SHA256SUMS").read_text() == f"{digest}  rooms.tar\n"


def test_of_many_archives_those_that_were_unpacked_are_noted(tmp_path: Path) -> None:
    folder = tmp_path / "midv500" / "downloads"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "01_a.zip", "w") as archive:
        archive.writestr("01_a/x.txt", "x")
    (folder / "02_b.zip").write_bytes(LOGIN)
    with pytest.raises(UserError, match=r"02_b\.zip is damaged"):
        fetch(local("midv500", ["01_a.zip", "02_b.zip"]), tmp_path)
    assert [line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()] == ["01_a.zip"]


def test_of_another_file_than_the_first_it_is_said_where_that_is_noted(tmp_path: Path) -> None:
    archive = downloads(tmp_path) / "rooms.tar"
    write_tar(archive, {"Images/a.jpg": encoded(page(), "JPEG")})
    sums = archive.parent / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  rooms.tar\n{'1' * 64}  other.tar\n")
    with pytest.raises(UserError) as caught:
        fetch(ROOMS, tmp_path)
    message = str(caught.value)
    assert f"expected {'0' * 64}" in message
    assert f"noted in {sums}" in message
    assert "remove its line" in message
    assert len(message.splitlines()) == 1
    sums.write_text(f"{'1' * 64}  other.tar\n")  # as it says
    assert fetch(ROOMS, tmp_path).images == 1
    assert f"{'1' * 64}  other.tar" in sums.read_text()


def test_a_published_digest_is_not_said_to_be_noted(tmp_path: Path) -> None:
    archive = downloads(tmp_path) / "rooms.tar"
    write_tar(archive, {"Images/a.jpg": encoded(page(), "JPEG")})
    published = dataclasses.replace(ROOMS, files=(dataclasses.replace(ROOMS.files[0], sha256="2" * 64),))
    with pytest.raises(UserError, match="expected 2222") as caught:
        fetch(published, tmp_path)
    assert "noted" not in str(caught.value)


def test_sums_that_are_no_text(tmp_path: Path) -> None:
    archive = downloads(tmp_path) / "rooms.tar"
    write_tar(archive, {"Images/a.jpg": encoded(page(), "JPEG")})
    sums = archive.parent / "SHA256SUMS"
    written = f"{'0' * 64}  caf\u00e9.tar\n".encode("latin-1")
    sums.write_bytes(written)
    with pytest.raises(UserError, match=r"SHA256SUMS is not text in UTF-8") as caught:
        fetch(ROOMS, tmp_path)
    assert str(sums) in str(caught.value)
    assert sums.read_bytes() == written


def test_notes_are_kept_in_order_and_once(tmp_path: Path) -> None:
    for name in ("b", "a", "b"):
        (tmp_path / name).write_bytes(name.encode())
        FirstDigests(tmp_path).note(tmp_path / name)
    assert [line.split("  ")[1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()] == ["a", "b"]
    assert FirstDigests(tmp_path).of("a") == hashlib.sha256(b"a").hexdigest()
    assert FirstDigests(tmp_path).of("c") is None
