"""The lock of an Optuna journal, which a process that is killed must not leave behind for ever."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.storages.journal import JournalFileOpenLock

_GRACE = 2.0  # seconds; a lock is held while a line is written, or the journal is read once


def journal_lock(path: Path) -> JournalFileOpenLock:
    """A lock of the journal that is taken from a holder that died, from whatever folder either names it.

    Optuna's default is a link to the journal by the name that its holder has for it. From the link's own folder a
    relative name leads nowhere, nor does one of another machine's mount, and Optuna then waits for ever, without pause.
    A plain file under the same name keeps those out as well, and its age is seen by all.

    Raises:
        OSError: of a lock that leads nowhere, which cannot be removed.
    """
    from optuna.storages.journal import JournalFileOpenLock

    _remove_dangling(Path(f"{path}.lock"))
    return JournalFileOpenLock(str(path))


def _remove_dangling(lock: Path) -> None:
    """Remove a link that leads nowhere and stays as it is: an Optuna tool at work makes a new one for every line."""
    seen, since = None, time.monotonic()
    while (now := _dangling(lock)) is not None:
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _GRACE:
            lock.unlink(missing_ok=True)
        time.sleep(_GRACE / 20)


def _dangling(lock: Path) -> tuple[int, int] | None:
    """What tells a link that leads nowhere from the next one; None for any other file, and for none."""
    try:
        if lock.is_symlink() and not lock.exists():
            found = lock.lstat()
            return found.st_ino, found.st_mtime_ns
    except FileNotFoundError:  # released between two looks
        pass
    return None
