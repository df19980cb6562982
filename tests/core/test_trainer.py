"""Training: neutral points to the bit, common random numbers, determinism, typed failures."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.config import METRICS, RunConfig
from core.errors import RunFailure
from core.evaluation import evaluate
from core.materials import drawn_images, load_materials
from core.model.embedder import Embedder, flops_g, parameter_count, size_mb
from core.model.weights import EMBEDDED
from core.precision import matmul_precision
from core.result import RunResult
from core.schedule import ClassOrder, learning_rate_factor
from core.trainer import train
from core.training_state import Trainer

TINY: dict[str, Any] = {
    "model.pretrained": "none", "data.pool": 12, "data.images": 8, "data.expansion": 24, "data.image_size": 32,
    "model.embed_dim": 16,
    "optim.batch_size": 8, "optim.samples": 32, "eval.identities": 6, "eval.validation_identities": 4,
    "eval.captures": 2, "eval.points": 2, "runtime.threads": 1,
}  # fmt: skip


def tiny(**overrides: Any) -> RunConfig:
    changed = {name.replace("__", "."): value for name, value in overrides.items()}
    return RunConfig().with_overrides({**TINY, **changed})


@pytest.fixture(scope="module")
def baseline() -> RunResult:
    return train(tiny())


def losses(result: RunResult) -> list[float]:
    return [point["loss"] for point in result.curve]


def test_result_is_complete(baseline: RunResult) -> None:
    assert set(baseline.metrics) == set(METRICS) == set(baseline.validation) == set(baseline.untrained)
    assert all(0 <= value <= 1 for value in baseline.metrics.values())
    assert [point["samples"] for point in baseline.curve] == [16, 32]
    assert baseline.test["identities"] == 6
    assert baseline.to_json()["config"]["model"]["norm"] == "ln"
    assert sum(baseline.cost["time_share"].values()) == pytest.approx(1, abs=0.01)
    assert baseline.scores["positive_scores"].shape == (6,)


def test_what_a_run_cost_and_where_it_was_made_are_told(baseline: RunResult) -> None:
    embedder, cost = Embedder(tiny().model, 32, 0), baseline.cost
    assert (cost["samples"], cost["classes"], cost["images"]) == (32, 8 * 24, 8)
    assert (cost["parameters"], cost["size_mb"]) == (parameter_count(embedder), round(size_mb(embedder), 4))
    assert cost["flops_g"] == round(flops_g(embedder, 32), 5) > 0
    assert cost["samples_per_second"] == pytest.approx(32 / cost["train_seconds"], rel=0.05)
    assert 0 < cost["train_seconds"] < cost["seconds"]
    assert cost["peak_memory_mb"] > 50  # PyTorch alone takes more
    assert baseline.environment.keys() >= {"python", "torch", "timm", "numpy", "hardware", "git", "code"}
    assert baseline.inputs.keys() == {"pretrained", "train", "validation", "test", "shifted", "teacher"}


def test_the_embedder_is_judged_before_its_first_step(baseline: RunResult) -> None:
    materials = load_materials(tiny())
    with matmul_precision(tiny().precision.mode):
        fresh = evaluate(Trainer(tiny(), materials).embedder, materials.validation, torch.device("cpu")).metrics
    assert baseline.untrained == fresh
    assert baseline.untrained != baseline.validation


def test_a_run_judged_on_validation_reads_nothing_of_the_test_identities(baseline: RunResult, tmp_path: Path) -> None:
    judged = train(tiny(eval__judged="validation", eval__shifted=True, runtime__cache_dir=str(tmp_path)))
    assert judged.metrics == judged.validation == baseline.validation
    assert judged.key != baseline.key
    assert judged.test["identities"] == 4
    assert judged.data["test"] == judged.data["validation"]
    made = {path.stem.rsplit("-", 1)[0] for path in tmp_path.glob("*.npy")}
    assert made == {"pool", "captures", "shifted-captures"}
    assert len(list(tmp_path.glob("captures-*.npy"))) == 1


def test_scores_hold_what_intervals_over_identities_need(baseline: RunResult) -> None:
    for prefix in ("", "shifted_"):
        assert baseline.scores[f"{prefix}captures"].tolist() == [2] * 6
        assert baseline.scores[f"{prefix}positive_ids"].tolist() == list(range(6))
        assert baseline.scores[f"{prefix}negative_i"].max() < 6


def test_same_config_gives_the_same_bits(baseline: RunResult) -> None:
    again = train(tiny())
    assert again.key == baseline.key
    assert again.metrics == baseline.metrics
    assert losses(again) == losses(baseline)


def test_shifted_captures_are_judged_apart(baseline: RunResult) -> None:
    assert baseline.shifted is not None
    assert set(baseline.shifted) == set(METRICS)
    materials = load_materials(tiny())
    assert materials.shifted is not None
    assert np.array_equal(materials.shifted.identities, materials.test.identities)
    assert not np.array_equal(materials.shifted.images, materials.test.images)
    without = train(tiny(eval__shifted=False))
    assert without.shifted is None
    assert without.metrics == baseline.metrics
    assert without.key != baseline.key
    assert "shifted" not in without.inputs
    assert "shifted" not in without.config.identity()["eval"]  # keys from before there was such a field stay


def test_a_distilled_run_measures_its_teacher_on_the_test_captures(baseline: RunResult) -> None:
    teacher = train(tiny(distill__kind="cosine")).manipulation["teacher"]
    assert set(teacher) == set(METRICS)
    assert train(tiny(distill__kind="kld")).manipulation["teacher"] == teacher
    assert "teacher" not in train(tiny(distill__kind="cosine", distill__teacher="random")).manipulation
    assert "teacher" not in baseline.manipulation


def test_another_seed_differs(baseline: RunResult) -> None:
    assert losses(train(tiny(seed=1))) != losses(baseline)


@pytest.mark.parametrize("teacher", ["procedural", "random"])
@pytest.mark.parametrize("kind", ["kld", "cosine", "similarity"])
def test_distillation_of_no_weight_is_none_to_the_bit(kind: str, teacher: str, baseline: RunResult) -> None:
    result = train(tiny(distill__kind=kind, distill__weight=0, distill__teacher=teacher))
    assert result.metrics == baseline.metrics
    assert losses(result) == losses(baseline)


def test_where_the_same_content_lies_changes_no_bit(image_folder: Path, tmp_path: Path) -> None:
    """Fields that no key has: other threads alone may add up in another order."""
    short = {"optim__samples": 16, "eval__shifted": False}
    named = train(tiny(**short, data__source=str(image_folder), model__pretrained="procedural"))
    moved, weights = shutil.copytree(image_folder, tmp_path / "moved"), EMBEDDED / "lcnet_050.safetensors"
    elsewhere = {"data__source": str(moved), "model__pretrained": str(weights), "runtime__cache_dir": str(tmp_path)}
    found = train(tiny(**short, **elsewhere, data__strict=True))
    assert found.metrics == named.metrics
    assert losses(found) == losses(named)


@pytest.mark.parametrize("kind", ["cosface", "arcface", "arcface_straight_through"])
def test_margin_zero_is_scaled_softmax(kind: str) -> None:
    softmax = train(tiny(loss__kind="softmax", optim__samples=16))
    zero = train(tiny(loss__kind=kind, loss__margin=0, optim__samples=16))
    assert losses(zero) == pytest.approx(losses(softmax), rel=1e-6)


def test_validating_more_often_changes_nothing_else(baseline: RunResult) -> None:
    often = train(tiny(eval__points=4))
    assert often.metrics == baseline.metrics
    assert [point["samples"] for point in often.curve] == [8, 16, 24, 32]
    assert often.curve[-1]["loss"] == baseline.curve[-1]["loss"]


def test_an_unused_stream_shifts_no_other() -> None:
    """Full softmax draws no negative classes, yet sees the same images in the same order as the sampled arm."""
    arms = [Trainer(config, load_materials(config)) for config in (tiny(), tiny(loss__sample_rate=1))]
    orders = [trainer.batches.order.next() for trainer in arms]
    assert torch.equal(*orders)
    for trainer in arms:
        trainer.step(0)
    assert torch.equal(*(trainer.batches.order.next() for trainer in arms))
    assert torch.equal(*(trainer.batches.augment_stream.get_state() for trainer in arms))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"data__images": 2, "data__expansion": 1, "loss__sample_rate": 0.3},
            "loss.sample_rate 0.3 of 2 classes is less than one",
        ),
        ({"optim__batch_size": 2, "distill__kind": "similarity"}, "similarity compares 3 images or more, not 2"),
    ],
)
def test_fields_that_do_not_fit_each_other_are_told_before_data_are_made(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], told: str
) -> None:
    monkeypatch.setattr("core.trainer.load_materials", lambda *_: pytest.fail("data were made"))
    with pytest.raises(RunFailure, match=told) as caught:
        train(tiny(**changes))
    assert caught.value.kind == "bad_config"


# Steps of `tiny` until the scaler of fp16 has found one that it need not skip, and then some.
_FP16_SAMPLES = 128


@pytest.mark.parametrize("update", ["rows", "row_scalar"])
@pytest.mark.parametrize("mode", ["highest", "bf16", "fp16"])
def test_the_fast_head_trains_in_every_precision_and_repeats_to_the_bit(update: str, mode: str) -> None:
    changes = {"loss__centre_update": update, "loss__sampler": "windows", "precision__mode": mode}
    if mode == "fp16":
        changes["optim__samples"] = _FP16_SAMPLES
    first, second = (train(tiny(**changes)) for _ in range(2))
    assert first.metrics == second.metrics
    assert losses(first) == losses(second)
    assert all(math.isfinite(loss) for loss in losses(first))


def test_a_fast_head_that_diverges_says_so() -> None:
    with pytest.raises(RunFailure, match=r"loss is (nan|inf) at step"):
        train(tiny(optim__lr=1e30, optim__clip=1e30, model__norm="none", optim__warmup=0, loss__centre_update="rows"))


@pytest.mark.parametrize("kind", ["kld", "cosine", "similarity"])
def test_distillation_changes_training(kind: str, baseline: RunResult) -> None:
    result = train(tiny(distill__kind=kind, distill__teacher="random", distill__weight=5))
    assert losses(result) != losses(baseline)
    assert all(math.isfinite(loss) for loss in losses(result))


def test_clean_view_is_a_control_of_its_own(baseline: RunResult) -> None:
    """With BatchNorm in the backbone the clean images change the statistics even when nothing is distilled."""
    control = train(tiny(distill__kind="kld", distill__weight=0, distill__clean_view=True))
    assert losses(control) != losses(baseline)


@pytest.mark.parametrize("mode", ["highest", "high", "medium", "bf16", "fp16"])
def test_every_precision_trains_and_is_probed(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen, step = torch.get_float32_matmul_precision(), [], Trainer.step

    def watched(self: Trainer, index: int) -> None:
        seen.append(torch.get_float32_matmul_precision())
        step(self, index)

    monkeypatch.setattr(Trainer, "step", watched)
    config = tiny(precision__mode=mode, optim__samples=_FP16_SAMPLES if mode == "fp16" else 16)
    result = train(config)
    assert torch.get_float32_matmul_precision() == before
    assert seen == ["highest" if mode in ("bf16", "fp16") else mode] * config.optim.steps
    assert (0 < result.cost["skipped_steps"] < config.optim.steps / 2) == (mode == "fp16")
    probe = result.manipulation["precision"]
    assert probe["mode"] == mode
    if mode in ("bf16", "fp16"):
        assert probe["took_effect"]
        assert probe["linear_error"] > 10 * probe["reference_error"]


def test_divergence_is_typed_with_its_step() -> None:
    with pytest.raises(RunFailure, match=r"loss is (nan|inf) at step \d+ of 4") as caught:
        train(tiny(optim__lr=1e30, optim__clip=1e30, model__norm="none", optim__warmup=0))
    assert caught.value.kind == "diverged"


@pytest.mark.parametrize(("mode", "fails"), [("medium", True), ("fp16", False)])
def test_a_gradient_that_is_not_finite_is_divergence_but_where_the_scaler_skips_it(
    monkeypatch: pytest.MonkeyPatch, mode: str, fails: bool
) -> None:
    config = tiny(precision__mode=mode, loss__centre_update="dense", optim__samples=_FP16_SAMPLES)
    loss_of, steps, last = Trainer._loss, itertools.count(1), config.optim.steps

    def steep(self: Trainer, *batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """At the last step: as large as ever, with a gradient that is not a number."""
        loss, share = loss_of(self, *batch)
        weight = next(self.embedder.parameters()).flatten()[0]
        return loss, share + (weight * 0).abs().sqrt() if next(steps) == last else share

    monkeypatch.setattr(Trainer, "_loss", steep)
    if not fails:
        result = train(config)
        assert math.isfinite(result.curve[-1]["loss"])
        assert 0 < result.cost["skipped_steps"] < last / 2
        return
    with pytest.raises(RunFailure, match="the gradient norm is nan at step 16 of 16") as caught:
        train(config)
    assert caught.value.kind == "diverged"


def test_fp16_that_skips_every_step_has_learnt_nothing_and_is_no_result() -> None:
    changes = {"precision__mode": "fp16", "loss__scale": 1e6}
    assert train(tiny(**changes, optim__samples=128)).cost["skipped_steps"] == 16  # the scaler may be on its way yet
    with pytest.raises(RunFailure, match=r"nothing was learnt: .* fp16 overflowed in all 17 steps") as caught:
        train(tiny(**changes, optim__samples=136))
    assert caught.value.kind == "diverged"


def test_many_points_are_as_many_as_there_are_steps() -> None:
    curve = train(tiny(eval__points=10**9)).curve
    assert [point["samples"] for point in curve] == [8, 16, 24, 32]


def test_a_large_evaluation_says_how_far_it_is() -> None:
    told: list[tuple[str, int, int]] = []
    train(tiny(eval__identities=200), progress=lambda *event: told.append(event))
    after = told[max(place for place, event in enumerate(told) if event[0] == "training") :]
    assert {what for what, _, _ in after} >= {"embedding captures", "comparing pairs", "ranking pairs"}
    assert [done for what, done, _ in after if what == "embedding captures"][:4] == [128, 256, 384, 400]
    assert all(done <= total for _, done, total in after)


def test_too_few_images_is_typed() -> None:
    with pytest.raises(RunFailure) as caught:
        train(tiny(data__images=13))
    assert caught.value.kind == "too_few_images"


def test_learning_rate_schedule() -> None:
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == factors[10] == 1
    assert factors[-1] == pytest.approx(1 / 90)
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))
    assert learning_rate_factor(0, 1, 0.0) == 1


def test_class_order_shows_every_class_once_a_pass() -> None:
    order = ClassOrder(10, 4, torch.Generator().manual_seed(0))
    seen = torch.cat([order.next() for _ in range(5)])
    assert sorted(seen[:10].tolist()) == list(range(10))
    assert sorted(seen[10:].tolist()) == list(range(10))


def test_drawn_images_are_nested_and_differ_by_seed() -> None:
    assert np.array_equal(drawn_images(0, 100, 10), drawn_images(0, 100, 50)[:10])
    assert len(set(drawn_images(0, 100, 100))) == 100
    assert not np.array_equal(drawn_images(0, 100, 10), drawn_images(1, 100, 10))


def test_arms_of_one_seed_train_on_the_same_images() -> None:
    a, b = load_materials(tiny()), load_materials(tiny(model__norm="bn"))
    assert torch.equal(a.pool, b.pool)
    assert not torch.equal(a.pool, load_materials(tiny(seed=1)).pool)
