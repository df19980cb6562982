"""What a parser of hostile input must not do, watched by Python's own audit events: run, connect, write elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FORBIDDEN = (
    "socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen", "os.system", "os.exec",
    "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pickle.find_class", "ctypes.dlopen",
)  # fmt: skip
# Audit events with the places of their paths, and of the folder's descriptor that a path may be relative to.
_CHANGES = {
    "os.mkdir": ((0, 2),), "os.rename": ((0, 2), (1, 3)), "os.remove": ((0, 1),), "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),), "os.link": ((0, 2), (1, 3)), "os.chmod": ((0, 2),), "os.truncate": ((0, 9),),
}  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SECONDS = 8.0  # of processor time for one input, on a machine that does other things too


class Escaped(AssertionError):
    """Input made its reader do what no input may."""


class _Watch:
    """One hook for the process, as audit hooks cannot be taken off again."""

    def __init__(self) -> None:
        self.room: str | None = None
        self.seen: list[str] = []
        self.others: set[int] = set()  # threads that were at work before, as of leases that other tests hold
        self._hooked = False

    def hook(self) -> None:
        if not self._hooked:
            sys.addaudithook(self._event)
            self._hooked = True

    def _event(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self.room is None or threading.get_ident() in self.others:
            return
        if name in _FORBIDDEN:
            self._refuse(f"{name}{arguments[:2]!r}"[:200])
        elif name in _CHANGES:
            for path, folder in _CHANGES[name]:
                descriptor = arguments[folder] if folder < len(arguments) else -1
                self._inside(name, arguments[path], descriptor)
        elif name == "open" and (arguments[2] or 0) & _WRITES:
            self._inside(name, arguments[0], -1)

    def _inside(self, name: str, path: Any, folder: int) -> None:
        if isinstance(path, int):  # opened before, and watched then
            return
        above = os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd()
        place = os.path.abspath(os.path.join(above, os.fsdecode(path)))
        if self.room is not None and not place.startswith(self.room) and place != "/dev/null":
            self._refuse(f"{name} {place}"[:200])

    def _refuse(self, what: str) -> None:
        self.seen.append(what)
        raise Escaped(what)


_WATCH = _Watch()


@contextmanager
def sealed(room: Path) -> Iterator[None]:
    """Nothing inside may run a program, reach the network, unpickle a name, or change a file outside of `room`.

    Raises:
        Escaped: also where the code inside caught it.
    """
    _WATCH.hook()
    others = {thread.ident or 0 for thread in threading.enumerate()} - {threading.get_ident()}
    before, _WATCH.room, _WATCH.seen, _WATCH.others = _WATCH.room, os.path.abspath(room), [], others
    started = time.process_time()
    try:
        yield
    finally:
        _WATCH.room = before
    if _WATCH.seen:
        raise Escaped(_WATCH.seen[0])
    if (took := time.process_time() - started) > SECONDS:
        raise Escaped(f"took {took:.1f} s")
