"""Verdicts where seeds, turns or runs come after a look, or from elsewhere: what was decided stays, words are true."""

from __future__ import annotations

from typing import Any

import pytest

from reports.cells import HEAD_STEP
from reports.contrasts import Contrast
from reports.verdicts import judge
from tests.reports.judging import CLAIM, found, frame_of, pairs, shifted_by, study_of

FINDING = CLAIM.finding
NO_OP = Contrast(finding=FINDING, better="a", than="b")
REAL = Contrast(finding=FINDING, better="c", than="b")
STEP = Contrast(finding=FINDING, kind="cost_ratio", better="a", than="b", metric=HEAD_STEP, smallest_effect=0.1)
SECONDS = Contrast(finding=FINDING, kind="cost_ratio", better="a", than="b", metric="seconds", smallest_effect=0.1)


def timed(rows: list[dict[str, Any]], turns: int) -> list[dict[str, Any]]:
    """With turns of the class head beside the first seeds."""
    for row in rows:
        if row["seed"] < turns:
            row[HEAD_STEP] = (10.0 if row["arm"] == "a" else 20.0) + 0.01 * row["seed"]
        else:
            row[HEAD_STEP] = float("nan")
    return rows


@pytest.mark.parametrize("looks", [{10: 0.2, 20: 0.8}, {12: 0.2, 20: 0.8}])
def test_turns_of_the_class_head_do_not_hold_up_a_look_of_more_seeds(looks: dict[int, float]) -> None:
    """They are no runs: there are ten of them, however many seeds were trained."""
    rows = timed(shifted_by(0.06, n=20, noise=0.085), turns=10)
    alone = found(CLAIM, rows, looks)
    assert (alone.verdict, alone.look) == ("reproduced", 20)
    both = found([CLAIM, STEP], rows, looks)
    assert (both.verdict, both.look, both.open) == ("reproduced", 20, False)


def three_precisions(n: int, *, bad: int | None = None) -> list[dict[str, Any]]:
    """Arm a is b by another name on this hardware, c is not; run `bad` of arm a did not learn."""
    rows = shifted_by(0.05, n=n)
    third = [row | {"arm": "c", "precision": "bf16", "precision_error": 3e-3} for row in rows if row["arm"] == "a"]
    for row in rows:
        row |= {"precision": "medium" if row["arm"] == "a" else "highest", "precision_error": 3e-7}
        if row["arm"] == "a":
            row["tpr@1e-4"] = next(one["tpr@1e-4"] for one in rows if (one["arm"], one["seed"]) == ("b", row["seed"]))
            if row["seed"] == bad:
                row["auroc"] = 0.55
    return rows + third


@pytest.mark.parametrize("bad", [None, 5, 0])
def test_a_run_of_an_arm_that_compares_nothing_here_undoes_no_verdict(bad: int | None) -> None:
    one = found([NO_OP, REAL], three_precisions(6, bad=bad))
    assert (one.verdict, one.look) == ("reproduced", 5)


def on(machines: dict[str, str], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"device": "cpu", "hardware": machines[row["arm"]]} for row in rows]


def test_times_of_different_machines_are_not_compared() -> None:
    rows = pairs("seconds", [60.0, 60.1, 60.2, 59.9, 60.0], [100.0, 100.1, 99.9, 100.2, 100.0])
    assert found(SECONDS, on({"a": "EPYC", "b": "EPYC"}, rows)).verdict == "reproduced"
    apart = found(SECONDS, on({"a": "EPYC", "b": "laptop"}, rows))
    assert apart.verdict == "inconclusive"
    assert "Of 5 seeds the arms ran on different hardware (cpu EPYC; cpu laptop)" in apart.reason
    quality = on({"a": "EPYC", "b": "laptop"}, shifted_by(0.1))
    assert found(CLAIM, quality).verdict == "reproduced"  # what was learnt is no property of a machine
    # Seed by seed on one machine each is a fair pair.
    mixed = [row | {"device": "cpu", "hardware": "EPYC" if row["seed"] < 3 else "laptop"} for row in rows]
    assert found(SECONDS, mixed).verdict == "reproduced"


def test_many_seeds_that_agree_between_looks_or_after_the_last_are_told_as_sure() -> None:
    first = [0.05, -0.05, 0.06, -0.04, 0.05, -0.06, 0.04, -0.05, 0.05, -0.04]  # in which looks see nothing
    rows = pairs("tpr@1e-4", [0.5 + value for value in first] + [0.58 + 0.001 * (k % 3) for k in range(20)], [0.5] * 30)
    late = found(CLAIM, rows, {5: 0.2, 10: 0.8})
    assert (late.verdict, late.open) == ("inconclusive", False)
    assert "It is sure by these 30 seeds, but they are no look: +0.0" in late.reason
    assert late.reason.endswith("; the last look is past: it takes others, and other seeds.")
    early = found(CLAIM, rows, {10: 0.2, 40: 0.8})
    assert (early.verdict, early.open) == ("inconclusive", True)
    assert "It is sure by these 30 seeds, but they are no look" in early.reason
    assert early.reason.endswith("; the next look is at 40 seeds.")


def test_a_gate_of_the_last_look_is_told_where_later_runs_lift_it() -> None:
    rows = shifted_by(0.1, n=15)
    for row in rows:
        if row["arm"] == "b" and row["seed"] in (1, 4, 6):
            row |= {"state": "failed", "reason": "diverged"}
    assert "3 of 10 runs of 'b' failed" in found(CLAIM, [row for row in rows if row["seed"] < 10]).reason
    late = found(CLAIM, rows)
    assert late.verdict == "inconclusive"
    assert late.reason.startswith(
        "At the look of 10 seeds it could not be judged, and later seeds are no look: 3 of 10"
    )


def test_the_seeds_that_are_told_are_those_of_the_number() -> None:
    rows = shifted_by(0.1, n=10)
    for row in rows:
        if row["seed"] == 7:
            row["state"] = "missing"
    assert " Of all 9 seeds it is +" in found(CLAIM, rows, {5: 1.0}).reason


def test_a_claim_that_no_contrast_decides_is_no_hypothesis() -> None:
    shown = Contrast(finding="9_norm_ln_bn", better="a", than="b", decides=False)
    rows = shifted_by(0.05, noise=0.02)
    both = judge([study_of(CLAIM, shown)], frame_of(rows), looks={5: 1.0})
    by_name = {one.finding.id: one for one in both}
    assert by_name["9_norm_ln_bn"].verdict == "not run"
    assert by_name["9_norm_ln_bn"].reason == "No contrast of it is declared to decide."
    alone = found(CLAIM, rows, {5: 1.0})
    assert by_name[FINDING].adjusted_p == alone.adjusted_p
