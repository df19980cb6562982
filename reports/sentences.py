"""Verdicts in words: one plain sentence that a newcomer understands."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from reports.cells import LESS_IS_BETTER
from reports.decision import Decision, Difference
from reports.estimates import Estimate
from reports.markdown import declared, number
from reports.metrics import decimals, metric_name
from reports.power import MOST_FOLD, MOST_SEEDS, Levels, Power, power_of
from reports.stats import Interval


def sentence(
    decision: Decision,
    estimates: Sequence[Estimate],
    decider: Estimate | None,
    seeds: int,
    looks: Mapping[int, float],
    levels: Levels,
    *,
    look: int | None = None,
    part: int = 0,
) -> str:
    """Why the verdict is what it is.

    Args:
        estimates: those that the verdict rests on.
        decider, part: the one that settled it, and which of its tests.
        seeds: that all of them were tried with.
        looks: numbers of seeds at which a verdict may be reached, each with its share of alpha.
        look: the one that decided; what it saw is told, and what all seeds say beside it.
    """
    if decision.outcome == "inconclusive" or decider is None or look is None:
        return _undecided(estimates, seeds, looks, levels)
    tests = decider.looks[look]
    seen = _seen(decider, tests, part)
    if decision.outcome == "reproduced":
        told = _reproduced(decider, seen)
        rest = " It is the least certain of the differences that the claim needs." if len(estimates) > 1 else ""
    else:
        against = decision.outcome == "contradicted"
        level = looks[look] / sum(len(one.looks[look]) for one in estimates)  # each difference has its share
        told = _contradicted(decider, seen) if against else _excluded(decider, tests, part, level)
        rest = ""
    return " ".join([f"{told}.{rest}{_since(decider, look, part)}", *decider.caveats])


def _since(decider: Estimate, look: int, part: int) -> str:
    """What all seeds say, where there are more than those that decided."""
    if decider.tried <= look:
        return ""
    interval = decider.tests[part].interval
    now = f" Of all {interval.n} seeds it is {_with_interval(decider, interval)}"
    return f"{now}, and could not be judged: {decider.gate}" if decider.gate else f"{now}."


def _reproduced(decider: Estimate, seen: str) -> str:
    contrast = decider.contrast
    if contrast.kind == "non_inferiority":
        return f"'{contrast.better}' falls short of '{contrast.than}' by less than {contrast.margin:g}: {seen}"
    return f"{_comparison(decider)}: {seen}, at least the {_worth(decider)} that is worth having"


def _contradicted(decider: Estimate, seen: str) -> str:
    contrast = decider.contrast
    if contrast.kind == "non_inferiority":
        return f"'{contrast.better}' falls short of '{contrast.than}' by more than {contrast.margin:g}: {seen}"
    return f"It is the other way round, {_comparison(decider, turned=True)}: {seen}"


def _excluded(decider: Estimate, tests: Sequence[Difference], part: int, level: float) -> str:
    interval, seen = tests[part].interval, _seen(decider, tests, part)
    if interval.high >= tests[part].bound:  # what decided is one-sided, and may reach less far
        seen += f", by its one-sided bound at {100 * (1 - level):.3g} %: {_size(decider, interval.upper(level))}"
    if decider.contrast.kind == "non_inferiority":
        return f"The loss that is allowed ({decider.contrast.margin:g}) is exceeded: {seen}"
    better, than = decider.pairs[part]
    told = f"A difference worth having ({_worth(decider)}) between '{better}' and '{than}' is excluded: {seen}"
    return f"{told}; what there is goes the other way" if interval.high < 0 else told


def _undecided(estimates: Sequence[Estimate], seeds: int, looks: Collection[int], levels: Levels) -> str:
    if not looks:
        return "This preset only tries things out: it declares no number of seeds at which a verdict may be reached."
    if seeds < min(looks):
        return f"{seeds} of the {min(looks)} seeds that a verdict takes are there."
    weakest, index = _obstacle(estimates, levels)
    test, seen = weakest.tests[index], _seen(weakest, weakest.tests, index)
    if math.isnan(test.interval.low):
        return f"One seed cannot be told from chance: {seen}; {_again(seeds, looks)}."
    power = power_of(test.interval, levels, test.null, test.worth)
    need = _need(power, test.interval, _size(weakest, test.interval.estimate), seeds, looks)
    if test.claim_p <= levels.claim and not test.large_enough:
        return f"It is there, but whether it is worth having (at least {_worth(weakest)}) is open: {seen}; {need}."
    if test.claim_p <= levels.claim and seeds not in looks:
        return f"It is sure by these {seeds} seeds, but they are no look: {seen}; {_again(seeds, looks)}."
    if test.interval.low > test.null and test.claim_p > test.interval.p_above(test.null):
        return f"{_levels(weakest, test, seen)}; {_again(seeds, looks)}."
    reach = f"{_reach(weakest, test, power.detectable)}, and " if power and power.detectable is not None else ""
    return f"{_side(weakest, test)}: {seen}; {reach}{need}."


def _side(estimate: Estimate, test: Difference) -> str:
    """What the 95 % interval leaves open."""
    contrast = estimate.contrast
    if test.interval.low > test.null:
        return "It looks as claimed, but not surely enough for one claim among many"
    surely = test.interval.high < test.null
    if contrast.kind == "non_inferiority":
        lost = f"'{contrast.better}' falls short of '{contrast.than}' by more than {contrast.margin:g}"
        return f"It looks as if {lost}, but not surely enough" if surely else f"Whether {lost} is open"
    if surely:
        return "It looks the other way round, but not surely enough"
    return "Neither the claim nor its opposite can be told from chance or excluded"


def _obstacle(estimates: Sequence[Estimate], levels: Levels) -> tuple[Estimate, int]:
    """The difference that keeps the claim from being reproduced: the least sure, or where all are sure, a small one."""
    tests = [(one, index) for one in estimates for index in range(len(one.tests))]
    unsure = [(one, index) for one, index in tests if one.tests[index].claim_p > levels.claim]
    small = [(one, index) for one, index in tests if not one.tests[index].large_enough]
    return max(unsure or small or tests, key=lambda pair: pair[0].tests[pair[1]].claim_p)


def _levels(estimate: Estimate, test: Difference, seen: str) -> str:
    """A trend whose ends differ surely, but not the levels between."""
    better, than = estimate.contrast.better, estimate.contrast.than
    how = f"Page's test, p {test.claim_p:.2g}" if test.claim_p < 1 else "the means of the levels are not in that order"
    way = "fall" if estimate.metric in LESS_IS_BETTER else "rise"
    return f"'{better}' beats '{than}', {seen}, but from level to level there is no {way} that is sure enough ({how})"


def _reach(estimate: Estimate, test: Difference, detectable: float) -> str:
    """What so many seeds can see, on the scale of the estimate."""
    seeds = f"{test.interval.n} seeds"
    if estimate.contrast.kind == "non_inferiority":
        least = _size(estimate, test.null + detectable)
        return f"{seeds} can exclude a loss of {estimate.contrast.margin:g} where the truth is {least} or more"
    return f"{seeds} can see {_size(estimate, detectable)} or more"


def _need(power: Power | None, interval: Interval, seen: str, seeds: int, looks: Collection[int]) -> str:
    """What it would take if the truth were what is `seen`, and when the report looks again."""
    again = _again(seeds, looks)
    if power is None or (power.seeds is not None and power.seeds <= seeds):
        return again
    ways = [] if power.seeds is None else [f"{power.seeds} seeds"]
    if power.joint:
        ways.append(f"{power.joint[0]} seeds with {power.joint[1]:,} test documents")
    if not ways:
        documents = f" with {MOST_FOLD} times the test documents" if interval.over_identities else ""
        return f"if the truth is {seen}, even {MOST_SEEDS} seeds{documents} would hardly settle it ({again})"
    return f"if the truth is {seen}, about {' or '.join(ways)} would settle it ({again})"


def _again(seeds: int, looks: Collection[int]) -> str:
    later = min((look for look in looks if look > seeds), default=None)
    return f"the next look is at {later} seeds" if later else "the last look is past: it takes others, and other seeds"


def _comparison(estimate: Estimate, *, turned: bool = False) -> str:
    contrast = estimate.contrast
    better, than = (contrast.than, contrast.better) if turned else (contrast.better, contrast.than)
    if estimate.is_ratio and estimate.metric in LESS_IS_BETTER:
        return f"'{better}' costs less than '{than}'"
    if contrast.kind == "trend":
        way = "falling" if estimate.metric in LESS_IS_BETTER else "rising"
        return f"'{better}' beats '{than}'" + ("" if turned else f", {way} from level to level")
    if contrast.kind == "interaction":
        return "the order of the two changes as claimed" if not turned else "in one of the two the order is reversed"
    return f"'{better}' beats '{than}'"


def _seen(estimate: Estimate, tests: Sequence[Difference], index: int) -> str:
    """One of the tested differences in words; of an interaction, with the arms that it is between."""
    where = f"on {metric_name(estimate.metric)}"
    if len(tests) > 1:
        better, than = estimate.pairs[index]
        where = f"for '{better}' over '{than}' {where}"
    return _with_interval(estimate, tests[index].interval, f" {where}")


def _with_interval(estimate: Estimate, interval: Interval, where: str = "") -> str:
    size = f"{_size(estimate, interval.estimate)}{where}"
    if math.isnan(interval.low):
        return f"{size} from one seed, without an interval"
    return f"{size} (95 % interval {_size(estimate, interval.low)} to {_size(estimate, interval.high)})"


def _size(estimate: Estimate, value: float) -> str:
    """A value of the scale that is tested: of a ratio its logarithm."""
    if estimate.is_ratio:
        return f"×{number(math.exp(value), 2)}"
    return number(value, decimals(estimate.metric), sign=True)


def _worth(estimate: Estimate) -> str:
    size = estimate.contrast.smallest_effect
    return f"×{declared(1 + size, 2)}" if estimate.is_ratio else declared(size, 0)
