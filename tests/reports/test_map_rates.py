"""A map reads a contrast at one FPR under all conditions."""

from __future__ import annotations

from typing import Any

from reports.cells import PAIRS
from reports.contrasts import Contrast, Pair
from reports.estimates import Estimate
from reports.map_rates import estimates_under
from tests.reports.judging import frame_of, pairs, study_of

CLAIM = Contrast(finding="4_norm_ln_vs_bn", better="a", than="b")
READABLE = pairs("tpr@1e-4", [0.5, 0.52, 0.51], [0.4, 0.43, 0.41])


def at_three_rates(rows: list[dict[str, Any]], **rest: Any) -> list[dict[str, Any]]:
    return [{**row, "tpr@1e-3": row["tpr@1e-4"] + 0.1, "tpr@1e-2": row["tpr@1e-4"] + 0.2, **rest} for row in rows]


def read(*conditions: list[dict[str, Any]], claim: Contrast = CLAIM) -> list[Estimate]:
    frames = [(f"condition {place}", frame_of(rows)) for place, rows in enumerate(conditions)]
    study = study_of(claim, arms=("a", "b", "c", "d"))
    under = estimates_under(study, frames, None)
    assert [label for label, _ in under] == [label for label, _ in frames]
    return [estimate for _, (estimate,) in under]


def test_what_all_can_be_read_at_stays() -> None:
    for one in read(at_three_rates(READABLE), at_three_rates(READABLE)):
        assert one.metric == "tpr@1e-4"
        assert not [note for note in one.notes if "FPR" in note]


def test_of_few_pairs_under_one_condition_all_are_read_at_its_rate() -> None:
    few = at_three_rates(READABLE, **{PAIRS["tpr@1e-4"]: 1.0, PAIRS["tpr@1e-3"]: 3.0})
    fewer, many = read(few, at_three_rates(READABLE))
    assert [one.metric for one in (fewer, many)] == ["tpr@1e-2"] * 2
    assert many.interval == fewer.interval
    assert many.contrast == CLAIM, "the claim is the one that was declared"
    assert many.notes[0] == (
        "It could be read at FPR 1e-4; as some other condition cannot, all are read at FPR 1e-2, to be comparable."
    )
    assert not any("to be comparable" in note for note in fewer.notes)
    assert "so FPR 1e-2 is read instead" in fewer.notes[0]


def test_of_a_condition_at_the_floor_and_one_between() -> None:
    low = [{**row, "tpr@1e-4": 0.001, "tpr@1e-3": 0.2 + row["tpr@1e-4"] / 10} for row in READABLE]
    few = at_three_rates(READABLE, **{PAIRS["tpr@1e-4"]: 1.0})
    found = read(at_three_rates(READABLE), low, few)
    assert [one.metric for one in found] == ["tpr@1e-3"] * 3
    assert [any("to be comparable" in note for note in one.notes) for one in found] == [True, False, False]


def test_what_is_not_there_has_the_rate_of_the_others_and_no_say_in_it() -> None:
    few = at_three_rates(READABLE, **{PAIRS["tpr@1e-4"]: 1.0})
    gone = [row for row in at_three_rates(READABLE) if row["arm"] == "a"]
    absent, there = read(gone, few)
    assert absent.interval is None
    assert absent.missing
    assert [one.metric for one in (absent, there)] == ["tpr@1e-3"] * 2
    assert [one.metric for one in read(gone, at_three_rates(READABLE))] == ["tpr@1e-4"] * 2


def test_shifted_captures_and_both_parts_of_an_interaction_go_along() -> None:
    claim = CLAIM.model_copy(
        update={"kind": "interaction", "elsewhere": Pair(better="c", than="d"), "metric": "shifted.tpr@1e-4"}
    )
    rows = [{**row, "shifted.tpr@1e-4": row["tpr@1e-4"], "shifted.tpr@1e-3": row["tpr@1e-4"] + 0.1} for row in READABLE]
    rows += [{**row, "arm": {"a": "c", "b": "d"}[row["arm"]]} for row in rows]
    few = [{**row, PAIRS["tpr@1e-4"]: 1.0} for row in rows]
    found = read(rows, few, claim=claim)
    assert [one.metric for one in found] == ["shifted.tpr@1e-3"] * 2
    assert [len(one.parts) for one in found] == [2, 2]
