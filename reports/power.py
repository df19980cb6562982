"""What a contrast could have seen, and what it would take to settle it: from its measured variances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr

from reports.stats import Interval, critical

POWER = 0.8
MOST_SEEDS = 200
_MIDPOINTS = (np.arange(200) + 0.5) / 200  # of equal shares of what a standard error may be
MOST_FOLD = 8  # times as many test identities as there are
Way = tuple[float, float, float]  # to settle a contrast: level, room beyond the null, where the estimate must lie


@dataclass(frozen=True)
class Power:
    """`detectable`: the smallest true effect that four reports in five tell from the null, at the look that the seeds
    have reached; None between looks, where nothing is decided.

    `seeds`: how many would settle the contrast if what is estimated now were true; None where 200 would not, since the
    variation over test identities alone is too large, or the effect is too near to what is worth having.

    `joint`: the fewest seeds, of those there are and more, that would with up to eight times the test identities, and
    how many of these they take; None where that would not settle it, or saves less than half of `seeds`.
    """

    detectable: float | None
    seeds: int | None
    joint: tuple[int, int] | None = None


@dataclass(frozen=True)
class Levels:
    """One-sided levels of one difference, by what it takes at the last look: that decides what more seeds may settle.

    `claim`: to tell it from the null, the strictest that Holm's procedure may ask for.
    `against`: the same in the other direction, of which each difference of the finding has its share.
    `exclusion`: to exclude an effect worth having, the finding's share of alpha over its differences.
    `now`: as `claim`, at the look that the seeds have reached; None between looks.
    """

    claim: float
    against: float
    exclusion: float
    now: float | None


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
    detectable = None if levels.now is None else _detectable(interval, levels.now, interval.n)
    return Power(detectable, seeds, _joint(interval, ways, seeds))


def _parts(interval: Interval, n: int) -> tuple[float, float]:
    """The two standard errors with n seeds: identities do not average out over seeds."""
    return interval.seed_se * math.sqrt(interval.n / n), interval.identity_se


def _power(interval: Interval, room: float, alpha: float, n: int, least: float = -math.inf) -> float:
    """The share of reports on n seeds that tell a true effect `room` beyond the null from it, at level `alpha`.

    Of these, those whose estimate lies `least` beyond the null as well, which is what an effect worth having takes.
    The expectation over the standard error that such a report happens to see: its part of seeds varies as chi-squared
    over its degrees of freedom does, and with few seeds that costs more than the critical value's tail (the noncentral
    t distribution, of which this is the like with two parts). The part of identities is taken as known.
    """
    seed_se, identity_se = _parts(interval, n)
    se, df = math.hypot(seed_se, identity_se), n - 1.0
    if not se:
        return float(room > 0 and room >= least)
    seen = seed_se * np.sqrt(chdtri(df, _MIDPOINTS) / df)
    total = np.hypot(seen, identity_se)
    weight = (seen / total) ** 2
    seeds, identities = (critical(alpha, *part, df, interval.identity_df) for part in ((1.0, 0.0), (0.0, 1.0)))
    needed = np.maximum((weight * seeds + (1 - weight) * identities) * total, least)
    return float(ndtr((room - needed) / se).mean())


def _detectable(interval: Interval, alpha: float, n: int) -> float:
    se = math.hypot(*_parts(interval, n))
    return brentq(lambda room: _power(interval, room, alpha, n) - POWER, 0.0, 1e6 * se) if se else 0.0


def _ways(effect: float, levels: Levels, null: float, worth: float | None) -> list[Way]:
    """What may become of the present estimate: for the claim, against it, or an exclusion."""
    ways: list[Way] = []
    if worth is None or abs(effect) >= worth:
        level = levels.claim if effect > null else levels.against
        ways.append((level, abs(effect - null), -math.inf if worth is None else worth))
    if (bound := null if worth is None else worth) > effect:
        ways.append((levels.exclusion, bound - effect, -math.inf))
    return ways


def _settles(interval: Interval, ways: Sequence[Way], n: int) -> bool:
    return any(_power(interval, room, level, n, least) >= POWER for level, room, least in ways)


def _fewest_seeds(interval: Interval, ways: Sequence[Way], least: int) -> int | None:
    return next((n for n in range(least, MOST_SEEDS + 1) if _settles(interval, ways, n)), None)


def _joint(interval: Interval, ways: Sequence[Way], alone: int | None) -> tuple[int, int] | None:
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
