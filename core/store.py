"""Where runs live: `<root>/<key>/` with config.yaml, metrics.jsonl, scores.npz and result.json.

`result.json` is written last and by rename: its presence is what *done* means. It holds a checksum of itself and the
digests of the files beside it, so that whoever reads a run can tell damage (`core.integrity` says what becomes of it).
`failure.json` holds a typed reason. Nothing here imports torch, so that planning and reporting stay quick.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core import record
from core.errors import RunFailure, UserError
from core.record import file_digest as file_digest
from core.stored_runs import FILES, RESULT_SCHEMA, StoredRuns
from core.stored_runs import State as State

HEAD_COST = "head_cost.json"  # measurements of the class head, beside the runs
HEAD_COST_SCHEMA = 2  # before it there was none
_UMASK = os.umask(0)
os.umask(_UMASK)


def write_atomic(path: Path, data: bytes) -> None:
    """Write by temporary file, sync and rename: readers see the old bytes or the new, never a part.

    Raises:
        RunFailure: `no_space` or `store_not_writable`; the temporary file is removed.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as handle:
            temporary = Path(handle.name)
            handle.write(data)
        publish(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise storage_failure(path, error) from error


def publish(temporary: Path, path: Path) -> None:
    """Sync a finished temporary file and rename it to `path`; raises `OSError`."""
    with temporary.open("rb") as handle:
        os.fsync(handle.fileno())
    # Temporary files are private; results and reports are for whoever may read the folder.
    temporary.chmod(0o666 & ~_UMASK)
    temporary.replace(path)


def storage_failure(path: Path, error: OSError) -> RunFailure:
    """The typed failure of an `OSError` met while writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunFailure("no_space", f"no space left to write {path}: free some, then run again")
    return RunFailure("store_not_writable", f"cannot write {path}: {error.strerror or error}")


class Store(StoredRuns):
    """The runs under one folder, read and written."""

    def check_writable(self) -> None:
        """Make the folder and write a byte in it; `UserError` says why it cannot be done."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as handle:
                handle.write(b"x")
                handle.flush()
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(
                f"the store '{self.root}' cannot be written ({reason}): choose another with --store"
            ) from None

    def begin(self, key: str, config_yaml: str) -> None:
        """Open the run's folder: what a failed or interrupted attempt left is cleared first."""
        folder = self.path(key)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("failure.json", "metrics.jsonl", "scores.npz"):
                (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise storage_failure(folder, error) from error
        write_atomic(folder / "config.yaml", config_yaml.encode())

    def log(self, key: str, row: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        path = self.path(key, "metrics.jsonl")
        try:
            with path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(row) + "\n")
        except OSError as error:
            raise storage_failure(path, error) from error

    def finish(self, key: str, result: Mapping[str, Any], scores: Mapping[str, np.ndarray]) -> None:
        """Write scores.npz, then result.json: from then on the run is done.

        Raises:
            RunFailure: `data_changed` for the result of another run than `key`; `no_space`, `store_not_writable`.
        """
        if (made := result.get("key", key)) != key:
            raise RunFailure("data_changed", f"the data were others than when it was planned, as {made}: run again")
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **dict(scores))  # type: ignore[arg-type]
        write_atomic(self.path(key, "scores.npz"), buffer.getvalue())
        written = {"scores.npz": buffer.getvalue()}  # what it was meant to hold, whatever the disk made of it
        for name in FILES:
            if name not in written and self.path(key, name).is_file():
                written[name] = self.path(key, name).read_bytes()
        files = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in written.items()
        }
        sealed = record.seal({"key": key, "files": files, **result}, RESULT_SCHEMA)
        write_atomic(self.path(key, "result.json"), sealed)

    def fail(self, key: str, kind: str, message: str, config_yaml: str = "") -> None:
        """Record a typed failure; a store that cannot take even that is left as it is."""
        sealed = record.seal({"key": key, "kind": kind, "message": message}, RESULT_SCHEMA)
        try:
            self.path(key).mkdir(parents=True, exist_ok=True)
            if config_yaml and not self.path(key, "config.yaml").exists():
                write_atomic(self.path(key, "config.yaml"), config_yaml.encode())
            write_atomic(self.path(key, "failure.json"), sealed)
        except (OSError, RunFailure):
            return

    def discard_unfinished(self, key: str) -> None:
        """Remove what an interrupted run left; a done or failed run stays."""
        if self.state(key) == "new" and self.path(key).is_dir():
            shutil.rmtree(self.path(key), ignore_errors=True)
