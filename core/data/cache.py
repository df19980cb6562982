"""Arrays made once and kept on disk: rendered pools, captures, teacher features."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.store import write_atomic


def cache_dir(configured: str | None) -> Path:
    """The configured folder, else $DOCABLATE_CACHE, else ~/.cache/docablate; made if missing.

    Raises:
        UserError: the folder cannot be made or written.
    """
    chosen = configured or os.environ.get("DOCABLATE_CACHE")
    folder = Path(chosen) if chosen else Path.home() / ".cache" / "docablate"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the cache '{folder}' cannot be written ({error.strerror}): set DOCABLATE_CACHE to a folder that can"
        ) from None
    return folder


def cached_array(folder: Path, name: str, description: str, build: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that `build` makes, from the cache where it is there.

    Args:
        name: a short readable prefix of the file's name.
        description: everything that decides the content; its digest is the rest of the name.

    A file that cannot be read, or whose bytes do not match the checksum beside it, is made anew.
    """
    digest = hashlib.sha256(description.encode()).hexdigest()[:16]
    path = folder / f"{name}-{digest}.npy"
    checksum = path.with_suffix(".sha256")
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == checksum.read_text().strip():
            loaded: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
            return loaded
    except (OSError, ValueError, EOFError):
        pass
    array = np.ascontiguousarray(build())
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    # The checksum goes last: an array without one is not trusted.
    checksum.unlink(missing_ok=True)
    write_atomic(path, buffer.getvalue())
    write_atomic(checksum, hashlib.sha256(buffer.getvalue()).hexdigest().encode())
    return array
