"""Where runs live: `<root>/<key>/` with config.yaml, metrics.jsonl, scores.npz and result.json.

`result.json` is written last and by rename: its presence is what *done* means. `failure.json` holds a
typed reason, `checkpoint.pt` what an unfinished run goes on from. Nothing here imports torch, so that
planning and reporting stay quick.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from core import json_text
from core.errors import RunFailure, UserError

RESULT_SCHEMA = 1
HEAD_COST = "head_cost.json"  # measurements of the class head, beside the runs
CHECKPOINT = "checkpoint.pt"  # of a run that is not done (`core.checkpoint`)
MORE_FILES = "raise the limit (ulimit -n), or use fewer --jobs"
State = Literal["done", "failed", "new"]
_UMASK = os.umask(0)
os.umask(_UMASK)
_KEY = re.compile(r"[0-9a-f]{16,64}")
_FILES = ("config.yaml", "metrics.jsonl", CHECKPOINT, "scores.npz", "result.json", "failure.json")


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


def is_key(name: str) -> bool:
    """Whether a name is a run's key: 16 to 64 hexadecimal digits."""
    return _KEY.fullmatch(name) is not None


def leases_folder(root: Path) -> Path:
    """Where it says which process has which run of a store in work (`core.lease`)."""
    return root / ".leases"


def file_digest(path: Path, name: str = "sha256") -> str:
    """The hexadecimal digest of a file's bytes, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, name).hexdigest()


def storage_failure(path: Path, error: OSError) -> RunFailure:
    """The typed failure of an `OSError` met while writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunFailure("no_space", f"no space left to write {path}: free some, then run again")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return RunFailure("too_many_files", f"cannot open {path}, too many files are open: {MORE_FILES}")
    return RunFailure("store_not_writable", f"cannot write {path}: {error.strerror or error}")


class Store:
    """The runs under one folder."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

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

    def path(self, key: str, name: str = "") -> Path:
        if not _KEY.fullmatch(key):
            raise UserError(f"'{key}' is not a run key: keys are at least 16 hex digits, see `status`")
        return self.root / key / name

    def run_keys(self) -> list[str]:
        """Keys of all run folders, sorted; a missing store has none."""
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in self.root.iterdir() if _KEY.fullmatch(entry.name))

    def find(self, prefix: str) -> str:
        """The one key that starts with `prefix`; `UserError` when there is none or more than one."""
        matches = [key for key in self.run_keys() if key.startswith(prefix)]
        if len(matches) == 1:
            return matches[0]
        problem = "no run" if not matches else f"{len(matches)} runs"
        raise UserError(f"{problem} in '{self.root}' with a key that starts with '{prefix}': see `status`")

    def state(self, key: str) -> State:
        if self.path(key, "result.json").exists():
            return "done"
        return "failed" if self.path(key, "failure.json").exists() else "new"

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

    def log(self, key: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write metrics.jsonl anew, a line a row: so it has neither torn lines nor, of a resumed run, a line twice."""
        write_atomic(self.path(key, "metrics.jsonl"), "".join(json.dumps(row) + "\n" for row in rows).encode())

    def finish(self, key: str, result: Mapping[str, Any], scores: Mapping[str, np.ndarray]) -> None:
        """Write scores.npz, then result.json: from then on the run is done; its checkpoint and failures are removed."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **dict(scores))  # type: ignore[arg-type]
        write_atomic(self.path(key, "scores.npz"), buffer.getvalue())
        text = json.dumps({"schema": RESULT_SCHEMA, **result}, indent=1, allow_nan=False)
        write_atomic(self.path(key, "result.json"), text.encode())
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
        record = {"schema": RESULT_SCHEMA, "key": key, "kind": kind, "message": message}
        record |= {"attempts": self.attempts(key) + 1, "code": dict(code or {})}
        try:
            self.path(key).mkdir(parents=True, exist_ok=True)
            if config_yaml and not self.path(key, "config.yaml").exists():
                write_atomic(self.path(key, "config.yaml"), config_yaml.encode())
            write_atomic(self.path(key, "failure.json"), json.dumps(record, indent=1).encode())
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

    def result(self, key: str) -> dict[str, Any]:
        """The result of a done run; `UserError` names a file that is missing or damaged."""
        result = self._json(key, "result.json")
        if result.get("schema") != RESULT_SCHEMA:
            raise UserError(
                f"{self.path(key, 'result.json')} has schema {result.get('schema')}, this version reads "
                f"{RESULT_SCHEMA}: move the folder away and run again"
            )
        return result

    def failure(self, key: str) -> dict[str, Any]:
        return self._json(key, "failure.json")

    def scores(self, key: str, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """The arrays of scores.npz, loaded; those of `names` alone where given."""
        path = self.path(key, "scores.npz")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files if names is None or name in names}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{path} cannot be read ({error}): move the folder away and run again") from None

    def results(self) -> Iterator[dict[str, Any]]:
        """The results of all done runs, in the order of their keys."""
        for key in self.run_keys():
            if self.state(key) == "done":
                yield self.result(key)

    def _json(self, key: str, name: str) -> dict[str, Any]:
        path = self.path(key, name)
        try:
            value = json_text.read(path)
        except FileNotFoundError:
            raise UserError(f"{path} does not exist") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}): move the folder away and run again") from None
        if not isinstance(value, dict):
            raise UserError(f"{path} does not hold an object: move the folder away and run again")
        return value
