"""What a comparison says in sentences: what is agreement, what was not judged and why, what only one report has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.comparison import Comparison, compare_summaries
from reports.comparison_page import _figure, estimate_table, finding_table, write_comparison
from reports.comparison_told import reasons, told
from reports.facts import comparison_facts
from reports.figures_style import PAPER
from reports.summary import Summary
from tests.reports.test_comparison import compared, estimate, summary

VALUES = np.array([0.1, 0.2, 0.3])
SMALL = "The test set is too small: 4 independent false positives are expected, not 30."


def with_reason(one: Summary, reason: str) -> Summary:
    return one.model_copy(update={"findings": tuple(f.model_copy(update={"reason": reason}) for f in one.findings)})


def judged(*verdicts: str, **changes: Any) -> Comparison:
    """Two reports on finding 4, of which the second has the reason of a test set that is too small."""
    first, second = summary(estimate(VALUES, "a"), verdicts[0]), summary(estimate(VALUES, "b", **changes), verdicts[1])
    return compare_summaries(with_reason(first, "No & sure."), with_reason(second, SMALL), ("one", "two"))


def test_inconclusive_in_both_is_no_agreement() -> None:
    found = judged("inconclusive", "inconclusive")
    assert (found.same, found.moved) == ([], [])
    assert told(found)[:2] == [
        "No verdict was reached in both reports.",
        "Inconclusive in both, which is no agreement: finding 4.",
    ]
    assert finding_table(found).rows[0][-1] == "–"
    assert comparison_facts(found)["findings"][0]["moved"] is None


@pytest.mark.parametrize("verdict", ["reproduced", "contradicted", "not reproduced"])
def test_a_verdict_that_both_reached_is_agreement_or_moved(verdict: str) -> None:
    found = judged(verdict, verdict)
    assert told(found)[0] == "1 of 1 verdicts that were reached in both reports are the same."
    assert finding_table(found).rows[0][-1] == "no"
    assert reasons(found) == []
    other = "contradicted" if verdict == "reproduced" else "reproduced"
    found = judged(verdict, other)
    assert told(found)[:2] == [
        "0 of 1 verdicts that were reached in both reports are the same.",
        f"Finding 4: {verdict}, then {other}.",
    ]


@pytest.mark.parametrize("verdict", ["inconclusive", "not run"])
def test_why_a_report_reached_no_verdict_is_told_in_its_own_words(verdict: str, tmp_path: Path) -> None:
    found = judged("reproduced", verdict)
    assert told(found)[0] == "No verdict was reached in both reports."
    assert reasons(found) == [f"Finding 4 is {verdict} in the second report: {SMALL}"]
    assert comparison_facts(found)["reasons"] == reasons(found)
    page = write_comparison(found, tmp_path, "c").read_text()
    assert f"- Finding 4 is {verdict} in the second report: {SMALL}" in page
    found = judged(verdict, "reproduced")
    assert reasons(found) == [f"Finding 4 is {verdict} in the first report: No & sure."]


def many(report: Summary, *labels: str) -> Summary:
    (one,) = report.findings
    named = tuple(one.model_copy(update={"finding": f"f{label}", "label": label}) for label in labels)
    return report.model_copy(update={"findings": named})


def test_findings_with_one_reason_share_a_sentence() -> None:
    one = with_reason(many(summary(estimate(VALUES, "a")), "a", "LN", "c"), SMALL)
    other = with_reason(many(summary(estimate(VALUES, "b"), "reproduced"), "a", "LN", "c"), "r")
    found = compare_summaries(one, other, ("one", "two"))
    assert reasons(found) == [f"Findings a, LN and c are inconclusive in the first report: {SMALL}"]


def test_findings_of_one_report_alone_are_named_once() -> None:
    one = many(summary(estimate(VALUES, "a"), "reproduced"), "a", "b", "c")
    other = many(summary(estimate(VALUES, "b"), "reproduced"), "b", "d")
    found = compare_summaries(one, other, ("one", "two"))
    assert told(found)[1:3] == [
        "Only the first report tests findings a and c.", "Only the second report tests finding d.",
    ]  # fmt: skip
    assert reasons(found) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"study": "mine"}, "the second report tests it in study 'mine'"),
        ({"arms": ("ln", "none")}, "the second report tests it by other arms"),
        ({"declared": "tpr@1e-2"}, "the second report tests it on TPR@1e-2"),
        ({"kind": "non_inferiority"}, "the second report makes another kind of claim of it"),
    ],
)
def test_a_contrast_of_one_report_alone_stands_in_the_table_with_the_reason(change: dict[str, Any], why: str) -> None:
    found = compared(estimate(VALUES, "a"), estimate(VALUES, "b", **change))
    assert not found.estimates
    first, second = estimate_table(found).rows
    assert first[:2] == ("4", "ln − bn on TPR@1e-4")
    assert first[3:] == ("–", "–", f"not told: {why}")
    assert first[2].startswith("+0.200 [")
    assert second[2] == "–"
    assert second[3].startswith("+0.200 [")
    assert second[-1].startswith("not told: the first report ")
    assert told(found)[-2:] == [
        "No contrast can be compared; the table of estimates says why.",
        "1 contrast is in the first report alone and 1 in the second, as studies, arms, metrics or claims differ.",
    ]
    assert [one["report"] for one in comparison_facts(found)["alone"]] == ["first", "second"]
    assert comparison_facts(found)["alone"][0]["why"] == why


def test_a_contrast_that_has_no_estimate_in_either_is_not_said_to_stand_in_the_table() -> None:
    absent = {"estimate": None, "low": None, "high": None, "seeds": (), "runs": (), "missing": "not run"}
    found = compared(estimate(VALUES, "a", **absent), estimate(VALUES, "b", **absent))
    assert not estimate_table(found).rows
    assert told(found)[-1] == "No contrast can be compared: of those in both reports neither has an estimate."


def test_contrasts_of_a_finding_that_one_report_does_not_test_are_left_out() -> None:
    one = many(summary(estimate(VALUES, "a"), "reproduced"), "a", "b")
    found = compare_summaries(one, many(summary(estimate(VALUES, "b"), "reproduced"), "b"), ("one", "two"))
    assert len(found.estimates) == 1
    assert not found.alone


def test_two_claims_of_one_name_are_two_findings() -> None:
    """The names of a study's own claims are short, and come again."""

    def claiming(claim: str) -> Summary:
        one = summary(estimate(VALUES, "a"), "reproduced")
        return one.model_copy(
            update={"findings": tuple(f.model_copy(update={"finding": "mine", "claim": claim}) for f in one.findings)}
        )

    names = ("one", "two")
    assert len(compare_summaries(claiming("LayerNorm wins"), claiming("LayerNorm wins"), names).same) == 1
    found = compare_summaries(claiming("LayerNorm wins"), claiming("A wider embedding verifies better"), names)
    assert [pair.either.claim for pair in found.findings] == ["LayerNorm wins", "A wider embedding verifies better"]
    assert found.same == []


def test_what_a_gate_forbids_to_judge_is_drawn_hollow() -> None:
    gated = summary(estimate(VALUES, "b", gate="too small"))
    found = compare_summaries(summary(estimate(VALUES, "a")), gated, ("one", "two"))
    drawn = _figure(found.estimates, found).axes[0]
    faces = [line.get_markerfacecolor() for line in drawn.get_lines() if np.size(line.get_xdata()) == 1]
    assert [face == PAPER for face in faces] == [False, True]
