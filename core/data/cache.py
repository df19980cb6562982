"""Arrays made once and kept on disk: rendered pools, captures, teacher features.

Of several processes that need the same array at the same time one makes it, and the others wait for it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL
from PIL import features

from core.data.rendering import Draw, Progress, draw_rows, processes_for
from core.errors import UserError
from core.lease import Lease, Leases
from core.lease_file import Holder
from core.store import file_digest, publish, storage_failure, write_atomic

_watching: list[list[Path]] = []


def cache_dir(configured: str | None) -> Path:
    """The configured folder, else $DOCABLATE_CACHE, else ~/.cache/docablate; made if missing.

    Raises:
        UserError: the folder cannot be made or written, or there is no home folder to put it in.
    """
    chosen = configured or os.environ.get("DOCABLATE_CACHE")
    try:
        folder = Path(chosen) if chosen else Path.home() / ".cache" / "docablate"
    except RuntimeError:  # of a user whom the system does not know, as in many containers
        raise UserError("there is no home folder for the cache: set DOCABLATE_CACHE to a folder") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the cache '{folder}' cannot be written ({error.strerror}): set DOCABLATE_CACHE to a folder that can"
        ) from None
    return folder


def cached_array(
    folder: Path, name: str, description: str, build: Callable[[], np.ndarray], progress: Progress | None = None
) -> np.ndarray:
    """The array that `build` makes, from the cache where it is there.

    Args:
        name: a short readable prefix of the file's name.
        description: everything that decides the content; its digest is the rest of the name.
        progress: told while another process makes it.

    Returns:
        The array, mapped from its file: writing to it changes this process's copy only. A file that cannot
        be read, or whose bytes do not match the checksum beside it, is made anew.

    Raises:
        RunFailure: `no_space` or `store_not_writable`; nothing half made is left behind.
    """

    def write(temporary: Path) -> None:
        with temporary.open("wb") as handle:
            np.save(handle, np.ascontiguousarray(build()), allow_pickle=False)

    return _entry(folder, name, description, write, progress)


def cached_images(
    folder: Path, name: str, description: str, shape: tuple[int, ...], draw: Draw, progress: Progress | None = None
) -> np.ndarray:
    """The images (N, S, S, 3) uint8 that `draw` makes one by one, drawn by one process a core.

    As `cached_array`; `name` is also what progress is reported of. Raises what `draw` raises, too.
    """

    def write(temporary: Path) -> None:
        rows = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        del rows
        with temporary.open("r+b") as handle:
            # A mapped file that runs out of disk kills the process that writes to it: take the space first.
            size = os.fstat(handle.fileno()).st_size
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle.fileno(), 0, size)
        draw_rows(temporary, draw, shape[0], name, progress, processes_for(shape[0]))

    return _entry(folder, name, description, write, progress)


def path_of(folder: Path, name: str, description: str) -> Path:
    """The file of an array, be it there or not; the arguments are those that it is made with."""
    digest = hashlib.sha256(f"{description} {_drawn_by()}".encode()).hexdigest()[:16]
    return folder / f"{name.replace(' ', '-')}-{digest}.npy"


@lru_cache(maxsize=1)
def _drawn_by() -> str:
    """What pixels depend on beside all that is described: each version draws text a little differently."""
    return f"Pillow {PIL.__version__} FreeType {features.version('freetype2')}"


@contextmanager
def watched() -> Iterator[list[Path]]:
    """Which files of the cache are used meanwhile, by this process and thread or any of its others."""
    files: list[Path] = []
    _watching.append(files)
    try:
        yield files
    finally:
        _watching.remove(files)


def let_go(array: np.ndarray) -> None:
    """Give back the memory of what was read of an array of the cache: what is read again comes from its file again.

    What was written to it is lost.
    """
    if isinstance(array.base, mmap.mmap):
        array.base.madvise(mmap.MADV_DONTNEED)


def checksum_of(path: Path) -> Path:
    """The file that an array is trusted by."""
    return path.with_suffix(".sha256")


def _entry(
    folder: Path, name: str, description: str, write: Callable[[Path], None], progress: Progress | None
) -> np.ndarray:
    path = path_of(folder, name, description)
    for files in _watching:
        files.append(path)

    def waiting(maker: Holder) -> None:
        if progress:
            progress(f"{name}, which {maker} makes", 0, 1)

    while True:
        if (array := _load(path)) is not None:
            return array
        with Leases(folder).hold(f".lease-{path.stem}", waiting) as lease:
            if (array := _load(path)) is not None:  # another process made it meanwhile
                return array
            if _make(path, write, lease):
                made: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
                return made


def _make(path: Path, write: Callable[[Path], None], lease: Lease) -> bool:
    """Make the array and put it in its place; False where another process took that over, as this one stood still."""
    temporary: Path | None = None
    checksum = checksum_of(path)
    try:
        for left in path.parent.glob(f".{path.stem}.*.npy"):  # by a maker that was killed
            left.unlink(missing_ok=True)
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=".npy")
        os.close(descriptor)
        temporary = Path(made)
        write(temporary)
        digest = file_digest(temporary)
        if not lease.ticket.valid():
            return False
        # The checksum goes last: an array without one is not trusted.
        checksum.unlink(missing_ok=True)
        publish(temporary, path)
        write_atomic(checksum, digest.encode())
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not lease.ticket.valid():
            return False  # who took over removed what was half made
        raise storage_failure(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return True


def _load(path: Path) -> np.ndarray | None:
    try:
        if checksum_of(path).read_text().strip() != file_digest(path):
            return None
        loaded: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
        return loaded
    except (OSError, ValueError, EOFError):
        return None
