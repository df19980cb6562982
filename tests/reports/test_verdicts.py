from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.config import METRICS
from reports.claims import Arm, Contrast, Study, findings
from reports.frame import COLUMNS, COSTS, PAIRS, TEACHER, build_frame
from reports.stats import paired_interval
from reports.verdicts import judge, primary_metric, study_estimates


def study_of(*contrasts: Contrast, arms: tuple[str, ...] = ("a", "b")) -> Study:
    declared = {arm: Arm() for arm in arms}
    return Study(study="s", title="t", question="q", baseline="a", arms=declared, contrasts=contrasts)


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Done rows of study ``s`` with unremarkable numbers, changed by each of `rows`."""
    plain: dict[str, Any] = dict.fromkeys((*METRICS, *COSTS), 1.0) | {"tpr@1e-3": 0.7, "tpr@1e-2": 0.8}
    plain |= dict.fromkeys(PAIRS.values(), 100.0)
    head = {"study": "s", "state": "done", "reason": "", "key": "0" * 16, "precision": "medium"}
    return pd.DataFrame([{**plain, **head, **row} for row in rows], columns=list(COLUMNS))


def pairs(metric: str, a: list[float], b: list[float], **rest: Any) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "seed": seed, metric: value, **rest}
        for arm, values in (("a", a), ("b", b))
        for seed, value in enumerate(values)
    ]


CLAIM = Contrast(finding="4_norm_ln_vs_bn", better="a", than="b")


def test_one_verdict_for_each_finding_of_the_record(world: Any) -> None:
    verdicts = judge(world.studies, build_frame(world.cells, world.store))
    assert [one.finding for one in verdicts] == list(findings())
    assert len(verdicts) == 13
    by_number = {int(findings()[one.finding].label): one for one in verdicts}
    assert by_number[4].verdict == by_number[2].verdict == "inconclusive"
    assert by_number[9].verdict == by_number[1].verdict == "not run"
    assert "not built yet" in by_number[4].reason
    assert "'ln_bn_imagenet'" in by_number[9].reason
    assert "neither cached nor reachable" in by_number[9].reason
    assert (by_number[1].study, by_number[2].study) == ("", "class-count")


def test_no_effect_however_large_is_ever_decided() -> None:
    rng = np.random.default_rng(0)
    for effect in (-0.5, 0.0, 0.5):
        a, b = 0.5 + effect / 2 + rng.normal(0, 1e-3, 10), 0.5 - effect / 2 + rng.normal(0, 1e-3, 10)
        frame = frame_of(pairs("tpr@1e-4", a.tolist(), b.tolist()))
        assert {one.verdict for one in judge([study_of(CLAIM)], frame)} == {"inconclusive", "not run"}


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
    found = next(one for one in judge([study_of(CLAIM)], frame) if one.finding == CLAIM.finding)
    assert (found.verdict, found.reason) == ("not run", f"Arm 'b' of 's' {told}")
    assert found.contrasts == [(CLAIM, None)]


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
    found = next(one for one in judge([study_of(CLAIM)], frame_of(rows)) if one.finding == CLAIM.finding)
    assert found.verdict == "inconclusive"
    assert ("does not differ on this hardware" in found.reason) is idle


def distilled(teacher: float) -> pd.DataFrame:
    rows = pairs("tpr@1e-4", [0.5, 0.6], [0.4, 0.5])
    return frame_of([row | ({TEACHER["tpr@1e-4"]: teacher} if row["arm"] == "a" else {}) for row in rows])


@pytest.mark.parametrize(("teacher", "weak"), [(0.3, True), (0.45, True), (0.46, False), (0.9, False)])
def test_a_teacher_no_better_than_the_undistilled_student_is_told(teacher: float, weak: bool) -> None:
    claim = Contrast(finding="8_clip", better="a", than="b")
    (one,) = study_estimates(study_of(claim), distilled(teacher))
    assert any("The teacher alone is no better than 'b'" in note for note in one.notes) == weak


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
