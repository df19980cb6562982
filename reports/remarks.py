"""What a reader must know of a contrast that may be judged."""

from __future__ import annotations

import pandas as pd

from reports.cells import OVERFLOWED, UNTRAINED, VALIDATION
from reports.contrasts import Contrast
from reports.gates import stuck, teacher_and_student

MANY_STEPS = 0.1  # share of steps in which PartialFC's sample is no sample


def remarks(contrast: Contrast, metric: str, rows: pd.DataFrame) -> list[str]:
    """What a reader must know of a contrast that may be judged; `metric` as of `gate`."""
    done = rows[rows["state"] == "done"]
    favoured = {first for first, _ in contrast.pairs}
    told = []
    if of_teacher := _hardly_better_teacher(contrast, metric, done):
        told.append(of_teacher)
    for arm in contrast.arms:
        own = done[done["arm"] == arm]
        before, after = float(own[UNTRAINED].mean()), float(own[VALIDATION].mean())
        if arm not in favoured and stuck(own):
            told.append(f"The loss of '{arm}' has not left its slow start: the difference may be one of speed.")
        elif after < before:
            told.append(
                f"Training has left '{arm}' worse on validation identities than it was before its first step (TPR@1e-3 "
                f"{after:.3f}, from {before:.3f}): how it would end is not seen."
            )
        if (share := float(own[OVERFLOWED].mean())) >= MANY_STEPS:
            told.append(
                f"In {share:.0%} of the steps of '{arm}' the batch had more classes than PartialFC samples: more of "
                "its centres took part than the sample rate says, and none were drawn beside the batch's own."
            )
    return told


def _hardly_better_teacher(contrast: Contrast, metric: str, done: pd.DataFrame) -> str:
    teacher, student = teacher_and_student(contrast, metric, done)
    if not student < teacher < student + contrast.smallest_effect:
        return ""
    return (
        f"The teacher alone is hardly better than '{contrast.than}' on this test set ({teacher:.3f} against "
        f"{student:.3f}, less than is worth having): little could be learnt from it."
    )
