"""The members of a .zip or .tar, one after the other, each with what it says it is."""

from __future__ import annotations

import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from core.errors import UserError

_LONGEST_READ = 1 << 20  # bytes

# What the readers below raise on archives that are not what they should be.
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error, EOFError, NotImplementedError,
    ValueError, LookupError, OverflowError,
    RecursionError,  # of tarfile, by a header before a header before a header
)  # fmt: skip


class Hostile(Exception):
    """An archive that must not be unpacked: (member, reason)."""


@dataclass(frozen=True)
class Member:
    """A name as it is stored, not checked, and how to read what is behind it."""

    name: str
    kind: str  # "file", "folder", or what it is instead
    size: int  # bytes, as claimed
    open: Callable[[], IO[bytes] | None]


@contextmanager
def members(archive: Path) -> Iterator[Iterator[Member]]:
    """The members of an archive, which stays open inside the `with`.

    Raises:
        UserError: not a file, or not of a kind that can be read.
        Hostile: a member that must not be read; `DAMAGED` what cannot be.
    """
    name = archive.name.lower()
    if not archive.is_file():
        raise UserError(f"{archive} is not a file")
    if name.endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(opened)
    elif name.endswith((".tar", ".tar.gz", ".tgz")):
        opener = open if name.endswith(".tar") else gzip.open
        with opener(archive, "rb") as raw:
            bounded = _Bounded(cast(IO[bytes], raw))
            with tarfile.open(fileobj=bounded, mode="r:") as tar:  # type: ignore[call-overload]
                yield _tar_members(tar, bounded)
    else:
        raise UserError(f"{archive}: expected a .zip, .tar, .tar.gz or .tgz")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        name = info.orig_filename
        if info.header_offset < end:
            raise Hostile(name, "overlaps another member")
        end = info.header_offset + info.compress_size
        if info.flag_bits & 1:
            raise Hostile(name, "is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Hostile(name, "is compressed in a way that is not supported")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            what = "a symbolic link"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a device or another special file"
        else:
            what = "folder" if info.is_dir() else "file"
        yield Member(name, what, info.file_size, lambda info=info: archive.open(info))  # type: ignore[misc]


def _tar_members(archive: tarfile.TarFile, raw: _Bounded) -> Iterator[Member]:
    for info in archive:
        if info.issym():
            what = "a symbolic link"
        elif info.islnk():
            what = "a hard link"
        elif info.isdir():
            what = "folder"
        elif info.isreg() and not info.issparse():
            what = "file"
        else:
            what = "a device or another special file"
        yield Member(info.name, what, info.size, lambda info=info: archive.extractfile(info))  # type: ignore[misc]
    # A damaged header in the middle ends the iteration as the end of the archive does.
    raw.seek(archive.offset)
    if raw.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError("a header cannot be read")


class _Bounded:
    """A binary file that refuses to read much at once: headers may claim any length, and are read whole."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise Hostile("a header", "is too long")
        return self._raw.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()
