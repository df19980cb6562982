"""Where runs live: `<root>/<key>/` with config.yaml, metrics.jsonl, scores.npz and result.json.

`result.json` is written last and by rename: its presence is what *done* means. It holds a checksum of itself and the
digests of the files beside it, so that whoever reads a run can tell damage (`core.integrity` says what becomes of it).
`failure.json` holds a typed reason, `checkpoint.pt` what an unfinished run goes on from. Nothing here imports torch, so
that planning and reporting stay quick.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from core import record
from core.errors import RunFailure, UserError
from core.record import file_digest as file_digest
from core.stored_runs import FILES, RESULT_SCHEMA, StoredRuns
from core.stored_runs import State as State
from core.stored_runs import is_key as is_key

HEAD_COST = "head_cost.json"  # measurements of the class head, beside the runs
HEAD_COST_SCHEMA = 2  # before it there was none
CHECKPOINT = "checkpoint.pt"  # of a run that is not done (`core.checkpoint`)
MORE_FILES = "raise the limit (ulimit -n), or use fewer --jobs"
_UMASK = os.umask(0)
os.umask(_UMASK)
_FILES = (*FILES, CHECKPOINT, "result.json", "failure.json")


def write_atomic(path: Path, data: bytes) -> None:
    """Write by temporary file, sync and rename: readers see the old bytes or the new, never a part.

    Raises:
        RunFailure: `no_space` or `store_not_writable`; the temporary file is removed.
    """
    with atomic_file(path) as handle:
        handle.write(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path` at the end, as `write_atomic` has it; raises the same."""
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as handle:
            temporary = Path(handle.name)
            yield handle
        publish(temporary, path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise storage_failure(path, error) from error
        raise


def publish(temporary: Path, path: Path) -> None:
    """Sync a finished temporary file, rename it to `path` and sync the folder; raises `OSError`."""
    with temporary.open("rb") as handle:
        os.fsync(handle.fileno())
    # Temporary files are private; results and reports are for whoever may read the folder.
    temporary.chmod(0o666 & ~_UMASK)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let what was renamed or made in a folder survive a power cut, where the platform can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows, and folders that may be written but not read
        return
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems
        pass
    finally:
        os.close(descriptor)


def leases_folder(root: Path) -> Path:
    """Where it says which process has which run of a store in work (`core.lease`)."""
    return root / ".leases"


def storage_failure(path: Path, error: OSError) -> RunFailure:
    """The typed failure of an `OSError` met while writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunFailure("no_space", f"no space left to write {path}: free some, then run again")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return RunFailure("too_many_files", f"cannot open {path}, too many files are open: {MORE_FILES}")
    return RunFailure("store_not_writable", f"cannot write {path}: {error.strerror or error}")


@contextmanager
def told_to_the_user(path: Path) -> Iterator[None]:
    """What goes wrong in writing `path` outside of a run, which could fail of it, is a `UserError`."""
    try:
        yield
    except RunFailure as failure:
        raise UserError(failure.message) from None
    except OSError as error:
        raise UserError(storage_failure(path, error).message) from None


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
        """Open the run's folder: what an attempt left is cleared first, but for its checkpoint and its failure.

        The failure goes only when the run is done: an attempt that is killed must not hide why the one before failed.
        """
        folder = self.path(key)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("metrics.jsonl", "scores.npz"):
                (folder / name).unlink(missing_ok=True)
            for torn in (path for name in _FILES for path in folder.glob(f".{name}.*")):
                torn.unlink(missing_ok=True)
        except OSError as error:
            raise storage_failure(folder, error) from error
        sync_folder(self.root)
        write_atomic(folder / "config.yaml", config_yaml.encode())

    def check_held(self) -> None:
        """Raise `LeaseLost` where a run that is written here is another process's by now: never, of a plain store."""

    def log(self, key: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write metrics.jsonl anew, a line a row: so it has neither torn lines nor, of a resumed run, a line twice."""
        write_atomic(self.path(key, "metrics.jsonl"), "".join(json.dumps(row) + "\n" for row in rows).encode())

    def finish(self, key: str, result: Mapping[str, Any], scores: Mapping[str, np.ndarray]) -> None:
        """Write scores.npz, then result.json: from then on the run is done; its checkpoint and failures are removed.

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
        with suppress(OSError):  # the run is done, whatever is left over
            for name in (CHECKPOINT, "failure.json"):
                self.path(key, name).unlink(missing_ok=True)

    def fail(
        self, key: str, kind: str, message: str, config_yaml: str = "", code: Mapping[str, str] | None = None
    ) -> bool:
        """Record a typed failure; False from a store that cannot take even that, and is left as it is.

        Args:
            code: what ran, as `core.result.code_versions` says: the same would fail again, of some kinds.
        """
        facts = {"key": key, "kind": kind, "message": message, "attempts": self.attempts(key) + 1}
        sealed = record.seal({**facts, "code": dict(code or {})}, RESULT_SCHEMA)
        try:
            self.path(key).mkdir(parents=True, exist_ok=True)
            if config_yaml and not self.path(key, "config.yaml").exists():
                write_atomic(self.path(key, "config.yaml"), config_yaml.encode())
            write_atomic(self.path(key, "failure.json"), sealed)
        except (OSError, RunFailure):
            return False
        return True

    def attempts(self, key: str) -> int:
        """How many attempts at a run failed; 0 for one that is done or was never tried."""
        try:
            counted = self.failure(key).get("attempts", 1)
        except UserError:
            return 1 if self.state(key) == "failed" else 0
        return counted if isinstance(counted, int) else 1

    def discard_unfinished(self, key: str) -> None:
        """Remove what an interrupted run left, unless it can go on from a checkpoint; a done or failed run stays."""
        if self.state(key) == "new" and self.path(key).is_dir() and not self.path(key, CHECKPOINT).exists():
            shutil.rmtree(self.path(key), ignore_errors=True)
