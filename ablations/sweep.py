"""Carry a plan out, and leave the store clean whatever happens: what `run`, `map`, `tune` and `repeat` share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from ablations.budget import Budget
from ablations.display import Display
from ablations.executors.choice import Where, executor_for
from ablations.executors.gate import RunGate
from ablations.executors.layout import Layout
from ablations.executors.worker import Event, Task
from ablations.planner import Plan, Run
from ablations.retry import worth_trying
from ablations.tending import tend
from core.store import CHECKPOINT, Store

HERE = Where()


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
