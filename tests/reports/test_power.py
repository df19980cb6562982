"""What would settle a contrast: seeds, and test documents where these are what is in the way; held to simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.power import MOST_FOLD, MOST_SEEDS, POWER, Levels, power_of
from reports.stats import Interval, mean_interval

LEVELS = Levels(claim=0.005, exclusion=0.02)


def interval(estimate: float, seed_se: float, identity_se: float, n: int = 10, identities: int = 1000) -> Interval:
    return Interval(estimate, 0.0, 0.0, seed_se, identity_se, n - 1.0, identities - 1.0, n).at(0.95)


def settled(truth: float, seeds: int, seed_sd: float, identity_se: float, identities: int) -> float:
    """The share of simulated reports that tell `truth` from zero at the level of a claim."""
    rng = np.random.default_rng(seeds)
    hits = 0
    for shift in rng.normal(0, identity_se, 400):
        values = truth + shift + rng.normal(0, seed_sd, seeds)
        found = mean_interval(values, identity_se=identity_se, identity_df=identities - 1)
        hits += found.p_above(0.0) <= LEVELS.claim
    return hits / 400


def test_enough_seeds_settle_four_reports_in_five() -> None:
    power = power_of(interval(0.05, 0.02, 0.002, n=5), LEVELS, 0.0, 0.02)
    assert power is not None
    assert power.seeds is not None
    assert power.joint is None  # the documents are not what is in the way
    sd = 0.02 * math.sqrt(5)
    assert settled(0.05, power.seeds, sd, 0.002, 1000) == pytest.approx(POWER, abs=0.1)
    assert settled(0.05, power.seeds - 2, sd, 0.002, 1000) < POWER


def test_where_documents_are_in_the_way_seeds_and_documents_are_told_together() -> None:
    there = interval(0.03, 0.005, 0.01)
    power = power_of(there, LEVELS, 0.0, 0.02)
    assert power is not None
    assert power.seeds is None
    assert power.joint is not None
    seeds, identities = power.joint
    assert 10 <= seeds < MOST_SEEDS
    assert 1000 < identities <= MOST_FOLD * 1000
    sd, identity_se = 0.005 * math.sqrt(10), 0.01 * math.sqrt(1000 / identities)
    assert settled(0.03, seeds, sd, identity_se, identities) >= POWER - 0.06
    assert settled(0.03, seeds, sd, 0.01, 1000) < POWER - 0.06  # nor do as many seeds with the documents there are


def test_far_fewer_seeds_with_more_documents_are_told_beside_many_seeds() -> None:
    power = power_of(interval(0.03, 0.015, 0.0078), LEVELS, 0.0, 0.02)
    assert power is not None
    assert power.seeds is not None
    assert power.joint is not None
    assert 10 <= power.joint[0] <= power.seeds / 2


def test_an_effect_at_the_edge_of_what_is_worth_having_is_settled_by_nothing() -> None:
    power = power_of(interval(0.0199, 0.01, 0.01), LEVELS, 0.0, 0.02)
    assert power is not None
    assert (power.seeds, power.joint) == (None, None)


def test_without_a_part_of_identities_there_are_no_documents_to_ask_for() -> None:
    power = power_of(interval(0.03, 0.05, 0.0), LEVELS, 0.0, 0.02)
    assert power is not None
    assert power.joint is None
    assert power_of(interval(0.03, math.nan, 0.01, n=1), LEVELS, 0.0, 0.02) is None
