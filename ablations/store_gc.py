"""`store gc`: what a store no longer needs, by reason; and its removal."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ablations.store_check import entries, temporary_files, why_hidden
from core.errors import RunFailure, UserError
from core.integrity import DAMAGED_FOLDER, examine
from core.lease import Leases
from core.store import CHECKPOINT, Store, is_key, leases_folder, storage_failure

IN_USE = 3600.0  # seconds: what was written since may be of a process at work, here or on another machine


@dataclass(frozen=True)
class Garbage:
    """A file or folder that can go, why, and its size in bytes; what tells whether somebody is at work on it, and when.

    Args:
        owner: by whose last change, `written`, that is told: the file or folder itself, or its run's folder.
    """

    path: Path
    reason: str
    size: int
    owner: Path
    written: float


@dataclass(frozen=True)
class Found:
    """What can go, and how many entries stay for now, as they may be in use."""

    garbage: tuple[Garbage, ...]
    in_use: int


def find_garbage(store: Store, *, other_code: bool = False, failed: bool = False, now: float | None = None) -> Found:
    """What can go from a store. Runs that are done stay, but for those of `other_code`; so does what is newer.

    Args:
        other_code: also runs that are done and were made by other versions of `core`.
        failed: also failed runs.
        now: the time, default this machine's; entries written within `IN_USE` of it stay.

    Raises:
        UserError: there is no such folder.
    """
    if not store.root.is_dir():
        raise UserError(f"--store: '{store.root}' is not a folder")
    now = time.time() if now is None else now
    garbage, in_use = [], 0
    candidates = list(_candidates(store, other_code, failed))
    whole = {path for path, _, _ in candidates}
    for path, reason, owner in candidates:
        if path.parent in whole:  # goes with its folder, and is counted there
            continue
        written = _last_written(owner)
        if now - written < IN_USE or _leased(store, owner.name, now):
            in_use += 1
        else:
            garbage.append(Garbage(path, reason, _size(path), owner, written))
    return Found(tuple(garbage), in_use)


def remove(store: Store, found: Found) -> Found:
    """Remove what was found and is still so. A folder is renamed first, so that no half of it is ever read.

    Returns:
        What is gone; what somebody took up since then is counted with what is in use.

    Raises:
        RunFailure: `store_not_writable`.
    """
    leases, now, gone = Leases(leases_folder(store.root)), file_system_now(store), []
    in_use = found.in_use
    # Checkpoints first: of a temporary file beside one it is the folder that changes.
    for one in sorted(found.garbage, key=lambda one: one.owner == one.path):
        try:
            with undisturbed(store, leases, one.owner.name, now) as free:
                if free and _last_written(one.owner) == one.written:
                    _remove(store, one.path)
                    gone.append(one)
                elif os.path.lexists(one.path):
                    in_use += 1
        except OSError as error:
            raise storage_failure(one.path, error) from error
    with suppress(OSError):  # others set something aside; or it is a link, which stays
        (store.root / DAMAGED_FOLDER).rmdir()
    return Found(tuple(gone), in_use)


@contextmanager
def undisturbed(store: Store, leases: Leases, name: str, now: float) -> Iterator[bool]:
    """Whether nobody is at work on what has this name; of a run's key, nobody can begin it inside the `with`."""
    lease = leases.acquire(name) if is_key(name) else None
    try:
        # Without its lease: of a holder who was silent for long, on a machine of which nothing else is known.
        yield lease is not None or not _leased(store, name, now)
    finally:
        if lease is not None:
            lease.release()


def _remove(store: Store, path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        doomed = Path(tempfile.mkdtemp(dir=store.root, prefix=f".{path.name}."))
        os.replace(path, doomed)
        shutil.rmtree(doomed)
    else:
        path.unlink(missing_ok=True)


def file_system_now(store: Store) -> float:
    """The time by the store's file system, or by this machine, whichever is earlier: clocks may disagree."""
    try:
        with tempfile.NamedTemporaryFile(dir=store.root) as probe:
            return min(time.time(), os.fstat(probe.fileno()).st_mtime)
    except OSError as error:
        raise RunFailure(
            "store_not_writable", f"cannot write in {store.root}: {error.strerror or error}; nothing was removed"
        ) from error


def _candidates(store: Store, other_code: bool, failed: bool) -> Iterator[tuple[Path, str, Path]]:
    """(what can go, why, what tells by its age whether somebody is at work on it)."""
    for path in temporary_files(store):
        yield path, "temporary file left behind", path
    for path in entries(store.root / DAMAGED_FOLDER):
        note = path.with_name(f"{path.name}.txt")
        yield path, "set aside as damaged", note if note.exists() else path  # as old as the note: moving keeps dates
    for key in store.run_keys():
        folder = store.path(key)
        if why_hidden(store, key):
            continue
        found = examine(store, key, digests=False)
        if found.condition == "new" and not (folder / CHECKPOINT).exists():
            yield folder, "unfinished run without a checkpoint", folder
        elif found.condition == "failed" and failed:
            yield folder, "failed run", folder
        elif found.result is not None:
            if other_code and not found.of_this_code:
                yield folder, "done by other code", folder
            elif (folder / CHECKPOINT).exists():
                yield folder / CHECKPOINT, "checkpoint of a run that is done", folder


def _leased(store: Store, name: str, now: float) -> bool:
    """Whether a lease that somebody has renewed of late is of this run."""
    try:
        return any(now - _last_written(lease) < IN_USE for lease in leases_folder(store.root).glob(f"{name}*"))
    except OSError:
        return True


def _last_written(path: Path) -> float:
    """The latest change of a file, or of a folder and all that is in it; now, where that cannot be told."""
    try:
        times = [path.lstat().st_mtime]
        for parent, _, names in os.walk(path):
            times += [(Path(parent) / name).lstat().st_mtime for name in names] + [Path(parent).lstat().st_mtime]
    except OSError:
        return time.time()
    return max(times)


def _size(path: Path) -> int:
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum((Path(parent) / name).lstat().st_size for parent, _, names in os.walk(path) for name in names)
