"""`store import`: an archive of runs taken up, after all of it was verified; or refused, and nothing of it."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from ablations import tuning_store
from ablations.store_export import ENDINGS, MANIFEST, SCHEMA, files_beside
from ablations.store_gc import file_system_now, undisturbed
from core import record
from core.data.archive_members import DAMAGED
from core.data.archives import Limits, extract
from core.data.rendering import Progress
from core.errors import UserError
from core.integrity import examine, put_aside, set_aside
from core.lease import Leases
from core.record import Damaged
from core.store import CHECKPOINT, HEAD_COST, HEAD_COST_SCHEMA, Store, leases_folder, publish, storage_failure

_NAMES = re.compile(
    rf"runs/[0-9a-f]{{16,64}}/(config\.yaml|metrics\.jsonl|scores\.npz|(result|failure)\.json)"
    rf"|{re.escape(HEAD_COST)}|{tuning_store.FOLDER}/[A-Za-z0-9][A-Za-z0-9._-]*\.json"
)
_LIMITS = Limits(max_bytes=200_000_000_000, max_files=2_000_000)
_CHUNK = 1 << 20  # bytes
_SLACK = 16 << 20  # bytes that scores may unpack to whatever the ratio
_NOTHING = "nothing was imported"


@dataclass
class Imported:
    """What came of an archive: keys by what was done with them, and other files by name.

    `kept` are those that were there already, `differing` those of them whose metrics are others than the archive's.
    """

    runs: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def import_store(store: Store, archive: Path, progress: Progress | None = None) -> Imported:
    """Take up what an archive holds and the store lacks; what is there already stays, unless it is damaged.

    Everything is verified before anything is put in place; then each run comes by one rename.

    Raises:
        UserError: the archive is torn, was changed, or is none of ours; nothing was imported.
        RunFailure: `no_space` or `store_not_writable`.
    """
    if not archive.name.endswith((*ENDINGS, ".tar")):
        raise UserError(f"'{archive}': expected a .tar.gz or .tgz that `store export` has written")
    try:
        temporary = Path(tempfile.mkdtemp(dir=store.root, prefix=".import."))
    except OSError as error:
        raise storage_failure(store.root, error) from error
    try:
        extract(archive, temporary / "all", limits=_LIMITS, progress=progress)
        _check_end(archive)
        whole = temporary / "all"
        _check_manifest(archive, whole)
        source = Store(whole / "runs")
        keys = source.run_keys()
        for key in keys:
            if wrong := _wrong_with(source, key):
                raise UserError(f"{archive}: run {key} is {_relative(wrong, whole)}; {_NOTHING}")
        others = [path for path in (whole / HEAD_COST, *tuning_store.choice_files(whole)) if path.is_file()]
        _check_others(archive, whole, others)
        told, leases, now = Imported(), Leases(leases_folder(store.root)), file_system_now(store)
        for number, key in enumerate(keys, 1):
            with undisturbed(store, leases, key, now) as free:
                _take_run(store, source, key, told, "" if free else str(leases.holder(key) or "another process"))
            if progress:
                progress("importing", number, len(keys))
        for path in others:
            _take_file(store, path, path.relative_to(whole), told)
        return told
    except OSError as error:
        raise storage_failure(store.root, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_end(archive: Path) -> None:
    """Read to the end, where gzip keeps its own checksum: an archive that lost its tail is not trusted."""
    opener = open if archive.name.endswith(".tar") else gzip.open
    try:
        with opener(archive, "rb") as raw:
            while cast(IO[bytes], raw).read(_CHUNK):
                pass
    except DAMAGED as error:
        raise UserError(f"{archive} is damaged ({error or type(error).__name__}); {_NOTHING}") from None


def _check_manifest(archive: Path, whole: Path) -> None:
    path = whole / MANIFEST
    try:
        files = record.read(path, SCHEMA)["files"]
        listed = {str(name): (int(facts["bytes"]), str(facts["sha256"])) for name, facts in files.items()}
    except FileNotFoundError:
        raise UserError(f"{archive} was not written by `store export`: it has no {MANIFEST}; {_NOTHING}") from None
    except UserError as error:
        raise UserError(f"{archive}: {_relative(str(error), whole)}; {_NOTHING}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{archive}: its {MANIFEST} lists no files; {_NOTHING}") from None
    there = {path.relative_to(whole).as_posix(): path for path in whole.rglob("*") if path.is_file()}
    del there[MANIFEST]
    if odd := sorted(set(there) ^ set(listed)):
        what = "is not in its manifest" if odd[0] in there else "is missing"
        raise UserError(f"{archive}: {odd[0]!a} {what}; {_NOTHING}")
    for name, path in there.items():
        if not _NAMES.fullmatch(name):
            raise UserError(f"{archive}: {name!a} is no file of a store; {_NOTHING}")
        if (path.stat().st_size, record.file_digest(path)) != listed[name]:
            raise UserError(f"{archive}: {name!a} is not what was exported; {_NOTHING}")


def _wrong_with(source: Store, key: str) -> str:
    """What an archive's run is, where it cannot be taken, and why; nothing for one that is as its own record says."""
    path = source.path(key, "scores.npz")
    if (size := _unpacked(path)) and size > _LIMITS.max_ratio * path.stat().st_size + _SLACK:
        return f"damaged: {path} unpacks to {size:,} bytes"
    found = examine(source, key, digests=True)
    if found.condition not in ("done", "failed"):
        return f"{found.condition}: {found.reason}"
    try:
        if found.result is not None:
            source.verify(key, files_beside(source, key, found.result), digests=True)
    except Damaged as damaged:
        return f"damaged: {_told(damaged)}"
    return ""


def _unpacked(path: Path) -> int:
    """The bytes of all arrays in a file of scores, of which no more are read; 0 where it is none."""
    try:
        with zipfile.ZipFile(path) as arrays:
            return sum(info.file_size for info in arrays.infolist())
    except (OSError, *DAMAGED):
        return 0


def _check_others(archive: Path, whole: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            record.read(path, HEAD_COST_SCHEMA) if path.name == HEAD_COST else tuning_store.read_arms(path)
        except UserError as error:
            raise UserError(f"{archive}: {_relative(_told(error), whole)}; {_NOTHING}") from None


def _told(error: UserError) -> str:
    """What is wrong with a file of an archive, without what would make good one of a store."""
    return f"{error.path} is damaged ({error.reason})" if isinstance(error, Damaged) else str(error)


def _relative(text: str, whole: Path) -> str:
    """A message without the folder that things were unpacked into, which is gone when it is read."""
    return text.replace(f"{whole}/", "")


def _take_run(store: Store, source: Store, key: str, told: Imported, holder: str) -> None:
    """Put a run in place where it is not there, or damaged; but not while the process `holder` has it in work."""
    here, theirs = examine(store, key, digests=True), examine(source, key, digests=True)
    if holder and here.condition in ("new", "damaged"):
        told.kept.append(key)
        told.notes.append(f"{key} is being trained here, by {holder}: import again, should that fail")
        return
    if here.condition == "damaged" and (moved := set_aside(store, key)) is not None:
        told.notes.append(f"{moved[1]}. It is set aside as {moved[0]}, and comes from the archive")
    elif here.condition != "new" or store.path(key).exists():
        told.kept.append(key)
        if here.condition == "new":
            kept = store.path(key, CHECKPOINT).exists()
            what = ", with a checkpoint that `run` goes on from" if kept else ": `store gc` removes it, after an hour"
            told.notes.append(f"{key} is unfinished here{what}")
        elif here.condition != theirs.condition:
            told.notes.append(f"{key} is {here.condition} here, and {theirs.condition} in the archive")
        elif here.result and theirs.result and here.result["metrics"] != theirs.result["metrics"]:
            told.differing.append(key)
        return
    for path in source.path(key).iterdir():
        _sync(path)
    source.path(key).rename(store.path(key))
    told.runs.append(key)


def _take_file(store: Store, path: Path, name: Path, told: Imported) -> None:
    target = store.root / name
    try:
        record.read(target, HEAD_COST_SCHEMA if path.name == HEAD_COST else tuning_store.SCHEMA)
        told.notes.append(f"{name} is there already, and stays")
        return
    except FileNotFoundError:
        pass
    except Damaged as damaged:
        where = put_aside(store, target, str(damaged))
        told.notes.append(f"{damaged}. It is set aside as {where}, and comes from the archive")
    except UserError as error:
        told.notes.append(str(error))
        return
    target.parent.mkdir(exist_ok=True)
    publish(path, target)
    told.others.append(str(name))


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
