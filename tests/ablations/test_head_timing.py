"""When the class head is timed: after the runs, and before anything is judged that rests on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations import sweep_cli
from ablations.planner import Plan, Request
from ablations.sequential import at_look, with_seeds
from core import record
from core.store import HEAD_COST, HEAD_COST_SCHEMA, Store
from reports.head_turns import head_turns
from tests.ablations.conftest import CommandLine


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a command does, in order, without doing it."""
    told: list[str] = []

    def looks(request: Request, store: Store, train: Callable[[Plan], None], *_: Any, **__: Any) -> Plan:
        planned = sweep_cli.plan(with_seeds(request, at_look(request, 5)), store)
        train(planned)
        told.append("judged")
        return planned

    def noted(what: str) -> Any:
        return lambda *_, **__: told.append(what)

    monkeypatch.setattr(sweep_cli, "measure_if_worth", noted("layout"))
    monkeypatch.setattr(sweep_cli, "sweep", noted("trained"))
    monkeypatch.setattr(sweep_cli, "_time_head", noted("timed"))
    monkeypatch.setattr(sweep_cli, "sweep_looks", looks)
    return told


def test_before_a_look_is_judged(cli: CommandLine, events: list[str]) -> None:
    cli("run", "partial-fc", "--until-resolved", "--no-report")
    assert events == ["layout", "trained", "timed", "judged"]


def test_after_the_runs(cli: CommandLine, events: list[str]) -> None:
    cli("run", "partial-fc", "--seeds", "1", "--no-report")
    assert events == ["layout", "trained", "timed"]


def test_not_within_a_budget(cli: CommandLine, events: list[str]) -> None:
    cli("run", "partial-fc", "--seeds", "1", "--budget", "1h", "--no-report", "--store", "some runs")
    assert events == ["layout", "trained"]
    told = [line for line in cli.err.splitlines() if "class head" in line]
    assert told == [
        "finding 1 rests on steps of the class head, which a --budget leaves untimed: time them with "
        "`python -m ablations cost --store 'some runs'`, then run this again"
    ]


def test_what_is_left_untimed_is_said_only_where_something_rests_on_it(cli: CommandLine, events: list[str]) -> None:
    cli("run", "norm", "--seeds", "1", "--budget", "1h", "--no-report")
    assert "class head" not in cli.err
    assert events == ["layout", "trained"]
    Path("runs").mkdir(exist_ok=True)
    timed = {"turns": {"0.3": [20.0]}, "environment": {"device": "cpu"}}
    Path("runs", HEAD_COST).write_bytes(record.seal(timed, HEAD_COST_SCHEMA))
    cli("run", "partial-fc", "--seeds", "1", "--budget", "1h", "--no-report")
    assert "class head" not in cli.err


def test_steps_of_another_kind_of_device_say_nothing_of_this_one(tmp_path: Path) -> None:
    """On a CPU PartialFC is 2.5 times as fast, on a GPU 1.2: runs on one are not judged by steps on the other."""
    store = Store(tmp_path)
    timed = {"turns": {"0.3": [20.0, 21.0]}, "environment": {"device": "cuda:0"}}
    (tmp_path / HEAD_COST).write_bytes(record.seal(timed, HEAD_COST_SCHEMA))
    assert head_turns(store, "cuda") == head_turns(store) == {0.3: [20.0, 21.0]}
    assert head_turns(store, "cpu") == {}
