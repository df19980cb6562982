"""Which tasks may start now: those that nobody else has in work, and for which there is time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal

from ablations.budget import Budget
from ablations.executors.worker import Task
from core.lease import Lease, Leases
from core.lease_file import Holder, Ticket, refresh
from core.store import State, Store, leases_folder

# go: it may start; later: not now; wait: another process has it; over: another process finished it.
Answer = Literal["go", "later", "wait", "over"]


class Gate:
    """Every task may start; what preparations need."""

    def admit(self, task: Task) -> Answer:
        """Whether the task may start; one that may is this process's until `leave`.

        Raises:
            RunFailure: the store cannot be written.
        """
        return "go"

    def ticket(self, task: Task) -> Ticket | None:
        """What a worker shows before it writes."""
        return None

    def holds(self, task: Task) -> bool:
        """Whether an admitted task is still this process's."""
        return True

    def leave(self, task: Task) -> None:
        """The task has ended, or is not worked on any more."""

    def idle(self, why: str = "") -> None:
        """Nothing can be done for now: `why`, or other processes are not done with what they have."""


class RunGate(Gate):
    """A run starts while its lease is held, unless another process finished it since the plan was made.

    Args:
        over: told of each run that another process finished or failed.
        say: told in whose hands runs are that this process waits for.
    """

    def __init__(
        self, store: Store, budget: Budget, keys: Iterable[str], over: Callable[[Task, State], None],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._store, self._budget, self._over, self._say = store, budget, over, say
        self._leases = Leases(leases_folder(store.root))
        self._failed_before = {key: store.attempts(key) for key in keys}
        self._held: dict[str, Lease] = {}
        self._others: dict[str, Holder | str] = {}
        self._said = ""

    def admit(self, task: Task) -> Answer:
        if self._ended(task):
            return "over"
        if not self._budget.allows(task.key):
            return "later"
        lease = self._leases.acquire(task.key)
        if lease is None:
            if (holder := self._leases.holder(task.key)) is not None:
                self._others[task.key] = holder
            return "wait"
        self._others.pop(task.key, None)
        with suppress(OSError):  # a folder that is not there yet
            refresh(self._store.root)
            refresh(self._store.path(task.key))
        if self._ended(task):  # between the first look and the lease
            lease.release()
            return "over"
        self._held[task.key] = lease
        return "go"

    def _ended_elsewhere(self, task: Task, state: State) -> Answer:
        self._others.pop(task.key, None)
        self._budget.drop(task.key)
        self._over(task, state)
        return "over"

    def _ended(self, task: Task) -> bool:
        state = self._store.state(task.key)
        if state == "failed" and self._store.attempts(task.key) <= self._failed_before[task.key]:
            return False  # it is this process's to try again
        if state == "new":
            return False
        self._ended_elsewhere(task, state)
        return True

    def ticket(self, task: Task) -> Ticket | None:
        return self._held[task.key].ticket

    def holds(self, task: Task) -> bool:
        return task.key in self._held and not self._held[task.key].lost

    def leave(self, task: Task) -> None:
        if (lease := self._held.pop(task.key, None)) is not None:
            lease.release()

    def idle(self, why: str = "") -> None:
        by_holder = Counter(str(holder) for holder in self._others.values())
        hands = ", ".join(holder if len(by_holder) == 1 else f"{holder} ({n})" for holder, n in by_holder.items())
        others = f"waiting for {by_holder.total()} runs in the hands of {hands}" if by_holder else self._said
        text = why or others
        if text != self._said:
            self._say(text)
            self._said = text

    def close(self) -> None:
        """Give back whatever is held."""
        for lease in self._held.values():
            lease.release()
        self._held.clear()
