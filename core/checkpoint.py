"""Checkpoints: one file that holds all that a training depends on, and that is whole or not there.

The file is a line that says what it is, a line of JSON that can be read without torch, what torch saved, and a SHA-256
of all before. PyTorch's own reader takes flipped bits for weights; here a file that was cut, flipped, emptied or made
by something else is no checkpoint, and training begins anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from core import json_text
from core.config_sections import device_kind
from core.result import environment
from core.store import atomic_file

SAVE_EVERY = 10.0  # seconds of training that may be lost
_SHARE = 50  # the last write's time goes into the time between two at least so often: 2 % of a training at most
_MAGIC = b"docablate checkpoint 1\n"
_DIGEST = hashlib.sha256().digest_size
_LONGEST_HEADER = 4096
# What may change the bits of a step, besides the number of threads, which the checkpoint itself holds.
_SAME = ("python", "torch", "timm", "numpy", "pillow", "hardware", "system", "code")


def identity(key: str, device: str) -> str:
    """Who may go on from a checkpoint: the same training, by the same code and libraries, on the same hardware."""
    import torch

    made = environment(device, 1)
    facts = {name: made[name] for name in _SAME}
    facts |= {"key": key, "device": device_kind(device), "instructions": torch.backends.cpu.get_cpu_capability()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Saver:
    """Writes the checkpoints of one training, not too often.

    Args:
        path: of the file; its folder must exist.
        identity: of the training; a file of another one is left aside.
        every: seconds between two checkpoints at least; 0 for one whenever asked. By default `SAVE_EVERY`.
        held: called before the file is written or removed; it raises where that is another process's to do by now.
    """

    def __init__(
        self, path: Path, identity: str, every: float | None = None, held: Callable[[], None] | None = None
    ) -> None:
        self.path, self._identity = path, identity
        self._held = held or (lambda: None)
        self.every = SAVE_EVERY if every is None else every
        self._took, self._since = 0.0, time.perf_counter()

    def start(self) -> None:
        """Training begins now, from which the first checkpoint's time is counted."""
        self._since = time.perf_counter()

    def due(self) -> bool:
        """Whether enough time went by since the last checkpoint, for what it took to write."""
        return not self.every or time.perf_counter() - self._since >= max(self.every, _SHARE * self._took)

    def save(self, state: dict[str, Any], done: int, total: int) -> None:
        """Write a checkpoint in the place of the last, after `done` of `total` samples.

        Raises:
            RunFailure: `no_space` or `store_not_writable`; the last checkpoint is still there.
        """
        started = time.perf_counter()
        self._held()
        _write(self.path, {"identity": self._identity, "samples": done, "of": total}, state)
        self._since = time.perf_counter()
        self._took = self._since - started

    def read(self) -> dict[str, Any] | None:
        """The state that was saved, its tensors on the CPU; None where there is none of this training, or a damaged."""
        import torch

        try:
            data = memoryview(self.path.read_bytes())
            header = _header(bytes(data[: len(_MAGIC) + _LONGEST_HEADER]))
            body = data[:-_DIGEST]
            if header["identity"] != self._identity or hashlib.sha256(body).digest() != data[-_DIGEST:]:
                return None
            payload = io.BytesIO(body[len(_MAGIC) + header["length"] :])
            state: dict[str, Any] = torch.load(payload, map_location="cpu", weights_only=True)
            return state
        except Exception:  # a damaged file fails in many ways, and all of them mean: begin anew
            return None

    def discard(self) -> None:
        """Remove the checkpoint, if there is one."""
        self._held()
        with suppress(OSError):  # of a store that cannot be written any more; its own failure will be told
            self.path.unlink(missing_ok=True)


def progress(path: Path) -> tuple[int, int] | None:
    """(samples done, of how many) as the checkpoint says, unverified and without torch; None where there is none."""
    try:
        with path.open("rb") as handle:
            header = _header(handle.read(len(_MAGIC) + _LONGEST_HEADER))
        return int(header["samples"]), int(header["of"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _header(start: bytes) -> dict[str, Any]:
    """The JSON line of a file that starts so, with its `length`; raises `ValueError` where it is no checkpoint."""
    if not start.startswith(_MAGIC):
        raise ValueError("not a checkpoint")
    line, end, _ = start[len(_MAGIC) :].partition(b"\n")
    header = json_text.parse("a checkpoint's header", line)
    if not end or not isinstance(header, dict):
        raise ValueError("not a checkpoint's header")
    return {**header, "length": len(line) + 1}


def _write(path: Path, header: dict[str, Any], state: dict[str, Any]) -> None:
    import torch

    with atomic_file(path) as handle:
        hashed = _Hashed(handle)
        hashed.write(_MAGIC + json.dumps(header).encode() + b"\n")
        try:
            torch.save(state, hashed)  # type: ignore[arg-type]  # it asks no more of a file than `write`
        except Exception:
            if hashed.error:  # torch raises another error while it closes the archive, which hides the reason
                raise hashed.error from None
            raise
        handle.write(hashed.digest())


class _Hashed:
    """Writes on to a file, so that no copy of the state is held in memory, and hashes what goes by."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle, self._hash = handle, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        self._hash.update(data)
        try:
            return self._handle.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self._handle.flush()

    def digest(self) -> bytes:
        return self._hash.digest()
