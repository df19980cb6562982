"""What a contrast could have seen, and what it would take to settle it: from its measured variances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.stats import Interval, critical

POWER = 0.8
MOST_SEEDS = 200
MOST_FOLD = 8  # times as many test identities as there are


@dataclass(frozen=True)
class Power:
    """`detectable`: the smallest true effect that four reports in five tell from the null, at the seeds there are.

    `seeds`: how many would settle the contrast if what is estimated now were true; None where 200 would not, since the
    variation over test identities alone is too large, or the effect is too near to what is worth having.

    `joint`: the fewest seeds, of those there are and more, that would with up to eight times the test identities, and
    how many of these they take; None where that would not settle it, or saves less than half of `seeds`.
    """

    detectable: float
    seeds: int | None
    joint: tuple[int, int] | None = None


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
    ways = _ways(interval.estimate, levels, null, worth)
    seeds = _fewest_seeds(interval, ways, 2)
    return Power(_detectable(interval, levels.claim, interval.n), seeds, _joint(interval, ways, seeds))


def _se(interval: Interval, n: int) -> tuple[float, float]:
    """The two standard errors with n seeds: identities do not average out over seeds."""
    return interval.seed_se * math.sqrt(interval.n / n), interval.identity_se


def _detectable(interval: Interval, alpha: float, n: int) -> float:
    seed_se, identity_se = _se(interval, n)
    units = sum(critical(level, seed_se, identity_se, n - 1.0, interval.identity_df) for level in (alpha, 1 - POWER))
    return units * math.hypot(seed_se, identity_se)


def _ways(effect: float, levels: Levels, null: float, worth: float | None) -> list[tuple[float, float]]:
    """Level and room of what may become of the present estimate: for the claim, against it, or an exclusion."""
    ways = []
    if worth is None or abs(effect) >= worth:
        ways.append((levels.claim, abs(effect - null)))
    if (bound := null if worth is None else worth) > effect:
        ways.append((levels.exclusion, bound - effect))
    return ways


def _settles(interval: Interval, ways: Sequence[tuple[float, float]], n: int) -> bool:
    return any(_detectable(interval, level, n) <= room for level, room in ways)


def _fewest_seeds(interval: Interval, ways: Sequence[tuple[float, float]], least: int) -> int | None:
    return next((n for n in range(least, MOST_SEEDS + 1) if _settles(interval, ways, n)), None)


def _joint(interval: Interval, ways: Sequence[tuple[float, float]], alone: int | None) -> tuple[int, int] | None:
    """Seeds first, as each is a training more for every arm, and documents only one more evaluation."""
    if not interval.identity_se or math.isinf(interval.identity_df):
        return None
    seeds = _fewest_seeds(_with_identities(interval, MOST_FOLD), ways, interval.n)
    if seeds is None or (alone is not None and 2 * seeds > alone):
        return None
    folds = (tenths / 10 for tenths in range(11, 10 * MOST_FOLD + 1))
    fold = next(fold for fold in folds if _settles(_with_identities(interval, fold), ways, seeds))
    return seeds, _rounded_up(fold * (interval.identity_df + 1))


def _with_identities(interval: Interval, fold: float) -> Interval:
    """The same estimate on `fold` times the test identities."""
    more = fold * (interval.identity_df + 1) - 1
    return replace(interval, identity_se=interval.identity_se / math.sqrt(fold), identity_df=more)


def _rounded_up(count: float) -> int:
    """To two digits, as no more is known."""
    step = 10 ** max(0, math.floor(math.log10(count)) - 1)
    return math.ceil(round(count / step, 6)) * step
