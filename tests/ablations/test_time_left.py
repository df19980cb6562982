"""What a sweep says is left to do: from the runs alone, and from what this session did of them."""

from __future__ import annotations

import io
import math
from collections.abc import Collection

import pytest

from ablations.display import Display
from ablations.estimate import Estimate
from ablations.executors.worker import Event, Task
from ablations.planner import Run
from ablations.terminal import PlainConsole
from core.config import RunConfig
from tests.ablations.test_budget import Clock

STEPS = 100


class Watched:
    """A display of runs that are estimated at the same time, on a clock of its own."""

    def __init__(self, runs: int, resumed: Collection[str] = ()) -> None:
        self.file, self.clock = io.StringIO(), Clock()
        config = RunConfig()
        some = [Run(str(n), config, f"run {n}", "new", Estimate(50.0, 1.0)) for n in range(runs)]
        self.most = math.inf
        console = PlainConsole(file=self.file, width=200)
        self.display = Display(console, some, resumed, lambda: self.most, self.clock)
        self.tasks = [Task("run", run.key, run.label, config) for run in some]

    def begun(self, number: int, step: int) -> Task:
        """One run is trained up to a step, in no time."""
        task = self.tasks[number]
        self.display.start(0, task)
        self.display.event(0, task, Event("progress", task.key, "training", step, STEPS))
        return task

    def trained(self, number: int, start: int, seconds: float) -> str:
        """One run is trained from a step on, for so many seconds; the line on it."""
        before = len(self.file.getvalue())
        task = self.begun(number, start)
        self.clock.now += seconds
        self.display.event(0, task, Event("progress", task.key, "training", STEPS, STEPS))
        self.display.event(0, task, Event("done", task.key, payload={"seconds": seconds}))
        return self.file.getvalue()[before:].strip()


def test_preparations_are_over_when_runs_start() -> None:
    watched = Watched(3)
    prepare = Task("prepare", "0", "preparing data", RunConfig())
    watched.display.start(0, prepare)
    watched.clock.now = 1000
    watched.display.event(0, prepare, Event("done", "0", payload={"files": []}))
    assert watched.trained(0, 8, 10).endswith("about 20 s left")
    assert watched.trained(1, 8, 10).endswith("about 10 s left")
    assert "left" not in watched.trained(2, 8, 10)


@pytest.mark.parametrize(("start", "left"), [(50, 40), (90, 200), (100, None)])
def test_what_a_run_had_done_before_took_none_of_this_sessions_time(start: int, left: int | None) -> None:
    said = Watched(3, resumed={"0"}).trained(0, start, 10)
    assert said.endswith("10 s" if left is None else f"about {'3:20 min' if left == 200 else f'{left} s'} left")


def test_an_attempt_after_a_lost_one_is_of_this_session() -> None:
    watched = Watched(2)
    watched.begun(0, 8)
    watched.clock.now = 30
    assert watched.trained(0, 60, 20).endswith("about 50 s left")


def test_a_run_that_was_trained_before_and_is_only_judged_here_took_none_of_it() -> None:
    watched = Watched(3, resumed={"0"})
    task = watched.tasks[0]
    watched.display.start(0, task)
    watched.clock.now = 2
    watched.display.event(0, task, Event("done", task.key, payload={"seconds": 52}))
    assert "left" not in watched.file.getvalue()
    assert watched.trained(1, 8, 10).endswith("about 12 s left")


def test_what_a_failed_run_did_not_do_took_no_time() -> None:
    watched = Watched(3)
    task = watched.begun(0, 20)
    watched.clock.now = 2
    watched.display.event(0, task, Event("failed", task.key, failure="diverged", message="m"))
    assert watched.trained(1, 8, 10).endswith("about 10 s left")


def test_no_more_is_left_than_a_budget_lets_start() -> None:
    """Of what it will not let start nothing is to be waited for."""
    watched = Watched(10)
    watched.most = 25.0
    assert watched.trained(0, 8, 10).endswith("about 25 s left")
    watched.most = 1000.0
    assert watched.trained(1, 8, 10).endswith("about 1:20 min left")
    watched.most = 0.0  # a run in work is let finish, however long that takes
    assert "left" not in watched.trained(2, 8, 10)


def test_bars_are_of_what_is_in_work_and_count_what_others_did() -> None:
    watched = Watched(3)
    progress = watched.display.progress
    watched.trained(0, 8, 10)
    assert [bar.visible for bar in progress.tasks] == [True, False]
    watched.display.start(0, watched.tasks[1])
    assert progress.tasks[1].visible
    watched.display.elsewhere(watched.tasks[2], "done")
    assert progress.tasks[0].completed == 2
