"""The rule of verdicts, by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.decision import Decision, Difference, decide, decide_over_looks
from reports.stats import Interval, mean_interval


def interval(estimate: float, se: float = 0.005, n: int = 5) -> Interval:
    return Interval(estimate, math.nan, math.nan, se, 0.0, n - 1.0, math.inf, n).at(0.95)


def superior(estimate: float, se: float = 0.005, worth: float = 0.02) -> Difference:
    return Difference(interval(estimate, se), 0.0, worth)


def outcomes(*findings: list[Difference], alpha: float = 0.05) -> list[str]:
    return [one.outcome for one in decide(findings, alpha)]


@pytest.mark.parametrize(
    ("estimate", "se", "outcome"),
    [
        (0.10, 0.005, "reproduced"),
        (0.02, 0.001, "reproduced"),  # just as large as is worth having
        (-0.10, 0.005, "contradicted"),
        (0.005, 0.001, "not reproduced"),  # surely there, surely too small
        (0.0, 0.001, "not reproduced"),
        (-0.005, 0.001, "not reproduced"),  # the other way round, but by less than is worth anything
        (0.10, 0.08, "inconclusive"),
        (0.015, 0.004, "inconclusive"),
    ],
)
def test_one_difference(estimate: float, se: float, outcome: str) -> None:
    assert outcomes([superior(estimate, se)]) == [outcome]


@pytest.mark.parametrize(
    ("estimate", "se", "outcome"),
    [
        (0.0, 0.005, "reproduced"),  # falls short by surely less than the margin
        (-0.029, 0.005, "inconclusive"),
        (-0.10, 0.005, "contradicted"),
        (-0.046, 0.005, "contradicted"),
        (-0.044, 0.006, "not reproduced"),  # the bound excludes it, two directions and Holm do not quite
    ],
)
def test_non_inferiority(estimate: float, se: float, outcome: str) -> None:
    test = Difference(interval(estimate, se), -0.03, None)
    assert outcomes([test]) == [outcome]


def test_one_of_three_differences_contradicts_at_its_share_of_alpha() -> None:
    bad, good = superior(-0.05, 0.013), superior(0.1)
    assert outcomes([bad]) == ["contradicted"]
    assert outcomes([bad, good, good]) == ["not reproduced"]


def test_a_claim_of_two_differences_needs_both_and_falls_with_either() -> None:
    good, weak, bad = superior(0.1), superior(0.1, 0.08), superior(-0.1)
    assert outcomes([good, good]) == ["reproduced"]
    assert outcomes([good, weak]) == ["inconclusive"]
    assert outcomes([good, bad]) == ["contradicted"]
    assert outcomes([good, superior(0.0, 0.001)]) == ["not reproduced"]
    (found,) = decide([[good, bad]], 0.05)
    assert found.decider == 1
    (found,) = decide([[good, superior(0.06)]], 0.05)
    assert (found.outcome, found.decider) == ("reproduced", 1)


def test_an_effect_worth_having_is_wrongly_excluded_as_rarely_for_three_differences_as_for_one() -> None:
    rng, wrong = np.random.default_rng(1), {1: 0, 3: 0}
    for count in wrong:
        for _ in range(1500):
            tests = [Difference(mean_interval(0.02 + rng.normal(0, 0.01, 5)), 0.0, 0.02) for _ in range(count)]
            (decision,) = decide([tests], 0.05)
            wrong[count] += decision.outcome == "not reproduced"
    assert 0.02 < wrong[1] / 1500 < 0.07
    assert 0.02 < wrong[3] / 1500 < 0.07


def test_many_findings_ask_more_of_each() -> None:
    test = superior(0.05, 0.013)
    assert 0.01 < 2 * test.claim_p < 0.05
    assert outcomes([test]) == ["reproduced"]
    assert outcomes([test], *[[superior(0.0, 0.08)]] * 12)[0] == "inconclusive"
    # A finding that could not be judged still counts: what can be judged must not lower the bar.
    assert outcomes([test], *[[]] * 12)[0] == "inconclusive"


def test_strong_findings_leave_the_level_to_weaker_ones() -> None:
    test = superior(0.05, 0.0106)
    assert 0.05 / 13 < 2 * test.claim_p < 0.05 / 2
    strong = [superior(0.2, 0.001)]
    assert outcomes([test], *[strong] * 12)[0] == "reproduced"
    assert outcomes([test], *[[superior(0.0, 0.08)]] * 12)[0] == "inconclusive"


def test_a_trend_must_rise_level_by_level_as_well() -> None:
    at = interval(0.1)
    assert outcomes([Difference(at, 0.0, 0.02, (0.001, 0.999))]) == ["reproduced"]
    assert outcomes([Difference(at, 0.0, 0.02, (0.2, 0.8))]) == ["inconclusive"]
    assert outcomes([Difference(interval(-0.1), 0.0, 0.02, (0.999, 0.001))]) == ["contradicted"]


def test_one_seed_decides_nothing() -> None:
    assert outcomes([Difference(mean_interval([0.5]), 0.0, 0.02)]) == ["inconclusive"]
    assert outcomes([Difference(mean_interval([-0.5]), 0.0, 0.02)]) == ["inconclusive"]


def test_no_findings_and_none_that_can_be_judged() -> None:
    assert decide([], 0.05) == []
    assert decide([[]], 0.05) == [Decision("inconclusive", 1.0)]


LOOKS = {5: 0.2, 10: 0.8}


def test_the_first_look_that_decides_decides_for_good() -> None:
    clear, gone = superior(0.1), superior(0.0, 0.08)
    assert decide_over_looks({5: [[clear]], 10: [[gone]]}, LOOKS)[0][0].outcome == "reproduced"
    assert decide_over_looks({5: [[clear]], 10: [[gone]]}, LOOKS)[0][1] == 5
    later, look = decide_over_looks({5: [[gone]], 10: [[clear]]}, LOOKS)[0]
    assert (later.outcome, look) == ("reproduced", 10)
    open_, look = decide_over_looks({5: [[gone]]}, LOOKS)[0]
    assert (open_.outcome, look) == ("inconclusive", None)


def test_each_look_spends_its_share_of_alpha() -> None:
    test = superior(0.05, 0.013)
    assert 0.2 * 0.05 < 2 * test.claim_p < 0.8 * 0.05
    assert decide_over_looks({5: [[test]]}, LOOKS)[0][1] is None
    assert decide_over_looks({5: [[test]], 10: [[test]]}, LOOKS)[0][1] == 10


def test_no_verdict_depends_on_whether_findings_that_are_decided_get_more_seeds() -> None:
    """As `--until-resolved` leaves them, or trained on: of thirteen, what is open counts against the same number."""
    clear, too_small, middling = superior(0.2, 0.001), superior(0.0, 0.0005), superior(0.05, 0.0085)
    assert 0.04 / 13 < 2 * middling.claim_p < 0.04 / 2
    first = [[clear]] * 11 + [[too_small]] + [[superior(0.05, 0.08)]]
    stopped, went_on = [[]] * 12 + [[middling]], [[clear]] * 12 + [[middling]]
    for later in (stopped, went_on):
        *before, last = decide_over_looks({5: first, 10: later}, LOOKS)
        assert [one.outcome for one, look in before if look == 5] == ["reproduced"] * 11 + ["not reproduced"]
        assert (last[0].outcome, last[1]) == ("reproduced", 10)
        assert last[0].adjusted_p == pytest.approx(2 * 2 * middling.claim_p)  # of two: what was not reproduced counts


def test_what_was_found_at_one_look_leaves_its_level_to_the_next_without_false_verdicts() -> None:
    """Eleven effects of which most are found at the first look, and two that are not there."""
    rng, reports, false = np.random.default_rng(0), 1200, 0
    for _ in range(reports):
        draws = rng.normal(0, 0.05, (13, 10)) + np.array([0.12] * 11 + [0.0] * 2)[:, None]
        readings = {n: [[Difference(mean_interval(row[:n]), 0.0, 0.01)] for row in draws] for n in (5, 10)}
        false += any(one.rejects for one, _ in decide_over_looks(readings, LOOKS)[11:])
    assert 0.01 < false / reports < 0.065


def test_seeds_between_looks_do_not_decide() -> None:
    assert decide_over_looks({}, LOOKS) == []
    assert decide_over_looks({7: [[superior(0.5)]]}, LOOKS) == [(Decision("inconclusive", 1.0), None)]


def test_false_verdicts_over_a_family_stay_under_alpha() -> None:
    """No effect anywhere, seeds that vary much, two looks, 13 findings of one difference each: the worst case."""
    rng, reports, false = np.random.default_rng(0), 1200, 0
    for _ in range(reports):
        draws = rng.normal(0, 0.05, (13, 10))
        readings = {n: [[Difference(mean_interval(row[:n]), 0.0, 0.01)] for row in draws] for n in (5, 10)}
        decided = decide_over_looks(readings, LOOKS)
        false += any(one.outcome in ("reproduced", "contradicted") for one, _ in decided)
    assert 0.01 < false / reports < 0.065  # 0.05, and its binomial error
