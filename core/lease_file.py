"""The files of leases: `<folder>/<name>.<generation>`, whose holder is inside, and what proves that one holds it."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from core.process import Process
from core.store import storage_failure

SIZE = 512  # bytes of a file, always: it is written in place, and needs no more space on a full disk


class LeaseLost(Exception):
    """The work was taken over by another process, which took this one for dead."""


@dataclass(frozen=True)
class Holder:
    """Who has a lease, as far as its file says."""

    name: str
    generation: int
    process: Process | None
    token: str

    def __str__(self) -> str:
        return str(self.process or "another process")

    @property
    def gone(self) -> bool:
        """Whether it is known to have ended: what it held waits to be taken over."""
        return self.process is not None and self.process.gone


@dataclass(frozen=True)
class Ticket:
    """What proves that a lease is held; it can be sent to another process, which works for the holder."""

    folder: Path
    name: str
    generation: int
    token: str

    @property
    def path(self) -> Path:
        return file_of(self.folder, self.name, self.generation)

    @property
    def highest(self) -> bool:
        """Whether no later generation is listed; raises `OSError`."""
        return max(generations(self.folder, self.name), default=0) == self.generation

    def valid(self) -> bool:
        """Whether the lease is still held, past what a network file system remembers.

        Raises:
            RunFailure: the folder can no longer be written or read.
        """
        try:
            refresh(self.folder)
            return self.highest and holder_in(self.path, read(self.path) or b"").token == self.token
        except OSError as error:
            raise storage_failure(self.path, error) from error

    def check(self) -> None:
        """Raise `LeaseLost` if another process took the work over; `RunFailure` as `valid`."""
        if not self.valid():
            raise LeaseLost(f"{self.name} was taken over by another process")


def file_of(folder: Path, name: str, generation: int) -> Path:
    return folder / f"{name}.{generation}"


def generations(folder: Path, name: str) -> list[int]:
    """The generations of a lease that are listed, rising; raises `OSError`, but not for a folder that is not there."""
    try:
        entries = os.listdir(folder)
    except FileNotFoundError:
        return []
    numbers = (entry.removeprefix(f"{name}.") for entry in entries if entry.startswith(f"{name}."))
    return sorted(int(number) for number in numbers if number.isascii() and number.isdecimal())


def read(path: Path) -> bytes | None:
    """A file's bytes, None where there is none; raises `OSError`."""
    try:
        with path.open("rb") as handle:
            return handle.read(SIZE)
    except FileNotFoundError:
        return None


def create(ticket: Ticket, process: Process) -> bool:
    """Create the ticket's file; False where it is there already, made by another process. Raises `OSError`."""
    try:
        descriptor = os.open(ticket.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        try:
            os.write(descriptor, _record(ticket.token, process, 0))
        finally:
            os.close(descriptor)
    except OSError:
        ticket.path.unlink(missing_ok=True)
        raise
    return True


def beat(ticket: Ticket, process: Process, beats: int) -> bool:
    """Write a rising counter into the ticket's own file; False where it is another's by now. Raises `OSError`."""
    # In place, not by rename: a file that was removed meanwhile must not come back.
    try:
        descriptor = os.open(ticket.path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        own = holder_in(ticket.path, os.pread(descriptor, SIZE, 0)).token == ticket.token
        if own:
            os.pwrite(descriptor, _record(ticket.token, process, beats), 0)
    finally:
        os.close(descriptor)
    return own


def refresh(folder: Path) -> None:
    """Have what a network file system remembers of a folder forgotten; raises `OSError`.

    A client may remember for a minute which files are there, and which are not; one that itself changes the folder,
    here by a file that it makes and removes, looks anew.
    """
    probe = folder / f".look-{secrets.token_hex(8)}"
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    probe.unlink(missing_ok=True)


def holder_in(path: Path, data: bytes) -> Holder:
    """What a file's bytes say; a holder of whom nothing is known where they are not whole."""
    name, _, generation = path.name.rpartition(".")
    try:
        facts = json.loads(data)
        token = facts["token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Holder(name, int(generation), None, "")
    return Holder(name, int(generation), Process.of(facts), token if isinstance(token, str) else "")


def _record(token: str, process: Process, beats: int) -> bytes:
    return json.dumps({"token": token, "beats": beats, **process.to_json()}).encode().ljust(SIZE)[:SIZE]
