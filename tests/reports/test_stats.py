from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.stats import (
    Interval,
    critical,
    effect_size,
    holm,
    identity_covariance,
    identity_error,
    mean_interval,
    one_sided_p,
    paired_interval,
    share_above,
    sign_flip_p,
)  # fmt: skip

REPLICATIONS = 4000


def coverage(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([one.low <= truth <= one.high for one in intervals]))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_covers_the_true_difference_over_seeds(n: int) -> None:
    rng = np.random.default_rng(n)
    shared = rng.normal(0, 0.1, (REPLICATIONS, n))  # luck of the seed, which pairing removes
    a = 0.6 + shared + rng.normal(0, 0.02, (REPLICATIONS, n))
    b = 0.55 + shared + rng.normal(0, 0.02, (REPLICATIONS, n))
    assert 0.94 < coverage([paired_interval(x, y) for x, y in zip(a, b, strict=True)], 0.05) < 0.96


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("identity_sd", [0.002, 0.005, 0.01, 0.02])
def test_covers_when_identities_vary_too(n: int, identity_sd: float) -> None:
    """The identities move all seeds of a replication together; their SE is itself estimated with some df."""
    rng = np.random.default_rng(100 + n)
    df, seed_sd = 40, 0.02
    identities = rng.normal(0, identity_sd, REPLICATIONS)
    estimated = identity_sd * np.sqrt(rng.chisquare(df, REPLICATIONS) / df)
    a = rng.normal(0, seed_sd, (REPLICATIONS, n)) + identities[:, None]
    found = [
        paired_interval(x, np.zeros(n), identity_se=se, identity_df=df) for x, se in zip(a, estimated, strict=True)
    ]
    assert (0.92 if n == 2 else 0.94) < coverage(found, 0.0) < (1 if n == 2 else 0.99)
    if identity_sd == seed_sd and n > 2:  # an interval over seeds alone misses this variance
        assert coverage([paired_interval(x, np.zeros(n)) for x in a], 0.0) < 0.9


@pytest.mark.parametrize("n", [2, 3, 7, 30])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_equals_scipys_paired_test(n: int, confidence: float) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, n))
    peer = stats.ttest_rel(a, b).confidence_interval(confidence)
    ours = paired_interval(a, b, confidence)
    assert (ours.low, ours.high) == pytest.approx((peer.low, peer.high), rel=1e-12)
    assert ours.estimate == pytest.approx(float(np.mean(a) - np.mean(b)))
    assert ours.n == n
    assert ours.seed_df == n - 1


def test_mean_interval_equals_scipys_one_sample_test() -> None:
    values = np.random.default_rng(0).normal(size=6)
    peer = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    ours = mean_interval(values)
    assert (ours.low, ours.high) == pytest.approx((peer.low, peer.high), rel=1e-12)


def test_one_seed_gives_an_estimate_and_no_interval() -> None:
    one = paired_interval([0.6], [0.5])
    assert one.estimate == pytest.approx(0.1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert one.n == 1


def test_equal_differences_give_a_point() -> None:
    for n in range(2, 30):  # however the sum of so many rounds
        found = mean_interval([math.log(1.43)] * n)
        assert (found.estimate, found.low, found.high) == (math.log(1.43),) * 3
    one = paired_interval([0.25, 0.5], [0.25, 0.5])
    assert (one.low, one.estimate, one.high, one.se) == (0, 0, 0, 0)


def test_known_identity_variance_alone_is_normal() -> None:
    one = paired_interval([0.5, 0.5, 0.5], [0.0, 0.0, 0.0], identity_se=0.1)
    assert one.high - one.estimate == pytest.approx(0.1 * stats.norm.ppf(0.975))


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ([1.0, 2.0], [1.0], "same seeds"),
        ([1.0, math.nan], [1.0, 2.0], "a holds values that are not finite"),
        ([1.0, 2.0], [1.0, math.inf], "b holds values that are not finite"),
        ([], [], "n >= 1"),
        ([[1.0], [2.0]], [[1.0], [2.0]], "must be"),
    ],
)
def test_refuses_what_is_not_pairs(a: list, b: list, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        paired_interval(a, b)


@pytest.mark.parametrize(
    "wrong", [{"confidence": 95}, {"identity_se": -1.0}, {"identity_se": math.nan}, {"identity_df": 0}]
)
def test_refuses_settings_out_of_range(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        paired_interval([1.0, 2.0], [1.0, 1.0], **wrong)


@pytest.mark.parametrize("null", [0.0, -0.3, 0.7])
def test_p_values_are_scipys_where_seeds_alone_vary(null: float) -> None:
    values = np.random.default_rng(2).normal(0.4, 1, 6)
    one = mean_interval(values)
    for alternative, ours in (("greater", one.p_above(null)), ("less", one.p_below(null))):
        assert ours == pytest.approx(float(stats.ttest_1samp(values, null, alternative=alternative).pvalue), rel=1e-9)


@pytest.mark.parametrize("identity_se", [0.0, 0.01, 0.3])
def test_a_p_value_is_the_level_whose_bound_touches_the_null(identity_se: float) -> None:
    one = mean_interval([0.4, 0.9, 0.2, 0.6], identity_se=identity_se, identity_df=30 if identity_se else None)
    p = one.p_below(1.3)
    assert one.upper(p) == pytest.approx(1.3)
    assert one.p_above(one.estimate) == pytest.approx(0.5)
    assert one.p_above(0.1) + one.p_below(0.1) == pytest.approx(1)


def test_type_one_error_of_the_p_value_at_levels_that_holm_asks_for() -> None:
    """No effect, both variances at work: p below 0.05 / 26 no more often than that."""
    rng, count, n = np.random.default_rng(3), 40_000, 5
    values = rng.normal(0, 0.02, (count, n)) + rng.normal(0, 0.006, (count, 1))
    seed_se = values.std(axis=1, ddof=1) / np.sqrt(n)
    p = np.array(
        [one_sided_p(x, se, 0.006, n - 1.0, 999.0) for x, se in zip(values.mean(axis=1), seed_se, strict=True)]
    )
    for level in (0.025, 0.05 / 26):
        assert 0.4 * level < np.mean(p <= level) < 1.25 * level


def test_a_result_without_variation_is_certain_and_one_seed_is_not() -> None:
    same = mean_interval([0.5, 0.5, 0.5])
    assert (same.p_above(), same.p_below(), same.p_above(0.5)) == (0, 1, 1)
    alone = mean_interval([0.5], identity_se=0.01)
    assert (alone.p_above(), alone.p_below()) == (1, 1)
    assert math.isnan(alone.upper(0.05))


def test_critical_values_lie_between_those_of_their_parts() -> None:
    seeds, identities = stats.t.isf(0.025, 4), stats.t.isf(0.025, 999)
    assert critical(0.025, 1.0, 0.0, 4, 999) == pytest.approx(seeds)
    assert critical(0.025, 0.0, 1.0, 4, 999) == pytest.approx(identities)
    assert critical(0.025, 1.0, 1.0, 4, 999) == pytest.approx((seeds + identities) / 2)


def test_holm_is_statsmodels() -> None:
    rng = np.random.default_rng(4)
    for size in (1, 2, 13):
        p = rng.uniform(0, 0.2, size)
        p[0] = p[-1]  # ties
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    many = rng.uniform(size=(5, 7))
    assert np.allclose(holm(many), [holm(row) for row in many])


def test_sign_flips_are_counted_by_hand() -> None:
    assert sign_flip_p([0.1, 0.2, 0.3]) == pytest.approx(1 / 8)
    assert sign_flip_p([-0.1, 0.2, 0.3]) == pytest.approx(2 / 8)
    assert sign_flip_p([0.1]) == 1
    assert sign_flip_p([0.1] * 18) == pytest.approx(2.0**-18)
    assert sign_flip_p([0.1] * 19) == pytest.approx(1 / 20_001, rel=1)  # of random flips
    differences = np.random.default_rng(5).normal(0.3, 1, 8)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    means = (signs * differences[:, None]).mean(axis=0)
    assert sign_flip_p(differences) == pytest.approx(float(np.mean(means >= differences.mean() - 1e-12)))


def test_effect_size_and_share_above() -> None:
    assert effect_size([1.0, 2.0, 3.0]) == pytest.approx(2.0)
    assert effect_size([0.5, 0.5]) == math.inf
    assert effect_size([0.0, 0.0]) == 0
    assert math.isnan(effect_size([0.5]))
    assert share_above([0.1, -0.1, 0.0, 0.2]) == pytest.approx(0.625)


@pytest.mark.parametrize("seed_part", [0.0, 0.01, 0.05])
def test_the_identity_error_leaves_out_what_seeds_hold_already(seed_part: float) -> None:
    """Differences that vary over identities alike in all seeds, and from seed to seed: only the first is its own."""
    rng, n, replicates = np.random.default_rng(6), 5, 20_000
    alike = 0.02 * rng.normal(size=replicates)
    drawn = 0.3 + alike + seed_part * rng.normal(size=(n, replicates))
    assert identity_error(drawn) == pytest.approx(0.02, rel=0.05)
    assert identity_error(drawn - alike) < 0.1 * seed_part + 1e-12
    assert identity_error(drawn[:1]) == pytest.approx(np.hypot(0.02, seed_part), rel=0.05)  # one seed cannot tell


def test_identity_covariances_give_the_errors_of_differences() -> None:
    rng = np.random.default_rng(7)
    drawn = rng.normal(size=(4, 3, 500)) + 2 * rng.normal(size=(3, 500))
    weights = np.array([1.0, -1.0, 0.0])
    variance = weights @ identity_covariance(drawn) @ weights
    assert math.sqrt(variance) == pytest.approx(identity_error(drawn[:, 0] - drawn[:, 1]))
