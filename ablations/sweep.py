"""`run`: carry a plan out, show how far it is, and leave the store clean whatever happens."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from ablations.budget import Budget
from ablations.executors.choice import Where, executor_for
from ablations.executors.gate import RunGate
from ablations.executors.layout import Layout
from ablations.executors.worker import Event, Task
from ablations.planner import Plan, Run
from ablations.retry import worth_trying
from ablations.tending import tend
from core.config import FPRS
from core.store import CHECKPOINT, State, Store
from core.support import fpr_name, supported_fpr

HERE = Where()


class Display:
    """Bars on a terminal, a line a run elsewhere; everything goes to stderr so that stdout stays for facts.

    Args:
        resumed: keys of runs that go on from a checkpoint: what is done of them is not of this session.
        most: seconds until nothing more is started.
        seconds: gives them, for tests.
    """

    def __init__(
        self, console: Console, runs: Sequence[Run], resumed: Collection[str] = (),
        most: Callable[[], float] = lambda: math.inf, seconds: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._console, self._total = console, len(runs)
        self._weights = {run.key: run.estimate.seconds for run in runs}
        self._finished, self._most, self._seconds = 0, most, seconds
        self._started: float | None = None  # when the first run did: what is prepared is prepared once
        self._partial: dict[int, float] = {}
        self._done_weight = 0.0
        self._resumed = set(resumed)  # of which it is not known yet how far they were
        self._done_before = 0.0
        self._bars: dict[int, TaskID] = {}
        self.progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._overall = self.progress.add_task("all runs", total=self._total, left="")

    def start(self, index: int, task: Task) -> None:
        if task.kind == "run" and self._started is None:
            self._started = self._seconds()
        if index not in self._bars:
            self._bars[index] = self.progress.add_task("", total=1, left="")
        self.progress.update(self._bars[index], description=task.label, completed=0, total=1, visible=True)

    def say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def elsewhere(self, task: Task, state: State) -> None:
        """Another process finished a run, or failed at it."""
        self._finished += 1
        self._done_weight += self._weights.get(task.key, 0.0)
        self.say(f"{state} elsewhere [{self._finished}/{self._total}] {task.label}")
        self.progress.update(self._overall, completed=self._finished, left=self._time_left())

    def event(self, index: int, task: Task, event: Event) -> None:
        if event.kind == "progress":
            self.progress.update(
                self._bars[index], description=f"{task.label}: {event.what}", completed=event.done, total=event.total
            )
            if event.what == "training" and event.total:
                self._partial[index] = self._weights.get(task.key, 0.0) * event.done / event.total
                if task.key in self._resumed:
                    self._resumed.remove(task.key)
                    self._done_before += self._partial[index]
        else:
            trained = self._partial.pop(index, 0.0)
            if index in self._bars:  # until its worker has another task, which it may never have
                self.progress.update(self._bars[index], visible=False)
            if event.kind == "lost":
                self.say(f"lost    {task.label}: {event.message}")
            elif task.kind == "run":
                self._finish(task, event, trained)
            elif event.kind == "failed":
                self._console.print(Text.assemble(("data", "yellow"), f"    {event.message}"))
        self.progress.update(self._overall, completed=self._finished, left=self._time_left())

    def _finish(self, task: Task, event: Event, trained: float) -> None:
        weight = self._weights.get(task.key, 0.0)
        self._finished += 1
        self._done_weight += weight
        # Neither what a failed run did not do took time, nor one whose checkpoint was of its last step.
        if event.kind == "failed" or task.key in self._resumed:
            self._done_before += weight - trained
            self._resumed.discard(task.key)
        count = f"[{self._finished}/{self._total}]"
        if event.kind == "failed":
            word, text = ("failed", "red"), f"  {count} {task.label}: {event.failure}: {event.message}"
        else:
            facts = event.payload or {}
            word = ("done", "green")
            text = f"    {count} {task.label}: {_rate(facts)}, {facts.get('seconds', 0):.0f} s{self._time_left(', ')}"
        self._console.print(Text.assemble(word, text), soft_wrap=True)

    def _time_left(self, before: str = "") -> str:
        """From the estimates' share that was done since runs started; nothing before there is anything to go by."""
        done = self._done_weight + sum(self._partial.values())
        done_here, total = done - self._done_before, sum(self._weights.values())
        if done_here <= 0 or self._started is None or self._finished == self._total:
            return ""
        seconds = min((self._seconds() - self._started) * (total - done) / done_here, self._most())
        return f"{before}about {clock(seconds)} left" if seconds > 0 else ""


def _rate(facts: Mapping[str, float]) -> str:
    """The TPR at the lowest FPR that the test set supports, which is what verdicts read of most studies."""
    supported = supported_fpr(int(facts.get("identities", 0)))
    name = fpr_name(supported or FPRS[-1])
    few = "" if supported else " (of too few documents to be judged)"
    return f"TPR@{name} {facts.get(f'tpr@{name}', 0):.3f}{few}"


def clock(seconds: float) -> str:
    """1:05:09, 4:09 or 9 s."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes = f"{rest // 60:02d}" if hours else str(rest // 60)
    return f"{hours}:{minutes}:{rest % 60:02d}" if hours else f"{minutes}:{rest % 60:02d}"


def sweep(
    plan: Plan, store: Store, console: Console, *, jobs: int | None, retry_failed: bool, fail_fast: bool,
    budget: Budget | None = None, make_gate: Callable[..., RunGate] = RunGate, where: Where = HERE,
) -> int:  # fmt: skip
    """Train what the plan still needs and the budget allows; returns how many of these runs failed here.

    What another process has in work is waited for, and taken over if that process dies.

    Args:
        make_gate: called as `RunGate`, for a gate that also asks elsewhere.
        where: runs happen.

    Raises:
        KeyboardInterrupt: on Ctrl-C or a termination signal, after workers are stopped and unfinished runs without a
            checkpoint removed.
    """
    tend(plan, store, console)
    budget = budget or Budget()
    budget.expect({run.key: run.estimate.seconds for run in plan.runs})
    runs, left = worth_trying(plan.pending(retry_failed), store)
    resumed = {run.key for run in runs if (store.path(run.key) / CHECKPOINT).exists()}
    display = Display(console, runs, resumed, lambda: budget.remaining)
    if left:
        display.say(left)
    affordable = [run for run in runs if budget.allows(run.key)]
    if not affordable:
        return 0
    layout = Layout.choose(jobs, len(runs), plan.baseline.runtime.device)
    executor, told = executor_for(where, store, layout, runs)
    display.say(told)
    tasks = [Task("run", run.key, run.label, run.config) for run in runs]
    gate = make_gate(store, budget, [run.key for run in runs], display.elsewhere, display.say)

    def start(index: int, task: Task) -> None:
        budget.start(task.key)
        display.start(index, task)

    def event(index: int, task: Task, said: Event) -> None:
        if said.kind != "progress":
            budget.end(task.key, said.kind == "done", float((said.payload or {}).get("seconds", 0.0)))
        display.event(index, task, said)

    with _terminable(), display.progress:
        try:
            # Arrays that many runs share are made first, once, instead of by every worker at the same time.
            executor.run(_preparations(affordable), display.start, display.event)
            failed = executor.run(tasks, start, event, fail_fast, gate)
            executor.close()
        finally:
            gate.close()
    return failed


def _preparations(runs: Sequence[Run]) -> list[Task]:
    """One task for every distinct set of cached arrays behind the runs."""
    distinct: dict[tuple[object, ...], Run] = {}
    for run in runs:
        config = run.config
        teacher = (config.distill.teacher, config.data.expansion) if config.distill.active else ()
        distinct.setdefault((config.data.image_size, config.data.pool, *teacher), run)
    return [Task("prepare", run.key, "preparing data", run.config) for run in distinct.values()]


@contextmanager
def _terminable() -> Iterator[None]:
    """A termination signal ends a sweep as Ctrl-C does."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
