"""Many images drawn by several processes into one file, which is then mapped into memory.

The processes are plain `python -m core.data.rendering` commands: they need neither torch nor a guard in the
caller's script, and end by themselves when the process that asked for them is gone.
"""

from __future__ import annotations

import base64
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from core.errors import RunFailure
from core.process import end_with_parent

Draw = Callable[[int], np.ndarray]  # index -> a row of the array, mostly (S, S, 3) uint8; picklable
Progress = Callable[[str, int, int], None]  # what, done, total

_WORTH_A_PROCESS = 400  # images: below, a process costs more than it draws
_REPORT_EVERY = 16
_FAILED = "failed "


def processes_for(count: int) -> int:
    """One process a core, fewer where there is little to draw."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, count // _WORTH_A_PROCESS))


def draw_rows(path: Path, draw: Draw, count: int, what: str, progress: Progress | None, processes: int) -> None:
    """Fill the array file at `path`, e.g. (count, S, S, 3) uint8, with `draw(0)` to `draw(count - 1)`.

    Raises:
        RunFailure: `worker_died` when a drawing process does.
        Exception: whatever `draw` raises, in whichever process.
    """
    if processes == 1 or not sys.executable:
        _fill(path, draw, 0, count, lambda done: progress(what, done, count) if progress else None)
        return
    bounds = np.linspace(0, count, processes + 1).astype(int)
    events: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    children = []
    try:
        for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            children.append(_start((path, draw, start, stop)))
        for number, child in enumerate(children):
            threading.Thread(target=_listen, args=(number, child.stdout, events), daemon=True).start()
        _collect(children, events, lambda done: progress(what, done, count) if progress else None)
    finally:
        for child in children:
            child.kill()
            child.wait()


def _start(job: tuple[Path, Draw, int, int]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-m", "core.data.rendering", str(os.getpid())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
    )  # fmt: skip
    assert child.stdin is not None
    try:
        child.stdin.write(pickle.dumps(job))
        child.stdin.close()
    except BrokenPipeError:
        pass  # it died at once: its end of output says so
    return child


def _listen(number: int, stream: IO[bytes], events: queue.SimpleQueue[tuple[int, str]]) -> None:
    for line in stream:
        events.put((number, line.decode().strip()))
    events.put((number, ""))


def _collect(
    children: list[subprocess.Popen[bytes]],
    events: queue.SimpleQueue[tuple[int, str]],
    report: Callable[[int], None],
) -> None:
    done = [0] * len(children)
    running = len(children)
    while running:
        number, line = events.get()
        if line.startswith(_FAILED):
            raise pickle.loads(base64.b64decode(line.removeprefix(_FAILED)))
        if line:
            done[number] = int(line)
            report(sum(done))
            continue
        running -= 1
        if code := children[number].wait():
            raise RunFailure("worker_died", f"a process that draws or reads images ended with code {code}: run again")


def _fill(path: Path, draw: Draw, start: int, stop: int, report: Callable[[int], None]) -> None:
    rows = np.load(path, mmap_mode="r+", allow_pickle=False)
    for index in range(start, stop):
        rows[index] = draw(index)
        done = index + 1 - start
        if done % _REPORT_EVERY == 0 or index + 1 == stop:
            report(done)
    rows.flush()


def _serve() -> None:
    """One job from standard input; lines of progress, or one that holds the error, to standard output."""
    end_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    path, draw, start, stop = pickle.loads(sys.stdin.buffer.read())
    try:
        _fill(path, draw, start, stop, lambda done: print(done, flush=True))
    except BrokenPipeError:
        os._exit(1)  # nobody is left to draw for
    except BaseException as error:
        print(_FAILED + base64.b64encode(pickle.dumps(error)).decode(), flush=True)


if __name__ == "__main__":
    _serve()
