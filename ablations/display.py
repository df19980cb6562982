"""How far a sweep is: bars, or lines, of the runs that are trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from ablations import terminal
from ablations.executors.worker import Event, Task
from ablations.planner import Run
from core.config import FPRS
from core.store import State
from core.support import fpr_name, supported_fpr


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
        terminal.say(self._console, text)

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
        terminal.say(self._console, Text.assemble(word, text))

    def _time_left(self, before: str = "") -> str:
        """From the estimates' share that was done since runs started; nothing before there is anything to go by."""
        done = self._done_weight + sum(self._partial.values())
        done_here, total = done - self._done_before, sum(self._weights.values())
        if done_here <= 0 or self._started is None or self._finished == self._total:
            return ""
        seconds = min((self._seconds() - self._started) * (total - done) / done_here, self._most())
        return f"{before}about {terminal.clock(seconds)} left" if seconds > 0 else ""


def _rate(facts: Mapping[str, float]) -> str:
    """The TPR at the lowest FPR that the test set supports, which is what verdicts read of most studies."""
    supported = supported_fpr(int(facts.get("identities", 0)))
    name = fpr_name(supported or FPRS[-1])
    few = "" if supported else " (of too few documents to be judged)"
    return f"TPR@{name} {facts.get(f'tpr@{name}', 0):.3f}{few}"
