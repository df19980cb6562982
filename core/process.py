"""Processes: which one is which, whether one is gone, and that none outlives the one that started it."""

from __future__ import annotations

import os
import platform
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Process:
    """A process, told apart from every other one on every machine.

    Attributes:
        host: the machine's name, for people.
        place: the boot and the process namespace in which `pid` counts; empty where the system does not tell.
        started: clock ticks after the boot: a number is given to another process some day; 0 where unknown.
    """

    host: str
    place: str
    pid: int
    started: int

    @classmethod
    def own(cls) -> Process:
        pid = os.getpid()
        return cls(platform.node()[:64], _place(), pid, _stat(pid)[0])

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Process | None:
        """The process of `to_json`'s facts; None for anything else."""
        try:
            host, place, pid, started = (facts[name] for name in ("host", "place", "pid", "started"))
        except (KeyError, TypeError):
            return None
        numbers = all(type(number) is int and number >= 0 for number in (pid, started))
        return cls(host, place, pid, started) if isinstance(host, str) and isinstance(place, str) and numbers else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"

    @property
    def gone(self) -> bool:
        """Whether it is known to have ended; False for a process of another machine, of which nothing is known."""
        if not self.place or self.place != _place() or self.pid == 0:
            return False
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return True
        except OSError:  # another user's, which lives
            pass
        started, state = _stat(self.pid)
        # One that ended and was not waited for has its number still.
        return state in ("Z", "X") or bool(started and self.started and started != self.started)


@cache
def _place() -> str:
    """Containers on one machine share its boot and perhaps its name, but each counts its own processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _stat(pid: int) -> tuple[int, str]:
    """(ticks from boot to start, letter of its state) of a process; (0, "") where they cannot be read."""
    try:
        # The second field is the command's name, in brackets, and may itself hold spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[19]), fields[0]
    except (OSError, ValueError, IndexError):
        return 0, ""


def end_with_parent(parent: int) -> None:
    """Let the kernel end this process at once when the process that started it ends (Linux; nothing elsewhere).

    Args:
        parent: the number of that process, as it knew it: where it ended before the kernel could be told, this process
            has another parent by now, and ends here.
    """
    if sys.platform != "linux":
        return
    import ctypes

    try:
        number = ctypes.c_ulong
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number(signal.SIGKILL), number(0), number(0), number(0))
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        os._exit(1)
