"""A worker process: takes runs over a pipe, trains them, writes their results to the store."""

from __future__ import annotations

import errno
import multiprocessing
import signal
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Literal

from ablations.executors.fenced import FencedStore
from core.config import RunConfig
from core.errors import RunFailure, UserError
from core.lease_file import LeaseLost, Ticket, refresh
from core.process import end_with_parent
from core.result import code_versions
from core.store import CHECKPOINT, MORE_FILES, Store

if TYPE_CHECKING:
    from core.data.rendering import Progress
    from core.ranks import Ranks

_REPORT_EVERY = 0.25  # seconds between progress messages
_NO_FILES = "Too many open files"
_NO_MEMORY = (
    "can't allocate memory", "Cannot allocate memory", "not enough memory", "out of memory", "bad_alloc",
    "STATUS_ALLOC_FAILED",
)  # fmt: skip
_COLLECTIVES = ("gloo/", "NCCL", "process group")  # in the errors of a rank whose partner is gone
LOST_RANK = "worker_died"


@dataclass(frozen=True)
class Task:
    """`prepare` makes the cached arrays of a configuration, `run` trains it while its lease is held."""

    kind: Literal["prepare", "run"]
    key: str
    label: str
    config: RunConfig
    ticket: Ticket | None = None


@dataclass(frozen=True)
class Event:
    """What a worker says: `progress` with (what, done, total), `done` with metrics, or `failed`.

    `lost` is a run that another process took over. `recorded` says that the store has the failure, `shared` that it
    leaves no other rank in the middle of the run: all met it, or the others were not at it, and can go on.
    """

    kind: Literal["progress", "done", "failed", "lost"]
    key: str
    what: str = ""
    done: int = 0
    total: int = 0
    payload: dict[str, Any] | None = None
    failure: str = ""
    message: str = ""
    recorded: bool = False
    shared: bool = True


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
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        end_with_parent(parent.pid)
    code_versions()  # read now: a failure may be that no file can be opened any more
    while True:
        try:
            task: Task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            event = execute(task, FencedStore(store_root, task.ticket), _Reporter(pipe, task.key))
            pipe.send(event)
        except (_ParentGone, BrokenPipeError):
            return


def execute(task: Task, store: Store, report: Progress, ranks: Ranks | None = None) -> Event:
    """Do a task and write down what came of it; everything that goes wrong is an event.

    Args:
        report: told how far it is; what it raises passes through where it is `_ParentGone` or `KeyboardInterrupt`.
        ranks: that train it together, this one being the leading one.
    """
    training: Ranks | None = None  # while the others train, too: before and after it they wait for the next run
    tried = 0
    try:
        if task.kind == "prepare":
            return _prepare(task, report)
        report("starting", 0, 1)
        from core.ranks import ALONE
        from core.trainer import train

        tried = store.attempts(task.key)
        store.begin(task.key, task.config.to_yaml())
        if (training := ranks) is not None:
            training.send((task.config, str(store.root), task.key))
        result = train(
            task.config, progress=report, log=lambda curve: store.log(task.key, curve),
            checkpoint=store.path(task.key, CHECKPOINT), held=store.check_held, ranks=ranks or ALONE,
        )  # fmt: skip
        training = None
        store.finish(task.key, result.to_json(), result.scores)
        return Event("done", task.key, payload=outcome(result.metrics, result.cost, result.test))
    except (_ParentGone, KeyboardInterrupt):
        raise
    except LeaseLost as lost:
        return Event("lost", task.key, message=str(lost))
    except BaseException as error:
        kind, message = classify(error)
        shared = training is None or all_met(training, error, kind)
        error.__traceback__ = None  # it holds on to the run's arrays and open files
    try:
        if training is not None and kind == LOST_RANK and (told := _told_since(tried, store, task.key)):
            kind, message, recorded = told["kind"], told["message"], True
        else:
            recorded = task.kind == "run" and store.fail(
                task.key, kind, message, task.config.to_yaml(), decided_by(ranks.count if ranks else 1)
            )
    except LeaseLost as lost:
        return Event("lost", task.key, failure=kind, message=str(lost), shared=shared)
    return Event("failed", task.key, failure=kind, message=message, recorded=recorded, shared=shared)


def decided_by(ranks: int) -> dict[str, str]:
    """What decides with a configuration and its data how a run ends: the code, and how many `ranks` share its batch."""
    return {**code_versions(), **({"ranks": str(ranks)} if ranks > 1 else {})}


def outcome(metrics: Mapping[str, Any], cost: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of a run that is done: its metrics, its seconds, and how many identities it was judged on."""
    return {**metrics, "seconds": cost["seconds"], "identities": test["identities"]}


def _told_since(tried: int, store: Store, key: str) -> dict[str, Any] | None:
    """What the rank that ended recorded of its failure, if it could, where `tried` attempts had failed before."""
    with suppress(OSError):  # a network file system may remember that there was none
        refresh(store.path(key))
    return store.failure(key) if store.attempts(key) > tried else None


def _prepare(task: Task, report: Progress) -> Event:
    from core.data import cache
    from core.materials import prepare

    with cache.watched() as files:
        prepare(task.config, report)
    return Event("done", task.key, payload={"files": [str(path) for path in files]})


def all_met(ranks: Ranks, error: BaseException, kind: str) -> bool:
    """Whether all ranks met an error while they trained a run, so that they can go on together with another one.

    Args:
        kind: of the error, by `classify`: a rank that ran out of something may take its configuration for a bad one,
            while one that is bad is so for all of them.
    """
    return kind == "bad_config" or ranks.shares(error)


def classify(error: BaseException) -> tuple[str, str]:
    """(typed reason, one line) of whatever ended a run."""
    # What ran out may have been taken for damaged weights or the like by who met it.
    for met in (error, error.__cause__):
        reason = _ran_out(met) if met is not None else None
        if reason is not None and not (isinstance(error, RunFailure) and error.kind == reason[0]):
            return reason
    if isinstance(error, RunFailure):
        return error.kind, error.message
    if isinstance(error, UserError):
        return "bad_input", str(error)
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _COLLECTIVES):
        return LOST_RANK, "another of the ranks that trained it ended: run again with --retry-failed"
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({last[0].filename.rsplit('/', 1)[-1]}:{last[0].lineno})" if last else ""
    first = str(error).splitlines()[0] if str(error) else ""
    return "error", f"{type(error).__name__}: {first}{where}"


def _ran_out(error: BaseException) -> tuple[str, str] | None:
    """(typed reason, one line) where a resource ran out."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no_space", f"no space left on the device: {error.filename or error}"
    # A library that cannot be loaded for it says so in words alone.
    if (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)) or _NO_FILES in str(error):
        return "too_many_files", f"too many files are open ({getattr(error, 'filename', None) or error}): {MORE_FILES}"
    no_memory = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    # PyTorch's by its name, as nothing here imports it; of its allocators and CUDA's libraries only the words tell.
    no_memory = no_memory or type(error).__name__ == "OutOfMemoryError"
    if no_memory or (isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)):
        return "out_of_memory", "out of memory: lower optim.batch_size or --jobs"
    return None
