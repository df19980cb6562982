"""Estimates follow what is asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ablations.estimate import estimate
from ablations.planner import measured_rates
from ablations.preset import load_preset
from core.config import RunConfig
from core.store import Store


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
    fast = estimate(config, {("cpu", "lcnet_050", 64): 10_000.0})
    assert fast.seconds < estimate(config, {("cpu", "lcnet_050", 64): 100.0}).seconds / 10


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_is_not_taken_for_a_core(device: str) -> None:
    standard = RunConfig().with_overrides(load_preset("standard").set)
    there = standard.with_overrides({"runtime.device": device})
    assert 120 < estimate(there, {}).seconds < 600 < estimate(standard, {}).seconds / 10
    rates = {("cpu", "lcnet_050", 128): 100.0}
    assert estimate(there, rates) == estimate(there, {})
    assert estimate(there, {("cuda", "lcnet_050", 128): 40_000.0}).seconds < estimate(there, {}).seconds


def test_rates_are_of_the_device_that_they_were_measured_on() -> None:
    def result(key: str) -> dict[str, Any]:
        device, rate = {"a": ("cpu", 400), "b": ("cuda:0", 20_000), "c": ("cuda", 30_000), "d": ("cuda", 28_000)}[key]
        config = {"model": {"backbone": "lcnet_050"}, "data": {"image_size": 128}}
        return {"config": config, "environment": {"device": device}, "cost": {"samples_per_second": rate}}

    store = SimpleNamespace(run_keys=lambda: list("abcd"), state=lambda _: "done", result=result)
    assert measured_rates(cast(Store, store)) == {
        ("cpu", "lcnet_050", 128): 400.0, ("cuda", "lcnet_050", 128): 28_000.0,
    }  # fmt: skip
