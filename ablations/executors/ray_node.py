"""What a run on a node of a Ray cluster does: unpack what it reads, train in a store of the node, send all of it back.

Nothing here imports Ray: it is a generator of events, the last of which carries the result.
"""

from __future__ import annotations

import platform
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ablations.executors.parcel import Packed, moved, put_array, unpack
from ablations.executors.worker import Event, Task, classify, execute
from core.data import cache
from core.errors import RunFailure
from core.result import code_versions
from core.store import CHECKPOINT, Store


@dataclass(frozen=True)
class Array:
    """A file of the driver's cache, and the checksum that it is trusted by."""

    name: str
    data: np.ndarray
    checksum: bytes


@dataclass(frozen=True)
class Sent:
    """What a finished run sends back: result.json's content, scores.npz's arrays, the learning curve."""

    result: dict[str, Any]
    scores: dict[str, np.ndarray]
    curve: list[dict[str, Any]]


class NodeStore(Store):
    """A store of a node that keeps what a run would write last, for the driver to write."""

    sent: Sent | None = None
    curve: Sequence[Mapping[str, Any]] = ()

    def log(self, key: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.curve = list(rows)
        super().log(key, rows)

    def finish(self, key: str, result: Mapping[str, Any], scores: Mapping[str, np.ndarray]) -> None:
        self.sent = Sent(dict(result), dict(scores), [dict(row) for row in self.curve])
        self.path(key, CHECKPOINT).unlink(missing_ok=True)

    def fail(self, *args: Any, **named: Any) -> bool:
        return False  # the driver's store is told


def run(
    task: Task, versions: Mapping[str, str], packed: Mapping[str, Packed], arrays: Sequence[Array]
) -> Iterator[tuple[Event, Sent | None]]:
    """Train a run on this node.

    Args:
        versions: the driver's `core.result.code_versions`, which must be this node's.
        packed: what the configuration names on disk, by its path on the driver's machine.
        arrays: of the driver's cache, that the run would otherwise make anew.

    Yields:
        Events as they come; the last one is `done`, with what the run sends back, or `failed`.
    """
    told: queue.Queue[Event | None] = queue.Queue()
    folder = cache.cache_dir(None)
    store = NodeStore(folder / "running")

    def report(what: str, done: int, total: int) -> None:
        told.put(Event("progress", task.key, what, done, total))

    def work() -> None:
        try:
            _check_versions(versions)
            report("unpacking", 0, 1)
            for array in arrays:
                put_array(array.name, array.data, array.checksum, folder)
            places = {path: str(unpack(one, folder)) for path, one in packed.items()}
            here = replace(task, config=moved(task.config, places, str(folder)))
            _check_key(here)
            told.put(replace(execute(here, store, report), recorded=False))
        except BaseException as error:
            kind, message = classify(error)
            told.put(Event("failed", task.key, failure=kind, message=f"on {platform.node()}: {message}"))
        finally:
            told.put(None)

    threading.Thread(target=work, daemon=True, name=task.key).start()
    while (event := told.get()) is not None:
        yield event, store.sent if event.kind == "done" else None


def _check_versions(versions: Mapping[str, str]) -> None:
    here = code_versions()
    others = [f"{name} {here.get(name)} for {of}" for name, of in versions.items() if here.get(name) != of]
    if others:
        raise RunFailure("other_code", f"the node has {', '.join(others)}: install the same on all nodes")


def _check_key(task: Task) -> None:
    from core.inputs import run_key

    if (key := run_key(task.config)) != task.key:
        raise RunFailure(
            "data_changed", f"the run would be {key}, since this node has other fonts or weights: set "
            "DOCABLATE_FONTS=matplotlib everywhere, or ship weights by their path",
        )  # fmt: skip
