"""What a contrast could have seen, and how many seeds it would take: from its measured variances."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reports.stats import Interval, critical

POWER = 0.8
_MOST_SEEDS = 200


@dataclass(frozen=True)
class Power:
    """`detectable`: the smallest true effect that four reports in five tell from the null, at the seeds there are.

    `seeds`: how many would settle the contrast if what is estimated now were true; None where 200 would not, since the
    variation over test identities alone is too large, or the effect is too near to what is worth having.
    """

    detectable: float
    seeds: int | None


@dataclass(frozen=True)
class Levels:
    """One-sided levels of one difference at the last look, by what it takes there.

    `claim`: to tell it from the null in either direction, the strictest that Holm's procedure may ask for.
    `exclusion`: to exclude an effect worth having, the finding's share of alpha over its differences.
    """

    claim: float
    exclusion: float


def power_of(interval: Interval, levels: Levels, null: float, worth: float | None) -> Power | None:
    """Power of a difference; None with one seed, which measures no variance.

    Args:
        interval: the difference with its two standard errors.
        null, worth: as in `reports.decision.Difference`.
    """
    if not math.isfinite(interval.se):
        return None
    return Power(_detectable(interval, levels.claim, interval.n), _seeds_needed(interval, levels, null, worth))


def _se(interval: Interval, n: int) -> tuple[float, float]:
    """The two standard errors with n seeds: identities do not average out over seeds."""
    return interval.seed_se * math.sqrt(interval.n / n), interval.identity_se


def _detectable(interval: Interval, alpha: float, n: int) -> float:
    seed_se, identity_se = _se(interval, n)
    units = sum(critical(level, seed_se, identity_se, n - 1.0, interval.identity_df) for level in (alpha, 1 - POWER))
    return units * math.hypot(seed_se, identity_se)


def _seeds_needed(interval: Interval, levels: Levels, null: float, worth: float | None) -> int | None:
    """The fewest seeds at which the present estimate would be a verdict: for the claim, against it, or an exclusion."""
    effect = interval.estimate
    ways = []
    if worth is None or abs(effect) >= worth:
        ways.append((levels.claim, abs(effect - null)))
    if (bound := null if worth is None else worth) > effect:
        ways.append((levels.exclusion, bound - effect))
    for n in range(2, _MOST_SEEDS + 1):
        if any(_detectable(interval, level, n) <= room for level, room in ways):
            return n
    return None
