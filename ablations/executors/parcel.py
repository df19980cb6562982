"""What a run reads, shipped to machines that share no disk with this one: folders of images, weights, cached arrays.

A parcel is named by its content and unpacked once a machine, whichever of the machine's processes needs it first.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.config import RunConfig
from core.data import cache
from core.data.archives import Limits, extract
from core.errors import UserError
from core.lease import Leases
from core.store import atomic_file, file_digest, write_atomic

# Fields that name something on disk, and their values that do not.
_WEIGHTS: dict[str, tuple[str, ...]] = {
    "model.pretrained": ("none", "procedural", "imagenet"), "distill.teacher": ("procedural", "random", "openai"),
}  # fmt: skip
_IMAGES: dict[str, tuple[str, ...]] = {"data.source": ("procedural",), "eval.source": ("held-out",)}
_LIMITS = Limits(fold_case=False)


@dataclass(frozen=True)
class Packed:
    """A folder, or a `single` file, as a tar archive; `digest` is of its files' names and content."""

    name: str
    digest: str
    single: bool
    data: bytes = field(repr=False)


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
    root = Path(path)
    files = sorted(_files(root)) if root.is_dir() else [root]
    buffer, digest = io.BytesIO(), hashlib.sha256()
    try:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for file in files:
                name = str(file.relative_to(root)) if root.is_dir() else root.name
                entry = tarfile.TarInfo(name)
                entry.size = file.stat().st_size
                digest.update(f"{name}\0{file_digest(file)}\0".encode())
                with file.open("rb") as handle:
                    archive.addfile(entry, handle)
    except OSError as error:
        raise UserError(f"{path} cannot be shipped to other machines ({error.strerror or error})") from None
    return Packed(root.name or "data", digest.hexdigest()[:32], not root.is_dir(), buffer.getvalue())


def _files(root: Path) -> Iterable[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if Path(folder, name).is_file())


def unpack(packed: Packed, folder: Path) -> Path:
    """Where the content is on this machine, below `folder`; unpacked if it is not there yet."""
    place = folder / "shipped" / packed.digest
    whole = place / packed.name
    if not whole.exists():
        with Leases(folder).hold(f".lease-{packed.digest}"):
            if not whole.exists():
                place.mkdir(parents=True, exist_ok=True)
                archive = place / "content.tar"
                archive.write_bytes(packed.data)
                fresh = place / "unpacked"
                extract(archive, fresh, limits=_LIMITS)
                (fresh / packed.name if packed.single else fresh).rename(whole)
                archive.unlink()
    return whole


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
