"""Runs on this machine: a few worker processes with their share of the cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ablations.executors.layout import ALLOCATOR, Layout, environment_of
from ablations.executors.worker import Event, Task, main
from core.store import Store

OnStart = Callable[[int, Task], None]
OnEvent = Callable[[int, Task, Event], None]
Admit = Callable[[Task], bool]


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None


class LocalExecutor:
    """Hands tasks to worker processes and passes on what they say.

    A worker that dies fails its own task with the type `worker_died` and is replaced; the others go on.
    """

    def __init__(self, store: Store, layout: Layout) -> None:
        self._store, self._layout = store, layout
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def run(
        self, tasks: Sequence[Task], on_start: OnStart, on_event: OnEvent, fail_fast: bool = False,
        admit: Admit = lambda task: True,
    ) -> int:  # fmt: skip
        """Run all tasks; returns how many failed. `KeyboardInterrupt` passes through with all workers stopped.

        A task starts only once `admit` says so. Those that it still refuses when all others have ended stay undone.
        """
        queue, failures = list(tasks), 0
        try:
            while queue or any(worker.task for worker in self._workers):
                self._hand_out(queue, on_start, admit)
                if not any(worker.task for worker in self._workers):
                    break
                for worker, event in self._events():
                    task = worker.task
                    if task is None:
                        continue
                    if event.kind != "progress":
                        worker.task = None
                        failures += event.kind == "failed"
                        if fail_fast and event.kind == "failed":
                            queue.clear()
                    on_event(self._workers.index(worker), task, event)
        except BaseException:
            self.stop()
            raise
        return failures

    def _hand_out(self, queue: list[Task], on_start: OnStart, admit: Admit) -> None:
        for index in range(self._layout.jobs):
            if index < len(self._workers) and self._workers[index].task is not None:
                continue
            position = next((place for place, task in enumerate(queue) if admit(task)), None)
            if position is None:
                return
            task = queue.pop(position)
            if index == len(self._workers):
                self._workers.append(self._spawn())
            elif not self._workers[index].process.is_alive():
                self._workers[index] = self._spawn()
            runtime = task.config.runtime.model_copy(update={"threads": self._layout.threads})
            task = replace(task, config=task.config.model_copy(update={"runtime": runtime}))
            self._workers[index].task = task
            self._workers[index].pipe.send(task)
            on_start(index, task)

    def _events(self) -> Iterator[tuple[_Worker, Event]]:
        busy = {worker.pipe: worker for worker in self._workers if worker.task}
        for ready in wait(list(busy)):
            worker = busy[ready]  # type: ignore[index]
            try:
                yield worker, worker.pipe.recv()
            except (EOFError, OSError):
                yield worker, self._died(worker)

    def _died(self, worker: _Worker) -> Event:
        worker.process.join(5)
        code = worker.process.exitcode
        reason = "killed, perhaps for memory" if code == -9 else f"exit code {code}"
        message = f"the worker process died ({reason}): run again with --retry-failed, or with fewer --jobs"
        task = worker.task
        assert task is not None
        if task.kind == "run":
            self._store.fail(task.key, "worker_died", message, task.config.to_yaml())
        return Event("failed", task.key, failure="worker_died", message=message)

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
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            if worker.task is not None and worker.task.kind == "run":
                self._store.discard_unfinished(worker.task.key)
        self._workers.clear()

    def close(self) -> None:
        """Let idle workers end."""
        for worker in self._workers:
            try:
                worker.pipe.send(None)
            except OSError:
                continue
        for worker in self._workers:
            worker.process.join(5)
        self.stop()
