"""Measured steps: of the sizes that were asked for, and larger ones take longer."""

from __future__ import annotations

import pytest

from core import step_cost
from core.config import RunConfig
from core.head_cost import Cell

CONFIG = RunConfig().with_overrides({"model.embed_dim": 32, "data.image_size": 32, "optim.batch_size": 16})


def test_steps_of_the_head_at_many_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_cost, "_CLASSES", (500, 40_000))
    monkeypatch.setattr(step_cost, "_RATES", (1.0, 0.01))
    monkeypatch.setattr(step_cost, "_BATCHES", (16,))
    told: list[tuple[str, int, int]] = []
    found = step_cost.head_steps("fast", CONFIG, lambda *event: told.append(event))
    sizes = [(one.classes, one.sampled, one.batch, one.embed_dim) for one in found]
    assert sizes == [
        (500, 500, 16, 32),
        (40_000, 40_000, 16, 32),
        (40_000, 400, 16, 32),
    ]  # five are too few for a batch
    assert found[1].ms > found[0].ms > 0
    assert told[-1] == ("steps of the class head", 3, 3)


def test_sizes_that_would_take_too_long_or_too_much_memory_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_cost, "_CLASSES", (500, 10_000_000))
    monkeypatch.setattr(step_cost, "_RATES", (1.0,))
    monkeypatch.setattr(step_cost, "_BATCHES", (64,))
    assert [one.classes for one in step_cost.head_steps("documented", CONFIG)] == [500]
    cell = Cell("fast", 1.0, 500, 64, 32, "cpu", 1)
    assert len(step_cost._measure_heads([cell])) == 1
    monkeypatch.setattr(step_cost, "free_mb", lambda device: 0.1)
    assert step_cost._measure_heads([cell]) == []


def test_steps_of_the_embedder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_cost, "_IMAGES", (1, 64, 10_000))
    found = step_cost.embedder_steps(CONFIG)
    assert [one.images for one in found] == [1, 64]
    assert found[1].ms > found[0].ms > 0
