"""Faults made for real in the middle of a sweep: each fails its own run with its type, and the others go on."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ablations.budget import Budget
from ablations.executors.gate import RunGate
from ablations.executors.layout import Layout
from ablations.executors.local import LocalExecutor
from ablations.executors.worker import Event, Task
from ablations.words import parse_sets
from core import lease_file
from core.config import RunConfig
from core.inputs import run_key
from core.lease import Leases
from core.lease_file import Ticket
from core.process import Process
from core.result import code_versions
from core.store import Store, leases_folder
from tests.ablations.conftest import TINY_SETS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="faults are made as Linux lets one make them")

# Those that cost the worker its life before it has loaded all that it needs come one after another: so it takes less.
LABELS = ("good", "greedy", "killed", "stopped", "full", "sealed", "taken", "late", "handles")
SETS = {"data.image_size": 64, "eval.severity": 0.5, **parse_sets(TINY_SETS)}
LONG = {"optim.samples": 1600, "optim.batch_size": 32}  # time enough for a fault to happen in
WHEN = {"killed": "starting", "stopped": "starting"}
MORE: dict[str, dict[str, int]] = {
    "greedy": {"optim.samples": 4096, "optim.batch_size": 4096},  # 0.2 GB of images at once
    "good": {},
    "late": {},
}


@dataclass
class Sweep:
    """One sweep by one worker at a time, and the faults that are made in it."""

    store: Store
    tasks: list[Task]
    ended: dict[str, Event] = field(default_factory=dict)
    lost: dict[str, set[str]] = field(default_factory=dict)
    workers: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    gone: set[str] = field(default_factory=set)
    struck: set[str] = field(default_factory=set)

    def run(self) -> int:
        self.executor = LocalExecutor(self.store, Layout(1, 1))
        first = Task("prepare", self.tasks[0].key, "data", self.tasks[0].config)
        self.executor.run([first], lambda *_: None, lambda *_: None)
        budget = Budget()
        budget.expect(dict.fromkeys([task.key for task in self.tasks], 1.0))
        keys = [task.key for task in self.tasks]
        gate = RunGate(self.store, budget, keys, lambda *_: pytest.fail("nobody else is here"), lambda _: None)
        failures = self.executor.run(self.tasks, self.start, self.hear, gate=gate)
        own = Process.own()
        self.gone = {label for label, pid in self.workers.items() if replace(own, pid=pid, started=0).gone}
        self.executor.close()
        return failures

    def start(self, index: int, task: Task) -> None:
        self.workers.setdefault(task.label, pid := self.pid)
        if task.label == "greedy":  # in the process that trained the run before, which has all that it needs
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
            limit = pages * os.sysconf("SC_PAGE_SIZE") + 100_000_000
            resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))

    def hear(self, index: int, task: Task, event: Event) -> None:
        if event.kind != "progress":
            self.ended[task.label] = event
            if event.kind == "lost":
                self.lost[task.label] = {path.name for path in self.store.path(task.key).iterdir()}
            self.mend(task.label)
        elif event.what == WHEN.get(task.label, "training") and task.label not in self.struck:
            self.struck.add(task.label)
            self.strike(task.label)

    @property
    def pid(self) -> int:
        pid = self.executor._workers[0].process.pid
        assert pid is not None
        return pid

    def strike(self, label: str) -> None:
        if label == "killed":
            os.kill(self.pid, signal.SIGKILL)
        elif label == "stopped":
            os.kill(self.pid, signal.SIGSTOP)
            self.executor._stall = 1.0
        elif label == "handles":
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (3, 3))
        elif label == "full":
            with contextlib.suppress(OSError), (self.store.root / "filler").open("wb", buffering=0) as handle:
                while True:
                    handle.write(b"x" * 4096)
        elif label == "sealed":
            mount("remount,ro", self.store.root)
        elif label == "taken":  # by a process that took this one for dead
            lease_file.create(self.theirs, Process("far", "boot", 7, 1))

    @property
    def theirs(self) -> Ticket:
        (key,) = (task.key for task in self.tasks if task.label == "taken")
        return Ticket(leases_folder(self.store.root), key, 2, "theirs")

    def mend(self, label: str) -> None:
        if label == "stopped":
            self.executor._stall = 1800.0
        elif label == "full":
            (self.store.root / "filler").unlink(missing_ok=True)
        elif label == "sealed":
            mount("remount,rw", self.store.root)
        elif label == "taken" and self.theirs.path.exists():  # who took it gives it back
            for generation in (1, 2):
                replace(self.theirs, generation=generation).path.unlink()


def mount(options: str, folder: Path) -> None:
    subprocess.run(["mount", "-o", options, str(folder)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    root = tmp_path_factory.mktemp("runs")
    words = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(root)]
    try:
        mounted = subprocess.run(words, check=False, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    tasks = []
    for seed, label in enumerate(LABELS):
        if mounted or label not in ("full", "sealed"):
            changes = {**SETS, **MORE.get(label, LONG), "seed": seed}
            config = RunConfig().with_overrides(changes)
            tasks.append(Task("run", run_key(config), label, config))
    made = Sweep(Store(root), tasks)
    try:
        made.failures = made.run()
        yield made
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(root)], check=False)


@pytest.mark.parametrize(
    ("label", "kind", "told"),
    [
        ("killed", "worker_died", "killed, perhaps for memory"),
        ("stopped", "hung", "no progress for"),
        ("greedy", "out_of_memory", "lower optim.batch_size or --jobs"),
        ("handles", "too_many_files", "ulimit -n"),
        ("full", "no_space", "free some"),
        ("sealed", "store_not_writable", "Read-only file system"),
    ],
)
def test_a_fault_fails_its_own_run_with_its_type(sweep: Sweep, label: str, kind: str, told: str) -> None:
    if label not in {task.label for task in sweep.tasks}:
        pytest.skip("only root can mount a file system to fill or to seal")
    event = sweep.ended[label]
    assert (event.kind, event.failure) == ("failed", kind), event.message
    assert told in event.message
    key = event.key
    if label in ("full", "sealed"):  # the store could not take even the failure: the run is simply not done
        assert sweep.store.state(key) == "new"
        return
    assert sweep.store.failure(key)["kind"] == kind
    assert sweep.store.failure(key)["code"] == code_versions()
    assert sweep.store.attempts(key) == 1


def test_a_run_that_was_taken_over_is_left_and_looked_at_again(sweep: Sweep) -> None:
    assert not sweep.lost["taken"] & {"metrics.jsonl", "scores.npz", "result.json"}
    (key,) = (task.key for task in sweep.tasks if task.label == "taken")
    assert sweep.store.state(key) == "done", sweep.ended["taken"]


def test_the_others_go_on(sweep: Sweep) -> None:
    done = {label for label, event in sweep.ended.items() if event.kind == "done"}
    assert done == {"good", "taken", "late"}, sweep.ended
    assert list(sweep.ended) == [task.label for task in sweep.tasks]
    assert len(sweep.ended) - sweep.failures == 3
    assert Leases(leases_folder(sweep.store.root)).holders() == []


def test_what_a_worker_used_up_dies_with_it(sweep: Sweep) -> None:
    assert sweep.gone >= {"greedy", "killed", "stopped", "handles"}
    assert sweep.workers["good"] == sweep.workers["greedy"]
    if "full" in sweep.workers:  # which harm the store, and no process
        assert sweep.workers["full"] == sweep.workers["sealed"] == sweep.workers["taken"]
