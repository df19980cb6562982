"""What keeps a contrast from being judged."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from reports.cells import TEACHER
from reports.claims import Arm
from reports.contrasts import Contrast
from reports.estimates import study_estimates
from reports.replicates import Replicates
from reports.verdicts import judge
from tests.reports.judging import CLAIM, LOOKS, found, frame_of, pairs, shifted_by, study_of


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"loss_end": 60.0}, "'a' was not trained: the loss did not fall."),
        ({"auroc": 0.55}, "'a' was not trained: AUROC at most 0.6."),
        ({"loss_end": 34.0, "loss_plateau": 33.0}, "'a' has not left its slow start"),
        ({"pairs@1e-4": 3.0, "pairs@1e-3": 3.0, "pairs@1e-2": 3.0}, "The test set is too small"),
    ],
)
def test_gates_keep_a_verdict_from_being_reached(change: dict[str, float], told: str) -> None:
    one = found(CLAIM, [row | change for row in shifted_by(0.1)])
    assert (one.verdict, one.open) == ("inconclusive", False)
    assert told in one.reason


@pytest.mark.parametrize(("count", "told"), [(1, "1 of 5 runs of 'b' was"), (3, "3 of 5 runs of 'b' were")])
def test_a_gate_says_how_many_runs_were_not_trained(count: int, told: str) -> None:
    rows = shifted_by(0.1)
    for row in [row for row in rows if row["arm"] == "b"][:count]:
        row["auroc"] = 0.55
    assert found(CLAIM, rows).reason.startswith(f"{told} not trained: AUROC at most 0.6.")


def test_all_arms_at_floor_or_ceiling() -> None:
    low = [row | {"tpr@1e-4": row["tpr@1e-4"] / 100, "tpr@1e-3": row["tpr@1e-4"]} for row in shifted_by(0.1)]
    one = found(CLAIM, low)
    assert (one.verdict, one.estimates[0].metric) == ("reproduced", "tpr@1e-3")
    assert "All arms are at the floor (under 0.03) at FPR 1e-4" in one.estimates[0].notes[0]
    nothing = [row | dict.fromkeys(("tpr@1e-4", "tpr@1e-3", "tpr@1e-2"), 0.01) for row in shifted_by(0.1)]
    assert "at the floor" in found(CLAIM, nothing).reason
    full = [row | {"tpr@1e-4": 0.99 + 0.005 * (row["arm"] == "a")} for row in shifted_by(0.1)]
    assert "at the ceiling" in found(CLAIM, full).reason


def test_a_metric_that_is_the_same_in_every_run_tells_nothing_apart() -> None:
    claim = CLAIM.model_copy(update={"metric": "top1"})
    one = found(claim, shifted_by(0.1))
    assert (one.verdict, one.reason) == ("inconclusive", "top-1 is 1 in every run: it tells nothing apart here.")
    rows = shifted_by(0.1)
    rows[0]["top1"] = 0.5
    assert found(claim, rows).estimates[0].gate == ""


def test_false_positives_of_few_pairs_of_identities_and_tuning_at_an_edge_are_not_judged() -> None:
    class Few(Replicates):
        def of(self, key: str, metric: str) -> np.ndarray:
            return np.full(400, 0.5)

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


def test_arms_that_were_judged_on_other_captures_are_not_compared() -> None:
    rows = [row | {"judged_on": f"test {row['seed']}"} for row in shifted_by(0.1)]
    assert found(CLAIM, rows).verdict == "reproduced"
    rows[0]["judged_on"] = "another"
    one = found(CLAIM, rows)
    assert (one.verdict, one.open) == ("inconclusive", False)
    assert one.reason.startswith("'a' and 'b' were judged on different captures")
    smaller = Contrast(finding=CLAIM.finding, kind="cost_ratio", better="a", than="b", metric="cost.size_mb")
    assert found(smaller, [row | {"size_mb": 1.0 + (row["arm"] == "b")} for row in rows]).verdict == "reproduced"


def test_identities_that_look_like_what_was_trained_on_are_not_judged() -> None:
    some = [row | {"alike": 50.0} for row in shifted_by(0.1)]
    assert found(CLAIM, some).verdict == "reproduced"  # of 1,000
    many = [row | {"alike": 51.0 if row["arm"] == "b" else 0.0} for row in some]
    one = found(CLAIM, many)
    assert (one.verdict, one.open) == ("inconclusive", False)
    assert one.reason == (
        "51 of 1,000 test identities look like an image to train on: what is judged may be what was trained on. "
        "`data check EVAL --against DATA` lists them."
    )
    held_out = [row | {"config": {"eval.source": ["held-out"]}} for row in many]
    assert "`data check DATA` lists them" in found(CLAIM, held_out).reason
    smaller = Contrast(finding=CLAIM.finding, kind="cost_ratio", better="a", than="b", metric="cost.size_mb")
    assert found(smaller, [row | {"size_mb": 1.0 + (row["arm"] == "b")} for row in many]).verdict == "reproduced"


def test_many_failed_runs_leave_a_selection() -> None:
    rows = shifted_by(0.1, n=8)
    for row in rows:
        if row["arm"] == "b" and row["seed"] in (1, 6):
            row |= {"state": "failed", "reason": "diverged"}
    assert "2 of 8 runs of 'b' failed" in found(CLAIM, rows).reason


def test_a_precision_that_was_not_measured_is_not_judged() -> None:
    for unmeasured in "ab":
        rows = [row | {"precision": "medium" if row["arm"] == "a" else "highest"} for row in shifted_by(0.1)]
        rows = [row | {"precision_error": math.nan if row["arm"] == unmeasured else 3e-7} for row in rows]
        assert "was not measured in both" in found(CLAIM, rows).reason


@pytest.mark.parametrize(("error", "idle"), [(3e-7, True), (9 * 3e-7, True), (11 * 3e-7, False), (9e-4, False)])
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
    hardly = [told for told in one.caveats if "The teacher alone is hardly better than 'b'" in told]
    assert bool(hardly) == (teacher == 0.46)


def test_two_distilled_arms_are_not_held_against_their_teacher() -> None:
    rows = pairs("tpr@1e-4", [0.5, 0.6], [0.4, 0.49], **{TEACHER["tpr@1e-4"]: 0.1})
    (one,) = study_estimates(study_of(Contrast(finding="8_clip", better="a", than="b")), frame_of(rows))
    assert one.notes == ()
    assert one.gate == ""


def test_arms_that_end_the_same_to_the_bit_show_nothing_but_may_differ_in_cost() -> None:
    same = shifted_by(0.0, noise=0.0)
    one = found(CLAIM, same)
    assert one.verdict == "inconclusive"
    assert "ended the same to the bit in all 5 seeds" in one.reason
    other = [dict(row) for row in same]
    other[0]["auroc"] = 0.99  # the metric ties, the arms do not
    assert "the same in all 5 seeds: an interval without variation" in found(CLAIM, other).reason
    other[0]["tpr@1e-4"] += 1e-3
    assert found(CLAIM, other).verdict == "not reproduced"
    named = {"finding": "1_partial_fc", "kind": "cost_ratio", "metric": "seconds", "smallest_effect": 0.1}
    cheaper = [row | {"seconds": (10.0 if row["arm"] == "a" else 20.0) + 0.1 * row["seed"]} for row in same]
    assert found(Contrast.model_validate({**named, "better": "a", "than": "b"}), cheaper).verdict == "reproduced"
