from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.config import METRICS
from reports.claims import Arm, Contrast, Pair, Study, findings
from reports.estimates import study_estimates
from reports.frame import COLUMNS, COSTS, LOSSES, PAIRS, TEACHER, build_frame
from reports.metrics import primary_metric
from reports.replicates import Replicates
from reports.stats import paired_interval
from reports.verdicts import Verdict, judge


def study_of(*contrasts: Contrast, arms: tuple[str, ...] = ("a", "b")) -> Study:
    declared = {arm: Arm() for arm in arms}
    return Study(study="s", title="t", question="q", baseline="a", arms=declared, contrasts=contrasts)


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Done rows of study ``s`` with unremarkable numbers, changed by each of `rows`."""
    plain: dict[str, Any] = dict.fromkeys((*METRICS, *COSTS), 1.0) | {"tpr@1e-3": 0.7, "tpr@1e-2": 0.8}
    plain |= dict.fromkeys(PAIRS.values(), 100.0)
    plain |= dict(zip(LOSSES, (40.0, 20.0, 33.0), strict=True)) | {"identities": 1000.0}
    head = {"study": "s", "state": "done", "reason": "", "key": "0" * 16, "precision": "medium"}
    return pd.DataFrame([{**plain, **head, **row} for row in rows], columns=list(COLUMNS))


def pairs(metric: str, a: list[float], b: list[float], **rest: Any) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "seed": seed, metric: value, **rest}
        for arm, values in (("a", a), ("b", b))
        for seed, value in enumerate(values)
    ]


CLAIM = Contrast(finding="4_norm_ln_vs_bn", better="a", than="b")


LOOKS = {5: 0.2, 10: 0.8}


def found(claim: Contrast | list[Contrast], rows: list[dict[str, Any]], looks: Any = None, **rest: Any) -> Verdict:
    """The verdict on the first claim's finding."""
    claims = claim if isinstance(claim, list) else [claim]
    arms = tuple(dict.fromkeys(arm for one in claims for arm in (*one.arms, "a", "b")))
    verdicts = judge([study_of(*claims, arms=arms)], frame_of(rows), looks=LOOKS if looks is None else looks, **rest)
    return next(one for one in verdicts if one.finding.id == claims[0].finding)


def shifted_by(effect: float, n: int = 5, noise: float = 2e-3, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    base = 0.5 + rng.normal(0, 0.05, n)
    return pairs("tpr@1e-4", (base + effect + rng.normal(0, noise, n)).tolist(), base.tolist())


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


def test_an_open_finding_says_what_it_could_have_seen() -> None:
    one = found(CLAIM, shifted_by(0.03, noise=0.03))
    assert (one.verdict, one.look, one.open) == ("inconclusive", None, True)
    assert "5 seeds can see +" in one.reason
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
    assert found(CLAIM, shifted_by(0.04, n=10, noise=0.02)).look in (5, 10)
    rows = shifted_by(0.1, n=10)
    for row in rows:
        if row["arm"] == "a" and row["seed"] >= 5:
            row["tpr@1e-4"] -= 0.3
    assert (found(CLAIM, rows).verdict, found(CLAIM, rows).look) == ("reproduced", 5)


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


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"loss_end": 60.0}, "did not fall: it was not trained"),
        ({"auroc": 0.55}, "was not trained: its AUROC is at most 0.6"),
        ({"loss_end": 34.0, "loss_plateau": 33.0}, "'a' has not left its slow start"),
        ({"pairs@1e-4": 3.0, "pairs@1e-3": 3.0, "pairs@1e-2": 3.0}, "The test set is too small"),
    ],
)
def test_gates_keep_a_verdict_from_being_reached(change: dict[str, float], told: str) -> None:
    one = found(CLAIM, [row | change for row in shifted_by(0.1)])
    assert (one.verdict, one.open) == ("inconclusive", False)
    assert told in one.reason


def test_all_arms_at_floor_or_ceiling() -> None:
    low = [row | {"tpr@1e-4": row["tpr@1e-4"] / 100, "tpr@1e-3": row["tpr@1e-4"]} for row in shifted_by(0.1)]
    one = found(CLAIM, low)
    assert (one.verdict, one.estimates[0].metric) == ("reproduced", "tpr@1e-3")
    assert "All arms are at the floor (under 0.03) at FPR 1e-4" in one.estimates[0].notes[0]
    nothing = [row | dict.fromkeys(("tpr@1e-4", "tpr@1e-3", "tpr@1e-2"), 0.01) for row in shifted_by(0.1)]
    assert "at the floor" in found(CLAIM, nothing).reason
    full = [row | {"tpr@1e-4": 0.99 + 0.005 * (row["arm"] == "a")} for row in shifted_by(0.1)]
    assert "at the ceiling" in found(CLAIM, full).reason


def test_false_positives_of_few_pairs_of_identities_and_tuning_at_an_edge_are_not_judged() -> None:
    class Few(Replicates):
        def of(self, key: str, metric: str) -> None:
            return None

        def impostors(self, key: str, metric: str) -> int:
            return 29 if key == "few" else 31

    rows = shifted_by(0.1)
    assert found(CLAIM, rows, replicates=Few(dict)).verdict == "reproduced"
    rows[7]["key"] = "few"
    assert "come from 29 pairs of identities; 30 are needed" in found(CLAIM, rows, replicates=Few(dict)).reason
    told = found(CLAIM, rows, edges={"s": {"a": [], "b": ["optim.lr"]}}).reason
    assert told.startswith("The tuned optim.lr of 'b' is at the edge of its range")
    assert found(CLAIM, rows, edges={"other": {"b": ["optim.lr"]}}).verdict == "reproduced"


def test_arms_that_differ_in_what_they_do_not_declare_are_not_compared() -> None:
    rows = shifted_by(0.1)
    for row in rows:
        row["config"] = {"optim.lr": 1e-3 if row["arm"] == "a" else 2e-3, "model.norm": "ln"}
    assert "also differ in optim.lr, which is not declared" in found(CLAIM, rows).reason
    study = study_of(CLAIM)
    declared = study.model_copy(update={"arms": {**study.arms, "b": Arm(set={"optim.lr": 2e-3})}})
    verdicts = judge([declared], frame_of(rows), looks=LOOKS)
    assert next(one for one in verdicts if one.finding.label == "4").verdict == "reproduced"


def test_many_failed_runs_leave_a_selection() -> None:
    rows = shifted_by(0.1, n=8)
    for row in rows:
        if row["arm"] == "b" and row["seed"] in (1, 6):
            row |= {"state": "failed", "reason": "diverged"}
    assert "2 of 8 runs of 'b' failed" in found(CLAIM, rows).reason


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
    for middle, verdict in ((0.1, "reproduced"), (0.3, "inconclusive")):
        between = [{"arm": "m", "seed": seed, "tpr@1e-4": low + middle} for seed, low in levels.items()]
        assert found(claim, rows + between, looks={5: 1.0}).verdict == verdict


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


def test_identities_widen_the_interval_and_are_said_to_be_left_out_where_they_are() -> None:
    rows = [row | {"key": f"{row['arm']}{row['seed']}", "identities": 400.0} for row in shifted_by(0.1)]
    rng = np.random.default_rng(1)
    alike = {arm: 0.02 * rng.normal(size=400) for arm in ("a", "b")}  # in all seeds
    drawn = {row["key"]: alike[row["arm"]] + 0.01 * rng.normal(size=400) + row["tpr@1e-4"] for row in rows}

    class Known(Replicates):
        def of(self, key: str, metric: str) -> Any:
            return drawn.get(key) if metric == "tpr@1e-4" else None

        def impostors(self, key: str, metric: str) -> int:
            return 30

    (plain,) = study_estimates(study_of(CLAIM), frame_of(rows))
    (wide,) = study_estimates(study_of(CLAIM), frame_of(rows), Known(dict))
    assert plain.interval is not None
    assert wide.interval is not None
    assert wide.interval.identity_se == pytest.approx(0.02 * np.sqrt(2), rel=0.15)
    assert wide.interval.identity_df == 399
    assert wide.interval.low < plain.interval.low
    assert wide.notes == ()
    (uncounted,) = study_estimates(
        study_of(CLAIM), frame_of([row | {"identities": np.nan} for row in rows]), Known(dict)
    )
    assert uncounted.interval is not None
    assert np.isinf(uncounted.interval.identity_df)
    (unknown,) = study_estimates(study_of(CLAIM), frame_of([row | {"key": "x"} for row in rows]), Known(dict))
    assert unknown.interval == plain.interval
    assert "covers seeds alone" in unknown.notes[-1]


def test_pairs_by_seed_and_only_over_seeds_that_both_have() -> None:
    rows = pairs("tpr@1e-4", [0.5, 0.6, 0.7, 0.9], [0.4, 0.45, 0.5, 0.1])
    rows[3] |= {"state": "failed", "tpr@1e-4": np.nan}
    shuffled = [rows[index] for index in (6, 2, 0, 7, 4, 1, 5, 3)]
    (one,) = study_estimates(study_of(CLAIM), frame_of(shuffled))
    assert one.seeds == (0, 1, 2)
    assert one.interval == paired_interval([0.5, 0.6, 0.7], [0.4, 0.45, 0.5])
    assert one.notes == ("Seed 3 is left out: its run of 'a' is failed.",)


def test_the_contrast_is_oriented_by_the_claim() -> None:
    frame = frame_of(pairs("tpr@1e-4", [0.5, 0.6], [0.4, 0.45]))
    (claimed,) = study_estimates(study_of(CLAIM), frame)
    (opposed,) = study_estimates(study_of(CLAIM.model_copy(update={"better": "b", "than": "a"})), frame)
    assert claimed.interval is not None
    assert opposed.interval is not None
    assert claimed.interval.estimate == pytest.approx(0.125)
    assert opposed.interval.estimate == pytest.approx(-0.125)


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        ("failed", "diverged: nan", "has only failed runs: diverged: nan."),
        ("unavailable", "no weights.", "is unavailable: no weights."),
        ("unreadable", "bad file", "has an unreadable run: bad file."),
        ("missing", "not run yet", "has no run yet."),
    ],
)
def test_an_arm_without_a_done_run_is_named_with_its_reason(state: str, reason: str, told: str) -> None:
    frame = frame_of([*pairs("tpr@1e-4", [0.5, 0.6], []), {"arm": "b", "seed": 0, "state": state, "reason": reason}])
    found = next(one for one in judge([study_of(CLAIM)], frame) if one.finding.id == CLAIM.finding)
    assert (found.verdict, found.reason) == ("not run", f"Arm 'b' of 's' {told}")
    assert [(one.contrast, one.interval) for one in found.estimates] == [(CLAIM, None)]


def test_arms_without_a_seed_in_common() -> None:
    rows = [{"arm": "a", "seed": 0}, {"arm": "b", "seed": 1}]
    (one,) = study_estimates(study_of(CLAIM), frame_of(rows))
    assert one.interval is None
    assert one.missing == "No seed of 's' has both 'a' and 'b'."


def test_an_arm_outside_the_report_and_a_metric_that_is_not_recorded() -> None:
    (one,) = study_estimates(study_of(CLAIM), frame_of([{"arm": "a", "seed": 0}]))
    assert "'b' of 's' was not asked for" in one.missing
    unknown = CLAIM.model_copy(update={"metric": "f1"})
    (one,) = study_estimates(study_of(unknown), frame_of(pairs("tpr@1e-4", [0.5], [0.4])))
    assert one.missing == "No run records 'f1'."


@pytest.mark.parametrize(
    ("counts", "used", "told"),
    [
        ((30, 300, 3000), "tpr@1e-4", None),
        ((29, 290, 2900), "tpr@1e-3", "FPR 1e-3 is read instead."),
        ((0, 8, 80), "tpr@1e-2", "FPR 1e-2 is read instead."),
        ((0, 0, 8), "tpr@1e-2", "and even that has only 8"),
    ],
)
def test_few_false_positives_move_the_reading_to_the_next_fpr(
    counts: tuple[int, ...], used: str, told: str | None
) -> None:
    support = dict(zip(PAIRS.values(), counts, strict=True))
    frame = frame_of(pairs("tpr@1e-4", [0.5, 0.6], [0.4, 0.45], **support))
    (one,) = study_estimates(study_of(CLAIM), frame)
    assert one.metric == used
    assert primary_metric(study_of(CLAIM), frame)[0] == used
    if told is None:
        assert one.notes == ()
    else:
        assert told in one.notes[0]
        assert f"has {counts[0]} pairs of identities for FPR 1e-4" in one.notes[0]


def test_the_weakest_test_set_decides_on_the_fallback() -> None:
    rows = pairs("tpr@1e-4", [0.5, 0.6], [0.4, 0.45])
    rows[3]["pairs@1e-4"] = 5
    (one,) = study_estimates(study_of(CLAIM), frame_of(rows))
    assert one.metric == "tpr@1e-3"


def test_cost_ratios_are_geometric_and_lie_above_one_where_the_claim_holds() -> None:
    claim = Contrast(finding="1_partial_fc", kind="cost_ratio", better="a", than="b", metric="cost.seconds")
    (one,) = study_estimates(study_of(claim), frame_of(pairs("seconds", [10.0, 10.0], [20.0, 80.0])))
    assert one.interval is not None
    assert one.interval.estimate == pytest.approx(4.0)  # of 2 and 8
    assert one.label == ("b", "a")
    speed = claim.model_copy(update={"metric": "cost.samples_per_second"})
    (one,) = study_estimates(study_of(speed), frame_of(pairs("samples_per_second", [30.0, 30.0], [10.0, 10.0])))
    assert one.interval is not None
    assert one.interval.estimate == pytest.approx(3.0)
    (one,) = study_estimates(study_of(claim), frame_of(pairs("seconds", [0.0], [20.0])))
    assert (one.interval, "no ratio" in one.missing) == (None, True)


@pytest.mark.parametrize(("error", "idle"), [(3e-7, True), (9e-4, False)])
def test_a_precision_that_changed_nothing_is_said(error: float, idle: bool) -> None:
    rows = pairs("tpr@1e-4", [0.5, 0.6], [0.4, 0.45])
    for row in rows:
        is_a = row["arm"] == "a"
        row |= {"precision": "medium" if is_a else "highest", "precision_error": error if is_a else 3e-7}
    found = next(one for one in judge([study_of(CLAIM)], frame_of(rows)) if one.finding.id == CLAIM.finding)
    assert found.verdict == "inconclusive"
    assert ("does not differ on this hardware" in found.reason) is idle


def distilled(teacher: float) -> pd.DataFrame:
    rows = pairs("tpr@1e-4", [0.5, 0.6], [0.4, 0.5])
    return frame_of([row | ({TEACHER["tpr@1e-4"]: teacher} if row["arm"] == "a" else {}) for row in rows])


@pytest.mark.parametrize(("teacher", "weak"), [(0.3, True), (0.45, True), (0.46, False), (0.9, False)])
def test_a_teacher_no_better_than_the_undistilled_student_is_told(teacher: float, weak: bool) -> None:
    claim = Contrast(finding="8_clip", better="a", than="b")
    (one,) = study_estimates(study_of(claim), distilled(teacher))
    assert ("The teacher alone is no better than 'b'" in one.gate) == weak


def test_two_distilled_arms_are_not_held_against_their_teacher() -> None:
    rows = pairs("tpr@1e-4", [0.5, 0.6], [0.4, 0.5], **{TEACHER["tpr@1e-4"]: 0.1})
    (one,) = study_estimates(study_of(Contrast(finding="8_clip", better="a", than="b")), frame_of(rows))
    assert one.notes == ()


def test_shifted_captures_fall_back_with_the_others() -> None:
    claim = Contrast(finding="8_clip", better="a", than="b", metric="shifted.tpr@1e-4")
    support = dict(zip(PAIRS.values(), (5, 50, 500), strict=True))
    rows = pairs("shifted.tpr@1e-3", [0.5, 0.6], [0.4, 0.45], **support)
    (one,) = study_estimates(study_of(claim), frame_of(rows))
    assert one.metric == "shifted.tpr@1e-3"
    assert one.interval is not None
    assert one.interval.estimate == pytest.approx(0.125)


def test_a_metric_that_no_run_has_is_said_to_be_missing() -> None:
    claim = Contrast(finding="8_clip", better="a", than="b", metric="shifted.tpr@1e-4")
    (one,) = study_estimates(study_of(claim), frame_of(pairs("tpr@1e-4", [0.5], [0.4])))
    assert one.missing == "No run of 's' records 'shifted.tpr@1e-4'."
