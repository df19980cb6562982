from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from reports.claims import Arm, Published, Scaled, Study, findings, record
from reports.contrasts import Contrast

PLAIN: dict[str, Any] = {"study": "s", "title": "t", "question": "q", "baseline": "a", "arms": {"a": {}, "b": {}}}


def test_the_thirteen_findings_in_order() -> None:
    assert [int(finding.label) for finding in findings().values()] == list(range(1, 14))
    assert findings()["2_class_count"].rows == ("V4_classes",)
    assert findings()["1_partial_fc"].rows == ()


def test_rows_that_findings_name_in_numbers_are_in_the_record() -> None:
    """The strings beside the findings repeat the tables; a slip between the two would be printed in reports."""
    import re

    known = {f"{cells['tpr']:.3f}" for rows in record()["rows"].values() for cells in rows.values()}
    for finding in findings().values():
        for row in finding.rows:
            assert set(re.findall(r"0\.\d{3}", row)) <= known, finding.id


def test_published_values_are_looked_up() -> None:
    assert Published(table="V4_classes", row=16256).values()["tpr"] == 0.615
    with pytest.raises(ValidationError, match="did you mean 'V4_classes'"):
        Published(table="V4_class", row=16256)
    with pytest.raises(ValidationError, match="no row '7'"):
        Published(table="V4_classes", row=7)


@pytest.mark.parametrize(("scale", "step", "expected"), [(0.75, 1, 96), (0.75, 32, 96), (0.7, 32, 96), (0.001, 32, 32)])
def test_scaled_values_are_rounded_to_the_step(scale: float, step: int, expected: int) -> None:
    assert Scaled(scale=scale, step=step).of(128) == expected


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"baseline": "aa"}, "'aa' is not an arm"),
        ({"arms": {"a": {}}}, "at least one more arm"),
        ({"findings": ["4_norm_ln_vs_bm"]}, "did you mean '4_norm_ln_vs_bn'"),
        ({"contrasts": [{"finding": "4_norm_ln_vs_bn", "better": "a", "than": "c"}]}, "unknown arm 'c'"),
        ({"arms": {"a": {"requires": ["openai_clip"]}, "b": {}}}, "may not require"),
        ({"study": "../x"}, "pattern"),
        ({"typo": 1}, "Extra inputs"),
    ],
)
def test_a_wrong_declaration_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Study.model_validate({**PLAIN, **change})


def test_the_digest_follows_the_declaration() -> None:
    study = Study.model_validate(PLAIN)
    assert study.digest == Study.model_validate(PLAIN).digest
    contrast = Contrast(finding="4_norm_ln_vs_bn", better="a", than="b")
    changed = [
        study.model_copy(update={"arms": {"a": Arm(), "b": Arm(set={"model.norm": "bn"})}}),
        study.model_copy(update={"contrasts": (contrast,)}),
        study.model_copy(update={"contrasts": (contrast.model_copy(update={"smallest_effect": 0.03}),)}),
    ]
    assert len({study.digest, *(one.digest for one in changed)}) == 4


MINE = {"study": "mine", "title": "t", "question": "q", "baseline": "a", "arms": {"a": {}, "b": {}, "c": {}, "d": {}}}


def test_a_study_may_make_a_claim_of_its_own() -> None:
    contrast = {"finding": "half", "better": "b", "than": "a"}
    study = Study.model_validate({**MINE, "claims": {"half": "half is enough"}, "contrasts": [contrast]})
    claim = study.finding("half")
    assert (claim.label, claim.claim, claim.source, claim.documented) == ("half", "half is enough", "mine", False)
    assert study.tested == ("half",)
    with pytest.raises(ValueError, match="`claims` declares those of the study's own"):
        Study.model_validate({**MINE, "contrasts": [contrast]})
    with pytest.raises(ValueError, match="has the name of a finding of the record"):
        Study.model_validate({**MINE, "claims": {"7_neck": "mine"}})


def test_a_claim_that_begins_with_a_number_is_no_finding_of_that_number() -> None:
    contrast = {"finding": "12_percent", "better": "b", "than": "a", "smallest_effect": 0.1}
    claims = {"12_percent": "it is cheaper by 12 %"}
    study = Study.model_validate({**MINE, "claims": claims, "contrasts": [contrast]})
    assert study.finding("12_percent").label == "12_percent"
    assert study.finding("12_margin_vs_softmax").label == "12"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "interaction"}, "`elsewhere: {better, than}` belongs to kind interaction"),
        ({"elsewhere": {"better": "c", "than": "d"}}, "`elsewhere: {better, than}` belongs to kind interaction"),
        ({"through": ["c"]}, "`through` belongs to kind trend"),
        ({"kind": "non_inferiority"}, "needs a `margin`"),
        ({"than": "b"}, "compared with itself"),
        ({"kind": "cost_ratio"}, "kind cost_ratio is of a cost, such as cost.seconds, and tpr@1e-4 is none"),
        ({"kind": "cost_ratio", "metric": "shifted.auroc"}, "kind cost_ratio is of a cost"),
        ({"kind": "trend", "through": ["x"]}, "unknown arm 'x'"),
        ({"kind": "interaction", "elsewhere": {"better": "c", "than": "x"}}, "unknown arm 'x'"),
    ],
)
def test_contrasts_fit_their_kind(fields: dict[str, object], told: str) -> None:
    contrast = {"finding": "7_neck", "better": "b", "than": "a", **fields}
    with pytest.raises(ValueError, match=told):
        Study.model_validate({**MINE, "contrasts": [contrast]})


def test_the_arms_that_a_contrast_reads() -> None:
    trend = {"finding": "7_neck", "better": "b", "than": "a", "kind": "trend", "through": ["c"]}
    both = {
        "finding": "7_neck",
        "better": "b",
        "than": "a",
        "kind": "interaction",
        "elsewhere": {"better": "c", "than": "b"},
    }
    study = Study.model_validate({**MINE, "contrasts": [trend, both]})
    assert [one.arms for one in study.contrasts] == [("b", "a", "c"), ("b", "a", "c")]
