"""Whose a piece of work is that many processes want: leases, kept as files of rising generation in a shared folder.

Who created the highest generation of a lease's files has the work. A file is created exclusively, which of all
processes on all machines that share the folder, by NFS too, one can do. The work of a holder that died is taken over
by creating the next generation: one process can win, and nothing is deleted in a race.

A holder writes a counter into its file now and then. Whether it lives is judged without any other machine's clock: a
process that saw the same bytes for a whole lease, by its own clock and while it was looking, takes the holder for
dead; one of the same machine is dead at once when its process is gone. That judgement may be wrong, of a holder that
was paused or cut off from the folder. So a holder asks `Ticket.check` before it writes what only it may write.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core import lease_file
from core.errors import RunFailure
from core.lease_file import Holder, Ticket, file_of, generations, holder_in
from core.process import Process
from core.store import storage_failure

LEASE = 60.0  # seconds of silence after which a holder is taken for dead
BEAT = 10.0  # seconds between two signs of life
_LOOKS = 6  # a lease is not over before it was looked at so often
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


class Lease:
    """A lease that this process holds, with a thread that says so until it is released."""

    def __init__(self, ticket: Ticket, process: Process, beat: float) -> None:
        self.ticket, self.lost = ticket, False
        self._process, self._beats = process, 0
        self._ended = threading.Event()
        if math.isfinite(beat):
            threading.Thread(target=self._live, args=(beat,), daemon=True, name=f"lease of {ticket.name}").start()

    def _live(self, every: float) -> None:
        while not self._ended.wait(every) and self.beat():
            pass

    def beat(self) -> bool:
        """Give a sign of life; False, and `lost`, once another process took over.

        A folder that cannot be reached for the moment is no loss: `Ticket.check` decides before anything is written.
        """
        self._beats += 1
        with suppress(OSError):
            own = lease_file.beat(self.ticket, self._process, self._beats)
            self.lost = self.lost or not own or not self.ticket.highest
        return not self.lost

    def release(self) -> None:
        """Give the work back: this generation and those before it are removed, unless it was lost."""
        self._ended.set()
        ticket = self.ticket
        with suppress(OSError, RunFailure):  # a file that stays is silent from now on
            if ticket.valid():
                # The own file last: with those before it gone, nobody can take itself for the holder.
                for generation in generations(ticket.folder, ticket.name):
                    if generation <= ticket.generation:
                        file_of(ticket.folder, ticket.name, generation).unlink(missing_ok=True)


@dataclass
class _Silence:
    """For how long the same bytes of a holder were seen."""

    generation: int
    data: bytes
    looked: float
    seconds: float = 0.0


class Leases:
    """The leases of one folder, as one process sees them.

    Args:
        folder: is made when the first lease is taken.
        lease: seconds of silence after which a holder is taken for dead; several times any holder's `beat`.
        beat: seconds between signs of life of this process's leases; infinite for none but those asked for.
        clock: rises while this process runs; jumps do no harm.
        process: in whose name leases are taken, by default this one.
    """

    def __init__(
        self, folder: Path, *, lease: float = LEASE, beat: float = BEAT, clock: Callable[[], float] = time.monotonic,
        process: Process | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self._lease, self._beat, self._clock = lease, beat, clock
        self._process = process or Process.own()
        self._silences: dict[str, _Silence] = {}

    def acquire(self, name: str) -> Lease | None:
        """The lease of `name`, if nobody has it or its holder is dead; else None, at once.

        What the last holder may have finished is to be looked at after this, not before.

        Raises:
            RunFailure: `no_space`, `store_not_writable` and the like: the folder cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name}' is no name of a lease")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            below, looked, data = self._top(name)
            if below and not self._dead(name, below, looked, data):
                return None
            ticket = Ticket(self.folder, name, below + 1, secrets.token_hex(16))
            if not lease_file.create(ticket, self._process):
                return None
            if not self._follows(ticket, below, data):
                ticket.path.unlink(missing_ok=True)
                return None
        except OSError as error:
            raise storage_failure(self.folder / name, error) from error
        self._silences.pop(name, None)
        return Lease(ticket, self._process, self._beat)

    @contextmanager
    def hold(self, name: str, waiting: Callable[[Holder], None] | None = None, every: float = 0.5) -> Iterator[Lease]:
        """The lease of `name`, waited for as long as another process has it; raises as `acquire`.

        Args:
            waiting: told of the holder at every look.
            every: seconds between looks.
        """
        while (lease := self.acquire(name)) is None:
            if waiting and (holder := self.holder(name)) is not None:
                waiting(holder)
            time.sleep(every)
        try:
            yield lease
        finally:
            lease.release()

    def holder(self, name: str) -> Holder | None:
        """Who has, or left, the lease of `name`; None where nobody has, or the folder cannot be read."""
        try:
            generation, _, data = self._top(name)
        except OSError:
            return None
        return holder_in(file_of(self.folder, name, generation), data) if generation else None

    def holders(self) -> list[Holder]:
        """All leases that are held, or were left by processes that died, by name."""
        try:
            names = {entry.rpartition(".")[0] for entry in os.listdir(self.folder)}
        except OSError:
            return []
        found = (self.holder(name) for name in sorted(names) if name)
        return [holder for holder in found if holder is not None]

    def _top(self, name: str) -> tuple[int, float, bytes]:
        """The highest generation, a moment before it was read, and its bytes; generation 0 where there is none."""
        for _ in range(3):  # it may be removed between the listing and the reading
            listed = generations(self.folder, name)
            if not listed:
                break
            looked = self._clock()
            try:
                data = lease_file.read(file_of(self.folder, name, listed[-1]))
            except OSError:
                data = b""  # there, and for the moment not to be read
            if data is not None:
                return listed[-1], looked, data
        return 0, self._clock(), b""

    def _dead(self, name: str, generation: int, looked: float, data: bytes) -> bool:
        if holder_in(file_of(self.folder, name, generation), data).gone:
            return True
        seen = self._silences.get(name)
        if seen is None or (seen.generation, seen.data) != (generation, data):
            self._silences[name] = _Silence(generation, data, self._clock())
            return False
        # Time in which this process, or the file system, stood still says nothing of the holder: a look counts little.
        seen.seconds += min(max(0.0, looked - seen.looked), self._lease / _LOOKS)
        seen.looked = looked
        return seen.seconds >= self._lease

    def _follows(self, ticket: Ticket, below: int, judged: bytes) -> bool:
        """Whether a generation just made follows the one that was judged, in a listing that its making made fresh.

        A list that a network file system remembered, or a long pause, may have hidden other holders from the judgement.
        """
        others = [number for number in generations(self.folder, ticket.name) if number != ticket.generation]
        top = max(others, default=0)
        return top == 0 or (top == below and lease_file.read(file_of(self.folder, ticket.name, top)) in (judged, None))
