"""How the arms of a contrast vary over seeds and over identities: as a store's runs show it, or as a report has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.cells import COSTS
from reports.claims import Study
from reports.contrasts import Contrast
from reports.estimates import Estimate, study_estimates
from reports.replicates import Replicates
from reports.stats import identity_covariance
from reports.summary import Summary
from reports.verdicts import deciding

Array = np.ndarray
Identity = Callable[[Estimate, pd.DataFrame], Array]
# Where there are too few runs of a contrast to measure: of the order of what runs at CPU scale show.
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


def noises(studies: Sequence[Study], frame: pd.DataFrame, identity: Identity) -> dict[str, list[Noise]]:
    """The variation behind every finding that the studies test, by finding.

    Args:
        frame: of `reports.frame.build_frame` or `reports.written_frame.read_frame`.
        identity: covariance (A, A) over identities of the means over seeds of an estimate's arms, given the keys of
            its runs (seeds x arms): `of_runs` or `of_report`.
    """
    found: dict[str, list[Noise]] = {name: [] for study in studies for name in study.tested}
    read = [one for study in studies for one in study_estimates(study, frame)]
    for name, of_finding in found.items():
        for estimate in deciding([one for one in read if one.contrast.finding == name]):
            of_finding.append(_noise(estimate, frame, identity))
    return found


def _noise(estimate: Estimate, frame: pd.DataFrame, identity: Identity) -> Noise:
    contrast, arms = estimate.contrast, estimate.contrast.arms
    runs = tuple(_run_of(frame, estimate.study, arm) for arm in arms)
    no_identity = np.zeros((len(arms),) * 2)
    if len(estimate.seeds) < 2:
        assumed = no_identity if estimate.metric in COSTS else np.eye(len(arms)) * ASSUMED_IDENTITY_SE**2 / 2
        return Noise(contrast, arms, np.full(len(arms), ASSUMED_SEED_SD / math.sqrt(2)), assumed, False, runs)
    rows = frame[(frame["study"] == estimate.study) & frame["arm"].isin(arms) & frame["seed"].isin(estimate.seeds)]
    values = rows.pivot(index="seed", columns="arm", values=estimate.metric)[list(arms)].to_numpy(float)
    if estimate.is_ratio:
        values = np.log(values)
    within = values - values.mean(1, keepdims=True)  # what a seed does to all arms alike cancels in every difference
    scale = math.sqrt(len(arms) / (len(arms) - 1))
    keys = rows.pivot(index="seed", columns="arm", values="key")[list(arms)]
    over_identities = no_identity if estimate.metric in COSTS else identity(estimate, keys)
    return Noise(contrast, arms, within.std(0, ddof=1) * scale, over_identities, True, runs)


def _run_of(frame: pd.DataFrame, study: str, arm: str) -> str:
    """What the arm trains: the key of its first seed, or its place where it cannot be run."""
    keys = frame.loc[(frame["study"] == study) & (frame["arm"] == arm), "key"].dropna()
    return str(keys.iloc[0]) if len(keys) else f"{study}/{arm}"


def of_runs(replicates: Replicates) -> Identity:
    """Measured in runs' scores; zero where a run has kept too few."""

    def covariance(estimate: Estimate, keys: pd.DataFrame) -> Array:
        drawn = [[replicates.of(key, estimate.metric) for key in keys[arm]] for arm in keys.columns]
        known = [[one for one in of_arm if one is not None] for of_arm in drawn]
        if any(len(one) < len(keys) for one in known):
            return np.zeros((keys.shape[1],) * 2)
        found = identity_covariance(np.array(known).transpose(1, 0, 2))
        values, vectors = np.linalg.eigh(found)  # an estimate of a covariance by differences need not be one
        return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)

    return covariance


def of_report(summary: Summary) -> Identity:
    """From the standard errors of a report's estimates, each spread evenly over the arms that it compares.

    A report has the standard error of the whole contrast, not the covariance of its arms: of a difference of two arms
    nothing is lost, as no more than their difference is ever read. Zero where the report has none.
    """
    known = {
        (one.study, one.finding, one.kind, one.arms, one.metric): one.identity_se
        for verdict in summary.findings
        for one in verdict.estimates
    }

    def covariance(estimate: Estimate, keys: pd.DataFrame) -> Array:
        contrast = estimate.contrast
        place = (estimate.study, contrast.finding, contrast.kind, contrast.arms, estimate.metric)
        weights = np.zeros(len(contrast.arms))
        for first, second in contrast.pairs:
            weights[contrast.arms.index(first)] += 1
            weights[contrast.arms.index(second)] -= 1
        return np.eye(len(weights)) * (known.get(place) or 0.0) ** 2 / (weights @ weights)

    return covariance
