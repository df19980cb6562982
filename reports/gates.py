"""What must hold before a contrast may be judged."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from core.config import METRICS
from core.support import ENOUGH_PAIRS
from reports.arithmetic import same_arithmetic
from reports.cells import COSTS, MOST_ALIKE, PAIRS, SHIFTED_PREFIX, TEACHER
from reports.claims import Study
from reports.contrasts import Contrast
from reports.metrics import CEILING, FLOOR, at_ceiling, at_floor, metric_name

_TIMED = ("seconds", "samples_per_second", "peak_memory_mb")  # what belongs to a machine as much as to an arm
TRAINED_AUROC = 0.6
MOST_FAILED = 0.2  # share of an arm's runs that may fail before what is left is a selection


def gate(study: Study, contrast: Contrast, metric: str, rows: pd.DataFrame) -> str:
    """Why the contrast must not be judged, as one sentence; empty where it may be.

    Args:
        metric: the column that is read.
        rows: of the contrast's arms, whatever became of their runs.
    """
    done = rows[rows["state"] == "done"]
    checks = (
        _failed(contrast, rows),
        _undeclared(study, contrast, done),
        _other_test_set(contrast, metric, done),
        _seen(metric, done),
        _untrained(contrast, done),
        _no_room(contrast, metric, done),
        same_arithmetic(contrast, done),  # before outcomes: what is no other arithmetic ends the same to the bit
        _same_outcome(contrast, done),
        _other_hardware(metric, done),
        _too_few_impostors(metric, done),
        _weak_teacher(contrast, metric, done),
        _constant(metric, done),
    )
    return next((reason for reason in checks if reason), "")


def at_edge(contrast: Contrast, edges: Mapping[str, Sequence[str]]) -> str:
    """Why tuned arms must not be judged: a search that ends at the edge of its range might have gone on.

    Args:
        edges: by arm, the fields whose chosen value is at an edge.
    """
    for arm in contrast.arms:
        if fields := edges.get(arm):
            return f"The tuned {', '.join(fields)} of '{arm}' is at the edge of its range, so its best may lie beyond."
    return ""


def _failed(contrast: Contrast, rows: pd.DataFrame) -> str:
    for arm in contrast.arms:
        states = rows.loc[rows["arm"] == arm, "state"]
        failed, done = (states == "failed").sum(), (states == "done").sum()
        if failed > MOST_FAILED * (failed + done):
            return f"{failed} of {failed + done} runs of '{arm}' failed: those that are left are a selection."
    # Each arm may have lost few, and the seeds that all of them have be few all the same.
    by_seed = rows.pivot(index="seed", columns="arm", values="state")
    fails = (by_seed == "failed").to_numpy()
    of_ended = fails[(fails | (by_seed == "done").to_numpy()).all(axis=1)]
    lost = int(of_ended.any(axis=1).sum())
    if lost > MOST_FAILED * len(of_ended):
        return f"{lost} of {len(of_ended)} seeds are lost to failed runs: those that are left are a selection."
    return ""


def _undeclared(study: Study, contrast: Contrast, done: pd.DataFrame) -> str:
    """Arms may differ in what they declare and in nothing else."""
    base = done[done["arm"] == contrast.than]
    for arm in contrast.arms:
        declared = {*study.arms[arm].set, *study.arms[contrast.than].set}
        seeds = done[done["arm"] == arm].merge(base, on="seed", suffixes=("", "_base"))
        for _, row in seeds.iterrows():
            ours, theirs = row["config"], row["config_base"]
            if not isinstance(ours, dict) or not isinstance(theirs, dict):
                continue
            if found := undeclared_fields(ours, theirs, declared):
                return f"'{arm}' and '{contrast.than}' also differ in {', '.join(found)}, which is not declared."
    return ""


def _other_test_set(contrast: Contrast, metric: str, done: pd.DataFrame) -> str:
    """Arms that were set different tasks, by their own `eval` or `data.source`: declared, and all the same no claim.

    Nor do intervals hold, in which arms are paired over the identities that all of them were judged on.
    """
    several = done.groupby("seed")["judged_on"].nunique() > 1
    if metric in COSTS or not several.any():
        return ""
    named = " and ".join(f"'{arm}'" for arm in dict.fromkeys(contrast.arms))
    return f"{named} were judged on different captures: what differs may be the test, and not what was trained."


def _seen(metric: str, done: pd.DataFrame) -> str:
    """Identities that look like what was trained on: how well arms verify those is how well they remember."""
    known = done.dropna(subset=["alike", "identities"])
    share = (known["alike"] / known["identities"]).to_numpy()
    if metric in COSTS or not (share > MOST_ALIKE).any():
        return ""
    row = known.iloc[int(share.argmax())]
    config = row["config"] if isinstance(row["config"], dict) else {}
    folders = "DATA" if "held-out" in config.get("eval.source", ()) else "EVAL --against DATA"
    return (
        f"{row['alike']:,.0f} of {row['identities']:,.0f} test identities look like an image to train on: what is "
        f"judged may be what was trained on. `data check {folders}` lists them."
    )


def undeclared_fields(ours: Mapping[str, Any], theirs: Mapping[str, Any], declared: Collection[str]) -> list[str]:
    """The dotted fields in which two configurations differ without a declaration, sorted."""
    return sorted(name for name in {**ours, **theirs} if name not in declared and ours.get(name) != theirs.get(name))


def _untrained(contrast: Contrast, done: pd.DataFrame) -> str:
    for arm in contrast.arms:
        rows = done[done["arm"] == arm]
        if told := _some(arm, rows["loss_end"] >= rows["loss_start"]):
            return f"{told} not trained: the loss did not fall."
        if told := _some(arm, rows["auroc"] <= TRAINED_AUROC):
            return f"{told} not trained: AUROC at most {TRAINED_AUROC}."
    for arm, _ in contrast.pairs:
        if stuck(done[done["arm"] == arm]):
            return (
                f"The loss of '{arm}' has not left its slow start: what is seen is how fast it trains, not how "
                "well it ends; train longer (optim.samples) or start from pretrained weights."
            )
    return ""


def _some(arm: str, untrained: pd.Series) -> str:
    """How many of an arm's runs, as the start of a sentence; empty for none."""
    count, of = int(untrained.sum()), len(untrained)
    if not count:
        return ""
    return f"'{arm}' was" if count == of else f"{count} of {of} runs of '{arm}' {'was' if count == 1 else 'were'}"


def _same_outcome(contrast: Contrast, done: pd.DataFrame) -> str:
    """Arms that train to equal bits: what they differ in has not begun to matter, whatever it does later.

    So end, for one, margins that differ little, while the target's probability is below the precision of a float.
    """
    for first, second in () if contrast.is_ratio else contrast.pairs:
        ours, theirs = (done[done["arm"] == arm].set_index("seed")[list(METRICS)] for arm in (first, second))
        seeds = ours.index.intersection(theirs.index)
        if len(seeds) and ours.loc[seeds].equals(theirs.loc[seeds]):
            return (
                f"'{first}' and '{second}' ended the same to the bit in all {len(seeds)} seeds: what they differ in "
                "has not begun to matter."
            )
    return ""


def _other_hardware(metric: str, done: pd.DataFrame) -> str:
    """A cost that was measured of one arm on one machine and of another on a second is as much the machines'."""
    if metric not in _TIMED:
        return ""
    here = done[["device", "hardware"]].fillna("").agg(" ".join, axis=1)
    several = here.groupby(done["seed"]).nunique() > 1
    if not several.any():
        return ""
    first, second = sorted(set(here[done["seed"] == several.idxmax()]))[:2]
    return f"Of {several.sum()} seeds the arms ran on different hardware ({first}; {second}): their costs differ by it."


def stuck(rows: pd.DataFrame) -> bool:
    """A margin loss on its plateau, where all cosines are equal: nothing is told apart yet."""
    return bool(len(rows)) and bool(rows["loss_end"].mean() >= rows["loss_plateau"].mean())


def _no_room(contrast: Contrast, metric: str, done: pd.DataFrame) -> str:
    if metric.removeprefix(SHIFTED_PREFIX) not in PAIRS:
        return ""
    means = done.groupby("arm")[metric].mean()
    if low := at_floor(means, contrast.pairs):
        return f"{low} are at the floor (under {FLOOR}), where nothing can differ."
    if high := at_ceiling(means, contrast.pairs):
        return f"{high} are at the ceiling (over {CEILING}), where nothing can differ."
    return ""


def _constant(metric: str, done: pd.DataFrame) -> str:
    """A rate that all runs share, such as a saturated top-1: an interval without variation is sure of nothing."""
    if metric.removeprefix(SHIFTED_PREFIX) not in METRICS or len(done) < 2 or done[metric].nunique() > 1:
        return ""
    return f"{metric_name(metric)} is {done[metric].iloc[0]:.3g} in every run: it tells nothing apart here."


def _too_few_impostors(metric: str, done: pd.DataFrame) -> str:
    plain = metric.removeprefix(SHIFTED_PREFIX)
    if plain not in PAIRS or not done[PAIRS[plain]].min() < ENOUGH_PAIRS:
        return ""
    count = done[PAIRS[plain]].min()
    return f"The test set is too small: {count:.0f} independent false positives are expected, not {ENOUGH_PAIRS}."


def _weak_teacher(contrast: Contrast, metric: str, done: pd.DataFrame) -> str:
    """A teacher that verifies no better than the undistilled student has little to give."""
    teacher, student = teacher_and_student(contrast, metric, done)
    if not teacher <= student:
        return ""
    return (
        f"The teacher alone is no better than '{contrast.than}' on this test set "
        f"({teacher:.3f} against {student:.3f}): there is little to learn from it."
    )


def teacher_and_student(contrast: Contrast, metric: str, done: pd.DataFrame) -> tuple[float, float]:
    """Means of a distilled arm's teacher and of the undistilled arm; nan where the contrast is of no such pair."""
    distilled, plain = (done[done["arm"] == arm] for arm in (contrast.better, contrast.than))
    if metric not in TEACHER or plain[TEACHER[metric]].notna().any():
        return math.nan, math.nan
    return float(distilled[TEACHER[metric]].mean()), float(plain[metric].mean())
