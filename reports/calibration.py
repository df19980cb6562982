"""How often the rule of verdicts is wrong and how often right: whole reports, simulated from measured variances.

A simulated report has the findings, contrasts, arms and looks of the real one. Its values are normal, with the
variation over seeds and over identities that the runs in the store show: every arm has its seed noise, arms that were
measured together keep their covariance over identities, and baselines are shared between contrasts as they really are.
Then the same tests, the same Holm procedure over the same findings and the same looks decide.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.cells import COSTS
from reports.claims import Study
from reports.contrasts import Contrast
from reports.decision import ALPHA, Difference, decide_over_looks
from reports.estimates import Estimate, study_estimates
from reports.replicates import Replicates
from reports.stats import identity_covariance, mean_interval
from reports.trend import ordered_p
from reports.verdicts import deciding

Array = np.ndarray
EFFECTS = (0.0, 1.0, 2.0, 4.0)  # times the smallest effect worth having
# Where the store has too few runs of a contrast to measure: of the order of what runs at CPU scale show.
ASSUMED_SEED_SD, ASSUMED_IDENTITY_SE = 0.02, 0.005


@dataclass(frozen=True)
class Noise:
    """Variation of a contrast's arms on its metric: `seed_sd` (A,), and covariance over identities (A, A).

    `runs` tells arms apart by what they train: those of one name in two studies may differ, and a baseline that studies
    share has another name in each.
    """

    contrast: Contrast
    arms: tuple[str, ...]
    seed_sd: Array
    identity: Array
    measured: bool
    runs: tuple[str, ...]

    @property
    def unit(self) -> float:
        """The smallest effect worth having, or the margin, on the scale that is tested."""
        return self.contrast.margin if self.contrast.worth is None else self.contrast.worth


@dataclass(frozen=True)
class Calibration:
    """`outcomes[effect][finding]` counts verdicts in `reports` reports whose true effects are `effect` times the units.

    `false` is the number of reports without any effect that called at least one finding reproduced or contradicted.
    """

    reports: int
    false: int
    outcomes: dict[float, dict[str, Counter[str]]]
    measured: dict[str, bool]


def noises(studies: Sequence[Study], frame: pd.DataFrame, replicates: Replicates) -> dict[str, list[Noise]]:
    """The variation behind every finding that the studies test, by finding."""
    found: dict[str, list[Noise]] = {name: [] for study in studies for name in study.tested}
    read = [one for study in studies for one in study_estimates(study, frame, replicates)]
    for name, of_finding in found.items():
        for estimate in deciding([one for one in read if one.contrast.finding == name]):
            of_finding.append(_noise(estimate, frame, replicates))
    return found


def _noise(estimate: Estimate, frame: pd.DataFrame, replicates: Replicates) -> Noise:
    contrast, arms = estimate.contrast, estimate.contrast.arms
    runs = tuple(_run_of(frame, estimate.study, arm) for arm in arms)
    if len(estimate.seeds) < 2:
        seed_sd = np.full(len(arms), ASSUMED_SEED_SD / math.sqrt(2))
        identity = np.eye(len(arms)) * ASSUMED_IDENTITY_SE**2 / 2
        return Noise(contrast, arms, seed_sd, identity if estimate.metric not in COSTS else identity * 0, False, runs)
    rows = frame[(frame["study"] == estimate.study) & frame["arm"].isin(arms) & frame["seed"].isin(estimate.seeds)]
    values = rows.pivot(index="seed", columns="arm", values=estimate.metric)[list(arms)].to_numpy(float)
    if estimate.is_ratio:
        values = np.log(values)
    within = values - values.mean(1, keepdims=True)  # what a seed does to all arms alike cancels in every difference
    scale = math.sqrt(len(arms) / (len(arms) - 1))
    keys = rows.pivot(index="seed", columns="arm", values="key")[list(arms)]
    identity = _identity(keys, estimate.metric, replicates)
    return Noise(contrast, arms, within.std(0, ddof=1) * scale, identity, True, runs)


def _run_of(frame: pd.DataFrame, study: str, arm: str) -> str:
    """What the arm trains: the key of its first seed, or its place where it cannot be run."""
    keys = frame.loc[(frame["study"] == study) & (frame["arm"] == arm), "key"].dropna()
    return str(keys.iloc[0]) if len(keys) else f"{study}/{arm}"


def _identity(keys: pd.DataFrame, metric: str, replicates: Replicates) -> Array:
    """Covariance (A, A) over identities of the arms' means over seeds; zero where it is not known."""
    drawn = [[replicates.of(key, metric) for key in keys[arm]] for arm in keys.columns]
    known = [[one for one in of_arm if one is not None] for of_arm in drawn]
    if metric in COSTS or any(len(one) < len(keys) for one in known):
        return np.zeros((keys.shape[1],) * 2)
    found = identity_covariance(np.array(known).transpose(1, 0, 2))
    values, vectors = np.linalg.eigh(found)  # an estimate of a covariance by differences need not be one
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)


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
            wrong = any(decision.outcome in ("reproduced", "contradicted") for decision, _look in decided)
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
    truths = [noise.contrast.null + effect * noise.unit for noise in noises_]
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
