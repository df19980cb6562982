"""What is wrong with a backbone is told before a run is built, and without timm where no name needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ablations.registry import baseline_values, load_studies
from core.config import RunConfig
from core.errors import UserError
from core.model.timm_models import SHIPPED, why_no_model
from core.model.weights import embedded_backbones, resolve


@pytest.mark.parametrize("pretrained", ["none", "procedural", "imagenet"])
def test_a_name_that_timm_lacks_is_refused_before_its_weights_are_looked_for(pretrained: str) -> None:
    with pytest.raises(UserError, match=r"timm has no 'mobilnetv3_small_050' \(did you mean 'mobilenetv3_small_050'\?"):
        resolve("mobilnetv3_small_050", pretrained)


def test_a_name_like_no_other_is_not_said_to_be_one_of_few() -> None:
    told = why_no_model("nonexistent")
    assert told is not None
    assert "timm has no 'nonexistent': timm.list_models() gives the names of its 1," in told


def test_backbones_of_shipped_studies_are_known_without_timm() -> None:
    default = RunConfig()
    arms = [arm for study in load_studies(["all"]) for arm in study.arms.values()]
    asked = {default.with_overrides(arm.overrides(baseline_values(default))).model.backbone for arm in arms}
    assert asked | set(embedded_backbones()) == SHIPPED
    assert [why_no_model(name) for name in SHIPPED] == [None] * len(SHIPPED)
    code = (
        "import sys; from ablations.__main__ import main\n"
        "try: main()\nfinally: assert not {'torch', 'timm'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code, "plan", "all", "--preset", "smoke"], check=True, capture_output=True)


def test_shipped_backbones_are_timms() -> None:
    import timm

    assert all(timm.is_model(name) for name in SHIPPED)
