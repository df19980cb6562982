"""Verdicts in words: one plain sentence that a newcomer understands."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from reports.decision import Decision
from reports.estimates import Estimate
from reports.metrics import metric_name
from reports.power import power_of


def sentence(
    decision: Decision,
    estimates: Sequence[Estimate],
    decider: Estimate | None,
    seeds: int,
    looks: Collection[int],
    level: float,
) -> str:
    """Why the verdict is what it is.

    Args:
        estimates: those that the verdict rests on.
        decider: the one that settled it.
        seeds: that all of them have.
        looks: numbers of seeds at which a verdict may be reached.
        level: the one-sided level of one difference at the last look, the strictest that Holm's procedure asks for.
    """
    if decision.outcome == "inconclusive" or decider is None:
        return _undecided(estimates, seeds, looks, level)
    told = {
        "reproduced": _reproduced(decider, len(estimates)),
        "contradicted": _contradicted(decider),
        "not reproduced": _not_reproduced(decider),
    }
    return told[decision.outcome]


def _reproduced(decider: Estimate, count: int) -> str:
    rest = " It is the weakest of the differences that the claim needs." if count > 1 else ""
    if decider.contrast.kind == "non_inferiority":
        better, than = decider.label
        return f"'{better}' falls short of '{than}' by less than {decider.contrast.margin:g}: {_seen(decider)}.{rest}"
    return f"{_comparison(decider)}: {_seen(decider)}, at least the {_worth(decider)} that is worth having.{rest}"


def _contradicted(decider: Estimate) -> str:
    if decider.contrast.kind == "non_inferiority":
        better, than = decider.label
        return f"'{better}' falls short of '{than}' by more than {decider.contrast.margin:g}: {_seen(decider)}."
    return f"It is the other way round, {_comparison(decider, turned=True)}: {_seen(decider)}."


def _not_reproduced(decider: Estimate) -> str:
    if decider.contrast.kind == "non_inferiority":
        return f"The loss that is allowed ({decider.contrast.margin:g}) is exceeded: {_seen(decider)}."
    better, than = decider.label
    return (
        f"A difference worth having ({_worth(decider)}) between '{better}' and '{than}' is excluded: {_seen(decider)}."
    )


def _undecided(estimates: Sequence[Estimate], seeds: int, looks: Collection[int], level: float) -> str:
    if not looks:
        return "This preset only tries things out: it declares no number of seeds at which a verdict may be reached."
    first, last = min(looks), max(looks)
    if seeds < first:
        return f"{seeds} of the {first} seeds that a verdict takes are there."
    weakest = max(estimates, key=lambda one: max((test.claim_p for test in one.tests), default=1.0))
    power = _power(weakest, level)
    told = f"Neither the claim nor its opposite can be told from chance or excluded: {_seen(weakest)}"
    if power is None:
        return f"{told}."
    detectable = _size(weakest, math.exp(power[0]) if weakest.is_ratio else power[0])
    need = (
        f"if that is the true size, about {power[1]} seeds would settle it"
        if power[1] is not None
        else "more seeds would not settle it: more test documents, or a larger effect, would be needed"
    )
    beyond = "" if seeds < last or power[1] is None else " (this preset's last look is past)"
    return f"{told}; {seeds} seeds can see {detectable} or more, and {need}{beyond}."


def _power(estimate: Estimate, level: float) -> tuple[float, int | None] | None:
    found = [power_of(test.interval, level, test.null, test.worth) for test in estimate.tests]
    known = [one for one in found if one is not None]
    if not known:
        return None
    seeds = None if any(one.seeds is None for one in known) else max(one.seeds or 0 for one in known)
    return max(one.detectable for one in known), seeds


def _comparison(estimate: Estimate, *, turned: bool = False) -> str:
    contrast = estimate.contrast
    better, than = (contrast.than, contrast.better) if turned else (contrast.better, contrast.than)
    if estimate.is_ratio:
        return f"'{better}' costs less than '{than}'"
    if contrast.kind == "trend":
        return f"'{better}' beats '{than}', rising from level to level" if not turned else f"'{better}' beats '{than}'"
    if contrast.kind == "interaction":
        return "the order of the two changes as claimed" if not turned else "in one of the two the order is reversed"
    return f"'{better}' beats '{than}'"


def _seen(estimate: Estimate) -> str:
    interval = estimate.interval
    if interval is None:
        return "nothing"
    metric = metric_name(estimate.metric)
    if math.isnan(interval.low):
        return f"{_size(estimate, interval.estimate)} on {metric} from one seed, without an interval"
    low, high = (_size(estimate, value) for value in (interval.low, interval.high))
    return f"{_size(estimate, interval.estimate)} on {metric} (95 % interval {low} to {high})"


def _size(estimate: Estimate, value: float) -> str:
    if estimate.is_ratio:
        return f"×{value:.2f}"
    return f"{value:+.3f}".replace("-", "−")


def _worth(estimate: Estimate) -> str:
    size = estimate.contrast.smallest_effect
    return f"×{1 + size:.2f}" if estimate.is_ratio else f"{size:g}"
