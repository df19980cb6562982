"""The rule that turns estimates into verdicts, fixed before results: a pure function of tests and alpha.

A finding is a conjunction of differences. It is *reproduced* when every one of them lies above its null and is as
large as is worth having (an intersection-union test: the largest p counts, without correction; Berger 1982),
*contradicted* when any one of them lies below it by as much (Bonferroni within the finding; of those that are as large
the surest counts), both at a level that Holm's procedure grants over all findings and both directions. It is *not
reproduced* when the effect worth having is excluded for some difference: its upper confidence bound lies below it
(Bonferroni within the finding). Else it is *inconclusive*.

Seeds come in looks. Each look has its share of alpha, and the first that decides, decides for good. A finding that is
reproduced or contradicted is no hypothesis of later looks any more, as in Holm's procedure within one: its level is
left to the others (Ye, Li, Liu and Yao 2013, Statistics in Medicine 32(7)). One that is not reproduced was not rejected
and goes on counting, as one that cannot be judged does. So no verdict depends on whether others got more seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from reports.stats import Interval, holm

Outcome = Literal["reproduced", "contradicted", "not reproduced", "inconclusive"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
ALPHA = 0.05


@dataclass(frozen=True)
class Difference:
    """One tested difference of a finding, on the scale on which it is tested (ratios: logarithms).

    Args:
        interval: the difference, oriented so that the claim lies above `null`.
        null: 0, or minus the margin of a non-inferiority claim.
        worth: the smallest effect worth having; None for non-inferiority, where being above `null` is all.
        trend: p-values of a rising and of a falling trend that must agree with the difference, for kind trend
            (`reports.trend.ordered_p`).
    """

    interval: Interval
    null: float = 0.0
    worth: float | None = None
    trend: tuple[float, float] | None = None

    @property
    def claim_p(self) -> float:
        own = self.interval.p_above(self.null)
        return own if self.trend is None else max(own, self.trend[0])

    @property
    def opposite_p(self) -> float:
        own = self.interval.p_below(self.null)
        return own if self.trend is None else max(own, self.trend[1])

    @property
    def large_enough(self) -> bool:
        return self.worth is None or self.interval.estimate >= self.worth

    @property
    def opposite_large_enough(self) -> bool:
        return self.worth is None or self.interval.estimate <= -self.worth

    @property
    def bound(self) -> float:
        """What the upper confidence bound must lie below to exclude an effect worth having."""
        return self.null if self.worth is None else self.worth

    def excludes_worth(self, alpha: float) -> bool:
        """Whether the effect worth having is excluded at the one-sided level `alpha`; never with one seed."""
        return self.interval.upper(alpha) < self.bound


@dataclass(frozen=True)
class Decision:
    """What is decided of one finding; `adjusted_p` is Holm's, two-sided; `decider` the index of the test that did it.

    `decider` is the weakest test of a reproduced finding, the one that contradicts, or the one whose bound excludes the
    effect; None where nothing is decided.
    """

    outcome: Outcome
    adjusted_p: float
    decider: int | None = None

    @property
    def rejects(self) -> bool:
        """Whether there is a difference, in either direction: later looks do not ask again."""
        return self.outcome in ("reproduced", "contradicted")


def decide(findings: Sequence[Sequence[Difference]], alpha: float) -> list[Decision]:
    """One decision a finding at one look.

    Args:
        findings: the tests of every finding that the studies declare; none where a finding cannot be judged, which
            still counts in Holm's procedure, since what can be judged must not depend on results.
        alpha: family-wise error rate of false verdicts in either direction at this look.
    """
    if not findings:
        return []
    claims = [max((test.claim_p for test in tests), default=1.0) for tests in findings]
    opposites = [min([1.0, *(len(tests) * tests[index].opposite_p for index in _against(tests))]) for tests in findings]
    adjusted = holm([min(1.0, 2 * min(pair)) for pair in zip(claims, opposites, strict=True)]).tolist()
    return [
        _decide_one(tests, claim, opposite, p, alpha)
        for tests, claim, opposite, p in zip(findings, claims, opposites, adjusted, strict=True)
    ]


def _against(tests: Sequence[Difference]) -> list[int]:
    """The tests that may contradict: those that are large enough the other way, or all where none is.

    A small loss that is surer than a large one must not hide it. Leaving tests out only raises the least p.
    """
    every = range(len(tests))
    return [index for index in every if tests[index].opposite_large_enough] or list(every)


def _decide_one(tests: Sequence[Difference], claim: float, opposite: float, adjusted: float, alpha: float) -> Decision:
    if tests and adjusted <= alpha:
        if claim <= opposite and all(test.large_enough for test in tests):
            return Decision("reproduced", adjusted, max(range(len(tests)), key=lambda index: tests[index].claim_p))
        against = min(_against(tests), key=lambda index: tests[index].opposite_p)
        if opposite < claim and tests[against].opposite_large_enough:
            return Decision("contradicted", adjusted, against)
    for index, test in enumerate(tests):
        if test.excludes_worth(alpha / len(tests)):  # any of them can, so each has its share
            return Decision("not reproduced", adjusted, index)
    return Decision("inconclusive", adjusted)


def decide_over_looks(
    readings: Mapping[int, Sequence[Sequence[Difference]]], looks: Mapping[int, float], alpha: float = ALPHA
) -> list[tuple[Decision, int | None]]:
    """For every finding its decision and the look that made it, None where no look has decided.

    Args:
        readings: by look, the tests of every finding on the seeds of that look; looks not reached yet are left out.
        looks: numbers of seeds, each with its share of `alpha`.
    """
    reached = sorted(look for look in looks if look in readings)
    if not reached:
        count = max((len(tests) for tests in readings.values()), default=0)
        return [(Decision("inconclusive", 1.0), None)] * count
    decided: list[tuple[Decision, int | None]] = [(Decision("inconclusive", 1.0), None)] * len(readings[reached[0]])
    for look in reached:
        counted = [index for index, (decision, _) in enumerate(decided) if not decision.rejects]
        tests = [readings[look][index] if decided[index][1] is None else [] for index in counted]
        for index, decision in zip(counted, decide(tests, alpha * looks[look]), strict=True):
            if decided[index][1] is None:
                decided[index] = decision, look if decision.outcome != "inconclusive" else None
    return decided
