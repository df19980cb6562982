"""Workers for tests of commands in this process: forked from one that has PyTorch loaded, where users' are spawned.

Of a tiny run most of the time is what its worker imports. Commands that a test starts as processes of their own, to
kill them or to interrupt them, spawn their workers as a user's do.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from typing import Any

from ablations.executors import worker
from tests.core.forked import FORKSERVER


class ForkedWorkers:
    """What `LocalExecutor` uses of a multiprocessing context."""

    Pipe = staticmethod(multiprocessing.Pipe)

    def Process(self, target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> BaseProcess:
        return FORKSERVER.Process(target=_work, args=(dict(os.environ), target, *args), daemon=daemon)


def _work(environment: Mapping[str, str], target: Callable[..., None], *args: Any) -> None:
    os.environ.clear()  # the server's is that of its own start
    os.environ.update(environment)
    worker.end_with_parent = lambda parent: None  # type: ignore[assignment]  # its parent is the server
    target(*args)
