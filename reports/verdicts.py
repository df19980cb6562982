"""Findings + runs -> estimates, and what can be said of each finding.

This version estimates and does not decide: a finding is `not run` or `inconclusive`, never more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from core.config import METRICS
from core.support import ENOUGH_PAIRS
from reports.claims import Contrast, Study, findings
from reports.frame import COSTS, PAIRS, SHIFTED, TEACHER
from reports.markdown import brief
from reports.stats import Interval, paired_interval

Outcome = Literal["not run", "inconclusive"]
UNDECIDED = "This version prints the estimate and its interval; the rule that would decide is not built yet."
DISTINCT_ARITHMETIC = 10.0  # times the relative error of the other arm: TF32 and bf16 are off by hundreds of times
_NO_OP = "Nothing was compared:"
_SHIFTED_PREFIX = "shifted."
_LESS_IS_BETTER = ("seconds", "peak_memory_mb", "parameters", "size_mb", "flops_g")


@dataclass(frozen=True)
class Estimate:
    """A contrast as it was read: `metric` is a column of the frame, `seeds` those that both arms have.

    For `cost_ratio` the interval holds ratios (its `se` is of the logarithm); for all other kinds differences.
    Both are oriented so that the claim lies above 1, or above 0.
    """

    study: str
    contrast: Contrast
    metric: str
    interval: Interval | None
    seeds: tuple[int, ...] = ()
    missing: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_ratio(self) -> bool:
        return self.contrast.kind == "cost_ratio"

    @property
    def label(self) -> tuple[str, str]:
        """The two arms in the order in which they are subtracted or divided."""
        better, than = self.contrast.better, self.contrast.than
        return (than, better) if self.metric in _LESS_IS_BETTER else (better, than)


@dataclass(frozen=True)
class Verdict:
    """What is said of one finding; `study` is the first that tests it, empty where none does."""

    finding: str
    study: str
    verdict: Outcome
    reason: str
    estimates: tuple[Estimate, ...] = field(default=())

    @property
    def open(self) -> bool:
        """Whether more seeds could decide it. Placeholder: any inconclusive finding counts, whatever its reason."""
        return self.verdict == "inconclusive"

    @property
    def contrasts(self) -> list[tuple[Contrast, Interval | None]]:
        return [(estimate.contrast, estimate.interval) for estimate in self.estimates]

    @property
    def studies(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(estimate.study for estimate in self.estimates))


def judge(studies: Sequence[Study], frame: pd.DataFrame, *, looks: Mapping[int, float] | None = None) -> list[Verdict]:
    """One verdict for every finding of the record, in its order; `frame` is of `reports.frame.build_frame`.

    `looks` are for the rule that decides, which is not built yet.
    """
    estimates = [one for study in studies for one in study_estimates(study, frame)]
    return [_verdict(name, [one for one in estimates if one.contrast.finding == name]) for name in findings()]


def _verdict(finding: str, estimates: list[Estimate]) -> Verdict:
    if not estimates:
        return Verdict(finding, "", "not run", "No study in this report tests it.")
    study, shown = estimates[0].study, tuple(estimates)
    if missing := next((one.missing for one in estimates if one.missing), ""):
        return Verdict(finding, study, "not run", missing, shown)
    if no_op := next((note for one in estimates for note in one.notes if note.startswith(_NO_OP)), ""):
        return Verdict(finding, study, "inconclusive", no_op, shown)
    return Verdict(finding, study, "inconclusive", UNDECIDED, shown)


def study_estimates(study: Study, frame: pd.DataFrame) -> list[Estimate]:
    """The contrasts of one study, each with its estimate or with the reason why there is none."""
    rows = frame[frame["study"] == study.study]
    return [_estimate(study.study, contrast, rows) for contrast in study.contrasts]


def primary_metric(study: Study, frame: pd.DataFrame) -> tuple[str, str]:
    """The metric that a study's arms are compared on, after the fallback, and the note on that fallback."""
    declared = next((one.metric for one in study.contrasts if one.metric in PAIRS), "tpr@1e-4")
    return supported_metric(declared, frame[frame["study"] == study.study])


def supported_metric(metric: str, rows: pd.DataFrame) -> tuple[str, str]:
    """`metric`, or the same at the next FPR that has enough identity pairs behind it in all `rows`, and why."""
    prefix = _SHIFTED_PREFIX if metric.startswith(_SHIFTED_PREFIX) else ""
    plain = metric.removeprefix(prefix)
    if plain not in PAIRS:
        return metric, ""
    ladder = list(PAIRS)[list(PAIRS).index(plain) :]
    counts = {name: rows[PAIRS[name]].min() for name in ladder}
    # Unknown counts (nan) are no reason to leave the declared metric.
    used = next((name for name in ladder if not counts[name] < ENOUGH_PAIRS), ladder[-1])
    few = f"This test set has {counts[plain]:.0f} pairs of identities for FPR {plain.split('@')[1]}"
    weak = counts[used] < ENOUGH_PAIRS
    if used == plain:
        return metric, f"{few}: read it with care." if weak else ""
    rest = f", and even that has only {counts[used]:.0f}" if weak else ""
    return prefix + used, f"{few} (under {ENOUGH_PAIRS}), so FPR {used.split('@')[1]} is read instead{rest}."


def _estimate(study: str, contrast: Contrast, rows: pd.DataFrame) -> Estimate:
    metric = contrast.metric.removeprefix("cost.")
    empty = Estimate(study, contrast, metric, None)
    if metric not in (*METRICS, *SHIFTED.values(), *COSTS):
        return replace(empty, missing=f"No run records '{contrast.metric}'.")
    both = rows[rows["arm"].isin([contrast.better, contrast.than])]
    done = both[both["state"] == "done"]
    for arm in (contrast.better, contrast.than):
        if not (done["arm"] == arm).any():
            return replace(empty, missing=_why_absent(study, arm, rows[rows["arm"] == arm]))
    metric, fallback = supported_metric(metric, done)
    empty = replace(empty, metric=metric)
    first, second = (done[done["arm"] == arm].set_index("seed")[metric].dropna() for arm in empty.label)
    seeds = sorted(set(first.index) & set(second.index))
    if not seeds and done[metric].isna().all():
        return replace(empty, missing=f"No run of '{study}' records '{metric}'.")
    if not seeds:
        return replace(empty, missing=f"No seed of '{study}' has both '{contrast.better}' and '{contrast.than}'.")
    if contrast.kind == "cost_ratio" and min(first.min(), second.min()) <= 0:
        return replace(empty, missing=f"'{contrast.metric}' of '{study}' is not positive, so it has no ratio.")
    interval = _interval(first.loc[seeds].to_numpy(), second.loc[seeds].to_numpy(), contrast.kind == "cost_ratio")
    notes = (fallback, *_unpaired(both), _no_op(contrast, done), _weak_teacher(contrast, metric, done))
    return replace(empty, interval=interval, seeds=tuple(seeds), notes=tuple(note for note in notes if note))


def _interval(a: np.ndarray, b: np.ndarray, ratio: bool) -> Interval:
    if not ratio:
        return paired_interval(a, b)
    logs = paired_interval(np.log(a), np.log(b))
    return replace(logs, estimate=math.exp(logs.estimate), low=math.exp(logs.low), high=math.exp(logs.high))


def _why_absent(study: str, arm: str, rows: pd.DataFrame) -> str:
    if rows.empty:
        return f"Arm '{arm}' of '{study}' was not asked for."
    state = next((name for name in ("unavailable", "failed", "unreadable") if (rows["state"] == name).any()), "missing")
    reason = str(rows.loc[rows["state"] == state, "reason"].iloc[0]).rstrip(".")
    told = {"unavailable": "is unavailable", "failed": "has only failed runs", "unreadable": "has an unreadable run"}
    return f"Arm '{arm}' of '{study}' {told.get(state, 'has no run yet')}{f': {reason}' if state in told else ''}."


def _unpaired(both: pd.DataFrame) -> list[str]:
    absent = both[both["state"] != "done"]
    told = zip(absent["seed"], absent["arm"], absent["state"], strict=True)
    return [f"Seed {seed} is left out: its run of '{arm}' is {state}." for seed, arm, state in told]


def _no_op(contrast: Contrast, done: pd.DataFrame) -> str:
    """Two precisions whose arithmetic is equally wrong on this hardware are one arm under two names."""
    arms = [done[done["arm"] == arm] for arm in (contrast.better, contrast.than)]
    if set(arms[0]["precision"].dropna()) == set(arms[1]["precision"].dropna()):
        return ""
    errors = [float(rows["precision_error"].median()) for rows in arms]
    if not max(errors) < DISTINCT_ARITHMETIC * min(errors):
        return ""
    return (
        f"{_NO_OP} the arithmetic of '{contrast.better}' and '{contrast.than}' does not differ on this hardware "
        f"(relative error {brief(errors[0])} against {brief(errors[1])})."
    )


def _weak_teacher(contrast: Contrast, metric: str, done: pd.DataFrame) -> str:
    """The gate of distillation: a teacher that verifies no better than the undistilled student has little to give."""
    if metric not in TEACHER:
        return ""
    distilled, plain = (done[done["arm"] == arm] for arm in (contrast.better, contrast.than))
    teacher, student = distilled[TEACHER[metric]].dropna(), plain[metric].dropna()
    if teacher.empty or student.empty or plain[TEACHER[metric]].notna().any() or teacher.mean() > student.mean():
        return ""
    return (
        f"The teacher alone is no better than '{contrast.than}' on this test set "
        f"({teacher.mean():.3f} against {student.mean():.3f}): there is little to learn from it."
    )
