"""What a reader must know of a contrast that may be judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from reports.cells import OVERFLOWED, SKIPPED, UNTRAINED, VALIDATION
from reports.contrasts import Contrast
from reports.gates import stuck, teacher_and_student
from reports.markdown import listed

MANY_STEPS = 0.1  # share of steps in which PartialFC's sample is no sample, or that fp16 skips


def remarks(contrast: Contrast, metric: str, rows: pd.DataFrame) -> list[str]:
    """What a reader must know of a contrast that may be judged; `metric` as of `gate`.

    What is to be said of several arms is said once: a verdict is told with all of it.
    """
    done = rows[rows["state"] == "done"]
    favoured = {first for first, _ in contrast.pairs}
    of_arm = {arm: done[done["arm"] == arm] for arm in contrast.arms}
    slow = [arm for arm, own in of_arm.items() if arm not in favoured and stuck(own)]
    before, after, overflowed, skipped = (
        {arm: float(own[column].mean()) for arm, own in of_arm.items()}
        for column in (UNTRAINED, VALIDATION, OVERFLOWED, SKIPPED)
    )
    worse = {arm: (before[arm], after[arm]) for arm in of_arm if arm not in slow and after[arm] < before[arm]}
    told = (
        _hardly_better_teacher(contrast, metric, done), _slow_start(slow), _made_worse(worse),
        _overflowed(_often(overflowed)), _skipped(_often(skipped)),
    )  # fmt: skip
    return [one for one in told if one]


def _often(shares: Mapping[str, float]) -> dict[str, float]:
    return {arm: share for arm, share in shares.items() if share >= MANY_STEPS}


def _slow_start(arms: Sequence[str]) -> str:
    if not arms:
        return ""
    return f"The loss of {_named(arms)} has not left its slow start: the difference may be one of speed."


def _made_worse(arms: Mapping[str, tuple[float, float]]) -> str:
    """Args: arms: by arm, the rate before training and the one after it."""
    if not arms:
        return ""
    rates = "; ".join(f"{after:.3f}, from {before:.3f}" for before, after in arms.values())
    it, was, its = ("they", "were", "their") if len(arms) > 1 else ("it", "was", "its")
    return (
        f"Training has left {_named(arms)} worse on validation identities than {it} {was} before {its} first step "
        f"(TPR@1e-3 {rates}): how {it} would end is not seen."
    )


def _overflowed(arms: Mapping[str, float]) -> str:
    """Args: arms: by arm, the share of its steps."""
    if not arms:
        return ""
    its = "their" if len(arms) > 1 else "its"
    return (
        f"In {_in_steps(arms)} the batch had more classes than PartialFC samples: more of {its} centres took part than "
        "the sample rate says, and none were drawn beside the batch's own."
    )


def _skipped(arms: Mapping[str, float]) -> str:
    """Args: arms: by arm, the share of its steps."""
    if not arms:
        return ""
    it = "they" if len(arms) > 1 else "it"
    return f"In {_in_steps(arms)} gradients overflowed in fp16: {it} learnt from so many fewer samples."


def _in_steps(arms: Mapping[str, float]) -> str:
    by_share: dict[str, list[str]] = {}
    for arm, share in arms.items():
        by_share.setdefault(f"{share:.0%}", []).append(arm)
    told, of = [], "the steps"
    for percent, same in by_share.items():
        told.append(f"{percent} of {of} of {_named(same)}")
        of = "those"
    return listed(told)


def _named(arms: Iterable[str]) -> str:
    return listed([f"'{arm}'" for arm in arms])


def _hardly_better_teacher(contrast: Contrast, metric: str, done: pd.DataFrame) -> str:
    teacher, student = teacher_and_student(contrast, metric, done)
    if not student < teacher < student + contrast.smallest_effect:
        return ""
    return (
        f"The teacher alone is hardly better than '{contrast.than}' on this test set ({teacher:.3f} against "
        f"{student:.3f}, less than is worth having): little could be learnt from it."
    )
