"""Archives from elsewhere, unpacked without trust: everything is checked, and nothing is left half there."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from core.data import archive_members
from core.data.archive_members import DAMAGED, Hostile, Member
from core.data.rendering import Progress
from core.errors import UserError
from core.store import storage_failure

_CHUNK = 1 << 20  # bytes
_SLACK = 16 << 20  # bytes that a small archive may unpack to whatever the ratio: a white page compresses well
_LONGEST_NAME = 1024  # characters
_DRIVE = re.compile(r"[A-Za-z]:")
_JOINERS = {0x200C: None, 0x200D: None}  # as in Persian words and in emoji; they show nothing themselves


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to; measured on what is written, not read from its headers.

    Args:
        max_bytes: in all.
        max_files: files and folders in all.
        max_ratio: bytes written, or claimed to be there, over bytes of the archive.
        fold_case: refuse names that differ in case or joiners only. On file systems that tell them apart both are
            written; elsewhere the second is refused when it is met.
    """

    max_bytes: int = 20_000_000_000
    max_files: int = 200_000
    max_ratio: float = 100
    fold_case: bool = True


@dataclass
class _Ledger:
    """What has been taken out so far, against the limits."""

    limits: Limits
    archive_bytes: int
    written: int = 0
    claimed: int = 0
    members: int = 0
    files: set[PurePosixPath] = field(default_factory=set)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)  # folded path -> (spelling, kind)

    def meet(self, member: Member) -> None:
        """Count a member, taken or not: even to pass one over costs its unpacking."""
        self.members += 1
        self.claimed += max(0, member.size)
        if self.members > self.limits.max_files:
            raise Hostile(member.name, f"more than {self.limits.max_files:,} members")
        self._check(member, self.claimed if member.size >= 0 else self.limits.max_bytes + 1)

    def claim(self, member: Member, path: PurePosixPath) -> None:
        """Reserve the place of a file; a second claim on it, or on a folder that leads to it, is refused."""
        for place in (*reversed(path.parents[:-1]), path):
            key = str(place)
            if self.limits.fold_case:  # as APFS does, to which "straße" is "STRASSE", and HFS+, which drops joiners
                key = unicodedata.normalize("NFC", key.translate(_JOINERS)).casefold()
            key = unicodedata.normalize("NFC", key)
            wanted = "file" if place == path else "folder"
            before = self.places.setdefault(key, (str(place), wanted))
            if before[0] != str(place):
                raise Hostile(member.name, f"differs from '{before[0]}' in case, accents or joiners only")
            if before[1] != wanted:
                raise Hostile(member.name, f"needs '{place}' as a {wanted}, which is a {before[1]}")
            if wanted == "file" and path in self.files:
                raise Hostile(member.name, "is there twice")
        self.files.add(path)

    def wrote(self, member: Member, count: int) -> None:
        self.written += count
        self._check(member, self.written)

    def _check(self, member: Member, total: int) -> None:
        if total > self.limits.max_bytes:
            raise Hostile(member.name, f"unpacks to more than {self.limits.max_bytes:,} bytes")
        if total > self.limits.max_ratio * self.archive_bytes + _SLACK:
            raise Hostile(member.name, f"unpacks to more than {self.limits.max_ratio:g} times the archive's size")


def extract(
    archive: Path,
    folder: Path,
    *,
    limits: Limits | None = None,
    members: Sequence[str] | None = None,
    inside: str = "",
    hidden: bool = True,
    progress: Progress | None = None,
) -> int:
    """Unpack a .zip, .tar, .tar.gz or .tgz into a folder that does not exist yet, or is empty.

    Args:
        members: endings of the file names to take, e.g. ``(".jpg", ".json")``; default all.
        inside: take only what lies in this folder of the archive, relative to it; a part ``*`` is any name.
        hidden: take files whose name begins with a dot, too. macOS adds one to each file that it packs.

    Returns:
        The number of files.

    Raises:
        UserError: naming the archive, the member and what is wrong with it. The folder is then not there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"'{folder}' is there already: move it away to unpack {archive.name} into it")
    ledger = _Ledger(limits or Limits(), archive.stat().st_size if archive.is_file() else 0)
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        whole = temporary / "unpacked"
        whole.mkdir()
        with archive_members.members(archive) as found:
            for member in found:
                ledger.meet(member)
                path = _target(member, inside, members)
                if path is not None and (hidden or not path.name.startswith(".")):
                    _write(member, whole / path, ledger, path)
                    if progress:
                        progress(f"unpacking {archive.name}", len(ledger.files), 0)
        if not ledger.files:
            raise Hostile(archive.name, "holds nothing of what was expected" if members or inside else "is empty")
        os.replace(whole, folder)
    except UserError:
        raise
    except Hostile as hostile:
        name, reason = hostile.args
        raise UserError(f"{archive}: {ascii(name)[:200]} {reason}; nothing was unpacked") from None
    except DAMAGED as error:
        raise UserError(
            f"{archive} is damaged ({str(error) or type(error).__name__}); nothing was unpacked. "
            "Remove it and fetch it again"
        ) from None
    except OSError as error:
        raise UserError(storage_failure(folder, error).message) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return len(ledger.files)


def _target(member: Member, inside: str, endings: Sequence[str] | None) -> PurePosixPath | None:
    """Where a member goes, relative to the folder; nowhere if it is not asked for. Every name is checked."""
    name = member.name
    if len(name) > _LONGEST_NAME:
        raise Hostile(name, "has a name that is too long")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in name if not _is_harmless(character)):
        raise Hostile(name, "has control characters in its name")
    if "\\" in name or _DRIVE.match(name):
        raise Hostile(name, "has a Windows path for a name")
    if name.startswith("/"):
        raise Hostile(name, "has an absolute path for a name")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if any(part.translate(_JOINERS) in ("", ".", "..") for part in parts):  # what a file system may take it for
        raise Hostile(name, "leads out of the folder")
    above = [part for part in inside.split("/") if part]
    if len(parts) <= len(above) or any(part not in ("*", given) for part, given in zip(above, parts, strict=False)):
        return None
    if member.kind == "folder" or (endings is not None and not name.lower().endswith(tuple(endings))):
        return None
    if member.kind != "file":
        raise Hostile(name, f"is {member.kind}")
    return PurePosixPath(*parts[len(above) :])


def _is_harmless(character: str) -> bool:
    """A joiner, or what stands for a byte of a name of a .tar that is not UTF-8, as of one in Latin-1: it is kept."""
    return ord(character) in _JOINERS or "\udc80" <= character <= "\udcff"


def _write(member: Member, target: Path, ledger: _Ledger, path: PurePosixPath) -> None:
    ledger.claim(member, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    if source is None:
        raise Hostile(member.name, "is not a plain file")
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise Hostile(member.name, "is there twice for this file system") from None
    with source, os.fdopen(descriptor, "wb") as handle:
        while chunk := source.read(_CHUNK):
            ledger.wrote(member, len(chunk))
            handle.write(chunk)
