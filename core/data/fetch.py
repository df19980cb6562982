"""Files from the network: resumed, verified, and in place whole or not at all."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

from core import json_text
from core.data.remote import SCHEMES, Absent, Changed, Interrupted, Refused, Response, asked, received
from core.data.rendering import Progress
from core.errors import RunFailure, UserError
from core.store import file_digest, publish, storage_failure, write_atomic

_CHUNK = 1 << 18  # bytes
_PAUSE = 0.5  # seconds before a retry, doubled for each one in a row that brings nothing


class _Part:
    """`<target>.part` and, beside it, what tells whether it can be continued."""

    def __init__(self, url: str, target: Path) -> None:
        self.url, self.path = url, target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self.total: int | None = None
        self.validator: str | None = None
        try:
            note = json_text.read(self._note)
            if note["url"] == url:
                self.total, self.validator = note["total"], note["validator"]
        except (OSError, ValueError, KeyError, TypeError):
            pass

    @property
    def offset(self) -> int:
        """Bytes to continue after: none where nothing could tell that the content is still the same."""
        if self.total is None and self.validator is None:
            return 0
        return self.path.stat().st_size if self.path.is_file() else 0

    def remember(self, response: Response) -> None:
        self.total, self.validator = response.total, response.validator
        note = {"url": self.url, "total": self.total, "validator": self.validator}
        write_atomic(self._note, json.dumps(note).encode())

    def discard(self) -> None:
        self.total = self.validator = None
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def publish(self, target: Path) -> None:
        publish(self.path, target)
        self._note.unlink(missing_ok=True)


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    md5: str | None = None,
    sha256_from: str = "",
    progress: Progress | None = None,
    timeout: float = 30,
    retries: int = 3,
) -> Path:
    """Fetch `url` into `target`, unless a file that passes the checks is there already.

    Args:
        size: bytes, where known; so are the hexadecimal digests `sha256` and `md5`.
        sha256_from: who expects that digest, and what to do where it is wrong; told where it does not match.
        timeout: seconds of silence after which the connection is given up.
        retries: tries after the first that bring no further byte.

    Raises:
        UserError: one line with the URL and what to do; `target` is then not there, or untouched.
    """
    if urlsplit(url).scheme not in SCHEMES:
        raise UserError(f"{url}: expected an address that starts with http://, https:// or ftp://")
    if target.exists():
        if problem := _mismatch(target, size, sha256, md5, sha256_from):
            raise UserError(f"{target} {problem}: move it away, then run again to download {url}")
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _Part(url, target)
        resumed = part.offset > 0
        _bring(part, target, size, progress, timeout, retries)
        problem = _mismatch(part.path, size, sha256, md5, sha256_from)
        if problem and resumed:
            # What was there before may have been damaged; what comes from one connection decides.
            part.discard()
            _bring(part, target, size, progress, timeout, retries)
            problem = _mismatch(part.path, size, sha256, md5, sha256_from)
        if problem:
            part.discard()
            raise UserError(
                f"{url}: the download {problem}; it was removed. Try again, or download it by hand from a source "
                f"you trust and put it at {target}: it is checked before it is used"
            )
        part.publish(target)
    except OSError as error:
        raise UserError(storage_failure(target, error).message) from None
    except RunFailure as failure:
        raise UserError(failure.message) from None
    return target


def _mismatch(path: Path, size: int | None, sha256: str | None, md5: str | None, sha256_from: str) -> str:
    """What is wrong with a file, to follow its name in a sentence; nothing if it is as expected."""
    if size is not None and path.stat().st_size != size:
        return f"has {path.stat().st_size:,} bytes, expected {size:,}"
    for name, wanted, origin in (("sha256", sha256, sha256_from), ("md5", md5, "")):
        if wanted is not None and (got := file_digest(path, name)) != wanted.lower():
            return f"has {name} {got}, expected {wanted.lower()}{f' ({origin})' if origin else ''}"
    return ""


def _bring(part: _Part, target: Path, size: int | None, progress: Progress | None, timeout: float, tries: int) -> None:
    """Complete the part file, over as many connections as it takes while each brings something new."""
    failures, furthest = 0, part.offset
    while True:
        try:
            _transfer(part, size, progress, timeout)
            return
        except (Refused, Interrupted) as error:
            reason, final, absent = str(error), isinstance(error, Refused), isinstance(error, Absent)
            if isinstance(error, Changed):
                part.discard()
        failures, furthest = (0, part.offset) if part.offset > furthest else (failures + 1, furthest)
        if final or failures > tries:
            remedy = (
                "That address has no such file for you: give another with --mirror"
                if absent
                else "Check the network and run again, which continues where it stopped"
            )
            raise UserError(
                f"{part.url}: {reason}. {remedy}; or download it by hand and put the file at {target}: "
                "it is checked and used"
            )
        time.sleep(_PAUSE * 2**failures)


def _transfer(part: _Part, size: int | None, progress: Progress | None, timeout: float) -> None:
    offset = part.offset
    if offset and offset == part.total:
        return
    with asked(part.url, offset, part.validator, timeout) as response:
        # A size that was not known before, as of an answer without a length, says nothing of the content.
        resized = part.total is not None and response.total != part.total
        changed = resized or response.validator != part.validator
        if response.offset and (response.offset != offset or changed):
            raise Changed("the file changed while it was downloaded")
        total = response.total
        if total is not None and size is not None and total != size:
            raise Refused(f"the file there has {total:,} bytes, expected {size:,}")
        end = size if total is None else total
        done = response.offset
        if end is not None and shutil.disk_usage(part.path.parent).free < end - done:
            raise UserError(
                f"{part.url}: {(end - done) / 1e6:,.0f} MB do not fit in {part.path.parent}: free some space"
            )
        # The note goes first: a part file is never beside the note of another content.
        with part.path.open("r+b" if done else "wb") as handle:
            if done:
                handle.seek(done)
                handle.truncate()
            part.remember(response)
            while chunk := received(response, _CHUNK):
                done += len(chunk)
                if end is not None and done > end:
                    raise Refused(f"more came than the {end:,} bytes expected")
                handle.write(chunk)
                if progress:
                    progress(f"{part.path.stem} (MB)", done // 1_000_000, max(end or 0, done) // 1_000_000)
        if end is not None and done < end:
            raise Interrupted(f"the connection ended after {done:,} of {end:,} bytes")
