"""Two reports compared: what is the same contrast, what can be told of a difference, and how it is written."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from core.errors import UserError
from reports.comparison import Comparison, compare_reports, compare_summaries
from reports.comparison_page import estimate_table, write_comparison
from reports.comparison_told import told
from reports.contrasts import Contrast, Pair
from reports.material import Material
from reports.stats import mean_interval
from reports.summary import NAME, EstimateSummary, Summary, VerdictSummary, read_summary, summary_of
from tests.reports.conftest import World, reseal

CONTRAST: dict[str, Any] = {
    "study": "norm", "finding": "4_norm", "arms": ("ln", "bn"), "label": "ln − bn on TPR@1e-4", "kind": "superiority",
    "declared": "tpr@1e-4", "metric": "tpr@1e-4", "decides": True, "ratio": False, "unit": 0.02, "settings": "abc",
}  # fmt: skip


def estimate(values: np.ndarray, prefix: str, identity_se: float = 0.0, **changes: Any) -> EstimateSummary:
    """A contrast whose differences over seeds are `values`, of runs whose keys begin with `prefix`."""
    found = mean_interval(values, identity_se=identity_se, identity_df=99 if identity_se else None)
    numbers = {
        "estimate": found.estimate, "low": found.low, "high": found.high, "seed_se": found.seed_se,
        "seed_df": found.seed_df, "identity_se": identity_se, "identity_df": 99.0 if identity_se else None,
    }  # fmt: skip
    numbers = {name: value if value is None or math.isfinite(value) else None for name, value in numbers.items()}
    names = tuple(f"{prefix}{seed}" for seed in range(len(values)))
    seeds = tuple(range(len(values)))
    return EstimateSummary(**{**CONTRAST, **numbers, "seeds": seeds, "runs": names, **changes})


def summary(one: EstimateSummary, verdict: str = "inconclusive") -> Summary:
    found = VerdictSummary(
        finding=one.finding, label="4", claim="c", verdict=verdict, reason="r", estimates=(one,)
    )  # fmt: skip
    return Summary(preset="quick", findings=(found,))


def compared(first: EstimateSummary, second: EstimateSummary, *verdicts: str) -> Comparison:
    return compare_summaries(summary(first, *verdicts[:1]), summary(second, *verdicts[1:]), ("one", "two"))


@pytest.fixture(scope="module")
def draws() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.normal(0.03, 0.01, 5), rng.normal(0.02, 0.02, 9)


def test_the_difference_of_two_repeats_is_welchs(draws: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = draws
    # The same identities in both: their part of the variation is no part of the difference.
    (pair,) = compared(estimate(ours, "a", 0.5), estimate(theirs, "b", 0.5)).estimates
    expected = stats.ttest_ind(theirs, ours, equal_var=False).confidence_interval(0.95)
    assert pair.repeats
    assert pair.difference is not None
    assert pair.difference.estimate == pytest.approx(theirs.mean() - ours.mean())
    assert (pair.difference.low, pair.difference.high) == pytest.approx((expected.low, expected.high))


def test_with_other_settings_test_sets_vary_too(draws: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = (estimate(values, name, 0.01) for values, name in zip(draws, "ab", strict=True))
    other = theirs.model_copy(update={"settings": "def"})
    same, apart = (compared(ours, one).estimates[0].difference for one in (theirs, other))
    assert same is not None
    assert apart is not None
    assert apart.se == pytest.approx(math.sqrt(same.se**2 + 2 * 0.01**2))
    assert apart.identity_df == pytest.approx(2 * 99)
    unknown = [one.model_copy(update={"settings": ""}) for one in (ours, theirs)]
    assert not compared(*unknown).estimates[0].repeats


def test_two_that_differ_and_two_that_do_not() -> None:
    noise = np.array([-1e-3, 0, 1e-3])
    assert compared(estimate(noise, "a"), estimate(noise + 1e-4, "b")).estimates[0].reading == "alike"
    assert compared(estimate(noise, "a"), estimate(noise + 0.1, "b")).estimates[0].reading == "differ"
    assert compared(estimate(noise - 0.1, "a"), estimate(noise + 0.1, "b")).estimates[0].reading == "opposite"
    wide = estimate(noise + 0.1, "b", 0.2, settings="def")
    assert compared(estimate(noise, "a", 0.2), wide).estimates[0].reading == "alike"


def test_ratios_are_compared_as_quotients() -> None:
    logs = np.array([0.68, 0.7, 0.69, 0.71])

    def ratio(values: np.ndarray, prefix: str) -> EstimateSummary:
        found = mean_interval(values)
        ends = {name: math.exp(getattr(found, name)) for name in ("estimate", "low", "high")}
        return estimate(values, prefix, ratio=True, kind="cost_ratio", metric="seconds", **ends)

    (pair,) = compared(ratio(logs, "a"), ratio(logs + math.log(1.5), "b")).estimates
    expected = stats.ttest_ind(logs + math.log(1.5), logs, equal_var=False).confidence_interval(0.95)
    assert pair.difference is not None
    assert pair.difference.estimate == pytest.approx(1.5)
    assert (pair.difference.low, pair.difference.high) == pytest.approx(tuple(np.exp(expected)))
    assert pair.reading == "differ"
    (pair,) = compared(ratio(logs, "a"), ratio(logs + 1e-3, "b")).estimates
    assert pair.reading == "alike"


def crossed(prefix: str, first: float, second: float) -> EstimateSummary:
    """An interaction of two differences, of which the second is read on other arms."""
    noise = np.array([-1e-3, 0, 1e-3])
    here = estimate(noise + first, prefix)
    there = estimate(noise + second, f"{prefix}x", arms=("c", "d"), label="c − d on TPR@1e-4")
    whole = estimate(2 * noise + first + second, prefix, kind="interaction", arms=("ln", "bn", "c", "d"))
    return whole.model_copy(update={"parts": (here, there)})


def test_parts_of_an_interaction_that_moved_opposite_ways_are_not_alike() -> None:
    ours, theirs = crossed("a", 0.03, 0.03), crossed("b", 0.08, -0.02)
    found = compared(ours, theirs)
    assert [(pair.first.label, pair.reading) for pair in found.estimates] == [
        ("ln − bn on TPR@1e-4", "differ"), ("c − d on TPR@1e-4", "opposite"),
    ]  # fmt: skip
    assert "Of 2 contrasts that can be compared, 2 differ" in " ".join(told(found))
    assert [row[1] for row in estimate_table(found).rows] == [pair.first.label for pair in found.estimates]
    (pair,) = compared(ours, theirs.model_copy(update={"parts": ()})).estimates
    assert pair.first.kind == "interaction"
    assert (pair.reading, pair.why) == ("alike", "")


def test_a_written_interaction_has_both_of_its_differences(pristine: World) -> None:
    declared = Contrast(
        finding="9_norm_ln_bn", kind="interaction", better="ln_bn", than="ln", elsewhere=Pair(better="ln", than="bn")
    )
    study = pristine.studies[0].model_copy(update={"contrasts": (declared,)})
    found = summary_of(Material.read([study], pristine.cells, pristine.store, {3: 1.0}, {}), "quick")
    ((one,),) = [verdict.estimates for verdict in found.findings if verdict.label == "9"]
    assert [part.label for part in one.parts] == ["ln_bn − ln on TPR@1e-4", "ln − bn on TPR@1e-4"]
    assert sum(part.estimate or 0.0 for part in one.parts) == pytest.approx(one.estimate)
    assert set(one.parts[1].runs) == {pristine.cell("norm", arm, seed).key for arm in ("ln", "bn") for seed in (0, 1)}
    assert one.looser is not None
    assert [part.metric for part in one.looser.parts] == ["tpr@1e-3"] * 2
    assert Summary.model_validate_json(found.model_dump_json(by_alias=True)) == found


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"runs": ("a1", "b1", "b2")}, "they share 1 run"),
        ({"runs": ("a1", "a2", "b2")}, "they share 2 runs"),
        ({"estimate": None}, "the second report has no estimate"),
        ({"gate": "at the floor"}, "a gate forbids to judge it in the second report"),
        ({"metric": "tpr@1e-3"}, "the two read different metrics"),
    ],
)
def test_what_cannot_be_compared_is_said(change: dict[str, Any], why: str) -> None:
    values = np.array([0.1, 0.2, 0.3])
    (pair,) = compared(estimate(values, "a"), estimate(values, "b", **change)).estimates
    assert (pair.difference, pair.why, pair.reading, pair.repeats) == (None, why, "not told", False)


def test_times_of_the_head_alone_are_of_no_runs() -> None:
    head = {"declared": "cost.head_step", "metric": "head_step"}
    values = np.array([0.1, 0.2, 0.3])
    (pair,) = compared(estimate(values, "a", **head), estimate(values, "b", **head)).estimates
    assert pair.why == "the head is timed apart from runs"


def test_one_seed_has_no_interval() -> None:
    (pair,) = compared(estimate(np.array([0.1]), "a"), estimate(np.array([0.1, 0.2]), "b")).estimates
    assert pair.reading == "not told"
    assert pair.difference is not None
    assert math.isnan(pair.difference.low)


def test_another_contrast_is_not_taken_for_the_same() -> None:
    values = np.array([0.1, 0.2, 0.3])
    for change in ({"arms": ("bn", "ln")}, {"declared": "tpr@1e-2"}, {"study": "mine"}, {"kind": "non_inferiority"}):
        assert not compared(estimate(values, "a"), estimate(values, "b", **change)).estimates


def test_verdicts_that_moved_are_told() -> None:
    values = np.array([0.1, 0.2, 0.3])
    found = compared(estimate(values, "a"), estimate(values, "b"), "inconclusive", "reproduced")
    assert told(found) == [
        "No verdict was reached in both reports.",
        "Finding 4: inconclusive, then reproduced.",
        "Of 1 contrasts that can be compared, 0 differ by more than chance, at 95 % and each by itself; 0.1 are to be "
        "expected where nothing differs.",
        "All of them are of the same settings and inputs, on other seeds.",
    ]
    found = compare_summaries(summary(estimate(values, "a")), Summary(preset="quick", findings=()), ("one", "two"))
    assert [pair.verdicts for pair in found.findings] == [("inconclusive", "")]
    assert not found.moved
    assert not found.same
    found = compared(estimate(values, "a"), estimate(values, "b"), "not run", "reproduced")  # it is no verdict
    assert not found.moved
    assert not found.same


def test_a_claim_and_its_mirror_image_are_one_difference() -> None:
    values = np.array([0.19, 0.2, 0.21])

    def both(prefix: str, sign: int) -> Summary:
        cost = estimate(sign * values, prefix, arms=("bn", "ln"), kind="non_inferiority")
        other = estimate(values, prefix, arms=("ln", "none"))
        one = summary(estimate(-sign * values, prefix))
        verdict = one.findings[0].model_copy(update={"estimates": (*one.findings[0].estimates, cost, other)})
        return one.model_copy(update={"findings": (verdict,)})

    found = compare_summaries(both("a", -1), both("b", 1), ("one", "two"))
    assert [pair.reading for pair in found.estimates] == ["opposite", "opposite", "alike"]
    told_of = " ".join(told(found))
    assert "Of 2 contrasts that can be compared, 1 differ" in told_of
    assert told_of.count("ln − bn") == 1


def test_a_written_report_has_its_verdicts_as_data(written: Path, pristine: World) -> None:
    found = read_summary(written)
    rows = (written / "index.md").read_text().splitlines()
    for one in found.findings:
        (row,) = [row for row in rows if row.startswith(f"| {one.label} |")]
        assert f"**{one.verdict}**" in row
    (four,) = [one for one in found.findings if one.label == "4"]
    (contrast,) = four.estimates
    assert contrast.label == "ln − bn on TPR@1e-4"
    assert contrast.seeds == (0, 1)  # the third run of bn failed
    assert set(contrast.runs) == {pristine.cell("norm", arm, seed).key for arm in ("ln", "bn") for seed in (0, 1)}
    assert contrast.settings
    missing = [one for verdict in found.findings for one in verdict.estimates if one.estimate is None]
    assert missing
    assert all(one.missing for one in missing)
    assert found.control is not None
    assert NAME in json.loads((written / "report.json").read_text())["files"]


def test_a_report_and_its_copy_share_all_runs(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path / "copy")
    found = compare_reports(written, tmp_path / "copy")
    assert not found.moved
    assert found.estimates
    assert all(pair.difference is None and pair.why for pair in found.estimates)
    page = write_comparison(found, tmp_path / "out", "python -m ablations compare a b").read_text()
    assert page.count("\n| 4 |") == 2
    assert "they share 6 runs" in page
    assert "No contrast can be compared" in page
    assert (tmp_path / "out" / "figures" / f"compared-{written.name}-and-copy.png").is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not there: name the folder of a report"),
        (b"{}", "does not hold verdicts"),
        (b"\xff", "not valid JSON: not UTF-8"),
        (b'{"schema": 1, "preset": "quick", "findings": [], "findings": []}', "'findings' is given twice"),
        (b'{"schema": 9, "preset": "quick", "findings": []}', "has schema 9, this version reads 1"),
        (b'{"schema": 1, "preset": "quick", "findings": 3}', "findings: "),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    written: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / NAME).write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        compare_reports(written, tmp_path)
    assert str(tmp_path / NAME) in str(raised.value)


def test_a_report_is_not_compared_with_itself(written: Path) -> None:
    with pytest.raises(UserError, match="are one folder"):
        compare_reports(written, written / ".." / written.name)


def test_reports_at_different_rates_are_compared_at_the_one_that_both_have() -> None:
    at = [{"metric": f"tpr@{fpr}", "label": f"ln − bn on TPR@{fpr}"} for fpr in ("1e-4", "1e-3", "1e-2")]
    values = np.array([0.1, 0.2, 0.3])
    first = estimate(values, "a", **at[0], looser=estimate(values + 1, "a", **at[1]))
    second = estimate(values, "b", **at[1], looser=estimate(values + 2, "b", **at[2]))
    for ours, theirs, difference in ((first, second, -1.0), (second, first, 1.0)):
        (pair,) = compared(ours, theirs).estimates
        assert pair.first.metric == pair.second.metric == "tpr@1e-3"
        assert pair.difference is not None
        assert pair.difference.estimate == pytest.approx(difference)
    least = estimate(values, "b", **at[2])
    (pair,) = compared(first, least).estimates
    assert pair.why == "the two read different metrics"
    page = estimate_table(compared(first, least))
    assert "on TPR@1e-2" in page.rows[0][3]  # whose label says what the first is on
    whole = first.model_copy(
        update={"looser": estimate(values + 1, "a", **at[1], looser=estimate(values, "a", **at[2]))}
    )
    (pair,) = compared(whole, least).estimates
    assert pair.first.metric == "tpr@1e-2"
    assert pair.difference is not None


def test_a_written_report_has_looser_readings(written: Path, pristine: World) -> None:
    (four,) = [one for one in read_summary(written).findings if one.label == "4"]
    (contrast,) = four.estimates
    other = contrast.looser
    assert other is not None
    assert (contrast.metric, other.metric, other.label) == ("tpr@1e-4", "tpr@1e-3", "ln − bn on TPR@1e-3")
    tprs = [
        [pristine.store.result(pristine.cell("norm", arm, seed).key)["metrics"]["tpr@1e-3"] for seed in (0, 1)]
        for arm in ("ln", "bn")
    ]  # fmt: skip
    assert other.estimate == pytest.approx(np.mean(tprs[0]) - np.mean(tprs[1]))
    assert [one.metric for one in contrast.readings] == ["tpr@1e-4", "tpr@1e-3", "tpr@1e-2"]


def test_settings_are_what_decides_a_result(world: World) -> None:
    def settings() -> str:
        material = Material.read(world.studies, world.cells, world.store, {3: 1.0}, {})
        found = {one.label: one for one in summary_of(material, "quick").findings}
        return found["9"].estimates[0].settings

    def change(**fields: Any) -> None:
        for arm in ("ln", "ln_bn"):
            for seed in (0, 1, 2):
                key = world.cell("norm", arm, seed).key
                assert key is not None
                result = world.store.result(key)
                for path, value in fields.items():
                    section, name = path.split("__")
                    result["config"][section][name] = value
                reseal(world.store, key, result)

    first = settings()
    assert first
    change(runtime__threads=2, runtime__cache_dir="/elsewhere", data__source=["/mine"])
    assert settings() == first
    change(optim__lr=0.5)
    changed = settings()
    assert changed
    assert changed != first
    change(optim__unheard_of=1)
    assert settings() == ""


@pytest.mark.parametrize(
    "change",
    [{"unit": 0}, {"seed_se": -1}, {"ratio": True, "estimate": -1}, {"ratio": True, "low": 0}, {"low": math.inf}],
)
def test_numbers_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    known = estimate(np.array([0.1, 0.2, 0.3]), "a").model_dump()
    EstimateSummary.model_validate(known)
    with pytest.raises(ValueError, match="validation error"):
        EstimateSummary.model_validate({**known, **change})
