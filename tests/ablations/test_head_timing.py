"""When the class head is timed: after the runs, and before anything is judged that rests on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ablations import sweep_cli
from ablations.planner import Plan, Request
from ablations.sequential import at_look, with_seeds
from core.store import Store
from tests.ablations.conftest import CommandLine


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a command does, in order, without doing it."""
    told: list[str] = []

    def looks(request: Request, store: Store, train: Callable[[Plan], None], say: Callable[[str], None]) -> Plan:
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
    cli("run", "partial-fc", "--seeds", "1", "--budget", "1h", "--no-report")
    assert events == ["layout", "trained"]
