"""Verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reports.claims import findings
from reports.contrasts import Contrast, Pair
from reports.frame import build_frame
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
    judged = found(trend, here + levels)
    assert judged.verdict == verdict
    assert ("falling from level to level" in judged.reason) is (verdict == "reproduced")
    assert "rising" not in judged.reason
    claimed = contrasts_table(study_of(trend, arms=("a", "b", "m")), judged.estimates).rows[0][2]
    assert claimed == "falls from level to level"


def test_levels_of_a_cost_that_do_not_fall_are_said_not_to() -> None:
    claim = Contrast(
        finding="2_class_count", kind="trend", better="a", than="b", through=("m",), metric="cost.instability",
        smallest_effect=0.05,
    )  # fmt: skip
    rows = [row | {"instability": row["tpr@1e-4"]} for row in shifted_by(-0.1)]
    rows += [row | {"arm": "m", "instability": row["instability"] + 0.1} for row in rows if row["arm"] == "b"]
    reason = found(claim, rows, looks={5: 1.0}).reason
    assert "no fall that is sure enough (the means of the levels are not in that order)" in reason


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
