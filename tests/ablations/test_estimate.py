"""Estimates follow what is asked for."""

from __future__ import annotations

from ablations.estimate import estimate
from core.config import RunConfig


def test_memory_of_centres_is_by_how_they_are_updated() -> None:
    def memory(update: str) -> float:
        images = {"data.images": 16256, "data.pool": 16256, "data.expansion": 24}
        config = RunConfig().with_overrides({**images, "loss.centre_update": update})
        return estimate(config, {}).memory_mb

    table = 16256 * 24 * 256 * 4 / 1e6
    assert abs(memory("dense") - memory("row_scalar") - 3 * table) < 2
    assert abs(memory("dense") - memory("rows") - table) < 2


def test_a_measured_rate_replaces_the_guess() -> None:
    config = RunConfig()
    fast = estimate(config, {("lcnet_050", 64): 10_000.0})
    assert fast.seconds < estimate(config, {("lcnet_050", 64): 100.0}).seconds / 10
