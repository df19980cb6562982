"""The tasks of one sweep: their turns, and the loop in which an executor hands them out and hears of them."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from ablations.executors.gate import Gate
from ablations.executors.worker import Event, Task
from core.errors import RunFailure
from core.result import code_versions
from core.store import Store

OnStart = Callable[[int, Task], None]
OnEvent = Callable[[int, Task, Event], None]

NOBODY = -1  # the place of a task that never had one
TICK = 1.0  # seconds between looks at work, and at runs in other hands
_MOST_GAP = 5.0  # seconds of a look that count: this process may have been stopped, together with its workers


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


class Executor(ABC):
    """Hands tasks to whoever does them, one of a kind each, and passes on what they say."""

    def __init__(self, store: Store) -> None:
        self._store, self._gate = store, Gate()

    def run(
        self, tasks: Sequence[Task], on_start: OnStart, on_event: OnEvent, fail_fast: bool = False,
        gate: Gate | None = None,
    ) -> int:  # fmt: skip
        """Run all tasks; returns how many failed. `KeyboardInterrupt` passes through with all work stopped.

        A task starts only once the gate lets it. Those that it refuses when all others have ended stay undone; for
        those that other processes have this one waits.
        """
        self._gate, self._on_start, self._on_event = gate or Gate(), on_start, on_event
        self._turns = Turns(self._store, tasks, self._gate, on_event, fail_fast)
        looked = time.monotonic()
        try:
            while self._turns or self._busy():
                waits = self._hand_out()
                if self._busy():
                    self._listen()
                elif waits:
                    self._gate.idle()
                    time.sleep(TICK)
                else:
                    break
                now = time.monotonic()
                self._look_after(min(now - looked, _MOST_GAP))
                looked = now
        except BaseException:
            self.stop()
            raise
        return self._turns.failures

    @abstractmethod
    def _busy(self) -> Sequence[object]:
        """The work that is being done."""

    @abstractmethod
    def _hand_out(self) -> bool:
        """Start what may start and has room; whether other processes have something that this one would start."""

    @abstractmethod
    def _listen(self) -> None:
        """Hear what the work says, for a while."""

    @abstractmethod
    def _look_after(self, gap: float) -> None:
        """End work that hangs or was taken over by another process; `gap` seconds went by."""

    @abstractmethod
    def stop(self) -> None:
        """End all work now; the store has nothing of a run that has not begun to be saved."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is kept between sweeps."""
