"""What may start: nothing that another process has or had, and nothing without the store to write to."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ablations.budget import Budget
from ablations.executors.fenced import FencedStore
from ablations.executors.gate import RunGate
from ablations.executors.layout import Layout
from ablations.executors.local import LocalExecutor
from ablations.executors.worker import Event, Task
from core import lease_file
from core.config import RunConfig
from core.errors import RunFailure
from core.lease import Leases
from core.lease_file import LeaseLost, Ticket
from core.process import Process
from core.store import Store, leases_folder

KEYS = [f"{digit}" * 16 for digit in "abc"]
TASKS = [Task("run", key, key[0], RunConfig()) for key in KEYS]
FAR = Process("far", "boot", 7, 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


class Opened:
    """A gate with what it said, and the budget behind it."""

    def __init__(self, store: Store, seconds: float = math.inf) -> None:
        self.over: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.budget = Budget(seconds)
        self.budget.expect(dict.fromkeys(KEYS, 1.0))
        self.gate = RunGate(
            store, self.budget, KEYS, lambda task, state: self.over.append((task.key, state)), self.said.append
        )


def finish(store: Store, key: str) -> None:
    store.begin(key, "")
    store.finish(key, {}, {"x": np.zeros(1)})


def test_a_run_that_is_free_starts_and_is_given_back(store: Store) -> None:
    gate = Opened(store).gate
    assert gate.admit(TASKS[0]) == "go"
    assert gate.holds(TASKS[0])
    assert not gate.holds(TASKS[1])
    ticket = gate.ticket(TASKS[0])
    assert ticket is not None
    assert ticket.valid()
    gate.leave(TASKS[0])
    assert not ticket.valid()
    assert gate.admit(TASKS[0]) == "go"
    gate.close()
    assert Leases(leases_folder(store.root)).holders() == []


def test_what_others_have_is_waited_for_and_told_once(store: Store) -> None:
    opened = Opened(store)
    others = Leases(leases_folder(store.root), beat=math.inf, process=FAR)
    near = Leases(leases_folder(store.root), beat=math.inf)
    held = [others.acquire(KEYS[0]), others.acquire(KEYS[1]), near.acquire(KEYS[2])]
    for _ in range(3):
        assert [opened.gate.admit(task) for task in TASKS] == ["wait"] * 3
        opened.gate.idle()
    assert opened.said == [f"waiting for 3 runs in the hands of far:7 (2), {Process.own()} (1)"]
    finish(store, KEYS[0])
    assert held[2] is not None
    held[2].release()
    assert [opened.gate.admit(task) for task in TASKS] == ["over", "wait", "go"]
    assert opened.over == [(KEYS[0], "done")]
    opened.gate.idle()
    assert opened.said[1:] == ["waiting for 1 runs in the hands of far:7"]


def test_a_run_finished_between_the_look_and_the_lease_is_not_trained_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened(store)
    acquire = Leases.acquire

    def late(leases: Leases, name: str) -> object:
        finish(store, name)
        return acquire(leases, name)

    monkeypatch.setattr(Leases, "acquire", late)
    assert opened.gate.admit(TASKS[0]) == "over"
    assert opened.over == [(KEYS[0], "done")]
    assert Leases(leases_folder(store.root)).holders() == []


def test_a_failure_is_tried_again_once_by_whoever_is_first(store: Store) -> None:
    store.fail(KEYS[0], "hung", "no progress")
    first, second = Opened(store), Opened(store)  # both with --retry-failed
    assert first.gate.admit(TASKS[0]) == "go"
    assert second.gate.admit(TASKS[0]) == "wait"
    store.fail(KEYS[0], "hung", "no progress")
    first.gate.leave(TASKS[0])
    assert second.gate.admit(TASKS[0]) == "over"
    assert second.over == [(KEYS[0], "failed")]
    assert Opened(store).gate.admit(TASKS[0]) == "go"


def test_no_time_is_no_lease_and_what_others_did_was_not_left(store: Store) -> None:
    opened = Opened(store, seconds=0)
    assert [opened.gate.admit(task) for task in TASKS] == ["later"] * 3
    assert opened.budget.left == 3
    finish(store, KEYS[0])
    assert opened.gate.admit(TASKS[0]) == "over"
    assert opened.budget.left == 2
    assert not leases_folder(store.root).exists()


def test_a_store_that_cannot_be_written_fails_runs_one_by_one(store: Store) -> None:
    store.root.mkdir()
    leases_folder(store.root).write_text("a file where the folder should be")
    opened, told = Opened(store), list[Event]()
    executor = LocalExecutor(store, Layout(2, 1))
    assert executor.run(TASKS, lambda *_: None, lambda index, task, event: told.append(event), gate=opened.gate) == 3
    assert {event.failure for event in told} == {"store_not_writable"}
    assert executor.run(TASKS, lambda *_: None, lambda *_: None, fail_fast=True, gate=Opened(store).gate) == 1


def test_each_worker_has_a_gpu_of_its_own_where_there_are_several(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    executor, sent = LocalExecutor(store, Layout(3, 1)), list[Task]()
    worker: Any = SimpleNamespace(pipe=SimpleNamespace(send=sent.append))
    monkeypatch.setattr(executor, "_spawn", lambda: worker)
    gate = Opened(store).gate
    assert gate.admit(TASKS[0]) == "go"
    monkeypatch.setattr(executor, "_gate", gate, raising=False)
    monkeypatch.setattr(executor, "_on_start", lambda *_: None, raising=False)
    task = replace(TASKS[0], config=TASKS[0].config.with_overrides({"runtime.device": "cuda"}))
    for index in range(3):
        executor._start(index, task)
    assert [one.config.runtime.device for one in sent] == ["cuda:0", "cuda:1", "cuda:0"]
    assert {one.key for one in sent} == {task.key}


def test_nothing_is_written_for_a_run_that_was_taken_over(store: Store) -> None:
    gate = Opened(store).gate
    assert gate.admit(TASKS[0]) == "go"
    ticket = gate.ticket(TASKS[0])
    assert ticket is not None
    fenced = FencedStore(str(store.root), ticket)
    fenced.begin(KEYS[0], "seed: 0\n")
    lease_file.create(Ticket(ticket.folder, ticket.name, 2, "theirs"), FAR)
    before = {path: path.read_bytes() for path in store.path(KEYS[0]).iterdir()}
    for write in (
        lambda: fenced.begin(KEYS[0], "seed: 1\n"),
        lambda: fenced.log(KEYS[0], {"loss": 1.0}),
        lambda: fenced.finish(KEYS[0], {}, {"x": np.zeros(1)}),
        lambda: fenced.fail(KEYS[0], "hung", "no progress"),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert {path: path.read_bytes() for path in store.path(KEYS[0]).iterdir()} == before
    gate.leave(TASKS[0])
    assert [path.name for path in ticket.folder.iterdir() if path.name.endswith(".2")] == [f"{KEYS[0]}.2"]


def test_a_store_that_went_away_cannot_take_a_failure(store: Store) -> None:
    fenced = FencedStore(str(store.root), Ticket(leases_folder(store.root), KEYS[0], 1, "x"))
    assert fenced.fail(KEYS[0], "hung", "no progress") is False
    with pytest.raises(RunFailure):
        fenced.begin(KEYS[0], "")
