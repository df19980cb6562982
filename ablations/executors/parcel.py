"""What a run reads, shipped to machines that share no disk with this one: folders of images, weights, cached arrays.

A parcel is named by its content and unpacked once a machine, whichever of the machine's processes needs it first.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.config import RunConfig
from core.data import cache
from core.errors import UserError
from core.lease import Leases
from core.store import atomic_file, storage_failure, write_atomic

# Fields that name something on disk, and their values that do not.
_WEIGHTS: dict[str, tuple[str, ...]] = {
    "model.pretrained": ("none", "procedural", "imagenet"), "distill.teacher": ("procedural", "random", "openai"),
}  # fmt: skip
_IMAGES: dict[str, tuple[str, ...]] = {"data.source": ("procedural",), "eval.source": ("held-out",)}


@dataclass(frozen=True)
class Packed:
    """A folder or a file of that `name`: content by the file's path from there on; `digest` is of all of it.

    No archive, which would restrict names: users' files may have any that their disk holds.
    """

    name: str
    digest: str
    files: Mapping[str, bytes] = field(repr=False)


def sources_of(config: RunConfig) -> list[str]:
    """The files and folders on disk that a configuration names."""
    named = [(_at(config, name), known) for name, known in _WEIGHTS.items()]
    named += [(path, known) for name, known in _IMAGES.items() for path in _at(config, name)]
    return list(dict.fromkeys(path for path, known in named if path not in known))


def _at(config: RunConfig, name: str) -> Any:
    section, field_name = name.split(".")
    return getattr(getattr(config, section), field_name)


def moved(config: RunConfig, places: Mapping[str, str], cache_dir: str) -> RunConfig:
    """The configuration with what it names at other places, and another cache."""
    changes: dict[str, Any] = {name: places.get(_at(config, name), _at(config, name)) for name in _WEIGHTS}
    changes |= {name: tuple(places.get(path, path) for path in _at(config, name)) for name in _IMAGES}
    return config.with_overrides({**changes, "runtime.cache_dir": cache_dir})


def pack(path: str) -> Packed:
    """A file or folder of this machine, without anything that is neither.

    Raises:
        UserError: it is not there or cannot be read.
    """
    root = Path(os.path.abspath(path))  # "." and ".." have a name, too
    name = root.name or "data"
    files: dict[str, bytes] = {}
    digest = hashlib.sha256()
    try:
        for file in sorted(_files(root)) if root.is_dir() else [root]:
            below, content = Path(name, file.relative_to(root)).as_posix(), file.read_bytes()
            digest.update(os.fsencode(below) + b"\0" + hashlib.sha256(content).digest())
            files[below] = content
    except OSError as error:
        raise UserError(f"{path} cannot be shipped to other machines ({error.strerror or error})") from None
    return Packed(name, digest.hexdigest()[:32], files)


def _files(root: Path) -> Iterable[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if Path(folder, name).is_file())


def unpack(packed: Packed, folder: Path) -> Path:
    """Where the content is on this machine, below `folder`; unpacked if it is not there yet.

    Raises:
        UserError: a name that leads out of the place, or that this disk takes for another one's.
        RunFailure: it cannot be written.
    """
    place = folder / "shipped" / packed.digest
    if not place.exists():
        with Leases(folder).hold(f".lease-{packed.digest}"):
            if not place.exists():
                part = place.with_name(f"{packed.digest}.part")
                shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
                try:
                    for name, content in packed.files.items():
                        _write(part, name, content)
                    part.rename(place)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
    return place / packed.name


def _write(folder: Path, name: str, content: bytes) -> None:
    file = folder / name
    if not Path(os.path.abspath(file)).is_relative_to(os.path.abspath(folder)):
        raise UserError(f"what was shipped has {name!a}, which leads out of its folder")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as handle:
            handle.write(content)
    except FileExistsError:
        raise UserError(f"what was shipped has {name!a}, which this disk takes for another file of it") from None
    except OSError as error:
        raise storage_failure(file, error) from error


def put_array(name: str, data: np.ndarray, checksum: bytes, folder: Path) -> None:
    """Put a file of another machine's cache, as bytes, into this one's, unless it has it; `checksum` is of it."""
    path = folder / name
    if cache.checksum_of(path).is_file():
        return
    with Leases(folder).hold(f".lease-{path.stem}"):
        if not cache.checksum_of(path).is_file():
            with atomic_file(path) as handle:
                handle.write(data.data)
            write_atomic(cache.checksum_of(path), checksum)
