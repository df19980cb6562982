"""What becomes of a run that is damaged: told from one that is done, set aside whole, and never deleted.

A reader looks at a run with `examine`, which never writes. `run` sets a damaged one aside, so that it is new, and mends
what a result can give back. A run of a newer version is none of both: nobody touches it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.config import METRICS, RunConfig
from core.errors import UserError
from core.record import Damaged, Newer
from core.result import code_digest
from core.store import CHECKPOINT, Store, storage_failure, write_atomic
from core.stored_runs import FILES

DAMAGED_FOLDER = ".damaged"  # of a store: what was set aside
Condition = Literal["done", "failed", "new", "damaged", "newer"]
_OURS = (*FILES, "result.json", "failure.json", CHECKPOINT)


@dataclass(frozen=True)
class Examined:
    """What was found of one run.

    Args:
        reason: why it is `damaged` or `newer`, naming the file; why it failed.
        result, failure: the verified record of a run that is done, or failed.
    """

    condition: Condition
    reason: str = ""
    result: dict[str, Any] | None = None
    failure: dict[str, Any] | None = None

    @property
    def of_this_code(self) -> bool:
        """Whether a run that is done was made by the code that is here."""
        environment = (self.result or {}).get("environment")
        return isinstance(environment, dict) and environment.get("code") == code_digest()


def examine(store: Store, key: str, *, digests: bool) -> Examined:
    """The condition of a run: its record verified, its scores there in full size, with `digests` as they were written.

    Config.yaml and metrics.jsonl of a done run are not looked at, as no number comes from them (see `mend`).
    Raises nothing but `UserError` for what is no key.
    """
    folder, state = store.path(key), store.state(key)
    try:
        if os.path.lexists(folder) and not folder.is_dir():
            raise Damaged(folder, "it is not a folder")
        for name in _OURS:
            if os.path.lexists(folder / name) and not (folder / name).is_file():
                raise Damaged(folder / name, "it is not a file")
        if state == "done":
            result = store.result(key)
            store.verify(key, ("scores.npz",), digests=digests)
            _check_metrics(folder / "result.json", result)
            return Examined("done", result=result)
        if state == "failed":
            failure = store.failure(key)
            return Examined("failed", f"{failure['kind']}: {failure['message']}", failure=failure)
    except Newer as newer:
        return Examined("newer", str(newer))
    except Damaged as damaged:
        return Examined("damaged", f"{damaged.path} is damaged ({damaged.reason})")
    except (UserError, OSError) as error:
        if store.state(key) != state:  # a run ended meanwhile, whose failure went with it
            return examine(store, key, digests=digests)
        return Examined("damaged", str(error))
    return Examined("new")


def _check_metrics(path: Path, result: Mapping[str, Any]) -> None:
    """Every reader needs them; of any other number it can say that it is not known."""
    metrics = result.get("metrics")
    for name in METRICS:
        value = metrics.get(name) if isinstance(metrics, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Damaged(path, f"no number for metrics.{name}")


def set_aside(store: Store, key: str) -> tuple[Path, str] | None:
    """Move a damaged run to `.damaged/<key>-<n>`, with the reason in a text file beside it.

    Returns:
        Where it is now, and why; None where there is nothing damaged (any more): another process may have been first.

    Raises:
        RunFailure: `store_not_writable` or `no_space`.
    """
    found = examine(store, key, digests=True)
    if found.condition != "damaged":
        return None
    moved = put_aside(store, store.path(key), found.reason)
    return (moved, found.reason) if moved else None


def put_aside(store: Store, path: Path, reason: str) -> Path | None:
    """Move a file or folder of the store to `.damaged/<name>-<n>`; None where it is not there any more."""
    folder, number = store.root / DAMAGED_FOLDER, 1
    try:
        folder.mkdir(exist_ok=True)
        while True:
            target = folder / f"{path.name}-{number}"
            note = folder / f"{target.name}.txt"
            try:
                # The note is made first, and only by one of two processes: it reserves the name.
                with note.open("x", encoding="utf-8", errors="backslashreplace") as handle:
                    handle.write(f"{reason}\n")
            except FileExistsError:
                number += 1
                continue
            try:
                if os.path.lexists(target):
                    raise FileExistsError
                path.rename(target)
                return target
            except FileNotFoundError:
                note.unlink(missing_ok=True)
                return None
            except FileExistsError:
                note.unlink(missing_ok=True)
                number += 1
    except OSError as error:
        raise storage_failure(path, error) from error


def mend(store: Store, key: str) -> list[str]:
    """Make config.yaml and metrics.jsonl of a done run anew where they are damaged: all of them is in its result.

    Returns:
        A line for every file that was damaged; what it was is set aside.

    Raises:
        RunFailure: `store_not_writable` or `no_space`.
    """
    try:
        result = store.result(key)
    except UserError:
        return []
    lines = []
    for name, content in _from_result(result).items():
        if name not in result.get("files", {}):
            continue  # schema 1: nobody knows what it was
        try:
            store.verify(key, (name,), digests=True)
        except (UserError, OSError) as error:
            reason = error.reason if isinstance(error, Damaged) else str(error)
            lines.append(_replace(store, store.path(key, name), content, reason, result["files"][name]["sha256"]))
    return lines


def _replace(store: Store, path: Path, content: bytes, reason: str, sha256: str) -> str:
    told = f"{path} is damaged ({reason})"
    if hashlib.sha256(content).hexdigest() != sha256:
        return f"{told}, and this version would write it otherwise: it stays, as no number comes from it"
    if os.path.lexists(path):
        moved = put_aside(store, path, told)
        if moved is not None:  # else another process was first
            told += f" and is now {moved}"
    write_atomic(path, content)
    return f"{told}: made anew from result.json"


def _from_result(result: Mapping[str, Any]) -> dict[str, bytes]:
    made = {"metrics.jsonl": "".join(json.dumps(row) + "\n" for row in result.get("curve") or ()).encode()}
    with contextlib.suppress(ValueError):  # of a version with other fields
        made["config.yaml"] = RunConfig.model_validate(result.get("config")).to_yaml().encode()
    return made
