"""Estimates follow what is asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ablations import estimate as estimates
from ablations import memory
from ablations.estimate import encoding_seconds, estimate, head_seconds, measured_rates
from ablations.preset import load_preset
from core.config import RunConfig
from core.inputs import corpus_of
from core.store import Store
from tests.conftest import make_images

# Of one run each in a process of its own, as workers have their allocator: a few steps of lcnet_050 where nothing is
# named, 20 test identities, and the most that was resident (VmHWM), in MB.
MEASURED: list[tuple[dict[str, Any], int]] = [
    ({"optim.batch_size": 8}, 939),
    ({}, 1003),
    ({"optim.batch_size": 256}, 1282),
    ({"optim.batch_size": 512}, 1735),
    ({"data.image_size": 128}, 1286),
    ({"data.image_size": 128, "optim.batch_size": 256}, 2536),
    ({"data.image_size": 128, "data.pool": 20_000, "data.images": 20_000}, 2307),
    ({"model.backbone": "lcnet_100"}, 1097),
    ({"model.backbone": "lcnet_100", "optim.batch_size": 256}, 1737),
    ({"model.backbone": "lcnet_100", "optim.batch_size": 128, "data.image_size": 128}, 2588),
    ({"model.backbone": "efficientnet_b0"}, 1437),
    ({"model.backbone": "efficientnet_b0", "optim.batch_size": 192}, 2505),
]


def few(**changes: Any) -> RunConfig:
    fields = {
        "data.pool": 64, "data.images": 64, "data.expansion": 1, "data.image_size": 64, "optim.batch_size": 64,
        "eval.identities": 20, "eval.validation_identities": 10, "eval.captures": 2, "eval.points": 1,
    }  # fmt: skip
    return RunConfig().with_overrides({**fields, **changes})


@pytest.mark.parametrize(("changes", "measured"), MEASURED)
def test_memory_is_what_runs_were_measured_to_take_at_most(changes: dict[str, Any], measured: int) -> None:
    assert measured <= estimate(few(**changes), {}).memory_mb <= 1.15 * measured


def test_memory_of_centres_is_by_how_they_are_updated() -> None:
    classes = 16256 * 24

    def centres(update: str) -> float:
        config = few(**{"loss.centre_update": update})
        return memory.on_device(config, classes, 1, 64)["class centres and their state"]

    table = classes * few().model.embed_dim * 4
    assert centres("dense") == 4 * table
    assert centres("rows") == 3 * table + 4 * classes
    assert centres("row_scalar") == table + 8 * classes


def test_memory_and_time_are_of_the_captures_that_eval_has(tmp_path: Path) -> None:
    for name in range(12):  # one of four is for validation
        make_images(tmp_path / str(name), 9, seed=name)
    own = few(**{"eval.source": (str(tmp_path),), "eval.points": 4, "eval.shifted": True})
    simulated = few(**{"eval.points": 4, "eval.shifted": False})
    found, other = (memory.on_host(one, corpus_of(one), 64, trains=True) for one in (own, simulated))
    assert found - other == pytest.approx((12 * 9 - (20 + 10) * 2) * 64 * 64 * 3)
    slow = {("cpu", "lcnet_050", 64): 1.0}
    seconds = [estimate(one, slow).seconds for one in (own, simulated)]
    assert seconds[0] - seconds[1] == pytest.approx((9 * 9 + 4 * 3 * 9 - 20 * 2 - 4 * 10 * 2) / 3, abs=0.2)


def test_validations_are_of_the_same_captures_however_many_there_are() -> None:
    one, many = (estimate(few(**{"eval.points": points, "eval.validation_identities": 1000}), {}) for points in (1, 20))
    assert one.memory_mb == many.memory_mb
    assert one.seconds < many.seconds
    judged = [few(**{"eval.judged": part, "eval.identities": 9000}) for part in ("validation", "test")]
    assert estimate(judged[0], {}).memory_mb < estimate(judged[1], {}).memory_mb - 200


def test_what_is_asked_for_beyond_a_runs_steps_takes_no_time() -> None:
    """A run is validated after a step, and its steps are of whole batches, one at least."""
    ten = few(**{"optim.samples": 640, "eval.points": 10})
    assert estimate(ten.with_overrides({"eval.points": 10**6}), {}) == estimate(ten, {})
    assert estimate(ten.with_overrides({"optim.samples": 641}), {}) == estimate(ten, {})
    one = few(**{"optim.samples": 1, "optim.batch_size": 4096})
    assert estimate(one, {}) == estimate(one.with_overrides({"optim.samples": 4096}), {})


def test_a_teachers_features_are_counted_where_it_is_asked() -> None:
    def taken(**distill: Any) -> float:
        named = {f"distill.{name}": value for name, value in distill.items()}
        return estimate(few(**{"data.pool": 16256, "data.images": 16256, "data.expansion": 24, **named}), {}).memory_mb

    features = 16256 * 24 * 256 * 4 / 1e6
    assert taken(kind="cosine", teacher="random") - taken() == pytest.approx(2 * features, abs=1)
    assert taken(kind="cosine", weight=0) == taken()


def test_a_gpus_host_has_neither_the_pool_nor_the_activations() -> None:
    changes = {"data.pool": 20_000, "data.images": 20_000, "data.image_size": 128}
    assert estimate(few(**changes, **{"runtime.device": "cuda"}), {}).memory_mb < 1100


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


# CPU seconds of a step of the head on one core of an EPYC without AVX-512, by whether its optimiser passes over all
# centres, rate, classes and batch.
HEAD_STEPS = [
    ("dense", 0.3, 1_000, 64, 0.0019), ("dense", 1.0, 1_000, 64, 0.0035), ("dense", 1.0, 16_256, 64, 0.054),
    ("dense", 0.3, 16_256, 512, 0.084), ("dense", 0.3, 390_144, 64, 0.54), ("dense", 0.3, 390_144, 512, 3.77),
    ("dense", 1.0, 390_144, 512, 8.55), ("row_scalar", 0.3, 390_144, 512, 1.86),
]  # fmt: skip


@pytest.mark.parametrize(("update", "rate", "classes", "batch", "measured"), HEAD_STEPS)
def test_steps_of_the_head_take_what_was_measured_within_a_half(
    update: str, rate: float, classes: int, batch: int, measured: float
) -> None:
    fields = {"loss.centre_update": update, "loss.sample_rate": rate, "optim.batch_size": batch, "optim.samples": batch}
    assert measured / 1.5 < head_seconds(few(**fields, **{"data.images": classes}), "cpu") < 1.5 * measured


def test_a_run_takes_longer_of_more_classes_and_of_a_larger_sample() -> None:
    standard = load_preset("standard").set

    def hours(**changes: Any) -> float:
        fields = {name.replace("__", "."): value for name, value in changes.items()}
        return estimate(RunConfig().with_overrides({**standard, **fields}), {}).seconds / 3600

    least = hours(data__images=500, data__expansion=1)
    assert hours() > least + 6
    assert hours(loss__sample_rate=1.0) > least + 20
    assert hours(runtime__device="cuda") == hours(runtime__device="cuda", loss__sample_rate=1.0)  # not modelled there


def test_measured_rates_are_of_the_embedder_whatever_the_head_was() -> None:
    """A store with runs of one number of classes tells how long those of another take."""
    large = few(**{"data.images": 200, "data.expansion": 24, "optim.samples": 6400})
    small = few(**{"data.images": 200, "optim.samples": 6400})
    embedder, head = 6400 / 300, head_seconds(large, "cpu")
    assert 0.5 < head < embedder
    result = {
        "config": large.model_dump(), "environment": {"device": "cpu"},
        "cost": {"samples_per_second": 6400 / (embedder + head)},
    }  # fmt: skip
    store = SimpleNamespace(run_keys=lambda: ["a"], state=lambda _: "done", result=lambda _: result)
    rates = measured_rates(cast(Store, store))
    assert rates["cpu", "lcnet_050", 64] == pytest.approx(300)
    assert estimate(large, rates).seconds - estimate(small, rates).seconds == pytest.approx(
        head - head_seconds(small, "cpu"), abs=0.11
    )
    result["cost"] = {"samples_per_second": 1e9}  # of a machine whose heads take less than is thought
    assert 0 < measured_rates(cast(Store, store))["cpu", "lcnet_050", 64] < 1e10


@pytest.fixture
def no_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(estimates._HEAD, "cpu", (0.0, 0.0, 0.0))


@pytest.mark.usefixtures("no_head")
def test_rates_are_of_the_device_that_they_were_measured_on() -> None:
    def result(key: str) -> dict[str, Any]:
        if key == "e":  # eight GPUs that trained it together
            return result("d") | {"environment": {"device": "cuda", "ranks": 8}, "cost": {"samples_per_second": 2e5}}
        device, rate = {"a": ("cpu", 400), "b": ("cuda:0", 20_000), "c": ("cuda", 30_000), "d": ("cuda", 28_000)}[key]
        config = RunConfig().with_overrides({"data.image_size": 128}).model_dump()
        return {"config": config, "environment": {"device": device}, "cost": {"samples_per_second": rate}}

    store = SimpleNamespace(run_keys=lambda: list("abcde"), state=lambda _: "done", result=result)
    assert measured_rates(cast(Store, store)) == {
        ("cpu", "lcnet_050", 128): 400.0, ("cuda", "lcnet_050", 128): 28_000.0,
    }  # fmt: skip


@pytest.mark.usefixtures("no_head")
@pytest.mark.parametrize(
    ("changes", "times"), [({"distill.clean_view": True}, 2), ({"precision.mode": "fp16"}, 2), ({"optim.lr": 1e-4}, 1)]
)
def test_measured_rates_are_of_a_plain_arm_whichever_was_measured(changes: dict[str, Any], times: float) -> None:
    """A store that holds seed 0 of an arm alone: seed 1 of it takes as long, and a plain arm less."""
    config = RunConfig().with_overrides({"distill.kind": "kld", **changes})
    result = {"config": config.model_dump(), "environment": {"device": "cpu"}, "cost": {"samples_per_second": 300.0}}
    store = SimpleNamespace(run_keys=lambda: ["a"], state=lambda _: "done", result=lambda _: result)
    rates = measured_rates(cast(Store, store))
    assert rates == {("cpu", config.model.backbone, config.data.image_size): times * 300.0}
    assert estimate(config, rates).seconds > config.optim.samples / 300.0
    assert estimate(config, rates).seconds < 1.3 * config.optim.samples / 300.0
