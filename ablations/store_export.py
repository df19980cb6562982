"""`store export`: runs in one archive with checksums, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations import tuning_store
from ablations.store_check import why_hidden
from core import record
from core.data.rendering import Progress
from core.errors import UserError
from core.integrity import examine
from core.store import HEAD_COST, Store, atomic_file
from core.stored_runs import FILES
from reports.head_turns import read_head_cost

SCHEMA = 1  # of an archive's manifest
MANIFEST = "manifest.json"
ENDINGS = (".tar.gz", ".tgz")
_SEARCH = re.compile(r"[a-z0-9][a-z0-9-]*\.json")  # as `tune` names them: of two names none differs by case only


@dataclass
class Exported:
    """What went into an archive; `left_out` are lines on what was asked for and is not in it."""

    runs: int = 0
    failed: int = 0
    others: int = 0
    size: int = 0  # bytes of the archive
    left_out: list[str] = field(default_factory=list)


def export_store(
    store: Store, target: Path, keys: Sequence[str], searches: Sequence[Path], *, failed: bool = False,
    named: bool = False, progress: Progress | None = None,
) -> Exported:  # fmt: skip
    """Write runs, searches and the head's timing to an archive, which is then there whole or not at all.

    Equal stores give equal bytes: names are sorted, and no time, owner or path goes in.

    Args:
        keys: of the runs that are wanted; those that are not done are left out, failed ones but with `failed`.
        named: the keys were asked for one by one, so that each that is left out is told of.

    Raises:
        UserError: nothing to export, a file that changes or goes meanwhile, or a name that does not end as a .tar.gz
            does.
        RunFailure: `no_space` or `store_not_writable`.
    """
    if not target.name.endswith(ENDINGS):
        raise UserError(f"'{target}': expected a name that ends in .tar.gz or .tgz")
    told, chosen = Exported(), dict[str, Path]()
    for key in keys:
        for name in _files_of(store, key, failed, named, told):
            chosen[f"runs/{key}/{name}"] = store.path(key, name)
    for name, path in _others(store, searches, told):
        chosen[name] = path
        told.others += 1
    if not chosen:
        raise UserError(
            f"nothing to export: no run that is done in '{store.root}'"
            + "".join(f"; {one}" for one in told.left_out[:1])
        )
    _write(target, chosen, progress)
    told.size = target.stat().st_size
    return told


def _files_of(store: Store, key: str, failed: bool, named: bool, told: Exported) -> list[str]:
    """The names of a run's files that go into the archive, verified."""
    found = examine(store, key, digests=True)
    if found.result is not None:
        there = files_beside(store, key, found.result)
        try:
            store.verify(key, there, digests=True)
        except (UserError, OSError) as error:
            told.left_out.append(f"{key}: {error}")
            return []
        told.runs += 1
        return [*there, "result.json"]
    if found.failure is not None and failed:
        told.failed += 1
        return [name for name in ("config.yaml", "failure.json") if store.path(key, name).is_file()]
    if found.condition in ("damaged", "newer"):
        told.left_out.append(f"{key}: {found.reason}")
    elif found.condition == "new" and (reason := why_hidden(store, key)):
        told.left_out.append(f"{key}: {reason}")
    elif named:
        told.left_out.append(f"{key}: it is {'unfinished' if found.failure is None else 'failed: --failed takes it'}")
    return []


def files_beside(store: Store, key: str, result: Mapping[str, Any]) -> list[str]:
    """The names of a done run's files beside its result: those that are there, and those that it says were written."""
    return [name for name in FILES if store.path(key, name).is_file() or name in result.get("files", {})]


def _others(store: Store, searches: Sequence[Path], told: Exported) -> Iterator[tuple[str, Path]]:
    try:
        read_head_cost(store)
        yield HEAD_COST, store.root / HEAD_COST
    except FileNotFoundError:
        pass
    except UserError as error:
        told.left_out.append(str(error))
    for path in searches:
        if not _SEARCH.fullmatch(path.name):
            told.left_out.append(f"{path}: it has no name that `tune` gives a search")
            continue
        try:
            tuning_store.read_arms(path)
            yield f"{tuning_store.FOLDER}/{path.name}", path
        except FileNotFoundError:  # it goes, as another command sets it aside
            pass
        except UserError as error:
            told.left_out.append(str(error))


def _write(target: Path, chosen: Mapping[str, Path], progress: Progress | None) -> None:
    with (
        atomic_file(target) as handle,
        gzip.GzipFile(filename="", mode="wb", fileobj=handle, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        files = {name: _facts(chosen[name]) for name in sorted(chosen)}
        _add(tar, MANIFEST, record.seal({"files": files}, SCHEMA))
        for number, name in enumerate(files, 1):
            with _still_there(chosen[name]):
                data = chosen[name].read_bytes()
            if hashlib.sha256(data).hexdigest() != files[name]["sha256"]:
                raise UserError(f"{chosen[name]} changed while it was exported: export again")
            _add(tar, name, data)
            if progress:
                progress("writing", number, len(files))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # whose time, owner and group are 0
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def _facts(path: Path) -> dict[str, Any]:
    with _still_there(path):
        return {"bytes": path.stat().st_size, "sha256": record.file_digest(path)}


@contextmanager
def _still_there(path: Path) -> Iterator[None]:
    """What goes while it is exported is no fault of the archive."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be read any more ({error.strerror or error}): export again") from None
