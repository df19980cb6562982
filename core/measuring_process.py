"""A process in which something is measured, so that this one's memory and warm caches are no part of it."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class MeasuringProcess:
    """A context in which another process answers questions.

    Args:
        keep: one process is for all questions until it dies, else each has its own.
    """

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> MeasuringProcess:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end()

    def ask(self, work: Callable[[Any], Answer], given: Any) -> Answer:
        """What `work(given)` returns or raises there; `BrokenProcessPool` if the process died of it."""
        if self._pool is None:
            # Ctrl-C goes to the whole group: that one dies of it without a word, this one tells.
            self._pool = ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context("spawn"), initializer=signal.signal,
                initargs=(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip
        try:
            return self._pool.submit(work, given).result()
        except BrokenProcessPool:
            self._end()
            raise
        finally:
            if not self._keep:
                self._end()

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
