"""Contrasts as they were read: from the frame to estimates with intervals, and to the tests that decide."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from core.config import METRICS
from core.support import ENOUGH_PAIRS
from reports.claims import Study
from reports.contrasts import Contrast
from reports.decision import Difference
from reports.frame import COSTS, HEAD_STEP, SHIFTED
from reports.gates import at_edge, gate, remarks
from reports.metrics import LESS_IS_BETTER, readable_metric
from reports.replicates import Replicates
from reports.stats import Interval, effect_size, identity_error, mean_interval, page_p, share_above, sign_flip_p

Array = np.ndarray


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

    @property
    def sign_flip_p(self) -> float:
        return sign_flip_p(self.differences)


@dataclass(frozen=True)
class Estimate:
    """A contrast as it was read: `metric` is a column of the frame, `seeds` those that all of its arms have.

    `interval` is of the whole contrast: for `cost_ratio` it holds ratios (its standard errors are of the logarithm),
    for an interaction the sum of its two parts. All are oriented so that the claim lies above 0, or above 1. `missing`
    says why there is no estimate, `gate` why there is one that must not be judged. `tests` are those of all seeds,
    `looks` those of each look that the seeds reach.
    """

    study: str
    contrast: Contrast
    metric: str
    interval: Interval | None
    seeds: tuple[int, ...] = ()
    missing: str = ""
    unavailable: bool = False
    gate: str = ""
    notes: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    tests: tuple[Difference, ...] = ()
    looks: Mapping[int, tuple[Difference, ...]] = field(default_factory=dict)

    @property
    def is_ratio(self) -> bool:
        return self.contrast.is_ratio

    @property
    def label(self) -> tuple[str, str]:
        """The two arms in the order in which they are subtracted or divided."""
        better, than = self.contrast.better, self.contrast.than
        return (than, better) if self.metric in LESS_IS_BETTER else (better, than)

    @property
    def judged(self) -> bool:
        """Whether the verdict may rest on it."""
        return self.interval is not None and not self.gate


def contrasts_of_runs(study: Study) -> dict[int, Contrast]:
    """By its place in the study, every contrast that decides and reads runs, apart from which the head is timed."""
    timed_apart = f"cost.{HEAD_STEP}"
    return {place: one for place, one in enumerate(study.contrasts) if one.decides and one.metric != timed_apart}


def study_estimates(
    study: Study,
    frame: pd.DataFrame,
    replicates: Replicates | None = None,
    looks: Iterable[int] = (),
    edges: Mapping[str, Sequence[str]] | None = None,
) -> list[Estimate]:
    """The contrasts of one study, each with its estimate or with the reason why there is none.

    Args:
        frame: of `reports.frame.build_frame`.
        replicates: TPRs under resampled identities; without them intervals leave the test identities fixed.
        looks: numbers of seeds at which tests are wanted.
        edges: by arm, the fields whose tuned value is at the edge of the range that was searched.
    """
    rows = frame[frame["study"] == study.study]
    found = [_estimate(study, contrast, rows, replicates, tuple(looks)) for contrast in study.contrasts]
    return [replace(one, gate=one.gate or at_edge(one.contrast, edges or {})) for one in found]


def _estimate(
    study: Study, contrast: Contrast, rows: pd.DataFrame, replicates: Replicates | None, looks: Sequence[int]
) -> Estimate:
    metric = contrast.metric.removeprefix("cost.")
    empty = Estimate(study.study, contrast, metric, None)
    if metric not in (*METRICS, *SHIFTED.values(), *COSTS):
        return replace(empty, missing=f"No run records '{contrast.metric}'.")
    read = rows[rows["arm"].isin(contrast.arms)]
    done = read[read["state"] == "done"]
    for arm in contrast.arms:
        if not (done["arm"] == arm).any():
            reason, unavailable = _why_absent(study.study, arm, rows[rows["arm"] == arm])
            return replace(empty, missing=reason, unavailable=unavailable)
    metric, fallback = readable_metric(metric, done)
    empty = replace(empty, metric=metric)
    values = done.pivot(index="seed", columns="arm", values=metric)[list(contrast.arms)].dropna().sort_index()
    if values.empty:
        lacking = f"No run of '{study.study}' records '{metric}'." if done[metric].isna().all() else ""
        if lacking and metric == HEAD_STEP:
            lacking = "The step of the class head was not timed: `python -m ablations cost` does."
        named = ("both " if len(contrast.arms) == 2 else "all of ") + " and ".join(f"'{arm}'" for arm in contrast.arms)
        return replace(empty, missing=lacking or f"No seed of '{study.study}' has {named}.")
    if contrast.is_ratio and values.to_numpy().min() <= 0:
        return replace(empty, missing=f"'{contrast.metric}' of '{study.study}' is not positive, so it has no ratio.")
    keys = done.pivot(index="seed", columns="arm", values="key").loc[values.index, list(contrast.arms)]
    reader = _Reader(empty, values, keys, replicates, float(done["identities"].min()))
    notes = (fallback, *_unpaired(read), *remarks(contrast, read), *reader.notes())
    return replace(
        empty,
        interval=reader.whole(len(values)),
        seeds=tuple(int(seed) for seed in values.index),
        parts=reader.parts(len(values)),
        tests=reader.tests(len(values)),
        looks={look: reader.tests(look) for look in looks if look <= len(values)},
        gate=gate(study, contrast, metric, read) or reader.few_impostors(),
        notes=tuple(note for note in notes if note),
    )


class _Reader:
    """One contrast over the first n seeds that all of its arms have."""

    def __init__(
        self,
        empty: Estimate,
        values: pd.DataFrame,
        keys: pd.DataFrame,
        replicates: Replicates | None,
        identities: float,
    ) -> None:
        self._contrast, self._metric, self._ratio = empty.contrast, empty.metric, empty.is_ratio
        self._values, self._keys, self._identities = values, keys, identities
        self._replicates = replicates
        self._pairs = [empty.label, *empty.contrast.pairs[1:]]

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

    def notes(self) -> list[str]:
        """What the interval leaves out."""
        if self._replicates is None or self._metric in COSTS:
            return []
        if self._identity_se(self._pairs, len(self._values)) is not None:
            return []
        return ["The interval covers seeds alone: nothing to resample test identities from is kept for this metric."]

    def few_impostors(self) -> str:
        """Whether the false positives of some run come from too few pairs of identities, whatever was expected."""
        if self._replicates is None:
            return ""
        counts = [self._replicates.impostors(key, self._metric) for arm in self._keys for key in self._keys[arm]]
        fewest = min((count for count in counts if count is not None), default=ENOUGH_PAIRS)
        if fewest >= ENOUGH_PAIRS:
            return ""
        return f"The false positives of a run come from {fewest} pairs of identities; {ENOUGH_PAIRS} are needed."

    def _trend(self, n: int) -> tuple[float, float] | None:
        return page_p(self._values[list(self._contrast.levels)].to_numpy()[:n]) if n > 1 else (1.0, 1.0)

    def _part(self, first: str, second: str, n: int) -> Part:
        differences = self._differences(first, second, n)
        return Part(first, second, tuple(differences.tolist()), self._interval(differences, [(first, second)], n))

    def _differences(self, first: str, second: str, n: int) -> Array:
        a, b = (self._values[arm].to_numpy(float)[:n] for arm in (first, second))
        return np.log(a) - np.log(b) if self._ratio else a - b

    def _interval(self, differences: Array, pairs: Sequence[tuple[str, str]], n: int) -> Interval:
        se = self._identity_se(pairs, n)
        known = se and self._identities > 1  # how many there are is not told by every result
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


def _why_absent(study: str, arm: str, rows: pd.DataFrame) -> tuple[str, bool]:
    if rows.empty:
        return f"Arm '{arm}' of '{study}' was not asked for.", False
    state = next(
        (name for name in ("unavailable", "failed", "damaged", "newer") if (rows["state"] == name).any()), "missing"
    )
    reason = str(rows.loc[rows["state"] == state, "reason"].iloc[0]).rstrip(".")
    told = {
        "unavailable": "is unavailable", "failed": "has only failed runs", "damaged": "has a damaged run",
        "newer": "has a run of a newer version",
    }  # fmt: skip
    said = f"Arm '{arm}' of '{study}' {told.get(state, 'has no run yet')}{f': {reason}' if state in told else ''}."
    return said, state == "unavailable"


def _unpaired(read: pd.DataFrame) -> list[str]:
    absent = read[read["state"] != "done"]
    return [
        f"{_left_out(sorted(rows['seed']))} of '{arm}' {'are' if len(rows) > 1 else 'is'} {state}."
        for (arm, state), rows in absent.groupby(["arm", "state"], sort=False)
    ]


def _left_out(seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"Seed {seeds[0]} is left out: its run"
    return f"Seeds {', '.join(map(str, seeds[:-1]))} and {seeds[-1]} are left out: their runs"
