"""One contrast over the values of its arms: differences by seed, their intervals, and the tests that decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from core.support import ENOUGH_PAIRS
from reports.cells import COSTS, LESS_IS_BETTER
from reports.contrasts import Contrast
from reports.decision import Difference
from reports.replicates import Replicates, is_rate
from reports.stats import Interval, effect_size, identity_error, mean_interval, share_above, sign_flip_p
from reports.trend import ordered_p

Array = np.ndarray


def oriented(contrast: Contrast, metric: str) -> tuple[tuple[str, str], ...]:
    """The pairs of arms in the order in which they are subtracted or divided, so that the claim lies above the null."""
    if metric in LESS_IS_BETTER:
        return tuple((second, first) for first, second in contrast.pairs)
    return contrast.pairs


@dataclass(frozen=True)
class Part:
    """One simple difference, of arm `first` minus arm `second`, or the logarithm of their ratio, by seed."""

    first: str
    second: str
    differences: tuple[float, ...]
    interval: Interval

    @property
    def seed_sd(self) -> float:
        return float(np.std(self.differences, ddof=1)) if len(self.differences) > 1 else math.nan

    @property
    def effect_size(self) -> float:
        return effect_size(self.differences)

    @property
    def share_above(self) -> float:
        return share_above(self.differences)

    def sign_flip_p(self, null: float = 0.0) -> float:
        return sign_flip_p(np.subtract(self.differences, null))


class Reader:
    """One contrast over the first n seeds that all of its arms have."""

    def __init__(
        self,
        contrast: Contrast,
        metric: str,
        values: pd.DataFrame,
        keys: pd.DataFrame,
        replicates: Replicates | None,
        identities: float,
    ) -> None:
        self._contrast, self._metric, self._ratio = contrast, metric, contrast.is_ratio
        self._values, self._keys, self._identities = values, keys, identities
        self._replicates = replicates
        self._pairs = oriented(contrast, metric)
        self._known: dict[tuple[str, str, int], Part] = {}  # parts are asked for whole, as tests, and at each look

    def parts(self, n: int) -> tuple[Part, ...]:
        return tuple(self._part(first, second, n) for first, second in self._pairs)

    def whole(self, n: int) -> Interval:
        """The contrast's own interval: its only part, or the sum of the two of an interaction."""
        if len(self._pairs) == 1:
            one = self._part(*self._pairs[0], n).interval
            if not self._ratio:
                return one
            return replace(one, estimate=math.exp(one.estimate), low=math.exp(one.low), high=math.exp(one.high))
        differences = sum(self._differences(first, second, n) for first, second in self._pairs)
        return self._interval(np.asarray(differences), self._pairs, n)

    def tests(self, n: int) -> tuple[Difference, ...]:
        contrast = self._contrast
        trend = self._trend(n) if contrast.through else None
        return tuple(Difference(part.interval, contrast.null, contrast.worth, trend) for part in self.parts(n))

    def caveats(self) -> list[str]:
        """What the interval leaves out."""
        if self._replicates is None or self._metric in COSTS or is_rate(self._metric):
            return []
        return ["The interval covers seeds alone: nothing to resample test identities from is kept for this metric."]

    def gate(self, n: int) -> str:
        """Why n seeds must not be judged, by what `reports.gates` does not see; empty where they may be."""
        return self._few_impostors(n) or self._no_variation(n) or self._without_identities(n)

    def _without_identities(self, n: int) -> str:
        """A rate whose interval would leave out the test identities, which may be the most of it."""
        if self._replicates is None or not is_rate(self._metric) or self._identity_se(self._pairs, n) is not None:
            return ""
        return (
            "Of a run too few scores are kept to resample its test identities: an interval of seeds alone would be too "
            "sure."
        )

    def _no_variation(self, n: int) -> str:
        """A rate whose difference is the same in all seeds, such as of saturated ones; a size may well be so."""
        for part in self.parts(n) if n > 1 and self._metric not in COSTS else ():
            if not part.interval.se:
                return (
                    f"The difference of '{part.first}' and '{part.second}' is the same in all {n} seeds: an interval "
                    "without variation is sure of nothing."
                )
        return ""

    def _few_impostors(self, n: int) -> str:
        """Whether the false positives of some run come from too few pairs of identities, whatever was expected."""
        if self._replicates is None:
            return ""
        keys = self._keys.iloc[:n].to_numpy().ravel()
        counts = [self._replicates.impostors(key, self._metric) for key in keys]
        fewest = min((count for count in counts if count is not None), default=ENOUGH_PAIRS)
        if fewest >= ENOUGH_PAIRS:
            return ""
        return f"The false positives of a run come from {fewest} pairs of identities; {ENOUGH_PAIRS} are needed."

    def _trend(self, n: int) -> tuple[float, float]:
        if n < 2:
            return 1.0, 1.0
        levels = self._values[list(self._contrast.levels)].to_numpy(float)[:n]
        return ordered_p(-levels if self._metric in LESS_IS_BETTER else levels)

    def _part(self, first: str, second: str, n: int) -> Part:
        if (known := self._known.get((first, second, n))) is None:
            differences = self._differences(first, second, n)
            interval = self._interval(differences, [(first, second)], n)
            known = self._known[first, second, n] = Part(first, second, tuple(differences.tolist()), interval)
        return known

    def _differences(self, first: str, second: str, n: int) -> Array:
        a, b = (self._values[arm].to_numpy(float)[:n] for arm in (first, second))
        return np.log(a) - np.log(b) if self._ratio else a - b

    def _interval(self, differences: Array, pairs: Sequence[tuple[str, str]], n: int) -> Interval:
        se = self._identity_se(pairs, n)
        known = se is not None and self._identities > 1  # how many there are is not told by every result
        return mean_interval(differences, identity_se=se or 0.0, identity_df=self._identities - 1 if known else None)

    def _identity_se(self, pairs: Sequence[tuple[str, str]], n: int) -> float | None:
        """Standard error over identities of the mean, over n seeds, of the summed differences of the pairs."""
        if self._replicates is None or self._metric in COSTS:
            return None
        differences: list[Array | float] = [0.0] * n
        for first, second in pairs:
            for arm, sign in ((first, 1), (second, -1)):
                for seed, key in enumerate(self._keys[arm].iloc[:n]):
                    drawn = self._replicates.of(key, self._metric)
                    if drawn is None:
                        return None
                    differences[seed] = differences[seed] + sign * drawn
        return identity_error(np.array(differences))
