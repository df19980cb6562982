"""The tasks of one sweep and their turns: which may start next, and what becomes of one that ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ablations.executors.gate import Gate
from ablations.executors.worker import Event, Task
from core.errors import RunFailure
from core.result import code_versions
from core.store import Store

OnStart = Callable[[int, Task], None]
OnEvent = Callable[[int, Task, Event], None]

NOBODY = -1  # the place of a task that never had one


class Turns:
    """What is still to be done, handed out as the gate lets it start.

    Args:
        on_event: told of every task that ended, with the place that had it, e.g. a worker's number.
        fail_fast: nothing more is handed out after a failure.

    Attributes:
        failures: tasks that failed.
    """

    def __init__(self, store: Store, tasks: Sequence[Task], gate: Gate, on_event: OnEvent, fail_fast: bool) -> None:
        self._store, self._queue, self._gate = store, list(tasks), gate
        self._on_event, self._fail_fast, self.failures = on_event, fail_fast, 0

    def __bool__(self) -> bool:
        """Whether anything has not been handed out yet."""
        return bool(self._queue)

    def next(self) -> tuple[Task | None, bool]:
        """The first task that may start, taken out; else None, and whether another process has any of them."""
        place, waits = 0, False
        while place < len(self._queue):
            task = self._queue[place]
            try:
                answer = self._gate.admit(task)
            except RunFailure as failure:
                self._queue.pop(place)
                self.end(NOBODY, task, Event("failed", task.key, failure=failure.kind, message=failure.message))
                continue
            if answer == "go":
                return self._queue.pop(place), waits
            if answer == "over":
                self._queue.pop(place)
                continue
            waits = waits or answer == "wait"
            place += 1
        return None, waits

    def put_back(self, task: Task) -> None:
        """A task that was handed out and could not be done, through no fault of its own, is next again."""
        self._gate.leave(task)
        self._queue.insert(0, task)

    def end(self, place: int, task: Task, event: Event) -> None:
        """A task is no longer worked on: done, failed, or taken over by another process."""
        if event.kind == "failed":
            self.failures += 1
            if task.kind == "run" and not event.recorded and self._gate.holds(task):
                self._store.fail(task.key, event.failure, event.message, task.config.to_yaml(), code_versions())
            if self._fail_fast:
                self._queue.clear()
        self._on_event(place, task, event)
        self._gate.leave(task)
        if event.kind == "lost":
            self._queue.append(task)
