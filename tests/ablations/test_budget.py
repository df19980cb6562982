"""Budgets: what is started, what is left, and what is said of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ablations.budget import Budget, parse_duration
from ablations.estimate import Estimate
from ablations.options import choose
from ablations.planner import Plan, plan
from ablations.sweep import sweep
from core.errors import UserError
from core.store import Store
from tests.ablations.conftest import TINY, TINY_SETS, CommandLine


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("45s", 45), ("1h30m", 5400), ("1h0m5s", 3605), ("0.5h", 1800), ("0s", 0)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "two hours", "2d", "-1h", "30m1h", "1h 30m", "h", "nan", "1.h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--budget: expected a time such as 2h, 90m, 45s or 1h30m"):
        parse_duration(text)


def test_a_run_starts_only_if_it_is_expected_to_end_in_time() -> None:
    clock = Clock()
    budget = Budget(100, clock)
    budget.expect({"short": 60, "long": 101})
    assert budget.allows("short")
    assert not budget.allows("long")
    clock.now = 41
    assert not budget.allows("short")
    assert budget.left == 2
    budget.start("short")
    assert budget.left == 1


def test_without_a_limit_everything_is_allowed() -> None:
    budget = Budget()
    budget.expect({"long": 1e12})
    assert budget.allows("long")
    assert budget.left == 0


def test_measured_runs_correct_the_estimates() -> None:
    clock = Clock()
    budget = Budget(100, clock)
    budget.expect({"first": 10, "second": 20, "third": 20})
    budget.start("first")
    clock.now = 40  # four times as long as estimated
    budget.end("first", done=True)
    assert budget.ratio == 4
    assert not budget.allows("second")
    budget.expect({"first": 40, "second": 50})  # a later plan, from measured rates
    assert budget.ratio == 1
    assert budget.allows("second")


def test_a_resumed_run_took_what_all_its_attempts_took() -> None:
    """Estimates are of whole runs: what this session had left to do of one says little of how long the next takes."""
    clock = Clock()
    budget = Budget(60, clock)
    budget.expect({"first": 36, "second": 36})
    budget.start("first")
    clock.now = 26  # the last quarter of it
    budget.end("first", done=True, whole=105)
    assert budget.ratio == 105 / 36
    assert not budget.allows("second")
    budget.start("second")
    clock.now += 120  # of which 15 s passed before its own clock began
    budget.end("second", done=True, whole=105)
    assert budget.ratio == (105 + 120) / 72


def test_a_failed_run_says_nothing_of_how_long_runs_take() -> None:
    clock = Clock()
    budget = Budget(math.inf, clock)
    budget.expect({"first": 10})
    budget.start("first")
    clock.now = 1
    budget.end("first", done=False)
    assert budget.ratio == 1


def tiny_plan(store: Path, seconds: dict[str, float]) -> Plan:
    """The neck study at the tiniest size, its runs estimated at `seconds` by arm, else at 100 s."""
    chosen = choose(["neck"], "smoke", store, sets=TINY_SETS, control=False)
    found = plan(chosen.request, chosen.store)

    def estimated(label: str) -> Estimate:
        return Estimate(next((took for arm, took in seconds.items() if f"/{arm} " in label), 100), 1)

    runs = [replace(run, estimate=estimated(run.label)) for run in found.runs]
    return replace(found, runs=tuple(runs))


def trained(found: Plan, store: Store) -> list[str]:
    return [run.label for run in found.runs if store.state(run.key) == "done"]


@pytest.mark.parametrize(
    ("seconds", "budget", "expected"),
    [
        ({}, 0, []),
        ({}, 99, []),
        ({"gap": 60}, 99, ["neck/gap seed 0"]),  # the longer ones, first in line, do not fit
        ({"gap": 60, "squeeze": 30}, 160, ["neck/gap seed 0", "neck/flatten seed 0"]),
    ],
)
def test_exactly_those_are_trained_that_fit(
    tmp_path: Path, seconds: dict[str, float], budget: float, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock = Store(tmp_path), Clock()
    found = tiny_plan(tmp_path, seconds)
    took = {run.key: run.estimate.seconds for run in found.runs}
    limit = Budget(budget, clock)
    end, wholes = limit.end, list[float]()

    def end_later(key: str, done: bool, whole: float) -> None:
        """A run takes what was estimated, on the clock of this test."""
        clock.now += took[key]
        wholes.append(whole)
        end(key, done)

    monkeypatch.setattr(limit, "end", end_later)
    sweep(found, store, Console(quiet=True), jobs=1, retry_failed=False, fail_fast=False, budget=limit)
    assert not [run.label for run in found.runs if store.state(run.key) == "failed"]
    assert sorted(trained(found, store)) == sorted(expected)
    assert limit.left == len(found.runs) - len(expected)
    assert len(wholes) == len(expected)
    assert all(wholes)  # each run says how long it took


def test_no_time_at_all_trains_nothing_reports_and_says_how_to_go_on(cli: CommandLine) -> None:
    words = ["neck", *TINY, "--store", "some runs", "--out", "report"]
    assert cli("run", *words, "--budget", "0s", "--jobs", "1", "--no-html") == 1
    assert Store("some runs").run_keys() == []
    assert "**not run**" in Path("report/index.md").read_text()
    assert "4 runs were left for lack of time. To go on: python -m ablations run neck --preset smoke" in cli.err
    assert "--store 'some runs' --jobs 1 --out report --no-html, with a new --budget" in cli.err
    assert "4 of 4 runs are not done (0 failed)" in cli.err
    assert "--retry-failed" not in cli.err


def test_a_mistaken_budget_is_one_line(cli: CommandLine) -> None:
    assert "--budget: expected a time" in cli.refuses("run", "neck", *TINY, "--budget", "soon")
