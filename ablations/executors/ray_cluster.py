"""Runs on a Ray cluster: the driver plans, holds leases and writes its store; nodes train and need no shared disk.

What a run reads is put into Ray's object store once, and unpacked once a node. A run whose node or process is lost is
given out again. Ray does the scheduling: a run asks for its threads, memory and share of a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablations.executors import ray_node
from ablations.executors.gate import Gate
from ablations.executors.layout import Layout
from ablations.executors.local import STALL, LocalExecutor
from ablations.executors.ray_link import Needs, connect, environment_there, run_there
from ablations.executors.ray_shipping import Shipping
from ablations.executors.turns import NOBODY, TICK, Executor, OnEvent, OnStart
from ablations.executors.worker import Event, Task, classify, outcome
from core.errors import RunFailure, UserError, first_line
from core.result import code_versions
from core.store import Store

_TRIES = 3  # of a run whose process or node was lost


@dataclass
class _Flight:
    """A run that was handed to Ray."""

    place: int
    task: Task
    events: Any  # Ray's generator of references to events
    silent: float = 0.0
    node: str = ""  # where it is, once it said so


class RayExecutor(Executor):
    """Hands tasks to the nodes of a cluster.

    Args:
        address: of the cluster, HOST:PORT or ray://HOST:PORT; None starts one on this machine.
        needs: of a run; on a GPU its threads are as many as the nodes have for each, whatever the driver's machine has.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be reached or has no room for any run.
    """

    def __init__(self, store: Store, address: str | None, needs: Needs, stall: float = STALL) -> None:
        super().__init__(store)
        self._stall, self._ray = stall, connect(address)
        self._needs = needs = replace(needs, threads=self._cores_beside(needs.gpus)) if needs.gpus else needs
        self._shipping = Shipping(self._ray)
        self._flights: list[_Flight] = []
        self._tries: dict[str, int] = {}
        if not self.room():
            self._ray.shutdown()
            raise UserError(
                f"--executor ray: no node has {needs.threads} CPUs, {needs.gpus:g} GPUs and {needs.memory_mb:,.0f} MB "
                "for a run"
            )

    @property
    def nodes(self) -> int:
        return len(self._resources())

    def _resources(self) -> list[dict[str, float]]:
        """What each living node has."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _cores_beside(self, gpus: float) -> int:
        """How many cores every node has for so much of a GPU: so that no GPU is idle for want of them."""
        shares = [has.get("CPU", 0) * gpus / has["GPU"] for has in self._resources() if has.get("GPU", 0) >= gpus]
        return max(1, int(min(shares, default=1)))

    def room(self) -> int:
        """How many runs the living nodes have room for at once."""
        needs, found = self._needs, 0
        for has in self._resources():
            shares = [has.get("CPU", 0) / needs.threads, has.get("memory", 0) / (needs.memory_mb * 1e6)]
            shares += [has.get("GPU", 0) / needs.gpus] if needs.gpus else []
            found += int(min(shares))
        return found

    def run(
        self, tasks: Sequence[Task], on_start: OnStart, on_event: OnEvent, fail_fast: bool = False,
        gate: Gate | None = None,
    ) -> int:  # fmt: skip
        """As of any executor; preparations are made on this machine."""
        if tasks and all(task.kind == "prepare" for task in tasks):
            return self._prepare(tasks, on_start, on_event)
        return super().run(tasks, on_start, on_event, fail_fast, gate)

    def _busy(self) -> list[_Flight]:
        return self._flights

    def _prepare(self, tasks: Sequence[Task], on_start: OnStart, on_event: OnEvent) -> int:
        def event(place: int, task: Task, said: Event) -> None:
            if said.kind == "done" and said.payload:
                self._shipping.add_arrays(said.payload["files"])
            on_event(place, task, said)

        local = LocalExecutor(self._store, Layout(1, 1), self._stall)
        try:
            return local.run(tasks, on_start, event)
        finally:
            local.close()

    def _hand_out(self) -> bool:
        while len(self._flights) < max(1, self.room()):
            task, waits = self._turns.next()
            if task is None:
                return waits
            taken = {flight.place for flight in self._flights}
            place = next(number for number in range(len(taken) + 1) if number not in taken)
            try:
                self._start(place, task)
            except (UserError, RunFailure, OSError) as error:
                kind, message = classify(error)
                self._turns.end(NOBODY, task, Event("failed", task.key, failure=kind, message=message))
        return False

    def _start(self, place: int, task: Task) -> None:
        runtime = task.config.runtime.model_copy(update={"threads": self._needs.threads, "cache_dir": None})
        there = replace(task, config=task.config.model_copy(update={"runtime": runtime}))
        packed, arrays = self._shipping.sources(task.config), self._shipping.arrays()
        self._store.begin(task.key, task.config.to_yaml())
        needs = self._needs
        remote = self._ray.remote(run_there).options(
            num_cpus=needs.threads, num_gpus=needs.gpus, memory=int(needs.memory_mb * 1e6), max_retries=0,
            num_returns="streaming", name=task.label, runtime_env={"env_vars": environment_there(needs.threads)},
        )  # fmt: skip
        events = remote.remote(there, code_versions(), list(packed), list(packed.values()), arrays)
        self._flights.append(_Flight(place, task, events))
        self._on_start(place, task)

    def _listen(self) -> None:
        ready, _ = self._ray.wait([flight.events for flight in self._flights], num_returns=1, timeout=TICK)
        for flight in [one for one in self._flights if any(one.events is events for events in ready)]:
            self._hear(flight)

    def _hear(self, flight: _Flight) -> None:
        from ray.exceptions import OutOfMemoryError, RayError

        task = flight.task
        try:
            event, sent = self._ray.get(next(flight.events))
        except StopIteration:
            self._lost(flight, "its process ended without a result")
            return
        except OutOfMemoryError:
            message = "the node ran out of memory: lower optim.batch_size, or the runs at once"
            self._end(flight, Event("failed", task.key, failure="out_of_memory", message=message))
            return
        except RayError as error:
            self._lost(flight, first_line(error)[:200])
            return
        flight.silent = 0.0
        if isinstance(event, str):
            flight.node = event
            return
        if event.kind == "progress":
            self._on_event(flight.place, task, event)
            return
        self._end(flight, self._keep(task, sent) if sent is not None else event)

    def _keep(self, task: Task, sent: ray_node.Sent) -> Event:
        """Write what a run sent back; what became of that."""
        result = {**sent.result, "config": task.config.model_dump(mode="json")}
        result["config"]["runtime"]["threads"] = self._needs.threads
        try:
            if not self._gate.holds(task):
                return Event("lost", task.key, message="taken over by another process")
            self._store.log(task.key, sent.curve)
            self._store.finish(task.key, result, sent.scores)
        except RunFailure as failure:
            return Event("failed", task.key, failure=failure.kind, message=failure.message)
        shown = outcome(sent.result["metrics"], sent.result["cost"], sent.result["test"])
        return Event("done", task.key, payload=shown)

    def _lost(self, flight: _Flight, why: str) -> None:
        """A run whose process or node is gone is next again, some times."""
        tries = self._tries[flight.task.key] = self._tries.get(flight.task.key, 0) + 1
        if tries < _TRIES:
            message = f"lost on the cluster ({why}); it is given out again"
            self._on_event(flight.place, flight.task, Event("lost", flight.task.key, message=message))
            self._flights.remove(flight)
            self._turns.put_back(flight.task)
            return
        message = f"lost {tries} times on the cluster, last since {why}"
        self._end(flight, Event("failed", flight.task.key, failure="worker_died", message=message))

    def _end(self, flight: _Flight, event: Event) -> None:
        self._flights.remove(flight)
        self._turns.end(flight.place, flight.task, event)

    def _look_after(self, gap: float) -> None:
        if self._flights and not self.room():  # given out all the same: where a cluster grows, it grows for what waits
            self._gate.idle("waiting for the cluster: no node of it has room for a run")
        # One that waits for a node does not hang. A node that cannot be reached is told by the cluster minutes before
        # the connection to it would break.
        gone = {node["NodeID"] for node in self._ray.nodes() if not node["Alive"]}
        for flight in list(self._flights):
            if flight.node in gone:
                self._ray.cancel(flight.events, force=True)
                self._lost(flight, "its node is gone")
                continue
            flight.silent += gap if flight.node else 0.0
            held = self._gate.holds(flight.task)
            if flight.silent >= self._stall or not held:
                self._ray.cancel(flight.events, force=True)
                message = f"no progress for {flight.silent:.0f} s, so it was ended: run again with --retry-failed"
                taken = Event("lost", flight.task.key, message="taken over by another process")
                hung = Event("failed", flight.task.key, failure="hung", message=message)
                self._end(flight, hung if held else taken)

    def stop(self) -> None:
        """End all runs now; what nodes had of them is left there, and the store as if they had not begun."""
        for flight in self._flights:
            self._ray.cancel(flight.events, force=True)
            if self._gate.holds(flight.task):
                self._store.discard_unfinished(flight.task.key)
        self._flights.clear()
        self.close()

    def close(self) -> None:
        """Leave the cluster."""
        self._shipping.clear()
        if self._ray.is_initialized():
            self._ray.shutdown()
