"""The cells of a report, and what is known of each: the columns of every frame."""

from __future__ import annotations

from dataclasses import dataclass

from core.config import FPRS, METRICS
from core.support import fpr_name

HEAD_STEP = "head_step"
DERIVED_COSTS = ("instability", HEAD_STEP)  # that a frame has, and no result
COSTS = (
    "seconds", "samples", "samples_per_second", "peak_memory_mb",
    "parameters", "size_mb", "flops_g", "classes", "images", *DERIVED_COSTS,
)  # fmt: skip
LESS_IS_BETTER = tuple(cost for cost in COSTS if cost != "samples_per_second")
LOSSES = ("loss_start", "loss_end", "loss_plateau")
VALIDATION = "validation tpr@1e-3"
UNTRAINED = "untrained tpr@1e-3"  # on validation identities too
SKIPPED = "skipped steps"  # share of the steps whose gradients overflowed in fp16
OVERFLOWED = "overflowed steps"  # share of the steps whose batch had more classes than PartialFC samples
# TPR columns and where the frame says how many independent false positives their FPR is expected to give.
PAIRS = {f"tpr@{fpr_name(fpr)}": f"pairs@{fpr_name(fpr)}" for fpr in FPRS}
SHIFTED_PREFIX = "shifted."
SHIFTED = {name: SHIFTED_PREFIX + name for name in METRICS}  # the same metrics on shifted captures
TEACHER = {name: f"teacher.{name}" for name in METRICS}  # of the teacher's own features, on the test captures
READABLE = (*METRICS, *SHIFTED.values(), *COSTS)  # that a contrast can be on
PRECISION = ("precision", "precision_error", "precision_reference", "precision_took_effect")
PLACE = ("study", "arm", "seed", "tuned")  # of a cell, in every frame
IN_MEMORY = ("config", "judged_on", "alike")  # of a frame, and of no table
COLUMNS = (
    *PLACE, "key", "state", "reason", *METRICS, *SHIFTED.values(), VALIDATION, UNTRAINED, *COSTS, *LOSSES, OVERFLOWED,
    SKIPPED, "device", "hardware", "identities", *PAIRS.values(), *TEACHER.values(), *PRECISION, *IN_MEMORY,
)  # fmt: skip
# Share of the test identities that may look like an image to train on. Up to it arms would have to differ by 0.4 on
# those to make up 0.02, the smallest effect that is usually worth having; beyond it a claim may be of their memory.
MOST_ALIKE = 0.05
LEFT_OUT = "left out"  # of runs that nobody asked for, as no verdict rests on their arms
STATES = ("done", "failed", "missing", LEFT_OUT, "unavailable", "damaged", "newer")


@dataclass(frozen=True)
class Cell:
    """One arm with one seed of a study.

    Args:
        key: of the run that fills the cell; None where the arm is unavailable.
        reason: why it is unavailable.
        tuned: whether the run has the values that tuning chose for the arm, in place of the preset's.
        asked: whether `run` with the options of the report trains it; if not, it is shown where it is there.
        alike: how many identities that it is judged on look like an image to train on; None where that is not known.
    """

    study: str
    arm: str
    seed: int
    key: str | None
    reason: str = ""
    tuned: bool = False
    asked: bool = True
    alike: int | None = None
