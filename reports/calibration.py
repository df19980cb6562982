"""How often the rule of verdicts is wrong and how often right: whole reports, simulated from measured variances.

A simulated report has the findings, contrasts, arms and looks of the real one. Its values are normal, with the
variation over seeds and over identities that runs show (`reports.noise`): every arm has its seed noise, arms that were
measured together keep their covariance over identities, and baselines are shared between contrasts as they really are.
Then the same tests, the same Holm procedure over the same findings and the same looks decide. What contrasts with an
arm in common share over identities is not simulated: that part is drawn for each contrast by itself, and its size is
taken as known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reports.decision import ALPHA, Difference, decide_over_looks
from reports.noise import Noise
from reports.stats import mean_interval
from reports.trend import ordered_p

Array = np.ndarray
EFFECTS = (0.0, 1.0, 2.0, 4.0)  # times the smallest effect worth having


@dataclass(frozen=True)
class Calibration:
    """`outcomes[effect][finding]` counts verdicts in `reports` reports whose true effects are `effect` times the units.

    `false` is the number of reports without any effect that called at least one finding reproduced or contradicted.
    """

    reports: int
    false: int
    outcomes: dict[float, dict[str, Counter[str]]]
    measured: dict[str, bool]


def calibrate(
    findings: Mapping[str, Sequence[Noise]],
    looks: Mapping[int, float],
    reports: int = 1000,
    seed: int = 0,
    effects: Sequence[float] = EFFECTS,
    alpha: float = ALPHA,
) -> Calibration:
    """Simulate whole reports without effects, and with effects of so many units everywhere.

    Args:
        looks: numbers of seeds, each with its share of `alpha`.
        reports: simulated reports for each effect.

    Raises:
        ValueError: no looks or no findings: nothing could ever be decided.
    """
    if not looks or not findings:
        raise ValueError("a calibration needs looks and findings")
    names, false = list(findings), 0
    outcomes: dict[float, dict[str, Counter[str]]] = {effect: {name: Counter() for name in names} for effect in effects}
    for effect in effects:
        rng = np.random.default_rng(seed)
        for _ in range(reports):
            decided = decide_over_looks(_readings(list(findings.values()), looks, effect, rng), looks, alpha)
            for name, (decision, _look) in zip(names, decided, strict=True):
                outcomes[effect][name][decision.outcome] += 1
            wrong = any(decision.rejects for decision, _look in decided)
            false += effect == 0 and wrong
    measured = {name: bool(findings[name]) and all(noise.measured for noise in findings[name]) for name in names}
    return Calibration(reports, false, outcomes, measured)


def _readings(
    findings: Sequence[Sequence[Noise]], looks: Mapping[int, float], effect: float, rng: np.random.Generator
) -> dict[int, list[list[Difference]]]:
    """One report's tests by look. An arm that several contrasts read on one metric has one value a seed."""
    luck = _Luck(max(looks), rng)
    readings: dict[int, list[list[Difference]]] = {look: [] for look in looks}
    for noises_ in findings:
        drawn: list[tuple[Noise, Array]] = []
        for noise in noises_:
            mirror = next((values for other, values in drawn if _mirrored(noise, other)), None)
            drawn.append((noise, luck.values(noise) if mirror is None else mirror[:, ::-1]))
        truths = _truths(noises_, effect)
        for look in looks:
            readings[look].append(
                [test for (noise, values), truth in zip(drawn, truths, strict=True)
                 for test in _tests(noise, values, look, truth)]
            )  # fmt: skip
    return readings


def _truths(noises_: Sequence[Noise], effect: float) -> list[float]:
    """The true difference of every contrast of a finding: so many units above its null.

    "No effect" of a claim to keep performance is a loss of exactly the margin, the edge of its null. Where the finding
    also claims that something is lost, its mirror image, the two are one difference: what is lost is that claim's.
    """
    truths = [noise.contrast.null + effect * noise.contrast.unit for noise in noises_]
    lost = [(noise, truth) for noise, truth in zip(noises_, truths, strict=True) if noise.contrast.worth is not None]
    for place, noise in enumerate(noises_):
        if noise.contrast.worth is None:
            truths[place] = next((-truth for other, truth in lost if _mirrored(noise, other)), truths[place])
    return truths


def _mirrored(one: Noise, other: Noise) -> bool:
    """Whether two contrasts are of one pair of arms, turned round."""
    same = one.contrast.metric == other.contrast.metric and one.contrast.is_ratio == other.contrast.is_ratio
    return same and len(one.arms) == 2 and one.runs == other.runs[::-1]


class _Luck:
    """The seed noise of each arm and metric of one report, drawn once and shared by the contrasts that read it."""

    def __init__(self, seeds: int, rng: np.random.Generator) -> None:
        self._seeds, self._rng = seeds, rng
        self._units: dict[tuple[str, str], Array] = {}

    def values(self, noise: Noise) -> Array:
        """(n, A) values of the contrast's arms, of mean zero: seeds, and identities that move all seeds alike."""
        units = [self._unit(run, noise.contrast.metric) for run in noise.runs]
        identities = self._rng.multivariate_normal(np.zeros(len(noise.arms)), noise.identity, method="eigh")
        return np.stack(units, axis=1) * noise.seed_sd + identities

    def _unit(self, run: str, metric: str) -> Array:
        if (run, metric) not in self._units:
            self._units[run, metric] = self._rng.normal(size=self._seeds)
        return self._units[run, metric]


def _tests(noise: Noise, values: Array, look: int, shift: float) -> Iterator[Difference]:
    contrast = noise.contrast
    for first, second in contrast.pairs:
        a, b = noise.arms.index(first), noise.arms.index(second)
        differences = values[:look, a] - values[:look, b] + shift
        weights = np.zeros(len(noise.arms))
        weights[a], weights[b] = 1, -1
        se = math.sqrt(max(0.0, float(weights @ noise.identity @ weights)))
        trend = _trend(noise, values[:look], shift) if contrast.through else None
        yield Difference(mean_interval(differences, identity_se=se), contrast.null, contrast.worth, trend)


def _trend(noise: Noise, values: Array, shift: float) -> tuple[float, float]:
    columns = [noise.arms.index(arm) for arm in noise.contrast.levels]
    return ordered_p(values[:, columns] + shift * np.linspace(0, 1, len(columns)))
