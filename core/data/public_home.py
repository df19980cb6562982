"""The folder of one public set: what is prepared there, and how something else takes its place.

`prepared.json` says what `data fetch` made. Before anything is put in place it says that this is being prepared, and
only then that it is done: whoever is killed in between finds folders that the next call may replace.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from core import record
from core.errors import UserError
from core.lease_file import Ticket
from core.store import write_atomic

WORK = (".unpacking.", ".preparing.")  # beginnings of the names of folders of what is not finished
_NOTE = "prepared.json"
_SCHEMA = 1  # of prepared.json


@dataclass
class Prepared:
    """What came of a set: where it is, how many images, which frames were left out and why."""

    folder: Path
    images: int = 0
    identities: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def done(home: Path, every: int) -> Prepared | None:
    """What an earlier call made with the same choices."""
    try:
        note = record.read(home / _NOTE, _SCHEMA)  # earlier versions wrote it without a checksum
        if note["every"] != every or not Path(home / note["folder"]).is_dir():
            return None
        return Prepared(home / note["folder"], note["images"], note["identities"], Counter(note["skipped"]))
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None


def leftovers(home: Path) -> list[Path]:
    """What a process at work needs; where none is, what one that was killed left: often gigabytes."""
    return [path for kind in (*WORK, f".{_NOTE}.") for path in home.glob(f"{kind}*")]


def remove_leftovers(home: Path) -> None:
    """Remove them, as far as that can be done; for the holder of the lease of `home`."""
    for path in leftovers(home):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def check_replaceable(home: Path, names: Sequence[str]) -> int:
    """Refuse what `data fetch` did not make where it is going to put something.

    Args:
        names: what it puts into `home`: a folder first, then files.

    Returns:
        How many files the folder may hold.

    Raises:
        UserError: one of them is not its own, or the folder holds files that somebody added.
    """
    folder = home / names[0]
    there = [home / name for name in names if os.path.lexists(home / name)]
    made = _made(home, names[0])
    if there and (made is None or (folder in there and not folder.is_dir())):
        raise UserError(
            f"'{there[0]}' is there already and was not made by `data fetch`, as far as {_NOTE} beside it tells: "
            "move it away"
        )
    # What begins with a dot is left by file managers, and is no image for a scan of the folder either.
    held = sum(not name.startswith(".") for _, _, files in os.walk(folder) for name in files)
    if held > (made or 0):
        raise UserError(
            f"'{folder}' is to be replaced, and holds {held:,} files where `data fetch` put {made:,}: move those away "
            "that are your own, then run again"
        )
    return made or 0


def put_in_place(home: Path, work: Path, names: Sequence[str], prepared: Prepared, every: int, ticket: Ticket) -> None:
    """Put what was made in `work` under `names` in place; what was there is then in `work`, to be removed with it.

    Each step leaves what the next call can go on from.

    Args:
        names: as `check_replaceable` has them.
        ticket: of the lease of `home`.

    Raises:
        UserError: as `check_replaceable`: somebody may have put files there since it was asked.
        LeaseLost: another process prepares the set by now.
        RunFailure, OSError: the folder cannot be written.
    """
    before = check_replaceable(home, names)
    ticket.check()
    note = {
        "folder": names[0], "every": every, "images": prepared.images, "identities": prepared.identities,
        "skipped": prepared.skipped,
    }  # fmt: skip
    # Of this, `done` says no, also that of earlier versions; either folder, the old or the new one, is replaceable.
    most = max(before, prepared.images)
    write_atomic(home / _NOTE, record.seal({**note, "every": None, "images": most, "state": "being prepared"}, _SCHEMA))
    for name in names:
        if os.path.lexists(home / name):
            os.replace(home / name, work / f"replaced {name}")
        os.replace(work / name, home / name)
    write_atomic(home / _NOTE, record.seal(note, _SCHEMA))


def _made(home: Path, name: str) -> int | None:
    """How many files were put into the folder of that name; None where nothing tells that it was made at all."""
    try:
        note = record.read(home / _NOTE, _SCHEMA)
        return int(note["images"]) if note["folder"] == name else None
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None
