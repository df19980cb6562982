"""A worker process: takes runs over a pipe, trains them, writes their results to the store."""

from __future__ import annotations

import errno
import signal
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

from core.config import RunConfig
from core.errors import RunFailure, UserError
from core.store import CHECKPOINT, Store

_REPORT_EVERY = 0.25  # seconds between progress messages


@dataclass(frozen=True)
class Task:
    """`prepare` makes the cached arrays of a configuration, `run` trains it."""

    kind: Literal["prepare", "run"]
    key: str
    label: str
    config: RunConfig


@dataclass(frozen=True)
class Event:
    """What a worker says: `progress` with (what, done, total), `done` with metrics, or `failed`."""

    kind: Literal["progress", "done", "failed"]
    key: str
    what: str = ""
    done: int = 0
    total: int = 0
    payload: dict[str, Any] | None = None
    failure: str = ""
    message: str = ""


class _ParentGone(Exception):
    """The other end of the pipe is closed."""


class _Reporter:
    def __init__(self, pipe: Connection, key: str) -> None:
        self._pipe, self._key, self._last = pipe, key, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < _REPORT_EVERY and done < total:
            return
        self._last = now
        try:
            self._pipe.send(Event("progress", self._key, what, done, total))
        except (BrokenPipeError, OSError):
            raise _ParentGone from None


def main(pipe: Connection, store_root: str) -> None:
    """Serve tasks until the pipe closes."""
    # Ctrl-C goes to the whole group; the parent decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store = Store(store_root)
    while True:
        try:
            task: Task | None = pipe.recv()
        except (EOFError, OSError):
            return
        if task is None:
            return
        try:
            event = _execute(task, store, _Reporter(pipe, task.key))
            pipe.send(event)
        except (_ParentGone, BrokenPipeError):
            return


def _execute(task: Task, store: Store, report: _Reporter) -> Event:
    try:
        if task.kind == "prepare":
            return _prepare(task, report)
        return _run(task, store, report)
    except _ParentGone:
        raise
    except BaseException as error:
        kind, message = classify(error)
        if task.kind == "run":
            store.fail(task.key, kind, message, task.config.to_yaml())
        return Event("failed", task.key, failure=kind, message=message)


def _prepare(task: Task, report: _Reporter) -> Event:
    from core.materials import load_materials

    load_materials(task.config, report)
    return Event("done", task.key)


def _run(task: Task, store: Store, report: _Reporter) -> Event:
    report("starting", 0, 1)
    from core.trainer import train

    store.begin(task.key, task.config.to_yaml())
    result = train(
        task.config, progress=report, log=lambda curve: store.log(task.key, curve),
        checkpoint=store.path(task.key, CHECKPOINT),
    )  # fmt: skip
    store.finish(task.key, result.to_json(), result.scores)
    return Event("done", task.key, payload={**result.metrics, "seconds": result.cost["seconds"]})


def classify(error: BaseException) -> tuple[str, str]:
    """(typed reason, one line) of whatever ended a run."""
    if isinstance(error, RunFailure):
        return error.kind, error.message
    if isinstance(error, UserError):
        return "bad_input", str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no_space", f"no space left on the device: {error.filename or error}"
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    ):
        return "out_of_memory", "out of memory: lower optim.batch_size or --jobs"
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({last[0].filename.rsplit('/', 1)[-1]}:{last[0].lineno})" if last else ""
    first = str(error).splitlines()[0] if str(error) else ""
    return "error", f"{type(error).__name__}: {first}{where}"
