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


def power_of(interval: Interval, alpha: float, null: float, worth: float | None) -> Power | None:
    """Power of a difference at the one-sided level `alpha`; None with one seed, which measures no variance.

    Args:
        interval: the difference with its two standard errors.
        null, worth: as in `reports.decision.Difference`.
    """
    if not math.isfinite(interval.se):
        return None
    return Power(_detectable(interval, alpha, interval.n), _seeds_needed(interval, alpha, null, worth))


def _se(interval: Interval, n: int) -> tuple[float, float]:
    """The two standard errors with n seeds: identities do not average out over seeds."""
    return interval.seed_se * math.sqrt(interval.n / n), interval.identity_se


def _detectable(interval: Interval, alpha: float, n: int) -> float:
    seed_se, identity_se = _se(interval, n)
    units = sum(critical(level, seed_se, identity_se, n - 1.0, interval.identity_df) for level in (alpha, 1 - POWER))
    return units * math.hypot(seed_se, identity_se)


def _seeds_needed(interval: Interval, alpha: float, null: float, worth: float | None) -> int | None:
    """The fewest seeds at which the present estimate lies so far from the null, or from what is worth having."""
    effect = interval.estimate
    room = abs(effect - null) if worth is None or abs(effect) >= worth else worth - effect
    for n in range(2, _MOST_SEEDS + 1):
        if _detectable(interval, alpha, n) <= room:
            return n
    return None
