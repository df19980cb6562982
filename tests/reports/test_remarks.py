"""Remarks on a contrast: what is to be said of several arms is said once."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from reports.contrasts import Contrast
from reports.remarks import remarks

CLAIM = Contrast(finding="4_norm_ln_vs_bn", better="a", than="b")


def told(**by_arm: dict[str, float]) -> list[str]:
    """The remarks on arms a and b, which have no cause for any but for what `by_arm` says of them."""
    plain: dict[str, Any] = {
        "state": "done", "seed": 0, "tpr@1e-4": 0.5, "teacher.tpr@1e-4": None, "loss_end": 1.0, "loss_plateau": 9.0,
        "untrained tpr@1e-3": 0.1, "validation tpr@1e-3": 0.4, "overflowed steps": 0.0,
        "skipped steps": None,
    }  # fmt: skip
    return remarks(CLAIM, "tpr@1e-4", pd.DataFrame([plain | {"arm": arm} | by_arm.get(arm, {}) for arm in "ab"]))


def test_nothing_is_remarked_without_a_cause() -> None:
    assert told() == []


FEW = "the batch had more classes than PartialFC samples: more of"
NONE_DRAWN = "centres took part than the sample rate says, and none were drawn beside the batch's own."


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (0.9, 0.0, f"In 90% of the steps of 'a' {FEW} its {NONE_DRAWN}"),
        (0.9, 0.9, f"In 90% of the steps of 'a' and 'b' {FEW} their {NONE_DRAWN}"),
        (0.902, 0.898, f"In 90% of the steps of 'a' and 'b' {FEW} their {NONE_DRAWN}"),
        (0.9, 0.5, f"In 90% of the steps of 'a' and 50% of those of 'b' {FEW} their {NONE_DRAWN}"),
    ],
)
def test_arms_whose_samples_overflowed_share_a_sentence(first: float, second: float, sentence: str) -> None:
    assert told(a={"overflowed steps": first}, b={"overflowed steps": second}) == [sentence]


def test_steps_that_fp16_skipped_are_told_where_they_are_many() -> None:
    assert told(a={"skipped steps": 0.006}) == []
    assert told(a={"skipped steps": 0.25}) == [
        "In 25% of the steps of 'a' gradients overflowed in fp16: it learnt from so many fewer samples."
    ]


def test_arms_that_training_made_worse_share_a_sentence() -> None:
    assert told(a={"validation tpr@1e-3": 0.05}) == [
        "Training has left 'a' worse on validation identities than it was before its first step (TPR@1e-3 0.050, from "
        "0.100): how it would end is not seen."
    ]
    assert told(a={"validation tpr@1e-3": 0.05}, b={"validation tpr@1e-3": 0.06}) == [
        "Training has left 'a' and 'b' worse on validation identities than they were before their first step (TPR@1e-3 "
        "0.050, from 0.100; 0.060, from 0.100): how they would end is not seen."
    ]


def test_a_slow_start_is_not_also_told_as_made_worse() -> None:
    slow = {"loss_end": 34.0, "loss_plateau": 33.0, "validation tpr@1e-3": 0.05}
    assert told(b=slow) == ["The loss of 'b' has not left its slow start: the difference may be one of speed."]
