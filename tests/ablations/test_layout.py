"""Processes and threads: asked for, remembered, or measured once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.executors import layout
from ablations.executors.layout import Layout, candidates, measured, remembered, worth_measuring


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Eight cores and a cache of its own."""
    monkeypatch.setenv("DOCABLATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(layout, "core_count", lambda: 8)
    return tmp_path / "cache"


def test_without_a_measurement_a_core_gets_a_process() -> None:
    assert Layout.choose(None, 100, "cpu") == Layout(8, 1)
    assert Layout.choose(None, 3, "cpu") == Layout(3, 1)
    assert Layout.choose(2, 100, "cpu") == Layout(2, 4)
    assert Layout.choose(None, 100, "cuda") == Layout(1, 8)
    assert Layout.choose(None, 0, "cpu").jobs == 1


def test_candidates_use_all_cores() -> None:
    assert candidates(8) == [Layout(8, 1), Layout(4, 2), Layout(2, 4), Layout(1, 8)]
    assert candidates(6) == [Layout(6, 1), Layout(3, 2), Layout(1, 4)]
    assert candidates(1) == [Layout(1, 1)]


def test_the_fastest_is_remembered_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worth_measuring(10_000, None, "cpu")
    monkeypatch.setattr(layout, "rate", lambda one: {8: 90.0, 4: 100.0, 2: 0.0, 1: 40.0}[one.jobs])
    assert measured() == Layout(4, 2)
    assert remembered() == Layout(4, 2)
    assert Layout.choose(None, 100, "cpu") == Layout(4, 2)
    assert Layout.choose(2, 100, "cpu") == Layout(2, 4)
    assert Layout.choose(None, 100, "cuda:0").jobs == 1
    assert not worth_measuring(10_000, None, "cpu")


def test_short_work_and_chosen_layouts_are_not_measured_for() -> None:
    assert not worth_measuring(60, None, "cpu")
    assert not worth_measuring(10_000, 2, "cpu")
    assert not worth_measuring(10_000, None, "cuda")


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": "many"}', '{"jobs": 0, "threads": 1}'])
def test_a_damaged_memory_is_no_memory(monkeypatch: pytest.MonkeyPatch, machine: Path, text: str) -> None:
    monkeypatch.setattr(layout, "rate", lambda one: 1.0)
    measured()
    path = next(machine.glob("layout-*.json"))
    whole = path.read_text()
    for damaged in (text, whole.replace('"jobs": 8', '"jobs": 9')):
        path.write_text(damaged)
        assert remembered() is None


def test_a_measurement_that_failed_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "rate", lambda one: 0.0)
    assert measured() == Layout(8, 1)
    assert remembered() is None


def test_training_steps_are_counted_for_real() -> None:
    assert layout.rate(Layout(1, 1)) > 1
