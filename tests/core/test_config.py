"""Keys: stable, sensitive to every identity field, blind to runtime fields."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from core import config_sections as module
from core.config import RunConfig, field_names
from core.config_sections import Section
from core.errors import UserError

INPUTS = {"train": "procedural:1", "test": "procedural:2"}

# Another valid value for every field, so that no new field can be added without saying what it does to keys.
OTHER: dict[str, Any] = {
    "data.source": ["somewhere"], "data.pool": 481, "data.images": 200, "data.expansion": 8, "data.image_size": 96,
    "data.augment": "none", "data.strict": True,
    "model.backbone": "lcnet_100", "model.pretrained": "none", "model.neck": "gap", "model.norm": "bn",
    "model.embed_dim": 128,
    "loss.kind": "arcface", "loss.scale": 32, "loss.margin": 0.3, "loss.sample_rate": 1,
    "loss.sampler": "windows", "loss.centre_update": "rows",
    "distill.kind": "kld", "distill.weight": 2, "distill.temperature": 0.5, "distill.clean_view": True,
    "distill.teacher": "random",
    "precision.mode": "highest",
    "optim.lr": 1e-4, "optim.centre_lr_ratio": 3, "optim.weight_decay": 0, "optim.beta1": 0.8, "optim.beta2": 0.99,
    "optim.batch_size": 32, "optim.samples": 640, "optim.warmup": 0, "optim.clip": 1,
    "eval.source": ["elsewhere"], "eval.identities": 10, "eval.validation_identities": 10, "eval.captures": 3,
    "eval.severity": 0.5,
    "eval.shifted": False,
    "eval.points": 2,
    "eval.judged": "validation",
    "runtime.device": "cuda", "runtime.threads": 2, "runtime.cache_dir": "/somewhere",
    "seed": 1,
}  # fmt: skip
RUNTIME = {
    "data.source", "data.strict", "model.pretrained", "distill.teacher", "eval.source",
    "runtime.device", "runtime.threads", "runtime.cache_dir",
}  # fmt: skip


def test_every_field_is_covered() -> None:
    assert set(OTHER) == set(field_names())


@pytest.mark.parametrize("field", sorted(OTHER))
def test_key_changes_with_identity_fields_alone(field: str) -> None:
    base = RunConfig()
    changed = base.with_overrides({field: OTHER[field]})
    assert changed != base
    assert (changed.key(INPUTS) == base.key(INPUTS)) == (field in RUNTIME)


def test_key_is_stable_across_versions_of_this_code() -> None:
    # A changed default must change the key, and only a deliberate one may: then this literal changes with it.
    assert RunConfig().key(INPUTS) == "7ec4af6846ea0e8f"


def test_key_changes_with_inputs() -> None:
    assert RunConfig().key(INPUTS) != RunConfig().key({**INPUTS, "test": "procedural:3"})


def test_equal_values_written_differently_share_a_key() -> None:
    a = RunConfig().with_overrides({"optim.lr": "3e-4", "loss.sample_rate": 1, "optim.batch_size": "64"})
    b = RunConfig().with_overrides({"optim.lr": 0.0003, "loss.sample_rate": 1.0, "optim.batch_size": 64})
    assert a.key(INPUTS) == b.key(INPUTS)


def test_added_field_at_its_neutral_value_keeps_old_keys() -> None:
    class Old(Section):
        lr: float = 1.0

    class New(Old):
        ema: float = module._added(0.0)
        path: str = module._runtime("here")

    assert module.section_identity(New()) == module.section_identity(Old())
    assert module.section_identity(New(ema=0.9)) == {"lr": 1.0, "ema": 0.9}


def test_changed_default_changes_identity() -> None:
    class Old(Section):
        lr: float = Field(1.0)

    class New(Section):
        lr: float = Field(2.0)

    assert module.section_identity(Old()) != module.section_identity(New())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model.norms": "bn"}, "did you mean 'model.norm'"),
        ({"norm": "bn"}, "did you mean 'model.norm'"),
        ({"model.norm": "xx"}, "model.norm: "),
        ({"optim.lr": -1}, "optim.lr: "),
        ({"optim.lr": float("nan")}, "optim.lr: "),
        ({"optim.lr": "fast"}, "got 'fast'"),
        ({"data.images": 2.5}, "data.images: "),
        ({"data.expansion": 4}, "data.expansion: "),
        ({"loss.sample_rate": 0}, "loss.sample_rate: "),
        ({"runtime.device": "tpu"}, "runtime.device: "),
        ({"model.backbone": "../x"}, "model.backbone: "),
    ],
)
def test_mistakes_are_one_line_that_names_the_field(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        RunConfig().with_overrides(overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_config_is_frozen_and_round_trips_through_yaml() -> None:
    import yaml

    config = RunConfig().with_overrides({"model.norm": "ln_bn", "seed": 3})
    assert RunConfig.model_validate(yaml.safe_load(config.to_yaml())) == config
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 4  # type: ignore[misc]
