"""Plans: one run for what studies share, arms that differ in declared fields only, honest counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ablations.options import choose
from ablations.planner import Plan, baseline_of, plan
from ablations.preset import load_preset
from ablations.registry import baseline_values, load_studies, load_study, study_names
from ablations.views import absent_facts
from core.config import RunConfig
from core.errors import UserError
from core.store import Store
from reports.control import CONTROL
from tests.ablations.conftest import CLAIMING
from tests.conftest import make_images

NO_WEIGHTS = ["model.pretrained=none"]


def planned(names: list[str], store: Path, **options: object) -> Plan:
    chosen = choose(names, "smoke", store, **options)  # type: ignore[arg-type]
    return plan(chosen.request, chosen.store)


def test_all_eleven_studies_and_all_thirteen_findings_are_covered() -> None:
    studies = load_studies(["all"])
    assert len(studies) == 11
    tested = {contrast.finding for study in studies for contrast in study.contrasts}
    assert sorted(int(finding.split("_")[0]) for finding in tested) == list(range(1, 14))


def test_a_shared_baseline_is_one_run(tmp_path: Path) -> None:
    result = planned(["norm", "neck", "margin"], tmp_path)
    baselines = {cell.key for cell in result.cells if cell.arm in ("ln", "flatten", "cosface-pfc")}
    assert len(baselines) == 1
    assert len({run.key for run in result.runs}) == len(result.runs) < len(result.cells)


def test_deciding_leaves_out_the_runs_of_arms_that_no_verdict_rests_on(tmp_path: Path) -> None:
    whole = planned(["norm"], tmp_path, seeds="2", control=False)
    part = planned(["norm"], tmp_path, seeds="2", control=False, deciding=True)
    assert [replace(cell, asked=True) for cell in part.cells] == list(whole.cells)  # a report shows what is there
    assert {cell.key for cell in part.cells if cell.asked} == {run.key for run in part.runs}
    trained = {run.label.removeprefix("norm/").split(" ")[0] for run in part.runs}
    assert trained == {"ln", "bn", "ln_bn", "clip-squeeze-ln", "clip-squeeze-ln_bn"}
    assert {run.key for run in part.runs} < {run.key for run in whole.runs}


def test_arms_that_deciding_leaves_out_are_not_missed(tmp_path: Path) -> None:
    """An arm beside the verdicts that lacks images is told of where it is asked for, and in reports of all arms."""
    whole, part = (planned(["class-count"], tmp_path, control=False, deciding=some) for some in (False, True))
    lacking = {cell.arm for cell in whole.cells if cell.key is None}
    assert lacking - set(load_study("class-count").study.deciding)
    assert whole.counts()["unavailable"] == len(lacking)
    left = lacking & set(load_study("class-count").study.deciding)
    assert part.counts()["unavailable"] == len(left)
    assert {entry["arm"] for entry in absent_facts(part, [])["unavailable"]} == left
    assert {entry["arm"] for entry in absent_facts(whole, [])["unavailable"]} == lacking


def test_deciding_keeps_the_control_and_is_refused_for_a_single_run(tmp_path: Path) -> None:
    part = planned(["norm"], tmp_path, seeds="2", deciding=True)
    assert {cell.key for cell in part.cells if cell.study == CONTROL} <= {run.key for run in part.runs}
    config = tmp_path / "config.yaml"
    config.write_text(RunConfig().to_yaml())
    with pytest.raises(UserError, match="--deciding is for studies"):
        choose([str(config)], "smoke", tmp_path, deciding=True)


def test_arms_that_a_preset_or_an_override_makes_one_are_told(tmp_path: Path) -> None:
    """At `published` the arm called procedural has ImageNet weights."""
    assert planned(["all"], tmp_path).notes == ()
    (note,) = planned(["pretrain"], tmp_path, sets=["model.pretrained=none"]).notes
    assert note.startswith("pretrain: 'procedural' and 'scratch' are one arm here")


def test_an_arm_that_sets_nothing_is_told(tmp_path: Path) -> None:
    study = tmp_path / "mine.yaml"
    study.write_text(CLAIMING.replace("arms:\n", "arms:\n  forgotten: {about: half the margin}\n"))
    (note,) = planned([str(study)], tmp_path).notes
    assert note == "mine: 'forgotten' and 'ln' are one arm, as neither sets anything"


@pytest.mark.parametrize("name", study_names())
def test_arms_differ_from_their_baseline_in_declared_fields_only(name: str, tmp_path: Path) -> None:
    study = load_study(name).study
    result = planned([name], tmp_path, seeds="1", control=False)
    configs = {run.key: baseline_values(run.config) for run in result.runs}
    keys = {cell.arm: cell.key for cell in result.cells}
    base = configs[str(keys[study.baseline])]
    available = {arm: key for arm, key in keys.items() if key}
    assert len(available) >= 2
    for arm, key in available.items():
        given = study.arms[arm].set
        assert {name for name, value in configs[key].items() if value != base[name]} <= set(given)
        # All that it declares, too: at some presets that is the baseline's value.
        as_written = {name: value for name, value in given.items() if not isinstance(value, dict)}
        expected = study.arms[arm].overrides(base) | as_written
        assert {name: configs[key][name] for name in given} == expected


def test_scaled_fields_follow_the_preset(tmp_path: Path) -> None:
    result = planned(["resolution", "pool"], tmp_path, seeds="1")
    by_label = {run.label.split(" ")[0]: run.config for run in result.runs}
    assert by_label["resolution/small"].data.image_size == 48
    assert by_label["resolution/small"].model.embed_dim == 128
    assert by_label["pool/few-x24"].data.classes == by_label["pool/many-x1"].data.classes == 48


def test_an_arm_with_too_few_classes_to_draw_from_is_not_here(tmp_path: Path) -> None:
    (cell,) = [
        cell for cell in planned(["class-count"], tmp_path, seeds="1", sets=["data.images=16"]).cells
        if cell.arm == "eighth-x1"
    ]  # fmt: skip
    assert cell.key is None
    assert cell.reason == "a share of 0.3 of 2 classes is less than one: more images are needed"


def test_documented_weights_are_said_to_be_missing(tmp_path: Path) -> None:
    result = planned(["pretrain", "backbone", "clip"], tmp_path)
    missing = {(cell.study, cell.arm): cell.reason for cell in result.cells if cell.key is None}
    assert set(missing) == {
        ("pretrain", "imagenet"), ("backbone", "lcnet_050-imagenet"), ("backbone", "efficientnet_b0-imagenet"),
        ("clip", "kld-openai"),
    }  # fmt: skip
    assert all("cannot be reached" in reason for reason in missing.values())
    assert result.counts()["unavailable"] == 4


def test_a_folder_smaller_than_the_preset_lowers_images_and_says_so(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 40)
    result = planned(["norm"], tmp_path / "runs", data=[str(tmp_path / "images")], sets=["optim.batch_size=8"])
    assert result.baseline.data.images == 24
    assert "lowered from 48 to the 24" in result.notes[0]


def test_a_ladder_that_needs_more_images_says_how_many(tmp_path: Path) -> None:
    study = tmp_path / "ladder.yaml"
    study.write_text(
        "study: ladder\ntitle: t\nquestion: q\nbaseline: one\n"
        "arms:\n  one: {}\n  ten: {data.images: 480}\n  lr: {optim.lr: 0.1}\n"
    )
    result = planned([str(study)], tmp_path / "runs")
    assert {cell.reason for cell in result.cells if cell.arm == "ten"} == {"needs 480 images to train on, there are 48"}
    study.write_text(study.read_text().replace("  lr: {optim.lr: 0.1}\n", ""))
    load_study.cache_clear()
    with pytest.raises(UserError, match="needs 480 images"):
        planned([str(study)], tmp_path / "runs")


@pytest.mark.parametrize(("asked", "images"), [(26, 24), (27, None)])
def test_an_arm_that_lacks_few_images_has_those_that_there_are(tmp_path: Path, asked: int, images: int | None) -> None:
    make_images(tmp_path / "images", 40)  # 24 are left to train on
    study = tmp_path / "ladder.yaml"
    study.write_text(
        "study: ladder\ntitle: t\nquestion: q\nbaseline: one\n"
        f"arms:\n  one: {{}}\n  all: {{data.images: {asked}}}\n  lr: {{optim.lr: 0.1}}\n"
    )
    found = planned(
        [str(study)], tmp_path / "runs", data=[str(tmp_path / "images")], sets=["optim.batch_size=8", "data.images=12"]
    )
    keys = {cell.key for cell in found.cells if cell.arm == "all"}
    assert (keys == {None}) == (images is None)
    assert (f"ladder/all: data.images lowered from {asked} to the 24 that there are" in found.notes) == bool(images)


def test_keys_follow_the_data(tmp_path: Path) -> None:
    make_images(tmp_path / "a", 40)
    keys = [
        {run.key for run in planned(["norm"], tmp_path / "runs", data=data).runs}
        for data in (None, [str(tmp_path / "a")])
    ]
    assert not keys[0] & keys[1]


def test_states_come_from_the_store(tmp_path: Path) -> None:
    result = planned(["neck"], tmp_path)
    assert result.counts() == {"new": 4, "cached": 0, "failed": 0, "damaged": 0, "newer": 0, "unavailable": 0}
    store = Store(tmp_path)
    store.fail(result.runs[0].key, "diverged", "x")
    again = planned(["neck"], tmp_path)
    assert again.counts()["failed"] == 1
    assert len(again.pending(retry_failed=False)) == 3
    assert len(again.pending(retry_failed=True)) == 4


def test_first_seeds_of_all_arms_come_first(tmp_path: Path) -> None:
    order = [run.seed for run in planned(["norm"], tmp_path, seeds="2").pending(False)]
    arms = len(load_study("norm").study.arms) + 1  # and the control's
    assert order == sorted(order) == [0] * arms + [1] * arms


def test_the_default_configuration_is_the_quick_baseline() -> None:
    assert RunConfig().with_overrides(load_preset("quick").set) == RunConfig()


def test_a_preset_on_the_base_of_one_that_needs_weights_may_have_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("core.model.hub.why_not_imagenet", lambda backbone: asked.append(backbone) or "none here")
    mine = tmp_path / "mine.yaml"
    text = "preset: mine\nbase: published\nset: {model.backbone: lcnet_100, data.pool: 2000, data.images: 48"
    for own, refused in (
        ("}\n", ["lcnet_100"]),
        (", model.pretrained: procedural, distill.teacher: procedural}\n", []),
    ):
        mine.write_text(text + own)
        request = choose(["neck"], str(mine), tmp_path / "runs").request
        asked.clear()
        if refused:
            with pytest.raises(UserError, match="none here"):
                baseline_of(request)
        else:
            assert baseline_of(request)[0].model.pretrained == "procedural"
        assert asked == refused
