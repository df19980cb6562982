"""Simulated reports: what they draw, that effects are found, that a wrong rule would be seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.errors import UserError
from core.store import file_digest
from reports import calibration as module
from reports.calibration import calibrate
from reports.calibration_page import calibration_page
from reports.claims import Study
from reports.contrasts import Contrast, Pair
from reports.coverage import Coverage, Setting, coverage
from reports.estimates import Estimate
from reports.frame import build_frame
from reports.noise import noises, of_report, of_runs
from reports.provenance import read_record
from reports.replicates import Replicates
from reports.summary import EstimateSummary, Summary, VerdictSummary, read_summary
from reports.written_frame import read_frame
from tests.reports.conftest import Written

LOOKS = {5: 0.2, 10: 0.8}


def noise(seed_sd: float = 0.01, kind: str = "superiority", identity: float = 0.0, **rest: Any) -> module.Noise:
    contrast = Contrast.model_validate(
        {"finding": "7_neck", "better": "a", "than": "b", "kind": kind, "smallest_effect": 0.02, **rest}
    )
    count = len(contrast.arms)
    return module.Noise(contrast, contrast.arms, np.full(count, seed_sd), np.eye(count) * identity, True, contrast.arms)


def test_no_effect_is_hardly_ever_called_one_and_large_effects_are_found() -> None:
    found = calibrate({"7_neck": [noise()], "8_clip": [noise(), noise(0.02)]}, LOOKS, reports=150)
    assert found.false <= 150 * 0.05 + 8
    for name in ("7_neck", "8_clip"):
        assert sum(found.outcomes[0.0][name].values()) == 150
        assert found.outcomes[4.0][name]["reproduced"] > 140
        assert found.outcomes[0.0][name]["reproduced"] < 10
    assert 20 < found.outcomes[1.0]["7_neck"]["reproduced"] < 90  # at most half: the estimate must reach the effect


def test_arms_share_their_luck_where_they_are_one_run_whatever_their_names() -> None:
    luck = module._Luck(6, np.random.default_rng(0))
    first = luck.values(replace(noise(), runs=("shared", "x")))
    second = luck.values(replace(noise(), runs=("y", "shared")))
    assert np.array_equal(first[:, 0], second[:, 1])
    assert not np.isclose(first[:, 0], second[:, 0]).any()


def test_a_loss_and_its_margin_are_one_difference() -> None:
    """A claim that a little is lost: at least 0.02, and no more than 0.08."""
    keeps = noise(0.002, "non_inferiority", margin=0.08)
    costs = replace(noise(0.002), contrast=keeps.contrast.model_copy(
        update={"kind": "superiority", "margin": 0.0, "better": "b", "than": "a"}), arms=("b", "a"), runs=("b", "a")
    )  # fmt: skip
    for pair in ([keeps, costs], [costs, keeps]):
        readings = module._readings([pair], LOOKS, 2.0, np.random.default_rng(0))
        first, second = (test.interval.estimate for test in readings[5][0])
        assert first == pytest.approx(-second)
        assert abs(first) == pytest.approx(0.04, abs=0.01)
    found = calibrate({"11_resolution": [keeps, costs]}, LOOKS, reports=60).outcomes
    assert found[0.0]["11_resolution"]["reproduced"] == 0  # nothing is lost
    assert found[2.0]["11_resolution"]["reproduced"] > 55
    assert found[4.0]["11_resolution"]["reproduced"] < 10  # all of the margin is


def test_a_rule_that_forgets_a_part_of_the_variance_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation is of use only if it sees what it is there to see."""
    findings = {"7_neck": [noise(0.01, identity=0.03**2)]}
    honest = calibrate(findings, LOOKS, reports=200, effects=(0.0,))
    forgets = module.mean_interval
    monkeypatch.setattr(module, "mean_interval", lambda values, identity_se: forgets(values))
    careless = calibrate(findings, LOOKS, reports=200, effects=(0.0,))
    assert honest.false < 20
    assert careless.false > 60


@pytest.mark.parametrize(
    "kind",
    [
        {"kind": "interaction", "elsewhere": Pair(better="c", than="d")},
        {"kind": "trend", "through": ("c",)},
        {"kind": "non_inferiority", "margin": 0.03},
        {"kind": "cost_ratio", "metric": "seconds", "smallest_effect": 0.1},
    ],
)
def test_every_kind_of_contrast_is_simulated(kind: dict[str, Any]) -> None:
    found = calibrate({"7_neck": [noise(0.01, **kind)]}, LOOKS, reports=60, effects=(0.0, 4.0))
    assert found.false < 10
    assert found.outcomes[4.0]["7_neck"]["reproduced"] > 50


def test_variances_are_measured_where_there_are_runs(world: Any) -> None:
    frame = build_frame(world.cells, world.store)
    found = noises(world.studies, frame, of_runs(Replicates(world.store.scores)))
    assert list(found) == ["4_norm_ln_vs_bn", "9_norm_ln_bn", "2_class_count"]
    (measured,) = found["2_class_count"]
    rows = frame[frame["study"] == "class-count"].pivot(index="seed", columns="arm", values="tpr@1e-4")
    differences = (rows["x24"] - rows["x1"]).std(ddof=1)
    assert measured.measured
    assert np.hypot(*measured.seed_sd) == pytest.approx(differences, rel=0.01)
    nothing = noises(world.studies, frame[frame["seed"] == 0], of_runs(Replicates(world.store.scores)))
    assert not any(one.measured for of_finding in nothing.values() for one in of_finding)


def test_a_written_report_has_the_variances_of_its_runs(report: Written) -> None:
    world = report.world
    frame = build_frame(world.cells, world.store)
    measured = noises(world.studies, frame, of_runs(Replicates(world.store.scores)))
    rows = read_frame(report.out, read_record(report.out), world.studies)
    read = noises(world.studies, rows, of_report(read_summary(report.out)))
    pairs = [pair for name in measured for pair in zip(measured[name], read[name], strict=True)]
    assert [ours.measured for ours, _ in pairs] == [theirs.measured for _, theirs in pairs]
    assert any(ours.measured for ours, _ in pairs)
    for ours, theirs in pairs:
        assert (ours.contrast, ours.runs) == (theirs.contrast, theirs.runs)
        assert theirs.seed_sd == pytest.approx(ours.seed_sd)
        weights = np.zeros(len(ours.arms))
        weights[[ours.arms.index(arm) for arm in ours.contrast.pairs[0]]] = 1, -1
        assert weights @ theirs.identity @ weights == pytest.approx(weights @ ours.identity @ weights, rel=0.05)


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ({"kind": "superiority"}, {"a": 1, "b": -1}),
        ({"kind": "trend", "through": ("c",)}, {"a": 1, "b": -1}),
        ({"kind": "interaction", "elsewhere": Pair(better="c", than="d")}, {"a": 1, "b": -1, "c": 1, "d": -1}),
    ],
)
def test_the_standard_error_of_a_report_is_that_of_the_whole_contrast(
    kind: dict[str, Any], weights: dict[str, int]
) -> None:
    contrast = noise(**kind).contrast
    known = EstimateSummary(
        study="s", finding="7_neck", arms=contrast.arms, label="", kind=contrast.kind, declared="tpr@1e-4",
        metric="tpr@1e-3", decides=True, ratio=False, unit=0.02, identity_se=0.3,
    )  # fmt: skip
    verdict = VerdictSummary(finding="7_neck", label="", claim="", verdict="", reason="", estimates=(known,))
    identity, keys = of_report(Summary(preset="quick", findings=(verdict,))), pd.DataFrame(columns=list(contrast.arms))
    found = identity(Estimate("s", contrast, "tpr@1e-3", None), keys)
    w = np.array([weights.get(arm, 0) for arm in contrast.arms])
    assert w @ found @ w == pytest.approx(0.09)
    assert not identity(Estimate("s", contrast, "tpr@1e-2", None), keys).any(), "the report has it on another metric"


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("tables/norm.csv", lambda text: text.replace("0.0", "0.1"), "norm.csv was changed since"),
        ("verdicts.json", lambda text: text + " ", "verdicts.json was changed since"),
        ("tables/norm.csv", None, "norm.csv is not there any more"),
        ("tables/norm.csv", os.mkfifo, "norm.csv is not there any more"),
    ],
)
def test_a_report_that_was_edited_is_not_read(
    report: Written, name: str, change: Callable[[Any], Any] | None, expected: str
) -> None:
    path = report.out / name
    text = path.read_text()
    path.unlink()
    if change is os.mkfifo:  # reading it would never end
        change(path)
    elif change is not None:
        path.write_text(change(text))
    with pytest.raises(UserError, match=expected):
        read_frame(report.out, read_record(report.out), report.world.studies)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not a table of runs"),
        ("study,seed\ns,x\n", "is not a table"),
        ("study\ns\n", "no column 'arm'"),
    ],
)
def test_a_table_of_something_else_is_not_read(report: Written, text: str, expected: str) -> None:
    table, record = report.out / "tables" / "norm.csv", read_record(report.out)
    table.write_text(text)
    forged = record.model_copy(update={"files": {**record.files, "tables/norm.csv": file_digest(table)}})
    with pytest.raises(UserError, match=expected):
        read_frame(report.out, forged, report.world.studies)


def test_a_report_of_other_claims_is_not_read(report: Written) -> None:
    record, (norm, *_) = read_record(report.out), report.world.studies
    other = norm.model_copy(update={"study": "neck"})
    with pytest.raises(UserError, match="has no study 'neck': it is of 'norm', 'class-count', 'control'"):
        read_frame(report.out, record, [other])
    with pytest.raises(UserError, match="'norm' was declared otherwise"):
        read_frame(report.out, record, [norm.model_copy(update={"contrasts": norm.contrasts[:1]})])


def test_the_page_says_what_was_simulated(world: Any) -> None:
    claims = {"7_neck": Study.model_validate(
        {"study": "s", "title": "t", "question": "q", "baseline": "a", "arms": {"a": {}, "b": {}}}
    ).finding("7_neck")}  # fmt: skip
    found = calibrate({"7_neck": [noise()]}, LOOKS, reports=20)
    page = calibration_page(found, claims, LOOKS, [], "python -m ablations calibrate neck")
    assert "20 whole reports are simulated" in page
    assert "5 seeds (20% of alpha) and 10 seeds (80% of alpha)" in page
    assert f"{found.false} of 20 reports" in page
    covered = Coverage(7, {3: 0.95}, {3: 0.9}, {3: 0.6}, 0.02, 0.005)
    page = calibration_page(found, claims, LOOKS, [(Setting(), covered)], "x")
    assert "| 0.950 | 0.900 | 0.600 |" in page


def test_a_finding_without_a_contrast_is_simulated_as_never_decided_and_never_measured() -> None:
    found = calibrate({"7_neck": [noise()], "8_clip": []}, LOOKS, reports=5)
    assert found.measured == {"7_neck": True, "8_clip": False}
    assert found.outcomes[4.0]["8_clip"] == {"inconclusive": 5}


def test_nothing_to_decide_is_refused() -> None:
    with pytest.raises(ValueError, match="needs looks and findings"):
        calibrate({"7_neck": [noise()]}, {})


def test_intervals_cover_and_those_over_identities_alone_do_not() -> None:
    """Few replications of a small test set: enough to see an interval that leaves out the seeds."""
    setting = Setting(identities=60, captures=4, fpr=0.01, luck=0.05)
    found = coverage(setting, 60, seeds=(3, 5))
    assert min(found.both.values()) > 0.85
    assert max(found.identities_alone.values()) < 0.8
    found = coverage(replace(setting, luck=0.005, taste=0.3), 60, seeds=(5,))
    assert found.both[5] > 0.85
    assert found.seeds_alone[5] < 0.8
