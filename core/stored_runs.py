"""The reading side of a store: which runs there are, and what their files say, held to what was written.

`result.json` has a checksum of itself and the digests of the files beside it; a result of schema 1 has neither, and is
read if it has all that its writer wrote. `core.integrity` says what becomes of a run that is damaged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core import record
from core.errors import UserError, first_line
from core.record import Damaged, file_digest

RESULT_SCHEMA = 2  # of result.json and failure.json; 1 had no checksums
FILES = ("config.yaml", "metrics.jsonl", "scores.npz")  # of a done run beside result.json, which has their digests
State = Literal["done", "failed", "new"]
_KEY = re.compile(r"[0-9a-f]{16,64}")
_AGAIN = "`run` sets the run aside and trains it again"
# What a result without a checksum must hold to be read at all: what its writer always wrote.
_FIELDS_OF_1: Mapping[str, type] = {
    "key": str, "seed": int, "config": dict, "metrics": dict, "validation": dict, "untrained": dict, "cost": dict,
    "curve": list, "test": dict, "manipulation": dict, "inputs": dict, "data": dict, "environment": dict,
}  # fmt: skip


def is_key(name: str) -> bool:
    """Whether a name is a run's key: 16 to 64 hexadecimal digits."""
    return _KEY.fullmatch(name) is not None


class StoredRuns:
    """The runs under one folder, read."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._known: dict[tuple[Path, str], tuple[tuple[int, ...], Any]] = {}  # what was read of files as they were

    def path(self, key: str, name: str = "") -> Path:
        if not is_key(key):
            raise UserError(f"'{key}' is not a run key: keys are at least 16 hex digits, see `status`")
        return self.root / key / name

    def run_keys(self) -> list[str]:
        """Keys of all run folders, sorted; a missing store has none."""
        if not self.root.is_dir():
            return []
        try:
            return sorted(entry.name for entry in self.root.iterdir() if is_key(entry.name))
        except OSError as error:
            raise UserError(f"the store '{self.root}' cannot be read ({error.strerror or error})") from None

    def find(self, prefix: str) -> str:
        """The one key that starts with `prefix`; `UserError` when there is none or more than one."""
        matches = [key for key in self.run_keys() if key.startswith(prefix)]
        if len(matches) == 1:
            return matches[0]
        problem = "no run" if not matches else f"{len(matches)} runs"
        raise UserError(f"{problem} in '{self.root}' with a key that starts with '{prefix}': see `status`")

    def state(self, key: str) -> State:
        """What the names of files say, which is quick; `core.integrity.examine` reads them too."""
        if os.path.lexists(self.path(key, "result.json")):
            return "done"
        return "failed" if os.path.lexists(self.path(key, "failure.json")) else "new"

    def result(self, key: str) -> dict[str, Any]:
        """The result of a done run, verified by its own checksum.

        Raises:
            Damaged, Newer: naming the file; `UserError` where there is none.
        """
        path = self.path(key, "result.json")
        result = self._record(path, key)
        if "checksum" not in result and (wrong := _wrong_in_1(result)):
            raise Damaged(path, f"a result of schema 1 without {wrong}", _AGAIN)
        if wrong := _misshapen(result):
            raise Damaged(path, f"its {wrong} cannot be read", _AGAIN)
        return result

    def failure(self, key: str) -> dict[str, Any]:
        """Key, `kind` and `message` of a failed run, verified; raises as `result`."""
        path = self.path(key, "failure.json")
        failure = self._record(path, key)
        if not all(isinstance(failure.get(name), str) for name in ("kind", "message")):
            raise Damaged(path, "it has no kind or no message", _AGAIN)
        return failure

    def scores(self, key: str, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """The arrays of scores.npz, verified by the digest in result.json; those of `names` alone where given.

        Raises:
            Damaged: it is not what was written; as `result` for a result.json that cannot be used.
        """
        self.verify(key, ("scores.npz",), digests=True)
        return _arrays(self.path(key, "scores.npz"), names)

    def verify(self, key: str, names: Collection[str] = FILES, *, digests: bool) -> None:
        """Hold files of a done run to what its result.json says of them: their sizes, with `digests` their content.

        A file that it says nothing of (schema 1) has to be there; of scores, every array has to pass its own CRC.

        Raises:
            Damaged: the first that is not as it was; as `result` for a result.json that cannot be used.
        """
        written = self._once(self.path(key, "result.json"), "files", lambda _: self._recorded(key))
        for name in names:
            path = self.path(key, name)
            if not path.is_file():
                raise Damaged(path, "it is not a file" if os.path.lexists(path) else "it is not there", _AGAIN)
            if name not in written:
                if digests and name == "scores.npz":
                    self._once(path, "arrays", lambda path: list(_arrays(path)))
                continue
            size = path.stat().st_size
            if size != written[name]["bytes"]:
                raise Damaged(path, f"{size:,} bytes, {written[name]['bytes']:,} were written", _AGAIN)
            if digests and self.digest(key, name) != written[name]["sha256"]:
                raise Damaged(path, "its content is not what was written", _AGAIN)

    def digest(self, key: str, name: str) -> str:
        """SHA-256 of a run's file, in hex digits, computed once while the file stays as it is; raises `OSError`."""
        return str(self._once(self.path(key, name), "sha256", file_digest))

    def results(self) -> Iterator[dict[str, Any]]:
        """The results of all done runs, in the order of their keys."""
        for key in self.run_keys():
            if self.state(key) == "done":
                yield self.result(key)

    def _record(self, path: Path, key: str) -> dict[str, Any]:
        try:
            found = record.read(path, RESULT_SCHEMA, _AGAIN)
        except FileNotFoundError:
            raise UserError(f"{path} does not exist") from None
        if found.get("schema") not in range(1, RESULT_SCHEMA + 1):
            raise Damaged(path, f"its schema is {found.get('schema')}", _AGAIN)
        if found.get("key") != key:
            raise Damaged(path, f"it is of the run {str(found.get('key'))[:64]!r}", _AGAIN)
        return found

    def _recorded(self, key: str) -> dict[str, dict[str, Any]]:
        return dict(self.result(key).get("files", {}))

    def _once(self, path: Path, what: str, read: Callable[[Path], Any]) -> Any:
        """What `read` says of a file, kept until the file is another one or is written to."""
        try:
            status = path.stat()
        except FileNotFoundError:
            raise UserError(f"{path} does not exist") from None
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._known.get((path, what))
        if known is None or known[0] != stamp:
            self._known[path, what] = known = (stamp, read(path))
        return known[1]


def _misshapen(result: Mapping[str, Any]) -> str:
    """The first part of a result that is of another kind than its writer makes: a checksum can be put on anything."""
    for name, kind in _FIELDS_OF_1.items():
        if name in result and not isinstance(result[name], kind):
            return name
    if not all(isinstance(row, dict) for row in result.get("curve", ())):
        return "curve"
    files = result.get("files", {})
    return "" if isinstance(files, dict) and all(map(_is_of_file, files.values())) else "files"


def _is_of_file(facts: object) -> bool:
    if not isinstance(facts, dict):
        return False
    return type(facts.get("bytes")) is int and isinstance(facts.get("sha256"), str)


def _arrays(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if names is None or name in names}
    except Exception as error:  # a damaged archive fails in many ways, and without a digest any of them may come
        raise Damaged(path, first_line(error, 200), _AGAIN) from None


def _wrong_in_1(result: Mapping[str, Any]) -> str:
    """The first field that a result of schema 1 lacks, or has as something else; nothing where all are there."""
    for name, kind in _FIELDS_OF_1.items():
        if not isinstance(result.get(name), kind):
            return name
    for name, value in result["metrics"].items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            return f"a rate for metrics.{name}"
    return ""
