"""Measuring the class head: every cell answered, what does not fit said, the file readable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core import head_cost
from core.errors import UserError
from core.head_cost import HEADS, RATES, TURN_CLASSES, TURNS, Cell, measure, measure_cell
from core.measuring_process import MeasuringProcess
from core.store import HEAD_COST


def cell(head: str, classes: int = 3000, rate: float = 0.5) -> Cell:
    return Cell(head, rate, classes, batch=8, embed_dim=16, device="cpu", threads=1)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_a_cell_has_time_and_memory(monkeypatch: pytest.MonkeyPatch, head: str, rate: float) -> None:
    monkeypatch.setattr(head_cost, "_SECONDS", 0.02)
    found = measure_cell(cell(head, rate=rate))
    assert found["ms"] is not None
    assert found["ms"] > 0
    table = 3000 * 16 * 4 / 1e6
    assert found["state_mb"] is not None
    if head == "documented":  # centres, two moments
        assert found["state_mb"] == pytest.approx(3 * table, abs=0.1)
    else:  # centres, one moment and one count a row
        assert found["state_mb"] == pytest.approx(table + 3000 * 8 / 1e6, abs=0.1)


def test_rows_are_kept_and_what_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(head_cost, "RATES", (1.0,))
    monkeypatch.setattr(head_cost, "_measured", lambda one, _: {"ms": 1.0, "step_mb": 2.0, "state_mb": 3.0})
    monkeypatch.setattr(head_cost, "free_mb", lambda device: 1.0)
    seen: list[tuple[str, int, int]] = []
    rows = measure(tmp_path, classes=[100, 10**9], batch=4, embed_dim=8, progress=lambda *said: seen.append(said))
    assert [row.get("reason", "")[:11] for row in rows] == ["", "", "needs about", "needs about"]
    assert [said[1:] for said in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    kept = json.loads((tmp_path / HEAD_COST).read_text())
    assert kept["rows"] == rows
    assert kept["environment"]["threads"] == 1


def test_rates_take_turns_at_the_records_number_of_classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Cell] = []

    def told(one: Cell) -> dict[str, float]:
        asked.append(one)
        return {"ms": float(len(asked)), "step_mb": 2.0, "state_mb": 3.0}

    monkeypatch.setattr(head_cost, "_measured", lambda one, _: told(one))
    monkeypatch.setattr(head_cost, "free_mb", lambda device: 1e6)
    measure(tmp_path, classes=[TURN_CLASSES])
    timed = json.loads((tmp_path / HEAD_COST).read_text())["turns"]
    assert {rate: len(ms) for rate, ms in timed.items()} == {"1": TURNS, "0.3": TURNS, "0.1": TURNS}
    last = asked[-len(RATES) * TURNS :]
    assert [one.rate for one in last[:6]] == [*RATES, *RATES]
    assert {(one.head, one.classes) for one in last} == {("documented", TURN_CLASSES)}
    monkeypatch.setattr(head_cost, "free_mb", lambda device: 1.0)
    with MeasuringProcess(keep=False) as process:
        assert head_cost.turns(8, 16, "cpu", 1, process) == {}


@pytest.mark.parametrize("changed", ["nothing", "device", "threads"])
def test_turns_stay_until_they_are_measured_anew_or_elsewhere(
    changed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    took = iter(range(1, 1000))
    monkeypatch.setattr(head_cost, "_measured", lambda *_: {"ms": float(next(took))})
    monkeypatch.setattr(head_cost, "free_mb", lambda device: 1e6)
    monkeypatch.setattr(head_cost, "environment", lambda device, threads: {"device": device, "threads": threads})

    def kept() -> dict[str, list[float]]:
        return dict(json.loads((tmp_path / HEAD_COST).read_text())["turns"])

    measure(tmp_path, classes=[TURN_CLASSES])
    first = kept()
    monkeypatch.setattr(head_cost, "TURNS", 2)
    measure(tmp_path, classes=[TURN_CLASSES])
    assert {rate: len(ms) for rate, ms in kept().items()} == dict.fromkeys(first, 2)
    last = kept()
    measure(
        tmp_path, classes=[100], device="cuda" if changed == "device" else "cpu", threads=1 + (changed == "threads")
    )
    assert kept() == (last if changed == "nothing" else {})


def test_where_nothing_is_measured_what_was_measured_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_driver(device: str) -> float:
        raise RuntimeError("no driver\nfor that")

    monkeypatch.setattr(head_cost, "RATES", (0.3,))  # each cell that fails costs the start of a process
    measure(tmp_path, classes=[100], batch=4, embed_dim=0)
    assert not (tmp_path / HEAD_COST).exists()
    (tmp_path / HEAD_COST).write_text("as it was")
    monkeypatch.setattr(head_cost, "free_mb", no_driver)
    rows = measure(tmp_path, classes=[100], device="cuda")
    assert {row["reason"] for row in rows} == {"no driver"}
    assert (tmp_path / HEAD_COST).read_text() == "as it was"


@pytest.mark.parametrize(("device", "kept"), [("cpu", False), ("cuda:0", True)])
def test_a_gpus_cells_share_a_process(device: str, kept: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[MeasuringProcess] = []

    def measured(_: Cell, process: MeasuringProcess) -> dict[str, float]:
        seen.append(process)
        return {"ms": 1.0}

    monkeypatch.setattr(head_cost, "_measured", measured)
    monkeypatch.setattr(head_cost, "free_mb", lambda device: 1e6)
    monkeypatch.setattr(head_cost, "environment", lambda *_: {})
    measure(tmp_path, classes=[100], device=device)
    assert [one._keep for one in seen] == [kept] * len(HEADS) * len(RATES)
    assert len(set(map(id, seen))) == 1


def test_a_cell_that_dies_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(head_cost, "RATES", (1.0,))
    monkeypatch.setattr(head_cost, "HEADS", ("documented",))
    rows = measure(tmp_path, classes=[100], embed_dim=0)  # fails in the process that measures it
    assert "must be positive" in rows[0]["reason"]


def test_too_few_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 10"):
        measure(tmp_path, classes=[5])
