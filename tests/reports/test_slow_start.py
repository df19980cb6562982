"""A slow start: the plateau on which a margin loss lingers, and where it is told that a run has not left it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from core.loss.margin import KINDS, margin_softmax_loss, plateau_loss
from reports.cells import Cell
from reports.estimates import study_estimates
from reports.frame import build_frame
from reports.index_page import index_page
from reports.material import Material
from reports.page import to_markdown
from tests.reports.conftest import REPORT, reseal
from tests.reports.judging import CLAIM, found, frame_of, shifted_by, study_of

PLATEAU = 64 * 0.4 + math.log(7199)  # of the world's baseline: CosFace, against the negatives of 0.3 x 24,000 classes


@pytest.mark.parametrize(("scale", "classes"), [(64.0, 50), (2.0, 3)])  # where the classes count, and the target
@pytest.mark.parametrize("kind", KINDS)
def test_the_plateau_is_the_loss_of_embeddings_at_right_angles_to_every_centre(
    kind: str, scale: float, classes: int
) -> None:
    cosine = torch.zeros(1, classes, dtype=torch.float64)
    expected = float(margin_softmax_loss(cosine, torch.tensor([0]), kind, scale, 0.4))
    assert plateau_loss(kind, scale, 0.4, classes) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("arm", ["x1", "x24"])
def test_the_frame_has_the_plateau_of_the_classes_that_the_run_sampled(world: Any, arm: str) -> None:
    cell = world.cell("class-count", arm, 0)
    result = world.store.result(cell.key)
    config, losses = result["config"], [point["loss"] for point in result["curve"]]
    sampled = int(config["data"]["images"] * config["data"]["expansion"] * config["loss"]["sample_rate"])
    ((start, end, plateau),) = build_frame([cell], world.store)[["loss_start", "loss_end", "loss_plateau"]].to_numpy()
    assert (start, end) == (losses[0], losses[-1])
    assert plateau == pytest.approx(plateau_loss("cosface", 64.0, 0.4, sampled), rel=1e-9)


def end_at(world: Any, cells: Sequence[Cell], loss: float) -> None:
    """Let the loss of runs fall to `loss` and no further."""
    for cell in cells:
        result = world.store.result(cell.key)
        result["curve"][0]["loss"], result["curve"][-1]["loss"] = 60.0, loss
        reseal(world.store, cell.key, result)


@pytest.mark.parametrize(("above", "stuck"), [(-0.1, False), (0.1, True)])
def test_a_baseline_on_its_plateau_is_warned_of_and_its_contrasts_are_not_judged(
    world: Any, above: float, stuck: bool
) -> None:
    study, loss = world.studies[0], PLATEAU + above
    cells = [world.cell("norm", arm, seed) for arm in ("ln", "bn") for seed in (0, 1)]
    end_at(world, cells[:2], loss)
    material = Material.read([study], cells, world.store, {}, {})
    one = next(one for one in material.estimates(study) if one.label == ("ln", "bn"))
    assert (one.gate != "", "loss of 'ln' has not left its slow start" in one.gate) == (stuck, stuck)
    index = to_markdown(index_page(material, {**REPORT, "store_digest": "ab12"}))
    warning = f"**Warning: its loss ({loss:.1f}) has not come down from the plateau ({PLATEAU:.1f})** of a slow start."
    assert (warning in index, "slow start" in index) == (stuck, stuck)


def test_a_slow_start_of_the_arm_that_is_compared_with_is_remarked_and_judged() -> None:
    remark = "The loss of 'b' has not left its slow start: the difference may be one of speed."
    rows = shifted_by(0.1)
    for arms, gated, notes in (("", False, ()), ("b", False, (remark,)), ("a", True, ()), ("ab", True, (remark,))):
        slow = [row | ({"loss_end": 34.0, "loss_plateau": 33.0} if row["arm"] in arms else {}) for row in rows]
        (one,) = study_estimates(study_of(CLAIM), frame_of(slow))
        assert (bool(one.gate), one.notes) == (gated, notes), arms
        assert found(CLAIM, slow).verdict == ("inconclusive" if gated else "reproduced")
