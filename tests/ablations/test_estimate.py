"""Estimates follow what is asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ablations.estimate import Estimate, encoding_seconds, estimate, measured_rates
from ablations.planner import Run
from ablations.preset import load_preset
from ablations.views import effort
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


def test_a_teacher_takes_hours_on_a_core_and_minutes_on_a_gpu() -> None:
    def hours(**changes: str) -> float:
        of = {f"{name.replace('__', '.')}": value for name, value in changes.items()}
        return encoding_seconds(RunConfig().with_overrides(of), 16256 * 24) / 3600

    assert 10 < hours(distill__teacher="openai") < 24
    assert hours() < 0.5
    assert hours(distill__teacher="openai", runtime__device="cuda:1") < 0.1


def test_rates_are_of_the_device_that_they_were_measured_on() -> None:
    def result(key: str) -> dict[str, Any]:
        if key == "e":  # eight GPUs that trained it together
            return result("d") | {"environment": {"device": "cuda", "ranks": 8}, "cost": {"samples_per_second": 2e5}}
        device, rate = {"a": ("cpu", 400), "b": ("cuda:0", 20_000), "c": ("cuda", 30_000), "d": ("cuda", 28_000)}[key]
        config = {"model": {"backbone": "lcnet_050"}, "data": {"image_size": 128}}
        return {"config": config, "environment": {"device": device}, "cost": {"samples_per_second": rate}}

    store = SimpleNamespace(run_keys=lambda: list("abcde"), state=lambda _: "done", result=result)
    assert measured_rates(cast(Store, store)) == {
        ("cpu", "lcnet_050", 128): 400.0, ("cuda", "lcnet_050", 128): 28_000.0,
    }  # fmt: skip


def test_processes_that_share_a_gpu_are_taken_to_be_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    runs = {
        device: [Run(str(n), RunConfig().with_overrides({"runtime.device": device}), "r", "new", Estimate(10.0, 1.0))
                 for n in range(8)]
        for device in ("cpu", "cuda", "cuda:0")
    }  # fmt: skip
    assert {device: effort(some, 4)["seconds"] for device, some in runs.items()} == {
        "cpu": 20.0, "cuda": 40.0, "cuda:0": 80.0,
    }  # fmt: skip
    assert effort([], 4) == {"seconds": 0.0, "processes": 1}
