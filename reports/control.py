"""The A/A control of every report: the baseline against itself on other seeds, through the same pipeline."""

from __future__ import annotations

from collections.abc import Iterable

from reports.claims import Arm, Study
from reports.contrasts import Contrast

CONTROL = "control"
AGAIN = "again"
CLAIM = "a-a"
# Seeds of the second half lie this far above those of the first, or by a multiple of it where the seeds asked for go
# beyond: far enough that more seeds of a study never become the control's, and plain to read (seed 3 -> 1003).
CONTROL_SEEDS = 1000


def control_study() -> Study:
    """Two arms that change nothing. A pipeline that finds a difference between them finds them everywhere."""
    return Study(
        study=CONTROL,
        title="A/A control",
        question="Does the pipeline find a difference where there is none?",
        claims={CLAIM: "the baseline differs from itself on other seeds"},
        baseline="baseline",
        arms={
            "baseline": Arm(about="the baseline that the studies share, with their seeds"),
            AGAIN: Arm(about="the same configuration with seeds that no study uses"),
        },
        contrasts=(Contrast(finding=CLAIM, better=AGAIN, than="baseline", metric="tpr@1e-4"),),
    )


def control_offset(seeds: Iterable[int]) -> int:
    """What is added to a seed to get the control's: the first multiple of `CONTROL_SEEDS` above all of `seeds`.

    So the control's seeds never meet those asked for, and stay the same when more are asked for, up to the multiple.
    """
    return (max(seeds, default=0) // CONTROL_SEEDS + 1) * CONTROL_SEEDS
