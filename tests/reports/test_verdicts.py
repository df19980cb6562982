"""Verdicts, and the sentences that say why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reports import sentences
from reports.cells import COSTS, LESS_IS_BETTER
from reports.claims import findings
from reports.contrasts import Contrast, Pair
from reports.frame import build_frame
from reports.power import Levels, Power, power_of
from reports.verdict_tables import contrasts_table
from reports.verdicts import judge
from tests.reports.judging import CLAIM, LOOKS, found, frame_of, pairs, shifted_by, study_of


def test_one_verdict_for_each_finding_of_the_record(world: Any) -> None:
    verdicts = judge(world.studies, build_frame(world.cells, world.store), looks={2: 1.0})
    assert [one.finding for one in verdicts] == list(findings().values())
    by_number = {int(one.finding.label): one for one in verdicts}
    assert by_number[1].verdict == "not run"
    assert by_number[1].reason == "No study in this report tests it."
    assert by_number[2].studies == ("class-count",)
    # The pair whose weights cannot be had is left out, and the pair that can be run decides.
    assert by_number[9].verdict != "not run"
    assert by_number[9].estimates[1].unavailable


def test_a_finding_whose_pairs_all_lack_weights_is_not_run(world: Any) -> None:
    (study, *_) = world.studies
    only = study.model_copy(update={"contrasts": study.contrasts[2:]})
    verdict = next(one for one in judge([only], build_frame(world.cells, world.store)) if one.finding.label == "9")
    assert verdict.verdict == "not run"
    assert "neither cached nor reachable" in verdict.reason


@pytest.mark.parametrize(
    ("effect", "verdict", "told"),
    [
        (0.1, "reproduced", "'a' beats 'b': +0."),
        (-0.1, "contradicted", "It is the other way round, 'b' beats 'a': −0."),
        (0.0, "not reproduced", "A difference worth having (0.02) between 'a' and 'b' is excluded"),
    ],
)
def test_verdicts_say_what_was_seen(effect: float, verdict: str, told: str) -> None:
    one = found(CLAIM, shifted_by(effect))
    assert (one.verdict, one.look, one.open) == (verdict, 5, False)
    assert told in one.reason
    assert "95 % interval" in one.reason
    assert one.decider is one.estimates[0]
    assert one.adjusted_p is not None


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


def test_fewer_seeds_than_the_first_look_decide_nothing() -> None:
    one = found(CLAIM, shifted_by(0.3, n=3))
    assert (one.verdict, one.open) == ("inconclusive", True)
    assert one.reason == "3 of the 5 seeds that a verdict takes are there."
    assert "declares no number of seeds" in found(CLAIM, shifted_by(0.3), looks={}).reason


def test_the_second_look_uses_all_its_seeds_and_the_first_stands() -> None:
    later = found(CLAIM, shifted_by(0.04, n=10, noise=0.02))
    assert (later.verdict, later.look) == ("reproduced", 10)
    assert found(CLAIM, shifted_by(0.04, n=9, noise=0.02)).look is None
    rows = shifted_by(0.1, n=10)
    for row in rows:
        if row["arm"] == "a" and row["seed"] >= 5:
            row["tpr@1e-4"] -= 0.3
    one = found(CLAIM, rows)
    assert (one.verdict, one.look) == ("reproduced", 5)
    # What the look that decided saw, and not what came after it, which is told beside it.
    assert "'a' beats 'b': +0.098" in one.reason
    assert "that is worth having. Of all 10 seeds it is −0.0" in one.reason


def test_what_comes_after_a_look_that_decided_does_not_undo_it() -> None:
    rows = shifted_by(0.1, n=10)
    rows[17] |= {"auroc": 0.5}  # seed 7 of 'b'
    one = found(CLAIM, rows)
    assert (one.verdict, one.look) == ("reproduced", 5)
    assert "and could not be judged: 1 of 10 runs of 'b' was not trained: AUROC at most 0.6." in one.reason
    rows[12] |= {"auroc": 0.5}  # nor is a look judged of which a run was not trained
    one = found(CLAIM, rows)
    assert (one.verdict, one.look) == ("inconclusive", None)
    assert one.reason.startswith("2 of 10 runs of 'b' were not trained")


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
        (None, None, "even 200 seeds with 8 times the test documents would hardly settle it"),
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


def test_failed_runs_do_not_keep_a_look_away() -> None:
    rows = shifted_by(0.1, n=10)
    rows[3] |= {"state": "failed", "reason": "diverged"}
    one = found(CLAIM, rows[:5] + rows[10:15])
    assert (one.verdict, one.look, len(one.estimates[0].seeds)) == ("reproduced", 5, 4)
    assert one.estimates[0].notes[0] == "Seed 3 is left out: its run of 'a' is failed."
    noisy = shifted_by(0.03, n=10, noise=0.06)
    noisy[3] |= {"state": "failed", "reason": "diverged"}
    late = found(CLAIM, noisy)
    assert (late.verdict, late.open, set(late.estimates[0].looks)) == ("inconclusive", False, {5, 10})
    assert late.estimates[0].looks[10][0].interval.n == 9
    noisy[3] |= {"state": "missing"}  # what may still be trained is waited for
    early = found(CLAIM, noisy)
    assert (early.open, set(early.estimates[0].looks)) == (True, set())


def test_a_contrast_that_does_not_decide_changes_no_verdict() -> None:
    beside = Contrast(finding=CLAIM.finding, better="b", than="a", decides=False)
    assert found([CLAIM, beside], shifted_by(0.1)).verdict == "reproduced"
    deciding = beside.model_copy(update={"decides": True})
    assert found([CLAIM, deciding], shifted_by(0.1)).verdict == "contradicted"


def test_a_precision_that_this_hardware_lacks_leaves_the_verdict_to_the_other() -> None:
    rows = [row | {"precision": "highest", "precision_error": 3e-7} for row in shifted_by(0.1)]
    for row in rows[:5]:  # arm a
        row |= {"precision": "medium"}
    lower = [row | {"arm": "c", "precision": "bf16", "precision_error": 3e-3} for row in rows[:5]]
    claim = Contrast(finding="3_precision", better="a", than="b")
    assert "does not differ on this hardware" in found(claim, rows).reason
    both = [claim, Contrast(finding="3_precision", better="c", than="b")]
    one = found(both, rows + lower)
    assert one.verdict == "reproduced"
    assert one.decider is one.estimates[1]


def test_a_claim_of_the_studys_own_gets_a_verdict() -> None:
    mine = CLAIM.model_copy(update={"finding": "mine"})
    study = study_of(CLAIM).model_copy(update={"claims": {"mine": "a is better"}, "contrasts": (mine,)})
    verdicts = judge([study], frame_of(shifted_by(0.1)), looks=LOOKS)
    assert len(verdicts) == 14
    assert (verdicts[-1].finding.claim, verdicts[-1].verdict) == ("a is better", "reproduced")


def test_an_interaction_needs_its_order_to_change() -> None:
    claim = Contrast(
        finding="5_margin_by_pfc", kind="interaction", better="a", than="b",
        elsewhere=Pair(better="d", than="c"), smallest_effect=0.01,
    )  # fmt: skip
    here = shifted_by(0.1)
    for effect, verdict in ((0.1, "reproduced"), (-0.1, "contradicted"), (0.0, "not reproduced")):
        there = [row | {"arm": {"a": "d", "b": "c"}[row["arm"]]} for row in shifted_by(effect, seed=1)]
        one = found(claim, here + there)
        assert one.verdict == verdict
        interval = one.estimates[0].interval
        assert interval is not None
        assert interval.estimate == pytest.approx(0.1 + effect, abs=0.01)  # the interaction: the sum of both


def test_a_trend_needs_every_level_in_order() -> None:
    claim = Contrast(finding="2_class_count", kind="trend", better="a", than="b", through=("m",), smallest_effect=0.05)
    rows = shifted_by(0.2)
    levels = {row["seed"]: row["tpr@1e-4"] for row in rows if row["arm"] == "b"}
    for middle, verdict, told in (
        ([0.1] * 5, "reproduced", "'a' beats 'b', rising from level to level: +0.2"),
        ([-0.1, 0.3, -0.1, 0.3, 0.1], "inconclusive", "no rise that is sure enough (Page's test, p 0."),
        ([0.3] * 5, "inconclusive", "no rise that is sure enough (the means of the levels are not in that order)"),
    ):
        between = [{"arm": "m", "seed": seed, "tpr@1e-4": low + middle[seed]} for seed, low in levels.items()]
        one = found(claim, rows + between, looks={5: 1.0})
        assert one.verdict == verdict
        assert told in one.reason
        assert ("'a' beats 'b', +0.2" in one.reason) is (verdict == "inconclusive")
        low = np.mean(list(levels.values()))
        assert f"Means of the levels: 'b' {low:.3f}, 'm' {low + np.mean(middle):.3f}, 'a'" in one.estimates[0].notes[0]


def test_no_number_of_seeds_makes_levels_rise_that_do_not() -> None:
    claim = Contrast(finding="2_class_count", kind="trend", better="a", than="b", through=("m",), smallest_effect=0.05)
    rows = shifted_by(0.2, n=10)
    rows += [row | {"arm": "m", "tpr@1e-4": row["tpr@1e-4"] + 0.3} for row in rows if row["arm"] == "b"]
    one = found(claim, rows)
    assert one.verdict == "inconclusive"
    assert "no rise that is sure enough (the means of the levels are not in that order)" in one.reason


@pytest.mark.parametrize(("effect", "verdict"), [(-0.1, "reproduced"), (0.1, "contradicted")])
def test_of_a_cost_the_lesser_is_better_in_every_kind(effect: float, verdict: str) -> None:
    here = [row | {"instability": row["tpr@1e-4"]} for row in shifted_by(effect)]
    named = {"better": "a", "than": "b", "metric": "cost.instability", "smallest_effect": 0.05}
    there = [row | {"arm": {"a": "d", "b": "c"}[row["arm"]]} for row in here]
    twice = Contrast.model_validate(
        {**named, "finding": "5_margin_by_pfc", "kind": "interaction", "elsewhere": {"better": "d", "than": "c"}}
    )
    one = found(twice, here + there)
    assert one.verdict == verdict
    assert one.estimates[0].pairs == (("b", "a"), ("c", "d"))
    levels = [row | {"arm": "m", "instability": row["instability"] - effect / 2} for row in here if row["arm"] == "a"]
    trend = Contrast.model_validate({**named, "finding": "2_class_count", "kind": "trend", "through": ("m",)})
    assert found(trend, here + levels).verdict == verdict


def test_cost_ratios_are_judged_on_their_logarithm() -> None:
    named = {"finding": "1_partial_fc", "kind": "cost_ratio", "metric": "seconds", "smallest_effect": 0.1}
    claim = Contrast.model_validate({**named, "better": "a", "than": "b"})
    fast = pairs("seconds", [10.0, 11.0, 10.5, 10.2, 10.1], [20.0, 22.5, 21.0, 20.1, 20.6])
    one = found(claim, fast)
    assert one.verdict == "reproduced"
    assert "'a' costs less than 'b': ×2.0" in one.reason
    assert "at least the ×1.10 that is worth having" in one.reason
    slow = pairs("seconds", [20.0, 22.5, 21.0, 20.1, 20.6], [10.0, 11.0, 10.5, 10.2, 10.1])
    assert found(claim, slow).verdict == "contradicted"


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
