"""`store gc`: what a store no longer needs, by reason; and its removal."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ablations.store_check import temporary_files
from core.errors import RunFailure, UserError
from core.integrity import DAMAGED_FOLDER, examine
from core.store import CHECKPOINT, Store, leases_folder, storage_failure

IN_USE = 3600.0  # seconds: what was written since may be of a process at work, here or on another machine


@dataclass(frozen=True)
class Garbage:
    """A file or folder that can go, why, and its size in bytes."""

    path: Path
    reason: str
    size: int


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
        if now - _last_written(owner) < IN_USE or _leased(store, owner.name, now):
            in_use += 1
        else:
            garbage.append(Garbage(path, reason, _size(path)))
    return Found(tuple(garbage), in_use)


def remove(store: Store, found: Found) -> None:
    """Remove what was found. A folder is renamed first, so that no half of it is ever read.

    Raises:
        RunFailure: `store_not_writable`.
    """
    for one in found.garbage:
        try:
            if one.path.is_dir() and not one.path.is_symlink():
                doomed = Path(tempfile.mkdtemp(dir=store.root, prefix=f".{one.path.name}."))
                os.replace(one.path, doomed)
                shutil.rmtree(doomed)
            else:
                one.path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_failure(one.path, error) from error
    folder = store.root / DAMAGED_FOLDER
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


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
    aside = store.root / DAMAGED_FOLDER
    for path in sorted(aside.iterdir()) if aside.is_dir() else ():
        note = path.with_name(f"{path.name}.txt")
        yield path, "set aside as damaged", note if note.exists() else path  # as old as the note: moving keeps dates
    for key in store.run_keys():
        folder = store.path(key)
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
