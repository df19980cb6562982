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
    part: int = 0,
) -> str:
    """Why the verdict is what it is.

    Args:
        estimates: those that the verdict rests on.
        decider, part: the one that settled it, and which of its tests.
        seeds: that all of them have.
        looks: numbers of seeds at which a verdict may be reached.
        level: the one-sided level of one difference at the last look, the strictest that Holm's procedure asks for.
    """
    if decision.outcome == "inconclusive" or decider is None:
        return _undecided(estimates, seeds, looks, level)
    if decision.outcome == "reproduced":
        return _reproduced(decider, part, len(estimates))
    return _contradicted(decider, part) if decision.outcome == "contradicted" else _not_reproduced(decider, part)


def _reproduced(decider: Estimate, part: int, count: int) -> str:
    rest = " It is the weakest of the differences that the claim needs." if count > 1 else ""
    if decider.contrast.kind == "non_inferiority":
        better, than = decider.label
        margin = f"{decider.contrast.margin:g}"
        return f"'{better}' falls short of '{than}' by less than {margin}: {_seen(decider, part)}.{rest}"
    return f"{_comparison(decider)}: {_seen(decider, part)}, at least the {_worth(decider)} that is worth having.{rest}"


def _contradicted(decider: Estimate, part: int) -> str:
    if decider.contrast.kind == "non_inferiority":
        better, than = decider.label
        return f"'{better}' falls short of '{than}' by more than {decider.contrast.margin:g}: {_seen(decider, part)}."
    return f"It is the other way round, {_comparison(decider, turned=True)}: {_seen(decider, part)}."


def _not_reproduced(decider: Estimate, part: int) -> str:
    if decider.contrast.kind == "non_inferiority":
        return f"The loss that is allowed ({decider.contrast.margin:g}) is exceeded: {_seen(decider, part)}."
    better, than = (decider.parts[part].first, decider.parts[part].second) if decider.parts else decider.label
    return (
        f"A difference worth having ({_worth(decider)}) between '{better}' and '{than}' is excluded: "
        f"{_seen(decider, part)}."
    )


def _undecided(estimates: Sequence[Estimate], seeds: int, looks: Collection[int], level: float) -> str:
    if not looks:
        return "This preset only tries things out: it declares no number of seeds at which a verdict may be reached."
    if seeds < min(looks):
        return f"{seeds} of the {min(looks)} seeds that a verdict takes are there."
    weakest, index = max(
        ((one, index) for one in estimates for index in range(len(one.tests))),
        key=lambda pair: pair[0].tests[pair[1]].claim_p,
    )
    test = weakest.tests[index]
    if test.interval.low > test.null:
        if test.claim_p > test.interval.p_above(test.null):  # the levels between are what is not sure
            better, than = weakest.contrast.better, weakest.contrast.than
            return (
                f"'{better}' beats '{than}', {_seen(weakest, index)}, but from level to level there is no rise that is "
                f"sure enough (Page's test, p {test.claim_p:.2g}); {_need(seeds, seeds, looks)}."
            )
        told = f"It looks as claimed, but not surely enough for one claim among many: {_seen(weakest, index)}"
    else:
        told = f"Neither the claim nor its opposite can be told from chance or excluded: {_seen(weakest, index)}"
    power = power_of(test.interval, level, test.null, test.worth)
    if power is None:
        return f"{told}."
    detectable = _size(weakest, math.exp(power.detectable) if weakest.is_ratio else power.detectable)
    return f"{told}; {seeds} seeds can see {detectable} or more, and {_need(power.seeds, seeds, looks)}."


def _need(needed: int | None, seeds: int, looks: Collection[int]) -> str:
    """What it would take, and when the report looks again."""
    later = min((look for look in looks if look > seeds), default=None)
    again = f"the next look is at {later} seeds" if later else "the last look is past"
    if needed is None:
        return f"more seeds would hardly settle it, but more test documents or a larger effect would ({again})"
    if needed <= seeds:
        return again
    return f"if that is its true size, about {needed} seeds would settle it ({again})"


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


def _seen(estimate: Estimate, index: int = 0) -> str:
    """The estimate in words; of an interaction, the one of its two differences that matters."""
    interval = estimate.interval
    if interval is None:
        return "nothing"
    where = f"on {metric_name(estimate.metric)}"
    if len(estimate.parts) > 1:
        part = estimate.parts[index]
        interval, where = part.interval, f"for '{part.first}' over '{part.second}' {where}"
    if math.isnan(interval.low):
        return f"{_size(estimate, interval.estimate)} {where} from one seed, without an interval"
    low, high = (_size(estimate, value) for value in (interval.low, interval.high))
    return f"{_size(estimate, interval.estimate)} {where} (95 % interval {low} to {high})"


def _size(estimate: Estimate, value: float) -> str:
    if estimate.is_ratio:
        return f"×{value:.2f}"
    return f"{value:+.3f}".replace("-", "−")


def _worth(estimate: Estimate) -> str:
    size = estimate.contrast.smallest_effect
    return f"×{1 + size:.2f}" if estimate.is_ratio else f"{size:g}"
