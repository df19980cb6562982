"""Why a verdict is what it is, in words."""

from __future__ import annotations

import numpy as np
import pytest

from reports import sentences
from reports.cells import COSTS, LESS_IS_BETTER
from reports.contrasts import Contrast
from reports.power import Levels, Power, power_of
from reports.replicates import Replicates
from reports.verdict_tables import contrasts_table
from tests.reports.judging import CLAIM, found, pairs, shifted_by, study_of


def test_what_is_excluded_and_lies_the_other_way_is_said_to() -> None:
    one = found(CLAIM, shifted_by(-0.015))
    assert one.verdict == "not reproduced"
    assert "(0.02) between 'a' and 'b' is excluded" in one.reason
    assert one.reason.endswith("; what there is goes the other way.")
    assert "the other way" not in found(CLAIM, shifted_by(0.0)).reason


def test_an_interval_that_holds_what_is_excluded_is_told_with_the_bound_that_decided() -> None:
    rows = pairs("tpr@1e-4", [0.5101 + 0.01394 * sign for sign in (1, -1)] * 5, [0.5] * 10)
    one = found(CLAIM, rows)
    assert (one.verdict, one.look) == ("not reproduced", 10)
    assert "(95 % interval −0.000 to +0.021), by its one-sided bound at 96 %: +0.019." in one.reason
    assert "one-sided" not in found(CLAIM, shifted_by(0.0)).reason
    keeps = CLAIM.model_copy(update={"kind": "non_inferiority", "margin": 0.02})
    lost = found(keeps, pairs("tpr@1e-4", [0.4699 + 0.01394 * sign for sign in (1, -1)] * 5, [0.5] * 10))
    assert "exceeded: −0.030 on TPR@1e-4 (95 % interval −0.041 to −0.020), by its one-sided bound" in lost.reason


def test_an_open_finding_says_what_it_could_have_seen() -> None:
    one = found(CLAIM, shifted_by(0.03, noise=0.03))
    assert (one.verdict, one.look, one.open) == ("inconclusive", None, True)
    assert "5 seeds can see +" in one.reason
    assert "Of all" not in one.reason
    assert "(the next look is at 10 seeds)" in one.reason
    late = found(CLAIM, shifted_by(0.03, n=10, noise=0.06))
    assert (late.verdict, late.open) == ("inconclusive", False)
    assert "the last look is past" in late.reason
    almost = found(CLAIM, pairs("tpr@1e-4", [0.56, 0.58, 0.52, 0.6, 0.54], [0.5] * 5))
    assert almost.verdict == "inconclusive"
    assert almost.estimates[0].interval is not None
    assert almost.estimates[0].interval.low > 0
    assert "It looks as claimed, but not surely enough for one claim among many" in almost.reason


def test_a_claim_that_is_sure_but_small_is_open_for_its_size() -> None:
    near = pairs("tpr@1e-4", [0.512, 0.526] * 5, [0.5] * 10)
    one = found(CLAIM, near)
    assert one.verdict == "inconclusive"
    assert one.reason.startswith("It is there, but whether it is worth having (at least 0.02) is open: +0.019")
    # Of two differences the one that is in the way is named, not the one of the larger p.
    wide = pairs("tpr@1e-4", [0.55, 0.75] * 5, [0.5] * 10)
    wide = [row | {"arm": {"a": "c", "b": "d"}[row["arm"]]} for row in wide]
    other = CLAIM.model_copy(update={"better": "c", "than": "d"})
    both = found([other, CLAIM], [*near, *wide])
    p = [one.tests[0].claim_p for one in both.estimates]
    assert (both.verdict, p[0] > p[1]) == ("inconclusive", True)
    assert both.reason.startswith("It is there, but whether it is worth having")


def test_what_a_claim_to_keep_performance_can_see_is_told_from_its_margin() -> None:
    keeps = CLAIM.model_copy(update={"kind": "non_inferiority", "margin": 0.1})
    one = found(keeps, shifted_by(-0.07, n=10, noise=0.06))
    assert one.verdict == "inconclusive"
    power = power_of(one.estimates[0].tests[0].interval, Levels(0.02, 0.02, 0.04, now=0.02), -0.1, None)
    assert power is not None
    assert f"exclude a loss of 0.1 where the truth is −{0.1 - power.detectable:.3f} or more" in one.reason


@pytest.mark.parametrize(
    ("seeds", "joint", "told"),
    [
        (12, None, "if the truth is +0.034, about 12 seeds would settle it"),
        (90, (18, 8000), "about 90 seeds or 18 seeds with 8,000 test documents would settle it"),
        (None, (18, 8000), "about 18 seeds with 8,000 test documents would settle it"),
        (None, None, "if the truth is +0.034, even 200 seeds would hardly settle it"),
        (4, None, "5 seeds can see +0.040 or more, and the next look is at 10 seeds."),
    ],
)
def test_what_would_settle_an_open_finding_is_told(
    seeds: int | None, joint: tuple[int, int] | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentences, "power_of", lambda *_: Power(0.04, seeds, joint))
    one = found(CLAIM, shifted_by(0.03, noise=0.03))
    assert one.verdict == "inconclusive"
    assert told in one.reason


def test_more_documents_are_named_where_the_interval_covers_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of a cost, which no document changes."""
    drawn = {arm: np.random.default_rng(seed).normal(0.5, 0.02, 50) for seed, arm in enumerate("ab")}
    monkeypatch.setattr(sentences, "power_of", lambda *_: Power(0.04, None, None))
    monkeypatch.setattr(Replicates, "of", lambda _, key, metric: drawn[key])
    monkeypatch.setattr(Replicates, "impostors", lambda *_: 30)
    rows = [row | {"key": row["arm"], "seconds": 60 - 9 * row["tpr@1e-4"]} for row in shifted_by(0.03, noise=0.03)]
    told = "even 200 seeds with 8 times the test documents would hardly settle it"
    assert told in found(CLAIM, rows, replicates=Replicates(dict)).reason
    timed = CLAIM.model_copy(update={"metric": "cost.seconds", "smallest_effect": 0.18})
    assert "even 200 seeds would hardly settle it" in found(timed, rows, replicates=Replicates(dict)).reason


def test_all_that_a_run_takes_is_a_cost_and_speed_is_none() -> None:
    """A contrast claims less of the first, whose sentence says so, and more of the second."""
    named = {"finding": "1_partial_fc", "kind": "cost_ratio", "better": "a", "than": "b", "smallest_effect": 0.1}
    few, many = [10.0, 11.0, 10.5, 10.2, 10.1], [20.0, 22.5, 21.0, 20.1, 20.6]
    for metric, told in (("samples", "'a' costs less than 'b': ×2.0"), ("samples_per_second", "'a' beats 'b': ×2.0")):
        claim = Contrast.model_validate({**named, "metric": f"cost.{metric}"})
        less = metric != "samples_per_second"
        one = found(claim, pairs(metric, few, many) if less else pairs(metric, many, few))
        assert one.verdict == "reproduced"
        assert told in one.reason
        (row,) = contrasts_table(study_of(claim), one.estimates).rows
        assert row[2] == ("costs less, as a ratio" if less else "is better, as a ratio")
    assert set(COSTS) - set(LESS_IS_BETTER) == {"samples_per_second"}
