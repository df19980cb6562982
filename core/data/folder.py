"""Folders of the user's images: found, checked, decoded; what cannot be used is skipped with a reason."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.data import cache as arrays
from core.data.image_file import NOT_READABLE, Unusable, decode, decoder
from core.data.look_alikes import MOST_IMAGES, SIDE, nearest_pairs, small
from core.data.rendering import Progress, draw_rows, processes_for
from core.data.scans import SCAN_VERSION, ImageFile, Scan, dump, recall
from core.errors import RunFailure, UserError
from core.store import file_digest, told_to_the_user, write_atomic


def read(image: ImageFile) -> Image.Image:
    """The image of a file that must be what it was when it was scanned (`core.data.image_file.decode`).

    Raises:
        RunFailure: `data_changed`: other pixels would be kept, and trained on, under the name of those.
    """
    try:
        picture = decode(image.path)
        changed = file_digest(image.path) != image.digest  # afterwards: of what was decoded
    except (Unusable, OSError):
        changed = True
    if changed:
        raise RunFailure("data_changed", f"'{image.path}' is not what it was when the images were counted: run again")
    return picture


def squash(image: Image.Image, size: int) -> np.ndarray:
    """The image resized to a square, as the record does: (size, size, 3) uint8."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def _list(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """(files, folders that are not entered with the reason). Names that start with a dot are passed over."""
    files: list[Path] = []
    skipped: list[tuple[str, str]] = []
    waiting = [str(folder)]
    while waiting:  # not os.walk, which calls itself for every level and ends at the interpreter's depth
        parent = waiting.pop()
        try:
            with os.scandir(parent) as found:
                entries = sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.name)
        except OSError:
            skipped.append((parent, "folder not readable"))
            continue
        inside = []
        for entry in entries:
            if not _is_folder(entry):
                files.append(Path(entry.path))
            elif entry.is_symlink():  # links to folders may lead in circles, so they are not followed
                skipped.append((entry.path, "link to a folder"))
            else:
                inside.append(entry.path)
        waiting += reversed(inside)
    return files, skipped


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle: not a folder, and as a file refused with its reason
        return False


def find(sources: Sequence[str], cache: Path, *, option: str = "--data", progress: Progress | None = None) -> Scan:
    """Find and check the images under the folders, which may be none; remembered until a file changes.

    Args:
        option: the command-line option to name in errors.

    Raises:
        UserError: a missing folder or an empty one.
    """
    files: list[Path] = []
    skipped: list[tuple[str, str]] = []
    for source in sources:
        folder = Path(source)
        if not os.path.isdir(source):  # unlike Path.is_dir it takes any text
            raise UserError(f"{option}: '{source}' is not a folder")
        inside, left_out = _list(folder)
        if not inside and not left_out:
            hidden = bool(os.listdir(folder))
            why = "has only names that start with a dot, which are passed over" if hidden else "is empty"
            raise UserError(f"{option}: '{source}' {why}")
        files += inside
        skipped += left_out
    stamps = [_stamp(path) for path in files]
    identity = hashlib.sha256(json.dumps([SCAN_VERSION, decoder(), stamps, skipped]).encode()).hexdigest()[:16]
    remembered = cache / f"scan-{identity}.json"
    with told_to_the_user(cache):
        if (recalled := recall(remembered)) is not None and not _more_readable(recalled, cache):
            return recalled
        result, levels = _sorted_out(files, skipped, _checked(files, cache, progress))
        if len(levels) <= MOST_IMAGES:
            _levels(result, cache, lambda: levels)
        write_atomic(remembered, dump(result))
    return result


def _more_readable(found: Scan, cache: Path) -> bool:
    """Whether a file can be read that could not be: that its disk failed, or its share was away, is no part of it."""
    again = [Path(name) for name, reason in found.skipped if reason == NOT_READABLE]
    return bool(again) and NOT_READABLE.encode() not in set(_checked(again, cache, None)["reason"].tolist())


def levels_of(found: Scan, cache: Path) -> np.ndarray | None:
    """What is compared of a scan's images (`core.data.look_alikes.small`): (N, SIDE * SIDE) uint8; None of too many.

    It was kept when they were scanned, in a file that most commands need not read; images are read again without it.

    Raises:
        UserError: the cache cannot be written.
    """
    if len(found.images) > MOST_IMAGES:
        return None
    with told_to_the_user(cache):
        return _levels(found, cache, lambda: _checked([image.path for image in found.images], cache, None)["small"])


def _levels(found: Scan, cache: Path, build: Callable[[], np.ndarray]) -> np.ndarray:
    return arrays.cached_array(cache, "levels", f"{SCAN_VERSION} {decoder()} {found.fingerprint}", build)


def _stamp(path: Path) -> tuple[str | int, ...]:
    """What changes when the file does. Paths count as given, too: that is how a remembered scan names them."""
    named = (str(path), str(path.absolute()))
    try:
        status = path.stat()
    except OSError:
        return named
    return (*named, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)


def scan(
    sources: Sequence[str],
    cache: Path,
    *,
    option: str = "--data",
    strict: bool = False,
    progress: Progress | None = None,
) -> Scan:
    """`find`, where there must be something to use.

    Args:
        option: the command-line option to name in errors.
        strict: refuse a folder with anything that would be skipped.

    Raises:
        UserError: a missing folder, a folder without images, or skipped files under `strict`.
    """
    result = find(sources, cache, option=option, progress=progress)
    if not result.images:
        raise UserError(f"{option}: no readable image in {', '.join(sources)}; {result.skipped_note()}")
    if strict and result.skipped:
        path, reason = result.skipped[0]
        raise UserError(f"--strict: {result.skipped_note()}, the first is {path} ({reason})")
    return result


# What is found of a file: digests of its bytes and of its pixels as they are used, what is compared of it with others,
# or why it cannot be used.
_FOUND = np.dtype([("bytes", "S64"), ("pixels", "S32"), ("small", "u1", (SIDE * SIDE,)), ("reason", "S96")])


@dataclass(frozen=True)
class _Check:
    """Reads one of the files, whatever it is."""

    files: tuple[str, ...]

    def __call__(self, index: int) -> np.ndarray:
        path = Path(self.files[index])
        row = np.zeros((), _FOUND)
        try:
            image = decode(path)
            pixels = np.asarray(image)
            row["small"] = small(image)
            row["bytes"] = file_digest(path).encode()
            row["pixels"] = hashlib.sha256(b"%d " % pixels.shape[0] + pixels.tobytes()).hexdigest()[:32].encode()
        except ValueError as error:
            row["reason"] = str(error).encode()
        except OSError:
            row["reason"] = NOT_READABLE.encode()
        return row


def _checked(files: Sequence[Path], cache: Path, progress: Progress | None) -> np.ndarray:
    """Every file read by one process a core: an array of `_FOUND`."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".scan.") as made:
        path = Path(made) / "found.npy"
        np.save(path, np.zeros(len(files), _FOUND))
        check = _Check(tuple(map(str, files)))
        if files:
            draw_rows(path, check, len(files), "checking images", progress, processes_for(len(files)))
        found: np.ndarray = np.load(path, allow_pickle=False)
    return found


def _sorted_out(
    files: Sequence[Path], left_out: Sequence[tuple[str, str]], found: np.ndarray
) -> tuple[Scan, np.ndarray]:
    """Every content once, and what is compared of the images (N, SIDE * SIDE) uint8.

    Of files with the same pixels in other bytes it is the one whose digest comes first.
    """
    images: dict[str, tuple[ImageFile, np.void]] = {}
    skipped, doubles = list(left_out), []  # those with the pixels that they share
    for path, row in zip(files, found, strict=True):
        if reason := row["reason"].decode():
            skipped.append((str(path), reason))
        elif (digest := row["bytes"].decode()) in images:
            skipped.append((str(path), "duplicate"))
            doubles.append((str(path), images[digest][0].pixels))
        else:
            images[digest] = ImageFile(path, digest, row["pixels"].decode()), row
    once: dict[str, ImageFile] = {}
    rows = []
    for digest in sorted(images):
        image, row = images[digest]
        if image.pixels in once:
            skipped.append((str(image.path), "same pixels as another"))
            doubles.append((str(image.path), image.pixels))
        else:
            once[image.pixels] = image
            rows.append(row["small"])
    levels = np.array(rows, np.uint8).reshape(-1, SIDE * SIDE)
    pairs = nearest_pairs(levels, [str(image.path.absolute().parent) for image in once.values()])
    places = {pixels: place for place, pixels in enumerate(once)}
    shown = tuple((name, places[pixels]) for name, pixels in doubles)
    return Scan(tuple(once.values()), tuple(skipped), pairs, shown), levels
