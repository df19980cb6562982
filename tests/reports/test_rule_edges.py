"""The rule at its edges: looks that stand, pairs judged one by one, words that fit the interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from reports.claims import findings
from reports.contrasts import Contrast, Pair
from reports.control import control_study
from reports.decision import Difference, decide
from reports.estimates import study_estimates
from reports.power import Levels, power_of
from reports.stats import Interval, effect_size
from reports.tables import difference_cell
from reports.verdict_tables import control_line, part_texts, statistics_table
from tests.reports.judging import CLAIM, LOOKS, found, frame_of, pairs, shifted_by, study_of

INTERACTION = Contrast(
    finding="5_margin_by_pfc", kind="interaction", better="a", than="b", elsewhere=Pair(better="d", than="c")
)
ELSEWHERE = {"a": "d", "b": "c"}
SPREAD = np.array([-1.265, -0.632, 0.0, 0.632, 1.265]) / np.std([-1.265, -0.632, 0.0, 0.632, 1.265], ddof=1)


def elsewhere(rows: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return [row | {"arm": ELSEWHERE[row["arm"]]} | changes for row in rows]


def around(mean: float, se: float, repeats: int = 1) -> list[dict[str, Any]]:
    """Five seeds, or a multiple, whose difference has this mean and standard error."""
    spread = np.tile(SPREAD, repeats)
    spread *= se * math.sqrt(len(spread)) / spread.std(ddof=1)
    return pairs("tpr@1e-4", (0.5 + mean + spread).tolist(), [0.5] * len(spread))


# Looks


def test_seeds_at_the_floor_that_come_later_do_not_change_the_metric_of_a_look() -> None:
    first = [0.058, 0.060, 0.059, 0.057, 0.058], [0.030, 0.031, 0.033, 0.029, 0.030]
    early = found(CLAIM, pairs("tpr@1e-4", *first))
    assert (early.verdict, early.look) == ("reproduced", 5)
    late = found(CLAIM, pairs("tpr@1e-4", first[0] + [0.0, 0.0005, 0.001, 0.0015, 0.002], first[1] + [0.001] * 5))
    assert (late.verdict, late.look, late.estimates[0].metric) == ("reproduced", 5, "tpr@1e-4")


def test_a_metric_that_the_first_look_falls_back_to_stays() -> None:
    low = pairs("tpr@1e-4", [0.001 * k for k in range(5)], [0.001 * k for k in range(5)])
    high = pairs("tpr@1e-4", [0.4 + 0.01 * k for k in range(5)], [0.1 + 0.02 * k for k in range(5)])
    both = low + [row | {"seed": row["seed"] + 5} for row in high]
    assert found(CLAIM, low).estimates[0].metric == found(CLAIM, both).estimates[0].metric == "tpr@1e-3"


def test_a_look_waits_for_a_seed_that_may_still_be_trained() -> None:
    rows = pairs("tpr@1e-4", [0.6, 0.601, 0.2, 0.603, 0.604, 0.605], [0.5] * 6)
    waiting = [row | ({"state": "missing"} if row["seed"] == 2 else {}) for row in rows]
    assert (found(CLAIM, waiting).look, found(CLAIM, rows).look) == (None, None)
    assert found(CLAIM, waiting).open


# Gates


def test_equal_bits_of_a_precision_that_the_hardware_lacks_leave_the_verdict_to_the_other() -> None:
    rows = shifted_by(0.1)
    same = [row | {"precision": "highest", "precision_error": 3e-7} for row in rows if row["arm"] == "b"]
    medium = [row | {"arm": "a", "precision": "medium"} for row in same]
    lower = [row | {"arm": "c", "precision": "bf16", "precision_error": 3e-3} for row in rows if row["arm"] == "a"]
    claims = [Contrast(finding="3_precision", better=arm, than="b") for arm in ("a", "c")]
    verdict = found(claims, [*medium, *same, *lower])
    assert verdict.verdict == "reproduced"
    assert verdict.decider is not None
    assert verdict.decider.contrast.better == "c"


@pytest.mark.parametrize(("level", "told"), [(0.004, "at the floor"), (0.99, "at the ceiling")])
def test_one_pair_of_an_interaction_without_room_is_enough_to_judge_nothing(level: float, told: str) -> None:
    flat = elsewhere(shifted_by(0.1, seed=1))
    rows = [row | dict.fromkeys(("tpr@1e-4", "tpr@1e-3", "tpr@1e-2"), level + 0.0005 * (k % 3))
            for k, row in enumerate(flat)]  # fmt: skip
    verdict = found(INTERACTION, shifted_by(0.1) + rows)
    assert (verdict.verdict, verdict.look) == ("inconclusive", None)
    assert verdict.reason.startswith(f"'d' and 'c' are {told}")


def test_a_pair_at_the_floor_takes_the_whole_interaction_to_the_next_rate() -> None:
    low = [row | {"tpr@1e-4": 0.001 * row["seed"], "tpr@1e-3": 0.3 + 0.01 * row["seed"]}
           for row in elsewhere(shifted_by(0.1, seed=1))]  # fmt: skip
    (one,) = found(INTERACTION, shifted_by(0.1) + low).estimates
    assert one.metric == "tpr@1e-3"


def test_either_favoured_arm_of_an_interaction_must_have_left_the_slow_start() -> None:
    there = elsewhere(shifted_by(0.1, seed=2))
    assert found(INTERACTION, shifted_by(0.1) + there).verdict == "reproduced"
    stuck = [row | ({"loss_end": 34.0} if row["arm"] == "d" else {}) for row in there]
    verdict = found(INTERACTION, shifted_by(0.1) + stuck)
    assert verdict.verdict == "inconclusive"
    assert verdict.reason.startswith("The loss of 'd' has not left its slow start")


def test_seeds_lost_by_either_arm_are_counted_together() -> None:
    rows = shifted_by(0.1)
    one_lost = [row | ({"state": "failed"} if (row["arm"], row["seed"]) == ("a", 0) else {}) for row in rows]
    assert found(CLAIM, one_lost).verdict == "reproduced"
    two_lost = [row | ({"state": "failed"} if (row["arm"], row["seed"]) == ("b", 1) else {}) for row in one_lost]
    verdict = found(CLAIM, two_lost)
    assert (verdict.verdict, verdict.look) == ("inconclusive", None)
    assert verdict.reason == "2 of 5 seeds are lost to failed runs: those that are left are a selection."


def test_a_rate_whose_differences_are_all_equal_is_sure_of_nothing() -> None:
    saturated = CLAIM.model_copy(update={"metric": "top1"})
    verdict = found(saturated, pairs("top1", [0.75] * 5, [0.5] * 5))
    assert (verdict.verdict, verdict.look) == ("inconclusive", None)
    assert "the same in all 5 seeds" in verdict.reason
    sized = Contrast(finding=CLAIM.finding, kind="cost_ratio", better="a", than="b", metric="cost.size_mb")
    assert found(sized, pairs("size_mb", [2.0] * 5, [4.0] * 5)).verdict == "reproduced"  # of a size that is no wonder


def test_a_control_that_must_not_be_judged_is_not_called_clean() -> None:
    nothing = {"tpr@1e-4": 0.0, "tpr@1e-3": 0.0, "tpr@1e-2": 0.0, "auroc": 0.5}
    rows = [{"study": "control", "arm": arm, "seed": seed, **nothing} for arm in ("baseline", "again")
            for seed in range(5)]  # fmt: skip
    (one,) = study_estimates(control_study(), frame_of(rows))
    told = control_line(one)
    assert "clean" not in told
    assert "**not judged**" in told
    assert "was not trained" in told
    (one,) = study_estimates(control_study(), frame_of([row for row in rows if row["seed"] == 0]))
    assert "was not trained" in control_line(one)


@pytest.mark.parametrize(("effect", "word"), [(0.0, "**clean**"), (0.1, "**not clean")])
def test_a_control_is_clean_where_chance_is_all_there_is(effect: float, word: str) -> None:
    names = {"a": "again", "b": "baseline"}
    rows = [row | {"study": "control", "arm": names[row["arm"]]} for row in shifted_by(effect)]
    assert word in control_line(study_estimates(control_study(), frame_of(rows))[0])


# Decisions


def test_a_large_loss_contradicts_whatever_else_is_a_little_surer() -> None:
    def lost(estimate: float, se: float) -> Difference:
        return Difference(Interval(estimate, math.nan, math.nan, se, 0.0, 4.0, math.inf, 5).at(0.95), 0.0, 0.02)

    (alone,) = decide([[lost(-0.1, 0.004)]], 0.05)
    (beside,) = decide([[lost(-0.005, 0.0001), lost(-0.1, 0.004)]], 0.05)
    assert (alone.outcome, alone.decider) == ("contradicted", 0)
    assert (beside.outcome, beside.decider) == ("contradicted", 1)
    (small,) = decide([[lost(-0.005, 0.0001)]], 0.05)
    assert small.outcome == "not reproduced"


# Words


def test_what_can_be_seen_at_a_look_is_by_that_looks_share_of_alpha() -> None:
    others = [Contrast(finding=name, better="x", than="y") for name in findings() if name != CLAIM.finding]
    one = found([CLAIM, *others], around(0.09, 0.011))
    count = len(findings())
    last, now = (0.05 * share / (2 * count) for share in (0.8, 0.2))
    power = power_of(one.estimates[0].tests[0].interval, Levels(last, last, 0.04, now), 0.0, 0.02)
    assert one.verdict == "inconclusive"
    assert power is not None
    assert power.detectable is not None
    assert power.detectable > 0.09  # else it would have been seen
    assert f"5 seeds can see +{power.detectable:.3f} or more" in one.reason


def test_between_looks_nothing_could_be_seen() -> None:
    rows = pairs("tpr@1e-4", [0.54, 0.60, 0.57, 0.52, 0.62, 0.57, 0.57], [0.5] * 7)
    reason = found(CLAIM, rows).reason
    assert "can see" not in reason
    assert "the next look is at 10 seeds" in reason


def test_seeds_that_settle_a_claim_also_show_it_to_be_worth_having() -> None:
    interval = Interval(0.0205, math.nan, math.nan, 0.006, 0.0, 9.0, math.inf, 10).at(0.95)
    power = power_of(interval, Levels(0.04 / 26, 0.04 / 26, 0.04, None), 0.0, 0.02)
    assert power is not None
    assert power.seeds is None  # half of all estimates lie under the truth, and so under what is worth having


def test_a_contradiction_by_one_of_several_takes_its_share() -> None:
    interval = Interval(-0.05, math.nan, math.nan, 0.02, 0.0, 9.0, math.inf, 10).at(0.95)
    alone, shared = (
        power_of(interval, Levels(0.002, against, 1e-9, None), 0.0, 0.02) for against in (0.002, 0.002 / 3)
    )
    assert alone is not None
    assert shared is not None
    assert alone.seeds is not None
    assert shared.seeds is not None
    assert shared.seeds > alone.seeds


def test_a_loss_that_is_sure_but_may_be_within_the_margin_is_not_called_chance() -> None:
    keeps = CLAIM.model_copy(update={"kind": "non_inferiority", "margin": 0.08})
    verdict = found(keeps, around(-0.069, 0.012, repeats=2))
    assert verdict.verdict == "inconclusive"
    assert verdict.reason.startswith("Whether 'a' falls short of 'b' by more than 0.08 is open: −0.069")


def test_what_looks_the_other_way_round_is_said_to() -> None:
    verdict = found(CLAIM, around(-0.09, 0.0305))
    assert verdict.verdict == "inconclusive"
    assert verdict.reason.startswith("It looks the other way round, but not surely enough: −0.090")


@pytest.mark.parametrize("effect", [-0.1, 0.1])
def test_one_seed_looks_like_nothing(effect: float) -> None:
    verdict = found(CLAIM, shifted_by(effect, n=1), looks={1: 0.2, 5: 0.8})
    assert verdict.verdict == "inconclusive"
    assert verdict.reason.startswith("One seed cannot be told from chance: ")
    assert verdict.reason.endswith("from one seed, without an interval; the next look is at 5 seeds.")


# Small


def test_equal_differences_have_no_spread_but_that_of_rounding() -> None:
    assert effect_size([math.log(5.54) - math.log(2.46)] * 7) == math.inf
    assert effect_size([-0.1] * 3) == -math.inf


@pytest.mark.parametrize("metric", ["cost.tpr@1e-4", "cost.auroc", "tpr@1e-4", "shifted.tpr@1e-4"])
def test_a_ratio_is_of_a_cost(metric: str) -> None:
    with pytest.raises(ValueError, match="of a cost"):
        Contrast(finding=CLAIM.finding, kind="cost_ratio", better="a", than="b", metric=metric)


def test_a_run_without_the_metric_is_told() -> None:
    timed = Contrast(finding=CLAIM.finding, kind="cost_ratio", better="a", than="b", metric="cost.head_step")
    rows = pairs("head_step", [1.0, 1.1, math.nan], [2.0, 2.1, math.nan])
    (one,) = found(timed, rows, looks=LOOKS).estimates
    assert "Seed 2 is left out: no 'head_step' is recorded." in one.notes


@pytest.mark.parametrize(("before", "after", "told"), [(0.12, 0.008, True), (0.12, 0.3, False)])
def test_a_verdict_says_that_training_made_an_arm_worse(before: float, after: float, told: bool) -> None:
    rows = [row | ({"untrained tpr@1e-3": before, "validation tpr@1e-3": after} if row["arm"] == "b" else {})
            for row in shifted_by(0.1)]  # fmt: skip
    verdict = found(CLAIM, rows)
    assert verdict.verdict == "reproduced"
    words = (
        "Training has left 'b' worse on validation identities than it was before its first step (TPR@1e-3 0.008, from"
    )
    assert (words in verdict.reason) is told


def test_an_interaction_is_told_by_both_of_its_differences() -> None:
    rows = shifted_by(0.1) + elsewhere(shifted_by(0.05, seed=1))
    (one,) = found(INTERACTION, rows).estimates
    first, second = part_texts(one)
    assert first.startswith("`a` − `b` on TPR@1e-4: +0.1")
    assert second.startswith("`d` − `c` on TPR@1e-4: +0.05")
    (plain,) = found(CLAIM, shifted_by(0.1)).estimates
    assert len(part_texts(plain)) == 1


def test_a_difference_of_fewer_seeds_says_what_the_baseline_has_there() -> None:
    rows = pairs("tpr@1e-4", [0.5, 0.6, 0.9, 0.9], [0.4, 0.52])
    told = difference_cell(study_of(CLAIM), frame_of(rows), "b", "tpr@1e-4")
    assert told.startswith("−0.090")
    assert told.endswith("; of 2 seeds, with which the baseline has 0.550")
    assert "seeds" not in difference_cell(study_of(CLAIM), frame_of(rows[:2] + rows[4:]), "b", "tpr@1e-4")


def test_a_small_p_of_flipped_signs_is_not_told_as_nothing() -> None:
    (one,) = found(CLAIM, shifted_by(0.1, n=14)).estimates
    (row,) = statistics_table(study_of(CLAIM), [one]).rows
    assert row[-1] == "6e-5"  # 2^-14


def test_an_interaction_tells_both_of_its_differences() -> None:
    """Its own interval is of their sum, which may be sure where neither part is."""
    rows = around(0.05, 0.01) + elsewhere(around(0.002, 0.01))
    (one,) = study_estimates(study_of(INTERACTION, arms=("a", "b", "c", "d")), frame_of(rows))
    told = next(note for note in one.notes if note.startswith("It is the sum of two differences"))
    assert "each of which must be there: 'a' − 'b' +0.050 [" in told
    assert " and 'd' − 'c' +0.002 [−" in told
