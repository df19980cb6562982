"""Runs on this machine: a few worker processes with their share of the cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ablations.executors.layout import ALLOCATOR, Layout, device_of, environment_of
from ablations.executors.turns import TICK, Executor
from ablations.executors.worker import Event, Task, main
from core.store import Store

STALL = 1800.0  # seconds without a word after which a worker is taken to hang
# A worker that ran out of something may hold on to what is left, and one that met the unknown is in no known state: the
# next run gets a new process.
_USED_UP = ("out_of_memory", "too_many_files", "error")


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    silent: float = 0.0  # seconds since it last said something
    last: Event | None = None


class LocalExecutor(Executor):
    """Hands tasks to worker processes and passes on what they say.

    A worker that dies fails its own task with the type `worker_died` and is replaced, one that says nothing for `stall`
    seconds is killed and fails it with the type `hung`; the others go on.
    """

    def __init__(self, store: Store, layout: Layout, stall: float = STALL) -> None:
        super().__init__(store)
        self._layout, self._stall = layout, stall
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None]

    def _hand_out(self) -> bool:
        for index in range(self._layout.jobs):
            if index < len(self._workers) and self._workers[index].task is not None:
                continue
            task, waits = self._turns.next()
            if task is None:
                return waits
            self._start(index, task)
        return False

    def _start(self, index: int, task: Task) -> None:
        if index == len(self._workers):
            self._workers.append(self._spawn())
        elif not self._workers[index].process.is_alive():
            self._workers[index] = self._spawn()
        runtime = task.config.runtime
        device = device_of(runtime.device, index)
        runtime = runtime.model_copy(update={"threads": self._layout.threads, "device": device})
        config = task.config.model_copy(update={"runtime": runtime})
        worker = self._workers[index]
        worker.task = replace(task, config=config, ticket=self._gate.ticket(task))
        worker.silent, worker.last = 0.0, None
        with suppress(OSError):  # it died just now, which the end of its pipe will say
            worker.pipe.send(worker.task)
        self._on_start(index, task)

    def _listen(self) -> None:
        for worker, event in self._events():
            self._hear(worker, event)

    def _events(self) -> Iterator[tuple[_Worker, Event]]:
        busy = {worker.pipe: worker for worker in self._busy()}
        for ready in wait(list(busy), TICK):
            worker = busy[ready]  # type: ignore[index]
            try:
                yield worker, worker.pipe.recv()
            except (EOFError, OSError):
                yield worker, self._died(worker)

    def _hear(self, worker: _Worker, event: Event) -> None:
        task = worker.task
        if task is None:
            return
        index = self._workers.index(worker)
        worker.silent, worker.last = 0.0, event
        if event.kind == "progress":
            self._on_event(index, task, event)
            return
        if event.failure in _USED_UP:
            _kill(worker)
        worker.task = None
        self._turns.end(index, task, event)

    def _died(self, worker: _Worker) -> Event:
        worker.process.join(5)
        code = worker.process.exitcode
        reason = "killed, perhaps for memory" if code == -9 else f"exit code {code}"
        message = f"the worker process died ({reason}): run again with --retry-failed, or with fewer --jobs"
        return self._failed(worker, "worker_died", message)

    def _failed(self, worker: _Worker, kind: str, message: str) -> Event:
        """The failure of a worker's task; lost, where the run is another process's by now."""
        assert worker.task is not None
        if not self._gate.holds(worker.task):
            return Event("lost", worker.task.key, message="taken over by another process")
        return Event("failed", worker.task.key, failure=kind, message=message)

    def _look_after(self, gap: float) -> None:
        for worker in self._busy():
            worker.silent += gap
            hangs = worker.silent >= self._stall
            if hangs or (worker.task is not None and not self._gate.holds(worker.task)):
                _kill(worker)
                self._hear(worker, self._failed(worker, "hung", _stalled(worker)))

    def _spawn(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        with environment_of({"OMP_NUM_THREADS": str(self._layout.threads), **ALLOCATOR}):
            process = self._context.Process(target=main, args=(theirs, str(self._store.root)), daemon=True)
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def stop(self) -> None:
        """End all workers now; an unfinished run leaves a folder behind only with a checkpoint in it."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(5)
            _kill(worker)
            if worker.task is not None and worker.task.kind == "run" and self._gate.holds(worker.task):
                self._store.discard_unfinished(worker.task.key)
        self._workers.clear()

    def close(self) -> None:
        """End all workers, which have nothing left to do: to let them unload PyTorch would take a second or two."""
        self.stop()


def _kill(worker: _Worker) -> None:
    """End a worker at once, and see it ended."""
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join()


def _stalled(worker: _Worker) -> str:
    last = worker.last
    where = f" after '{last.what}' {last.done} of {last.total}" if last else ""
    return (
        f"no progress for {worker.silent:.0f} s{where}, so the worker was killed: run again with --retry-failed, "
        "or with a longer --stall-timeout"
    )
