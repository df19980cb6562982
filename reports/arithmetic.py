"""Whether the arms of a contrast were computed in arithmetic that differs, which a precision's name does not tell."""

from __future__ import annotations

import math

import pandas as pd

from reports.contrasts import Contrast
from reports.markdown import brief

DISTINCT = 10.0  # times the relative error of the other arm: TF32 and bf16 are off by hundreds of times


def no_op(contrast: Contrast, done: pd.DataFrame) -> bool:
    """Whether two precisions are one under two names on this hardware: their arithmetic is equally wrong.

    Nothing that is seen of such arms changes that.
    """
    errors = _errors(contrast, done)
    measured = bool(errors) and not any(map(math.isnan, errors))
    return measured and max(errors) < DISTINCT * min(errors)


def same_arithmetic(contrast: Contrast, done: pd.DataFrame) -> str:
    """Why arms of two precisions must not be judged, as one sentence; empty where they may be, or have one precision.

    Args:
        done: the done runs of the contrast's arms.
    """
    errors = _errors(contrast, done)
    if any(map(math.isnan, errors)):
        return f"What precision '{contrast.better}' and '{contrast.than}' were computed in was not measured in both."
    if not no_op(contrast, done):
        return ""
    return (
        f"Nothing was compared: the arithmetic of '{contrast.better}' and '{contrast.than}' does not differ on this "
        f"hardware (relative error {brief(errors[0])} against {brief(errors[1])})."
    )


def _errors(contrast: Contrast, done: pd.DataFrame) -> list[float]:
    """Relative errors of both arms' arithmetic, nan where it was not measured; none where their precision is one."""
    arms = [done[done["arm"] == arm] for arm in (contrast.better, contrast.than)]
    if set(arms[0]["precision"].dropna()) == set(arms[1]["precision"].dropna()):
        return []
    return [float(rows["precision_error"].median()) for rows in arms]
