"""What runs on a Ray cluster read, put into its object store once each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ablations.executors.parcel import pack, sources_of
from ablations.executors.ray_node import Array
from core.config import RunConfig
from core.data import cache


class Shipping:
    """References to what was put into the object store, by path on this machine.

    Args:
        ray: the module, connected.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._references: dict[str, Any] = {}
        self._arrays: dict[str, None] = {}  # in the order that they were told

    def add_arrays(self, files: Iterable[str]) -> None:
        """Files of the cache that runs read."""
        self._arrays.update(dict.fromkeys(files))

    def arrays(self) -> list[Any]:
        """References to all files of the cache; raises `OSError` for one that is gone."""
        return [self._put(path, lambda path=path: _array(Path(path))) for path in self._arrays]

    def sources(self, config: RunConfig) -> dict[str, Any]:
        """References to what a configuration names on disk; raises `UserError` for what cannot be read."""
        return {path: self._put(path, lambda path=path: pack(path)) for path in sources_of(config)}

    def _put(self, path: str, read: Any) -> Any:
        if path not in self._references:
            self._references[path] = self._ray.put(read())
        return self._references[path]

    def clear(self) -> None:
        """Let the object store forget them."""
        self._references.clear()


def _array(file: Path) -> Array:
    return Array(file.name, np.frombuffer(file.read_bytes(), np.uint8), cache.checksum_of(file).read_bytes())
