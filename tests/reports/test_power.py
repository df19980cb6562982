"""What would settle a contrast: seeds, and test documents where these are what is in the way; held to simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from reports.power import MOST_FOLD, MOST_SEEDS, POWER, Levels, power_of
from reports.stats import Interval, critical, mean_interval

LEVELS = Levels(claim=0.005, against=0.005, exclusion=0.02, now=0.005)


def interval(estimate: float, seed_se: float, identity_se: float, n: int = 10, identities: int = 1000) -> Interval:
    return Interval(estimate, 0.0, 0.0, seed_se, identity_se, n - 1.0, identities - 1.0, n).at(0.95)


def settled(truth: float, seeds: int, seed_sd: float, identity_se: float, identities: int) -> float:
    """The share of simulated reports that tell `truth` from zero at the level of a claim."""
    rng = np.random.default_rng(seeds)
    reports = 4000
    values = truth + rng.normal(0, identity_se, (reports, 1)) + rng.normal(0, seed_sd, (reports, seeds))
    found = (mean_interval(one, identity_se=identity_se, identity_df=identities - 1) for one in values)
    return sum(one.estimate >= one.se * critical(LEVELS.claim, *parts(one)) for one in found) / reports


def parts(one: Interval) -> tuple[float, float, float, float]:
    return one.seed_se, one.identity_se, one.seed_df, one.identity_df


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_what_can_be_seen_of_seeds_alone_is_by_the_noncentral_t(n: int) -> None:
    power = power_of(interval(0.01, 0.004, 0.0, n), LEVELS, 0.0, 0.02)
    assert power is not None
    crit = float(stats.t.isf(LEVELS.claim, n - 1))
    assert stats.nct.sf(crit, n - 1, power.detectable / 0.004) == pytest.approx(POWER, abs=0.003)


def test_with_both_parts_four_reports_in_five_see_what_can_be_seen() -> None:
    power = power_of(interval(0.01, 0.004, 0.003, n=3), LEVELS, 0.0, 0.02)
    assert power is not None
    assert settled(power.detectable, 3, 0.004 * math.sqrt(3), 0.003, 1000) == pytest.approx(POWER, abs=0.02)


def test_a_result_without_variation_sees_everything() -> None:
    power = power_of(interval(0.03, 0.0, 0.0), LEVELS, 0.0, 0.02)
    assert power is not None
    assert (power.detectable, power.seeds) == (0.0, 2)


def test_enough_seeds_settle_four_reports_in_five() -> None:
    power = power_of(interval(0.05, 0.02, 0.002, n=5), LEVELS, 0.0, 0.02)
    assert power is not None
    assert power.seeds is not None
    assert power.joint is None  # the documents are not what is in the way
    sd = 0.02 * math.sqrt(5)
    assert settled(0.05, power.seeds, sd, 0.002, 1000) >= POWER - 0.02
    assert settled(0.05, power.seeds - 1, sd, 0.002, 1000) < POWER


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
    assert settled(0.03, seeds, sd, identity_se, identities) >= POWER - 0.02
    assert settled(0.03, seeds, sd, 0.01, 1000) < POWER - 0.02  # nor do as many seeds with the documents there are


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
