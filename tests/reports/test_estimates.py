"""Contrasts as they are read from a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reports.cells import PAIRS
from reports.contrasts import Contrast
from reports.estimates import study_estimates
from reports.metrics import primary_metric
from reports.replicates import Replicates
from reports.stats import paired_interval
from reports.verdicts import judge
from tests.reports.judging import CLAIM, LOOKS, found, frame_of, pairs, shifted_by, study_of

TOP1 = Contrast(finding=CLAIM.finding, better="a", than="b", metric="top1")


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
    assert unknown.gate.startswith("Of a run too few scores are kept to resample its test identities")
    assert unknown.looks == {}
    of_top1 = [row | {"top1": row["tpr@1e-4"]} for row in rows]
    (other,) = study_estimates(study_of(TOP1), frame_of(of_top1), Known(dict), LOOKS)
    assert (other.gate, list(other.looks)) == ("", [5])
    assert "covers seeds alone" in other.caveats[-1]
    assert found(TOP1, of_top1, replicates=Known(dict)).reason.endswith(other.caveats[-1])


def test_pairs_by_seed_and_only_over_seeds_that_both_have() -> None:
    rows = pairs("tpr@1e-4", [0.5, 0.6, 0.7, 0.9], [0.4, 0.45, 0.5, 0.1])
    rows[3] |= {"state": "failed", "tpr@1e-4": np.nan}
    shuffled = [rows[index] for index in (6, 2, 0, 7, 4, 1, 5, 3)]
    (one,) = study_estimates(study_of(CLAIM), frame_of(shuffled))
    assert one.seeds == (0, 1, 2)
    assert one.interval == paired_interval([0.5, 0.6, 0.7], [0.4, 0.45, 0.5])
    assert one.notes == ("Seed 3 is left out: its run of 'a' is failed.",)


def test_seeds_without_a_pair_are_told_together_by_arm_and_state() -> None:
    rows = pairs("tpr@1e-4", [0.5, 0.6, 0.7, 0.9, 0.8], [0.4, 0.45, 0.5, 0.1, 0.2])
    absent = {("a", 1): "missing", ("a", 3): "missing", ("a", 4): "missing", ("b", 3): "missing", ("b", 4): "failed"}
    for row in rows:
        if state := absent.get((row["arm"], row["seed"])):
            row |= {"state": state, "tpr@1e-4": np.nan}
    (one,) = study_estimates(study_of(CLAIM), frame_of(rows))
    assert set(one.notes) == {
        "Seeds 1, 3 and 4 are left out: their runs of 'a' are missing.",
        "Seed 3 is left out: its run of 'b' is missing.",
        "Seed 4 is left out: its run of 'b' is failed.",
    }


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
        ("damaged", "bad file", "has a damaged run: bad file."),
        ("newer", "schema 3", "has a run of a newer version: schema 3."),
        ("missing", "not run yet", "has no run yet."),
        ("left out", "no verdict rests on it", "was left out: no verdict rests on it."),
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
        assert f"{counts[0]} are expected to be false positives at FPR 1e-4" in one.notes[0]


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
