"""Worker processes forked from one that has PyTorch loaded already: each starts at once, and they share its memory."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any

from core.errors import UserError
from core.process import end_with_parent

_PRELOADED = "ablations.executors.preloaded"
_TRIES = 3
_PAUSE = 0.5  # seconds


def worker_process(target: Callable[..., None], *args: Any, device: str = "cpu") -> BaseProcess:
    """A process that is started, and that ends with this one, whatever ends this one.

    On Linux it is forked from a server, which this process starts once and which takes the environment of that moment
    where a library reads it when it is loaded; all else is the environment of now. Elsewhere, and for another device
    than the CPU, it is spawned: neither the system libraries of macOS nor CUDA's are made to be forked.

    Raises:
        UserError: it cannot be started.
    """
    forked = sys.platform == "linux" and device == "cpu"
    context: Any = multiprocessing.get_context("forkserver" if forked else "spawn")
    for _ in range(_TRIES):
        process: BaseProcess = context.Process(target=_work, args=(dict(os.environ), target, *args), daemon=True)
        with suppress(EOFError, ConnectionError):
            if forked:
                _start_server()
            process.start()
            return process
        time.sleep(_PAUSE)  # somebody killed the server: the next try starts another, once it is known to be gone
    raise UserError("no worker process can be started: is there memory for one? try fewer --jobs")


def _start_server() -> None:
    """Start what workers are forked from, unless it runs.

    Ctrl-C goes to the whole group: it would end the server while that imports, with a traceback.
    """
    multiprocessing.set_forkserver_preload([_PRELOADED])
    resource_tracker.ensure_running()  # else the server's start does it, which unblocks Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(environment: Mapping[str, str], target: Callable[..., None], *args: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what happens then
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    end_with_parent(os.getppid())  # the server, which ends with the process that asked for this one
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():  # it ended before the kernel could be told
        return
    os.environ.clear()
    os.environ.update(environment)
    target(*args)
