"""What metrics are called, which way they point, and at which FPR a test set can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from core.support import ENOUGH_PAIRS
from reports.cells import HEAD_STEP, PAIRS, SHIFTED_PREFIX
from reports.claims import Study
from reports.markdown import interval

if TYPE_CHECKING:  # SciPy, which those who only name a metric need not import
    from reports.stats import Interval

METRIC_NAMES = {
    "tpr@1e-4": "TPR@1e-4", "tpr@1e-3": "TPR@1e-3", "tpr@1e-2": "TPR@1e-2", "auroc": "AUROC", "top1": "top-1",
    HEAD_STEP: "time of a step of the head", "size_mb": "size (MB)", "flops_g": "GFLOPs",
    "peak_memory_mb": "peak memory (MB)",
}  # fmt: skip
_DECIMALS = {"auroc": 4, "flops_g": 4, "instability": 4, "parameters": 0, "classes": 0, "images": 0, "samples": 0}
FLOOR, CEILING = 0.03, 0.98  # where the TPRs of both arms of a pair lie beyond, nothing can differ


def metric_name(metric: str) -> str:
    """A column of the frame as tables and figures show it."""
    plain = metric.removeprefix(SHIFTED_PREFIX)
    name = METRIC_NAMES.get(plain, plain.replace("_", " "))
    return name if plain == metric else f"{name}, shifted captures"


def decimals(metric: str) -> int:
    """With how many its values and their differences are shown."""
    return _DECIMALS.get(metric.removeprefix(SHIFTED_PREFIX), 3)


def told_interval(found: Interval, metric: str, *, ratio: bool = False) -> str:
    """An estimate with its interval, as `reports.markdown.interval`, as fine as its metric."""
    return interval(found, decimals(metric), ratio=ratio)


def primary_metric(study: Study, frame: pd.DataFrame) -> tuple[str, str]:
    """The metric that a study's arms are compared on, after the fallback, and the note on that fallback."""
    declared = next((one.metric for one in study.contrasts if one.metric in PAIRS), "tpr@1e-4")
    return supported_metric(declared, frame[frame["study"] == study.study])


def at_floor(means: pd.Series, pairs: Sequence[tuple[str, str]]) -> str:
    """Which arms leave no difference any room, as the start of a sentence, by their mean TPR; empty for none.

    One pair that cannot differ is enough: of an interaction each must.
    """
    return _beyond(means < FLOOR, pairs)


def at_ceiling(means: pd.Series, pairs: Sequence[tuple[str, str]]) -> str:
    """As `at_floor`."""
    return _beyond(means > CEILING, pairs)


def _beyond(beyond: pd.Series, pairs: Sequence[tuple[str, str]]) -> str:
    if beyond.all():
        return "All arms"
    return next((f"'{a}' and '{b}'" for a, b in pairs if beyond.get(a, False) and beyond.get(b, False)), "")


def readable_metric(metric: str, rows: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """`metric`, or the same at the next FPR that the test set supports and where no pair is at the floor.

    Returns:
        The column to read in all `rows`, and the note on why it is not the declared one.
    """
    supported, note = supported_metric(metric, rows)
    prefix, plain = _split(supported)
    if not (ladder := _from(plain)):
        return supported, note
    means = {name: rows.groupby("arm")[prefix + name].mean() for name in ladder}
    low = {name: at_floor(means[name], pairs) for name in ladder}
    used = next((name for name in ladder if not low[name]), ladder[0])
    if used == plain:
        return supported, note
    where, instead = (name.split("@")[1] for name in (plain, used))
    told = f"{low[plain]} are at the floor (under {FLOOR}) at FPR {where}, so FPR {instead} is read."
    return prefix + used, f"{note} {told}".strip()


def supported_metric(metric: str, rows: pd.DataFrame) -> tuple[str, str]:
    """`metric`, or the same at the next FPR that has enough identity pairs behind it in all `rows`, and why."""
    prefix, plain = _split(metric)
    if not (ladder := _from(plain)):
        return metric, ""
    counts = {name: rows[PAIRS[name]].min() for name in ladder}
    # Unknown counts (nan) are no reason to leave the declared metric.
    used = next((name for name in ladder if not counts[name] < ENOUGH_PAIRS), ladder[-1])
    few = (
        f"Of this test set's pairs of identities {counts[plain]:.0f} are expected to be false positives at "
        f"FPR {plain.split('@')[1]}"
    )
    weak = counts[used] < ENOUGH_PAIRS
    if used == plain:
        return metric, f"{few}: read it with care." if weak else ""
    rest = f", and even that has only {counts[used]:.0f}" if weak else ""
    return prefix + used, f"{few} (under {ENOUGH_PAIRS}), so FPR {used.split('@')[1]} is read instead{rest}."


def few_expected(metric: str, rows: pd.DataFrame) -> float | None:
    """How many pairs of identities are expected to be false positives where that is too few to read a TPR by.

    None where there are enough, where the number is unknown, and of what is no TPR.
    """
    _, plain = _split(metric)
    if plain not in PAIRS:
        return None
    count = float(rows[PAIRS[plain]].min())
    return count if count < ENOUGH_PAIRS else None


def looser(metric: str) -> str | None:
    """The same TPR at the next higher FPR; None for the highest, and for what is no TPR."""
    prefix, plain = _split(metric)
    return next((prefix + name for name in _from(plain)[1:]), None)


def loosest(metrics: Sequence[str]) -> str:
    """Of one TPR at several FPRs that at the highest; of what is no TPR the first."""
    return min(metrics, key=lambda metric: len(_from(_split(metric)[1])))


def _from(plain: str) -> list[str]:
    """A TPR and those at higher FPRs, in their order; of what is no TPR none."""
    names = list(PAIRS)
    return names[names.index(plain) :] if plain in names else []


def _split(metric: str) -> tuple[str, str]:
    prefix = SHIFTED_PREFIX if metric.startswith(SHIFTED_PREFIX) else ""
    return prefix, metric.removeprefix(prefix)
