"""Hostile archives are refused by name and leave nothing behind; ordinary ones are unpacked whole."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from core.data.archives import Limits, extract
from core.errors import UserError

PLAIN = [("a.jpg", b"one"), ("b/c.jpg", b"two"), ("b/d.txt", b"three")]


def make_tar(path: Path, members: list[tuple[str, bytes] | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size, info.mode = len(member[1]), 0o4777
                archive.addfile(info, io.BytesIO(member[1]))
    return path


def make_zip(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # duplicate names are the point of some
        for name, content in members:
            archive.writestr(name, content)
    return path


def make(path: Path, members: list[tuple[str, bytes]]) -> Path:
    return make_zip(path, list(members)) if path.suffix == ".zip" else make_tar(path, list(members))


def refused(archive: Path, reason: str, **kwargs: object) -> None:
    """Refused with the archive and the reason, and nothing is there afterwards that was not before."""
    before = sorted(archive.parent.parent.rglob("*"))
    with pytest.raises(UserError, match=reason) as caught:
        extract(archive, archive.parent / "out", **kwargs)  # type: ignore[arg-type]
    assert str(archive) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(archive.parent.parent.rglob("*")) == before


@pytest.fixture(params=["x.zip", "x.tar", "x.tar.gz", "x.tgz"])
def archive(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work" / str(request.param)


def test_ordinary_archives_are_unpacked_with_plain_modes(archive: Path) -> None:
    target = archive.parent / "new" / "out"
    assert extract(make(archive, PLAIN), target) == 3
    assert {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()} == dict(
        PLAIN
    )
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o7133 == 0 for path in target.rglob("*") if path.is_file())
    assert sorted(path.name for path in target.parent.iterdir()) == ["out"]


def test_only_what_is_asked_for(archive: Path) -> None:
    members = [(f"repo-1234/data/pool/{name}", content) for name, content in PLAIN] + [("repo-1234/a.jpg", b"no")]
    assert extract(make(archive, members), archive.parent / "out", members=(".jpg",), inside="*/data/pool") == 2
    assert (archive.parent / "out" / "b" / "c.jpg").read_bytes() == b"two"
    assert not (archive.parent / "out" / "b" / "d.txt").exists()


def test_files_whose_name_begins_with_a_dot_are_left_out_where_asked(archive: Path) -> None:
    files = [("a/b.jpg", b"b"), ("a/._b.jpg", b"of macOS"), ("./.a/c.jpg", b"c"), (".d.jpg", b"d")]
    make(archive, files)
    assert extract(archive, archive.parent / "all") == 4
    assert extract(archive, archive.parent / "out", hidden=False) == 2
    assert (archive.parent / "out" / ".a" / "c.jpg").read_bytes() == b"c"
    assert not (archive.parent / "out" / "a" / "._b.jpg").exists()


def test_a_folder_with_something_in_it_stays_as_it_is(archive: Path) -> None:
    make(archive, PLAIN)
    (archive.parent / "out").mkdir()
    (archive.parent / "out" / "mine").write_text("mine")
    refused_before = (archive.parent / "out" / "mine").read_text()
    with pytest.raises(UserError, match="is there already"):
        extract(archive, archive.parent / "out")
    assert (archive.parent / "out" / "mine").read_text() == refused_before


@pytest.mark.parametrize(
    ("name", "reason"),
    [("/etc/x.jpg", "absolute"), ("../x.jpg", "leads out"), ("a/../../x.jpg", "leads out"), ("a/../x.jpg", "leads out"),
     ("C:/x.jpg", "Windows"), ("c:x.jpg", "Windows"), ("a\\..\\x.jpg", "Windows"), ("a\nb.jpg", "control"),
     ("a\x1b[31m.jpg", "control"), ("a\u202egpj.exe", "control"), ("x" * 2000, "too long"),
     (".\u200d./x.jpg", "leads out"), ("a/\u200c/x.jpg", "leads out"), ("a\x85.jpg", "control"),
     ("a\u200b.jpg", "control")],
)  # fmt: skip
def test_names_that_lead_elsewhere(archive: Path, name: str, reason: str) -> None:
    refused(make(archive, [("good.jpg", b"good"), (name, b"bad")]), reason)


@pytest.mark.parametrize("name", ["\U0001f469\u200d\U0001f4bb.jpg", "می\u200cخواهم.jpg"])
def test_letters_that_are_joined_or_held_apart_are_no_control_characters(archive: Path, name: str) -> None:
    assert extract(make(archive, [(name, b"one"), ("b.jpg", b"two")]), archive.parent / "out") == 2
    assert (archive.parent / "out" / name).read_bytes() == b"one"


def test_names_of_a_tar_in_another_encoding_keep_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with tarfile.open(tmp_path / "work" / "x.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("caf\xe9.jpg"), io.BytesIO())
    try:
        (tmp_path / "caf\udce9.jpg").touch()
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    assert extract(tmp_path / "work" / "x.tar", tmp_path / "out") == 1
    assert os.listdir(os.fsencode(tmp_path / "out")) == [b"caf\xe9.jpg"]


def test_even_members_that_are_not_asked_for_must_have_safe_names(archive: Path) -> None:
    refused(make(archive, [("good.jpg", b"good"), ("../bad.txt", b"bad")]), "leads out", members=(".jpg",))


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [("a.jpg", "a.jpg", "twice"), ("a.jpg", "./a.jpg", "twice"), ("a.jpg", "A.JPG", "case"), ("b/x", "B/y", "case"),
     ("a", "a/b", "is a file"), ("a/b", "a", "is a folder"), ("é.jpg", "e\u0301.jpg", "accents"),
     ("a\u200d.jpg", "a.jpg", "joiners"),
     ("é.jpg", "e\u200d\u0301.jpg", "joiners"), ("straße", "STRASSE", "case")],
)  # fmt: skip
def test_two_members_for_one_place(archive: Path, first: str, second: str, reason: str) -> None:
    refused(make(archive, [(first, b"one"), (second, b"two")]), reason)


def test_names_that_differ_in_case_where_they_are_allowed(archive: Path) -> None:
    assert extract(make(archive, [("a.jpg", b"1"), ("A.jpg", b"2")]), archive.parent / "out", limits=Limits(fold_case=False)) == 2  # noqa: E501  # fmt: skip


def test_limits_are_measured(archive: Path) -> None:
    make(archive, [(f"{index}.txt", bytes(1000)) for index in range(20)])
    refused(archive, "more than 19 members", limits=Limits(max_files=19))
    refused(archive, "more than 19,999 bytes", limits=Limits(max_bytes=19_999))
    assert extract(archive, archive.parent / "out", limits=Limits(max_files=20, max_bytes=20_000)) == 20


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_bomb(tmp_path: Path, name: str) -> None:
    (tmp_path / "work").mkdir()
    refused(make(tmp_path / "work" / name, [("zeros", bytes(30_000_000))]), "times the archive's size")


def test_damaged_archives(archive: Path) -> None:
    make(archive, [("a.jpg", bytes(range(256)) * 4000), ("b.jpg", b"x" * 5000)])
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    refused(archive, "damaged")
    archive.write_bytes(b"not an archive at all" * 100)
    refused(archive, "damaged")
    archive.write_bytes(b"")
    refused(archive, "damaged|is empty")


def test_damaged_header_in_the_middle_of_a_tar(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    archive = make_tar(tmp_path / "work" / "x.tar", [("a", b"1"), ("b", b"2")])
    content = bytearray(archive.read_bytes())
    content[1024:1034] = b"\xff" * 10
    archive.write_bytes(content)
    refused(archive, "damaged")


def test_unknown_kind_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "x.rar").write_bytes(b"x")
    with pytest.raises(UserError, match=r"expected a \.zip"):
        extract(tmp_path / "x.rar", tmp_path / "out")
    with pytest.raises(UserError, match="is not a file"):
        extract(tmp_path / "gone.zip", tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(tarfile.SYMTYPE, "symbolic link"), (tarfile.LNKTYPE, "hard link"), (tarfile.CHRTYPE, "device"),
     (tarfile.BLKTYPE, "device"), (tarfile.FIFOTYPE, "special"), (tarfile.GNUTYPE_SPARSE, "special|damaged")],
)  # fmt: skip
def test_tar_members_that_are_no_files(tmp_path: Path, kind: bytes, reason: str) -> None:
    (tmp_path / "work").mkdir()
    info = tarfile.TarInfo("x.jpg")
    info.type, info.linkname = kind, "/etc/passwd"
    refused(make_tar(tmp_path / "work" / "x.tar", [("good.jpg", b"good"), info]), reason)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE])
def test_headers_before_headers_without_end(tmp_path: Path, kind: bytes) -> None:
    """tarfile calls itself for each, until Python's stack ends."""
    (tmp_path / "work").mkdir()
    info = tarfile.TarInfo("x")
    body = b"13 path=abcd\n" if kind == tarfile.XHDTYPE else b"abcd\0"
    info.type, info.size = kind, len(body)
    chain = (info.tobuf(tarfile.GNU_FORMAT) + body.ljust(512, b"\0")) * 3000
    (tmp_path / "work" / "x.tar").write_bytes(chain + bytes(1024))
    refused(tmp_path / "work" / "x.tar", "damaged")


def test_what_is_passed_over_counts_too(archive: Path) -> None:
    """Not to write it does not save unpacking it."""
    if archive.suffix == ".tar":
        pytest.skip("not compressed")
    refused(make(archive, [("a.jpg", b"x"), ("zeros.txt", bytes(30_000_000))]), "times the archive", members=(".jpg",))


def test_a_header_of_any_length_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 200_000_000
    with gzip.open(tmp_path / "work" / "x.tar.gz", "wb") as handle:
        handle.write(info.tobuf(tarfile.GNU_FORMAT))
        handle.write(bytes(2_000_000))
    refused(tmp_path / "work" / "x.tar.gz", "a header' is too long")


@pytest.mark.parametrize(("mode", "reason"), [(stat.S_IFLNK, "symbolic link"), (stat.S_IFCHR, "device")])
def test_zip_members_that_are_no_files(tmp_path: Path, mode: int, reason: str) -> None:
    (tmp_path / "work").mkdir()
    info = zipfile.ZipInfo("x.jpg")
    info.external_attr = (mode | 0o777) << 16
    refused(make_zip(tmp_path / "work" / "x.zip", [(info, b"/etc/passwd")]), reason)


def patched(archive: Path, signature: bytes, at: int, packed: bytes) -> None:
    """Overwrite a field of every header with that signature."""
    content = bytearray(archive.read_bytes())
    where = content.find(signature)
    while where >= 0:
        content[where + at : where + at + len(packed)] = packed
        where = content.find(signature, where + 4)
    archive.write_bytes(content)


def test_zip_that_is_encrypted_or_oddly_compressed(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    archive = make_zip(tmp_path / "work" / "x.zip", [("a.jpg", b"x" * 100)])
    patched(archive, b"PK\x01\x02", 8, struct.pack("<H", 1))
    refused(archive, "encrypted")
    patched(archive, b"PK\x01\x02", 8, struct.pack("<HH", 0, 14))
    refused(archive, "not supported")


def test_zip_that_lies_about_sizes(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    archive = make_zip(tmp_path / "work" / "x.zip", [("a.jpg", bytes(30_000_000))])
    patched(archive, b"PK\x01\x02", 24, struct.pack("<I", 10))
    refused(archive, "damaged")
    patched(archive, b"PK\x01\x02", 24, struct.pack("<I", 0xFFFFFFF0))
    refused(archive, "times the archive's size")


def test_zip_members_that_share_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    archive = make_zip(tmp_path / "work" / "x.zip", [("a.jpg", b"x" * 100), ("b.jpg", b"x" * 100)])
    patched(archive, b"PK\x01\x02", 42, struct.pack("<I", 0))
    refused(archive, "overlaps|damaged")


def test_null_byte_in_a_zip_name(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    archive = make_zip(tmp_path / "work" / "x.zip", [("aXb.jpg", b"x")])
    archive.write_bytes(archive.read_bytes().replace(b"aXb.jpg", b"a\0b.jpg"))
    refused(archive, "control")
