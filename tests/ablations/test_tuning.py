"""The search: equal for every arm, on validation identities alone, and no trial lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from ablations import tuning, tuning_store
from ablations.options import choose
from ablations.preset import load_preset, preset_names
from ablations.registry import load_study, study_names
from ablations.tune_cli import Search, search_plan
from ablations.tuning import PUBLISHED, SPACE, TUNING_SEED, Choice, Range, Trial
from core import materials, trainer
from core.config import RunConfig
from core.data.corpus_images import captures
from core.errors import RunFailure, UserError
from core.inputs import corpus_of, run_key
from core.store import Store
from reports.claims import Study, record
from tests.ablations.conftest import TINY_SETS

COUNT = 6


def searches(names: list[str], store: Path, count: int = COUNT) -> list[Search]:
    return search_plan(choose(names, "smoke", store), count)[1]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Search]:
    return searches(["all"], tmp_path_factory.mktemp("runs"))


def study_of(arms: dict[str, dict[str, Any]], **rest: Any) -> Study:
    return Study.model_validate({
        "study": "s", "title": "t", "question": "q", "baseline": next(iter(arms)), "arms": arms, **rest,
    })  # fmt: skip


def trial(number: int, value: float = 0.0, auroc: float = 0.0, failure: str = "", lr: float = 1e-3) -> Trial:
    return Trial(number, "sobol", {"optim.lr": lr}, f"{number:016x}", value, auroc, failure)


def test_every_arm_of_every_study_has_the_same_number_of_trials(everything: list[Search]) -> None:
    assert {search.study.study for search in everything} == set(study_names())
    assert {len(search.trials) for search in everything} == {COUNT}
    assert all([one.number for one in search.trials] == list(range(COUNT)) for search in everything)


def test_arms_see_identical_points_in_the_dimensions_that_they_share(everything: list[Search]) -> None:
    for number in range(2, COUNT):
        seen: dict[str, set[float]] = {}
        for search in everything:
            for field, value in search.trials[number].values.items():
                seen.setdefault(field, set()).add(value)
        assert set(seen) == set(SPACE)
        assert {len(values) for values in seen.values()} == {1}
    rates = [(one.values["optim.lr"], one.values["optim.centre_lr_ratio"]) for one in everything[0].trials]
    assert len(set(rates)) == COUNT


def test_the_first_trial_is_published_and_the_second_is_the_preset(everything: list[Search]) -> None:
    for search in everything:
        first, second = search.trials[:2]
        assert (first.origin, second.origin) == ("published", "preset")
        assert dict(first.values) == {field: PUBLISHED[field] for field in first.values}
        assert search.config.with_overrides(second.values) == search.config
        assert first.values["optim.centre_lr_ratio"] != second.values["optim.centre_lr_ratio"]


def test_the_published_values_are_those_of_the_record() -> None:
    protocol = record()["protocol"]
    assert PUBLISHED["optim.lr"] == protocol["optimizer"]["lr"]
    for loss in ("arcface", "cosface"):
        assert (PUBLISHED["loss.scale"], PUBLISHED["loss.margin"]) == tuple(protocol["margin"][loss].values())
    assert "weight 1" in protocol["clip_distillation"].replace("\n", " ")
    assert PUBLISHED["distill.weight"] == 1
    assert set(PUBLISHED) == set(SPACE)


def test_a_field_that_a_study_declares_is_never_tuned_in_it(everything: list[Search]) -> None:
    kept = 0
    for search in everything:
        declared = {field for arm in search.study.arms.values() for field in arm.set}
        kept += len(declared & set(SPACE))
        for one in search.trials:
            assert not declared & set(one.values)
            config = tuning.trial_config(search.config, one.values)
            untouched = declared - {"optim.samples"}
            assert tuning.values_of(config, sorted(untouched & set(SPACE))) == tuning.values_of(
                search.config, sorted(untouched & set(SPACE))
            )
    assert kept, "no study declares a field of the space: the test says nothing"


def test_an_arm_has_only_the_dimensions_that_it_uses(everything: list[Search]) -> None:
    fields = {(one.study.study, one.arm): set(one.trials[0].values) for one in everything}
    always = {"optim.lr", "optim.centre_lr_ratio", "loss.scale"}
    assert fields["margin", "softmax-pfc"] == always
    assert fields["margin", "cosface-pfc"] == fields["margin", "arcface-full"] == {*always, "loss.margin"}
    assert fields["norm", "clip-squeeze-ln"] == {*always, "loss.margin", "distill.weight"}
    assert fields["norm", "ln"] == fields["clip", "kld"] == {*always, "loss.margin"}


def test_the_points_stay_what_they_are_and_more_only_adds_to_them() -> None:
    few, many = tuning.sobol_points(3), tuning.sobol_points(20)
    assert many[:3] == few
    # Another point here means that optuna or scipy changed the sequence: searches of before cannot be gone on with.
    assert list(few[0].values()) == [0.000212, 496.2, 0.504, 64.0, 3.174]
    for point in many:
        for field, dimension in SPACE.items():
            inside = point[field] in dimension.values if isinstance(dimension, Choice) else (
                dimension.low <= point[field] <= dimension.high
            )  # fmt: skip
            assert inside, (field, point)
    assert {point["loss.scale"] for point in many} == {32.0, 64.0}


def test_raising_the_number_of_trials_keeps_the_first(tmp_path: Path) -> None:
    few, many = searches(["norm"], tmp_path, 4), searches(["norm"], tmp_path, 9)
    for short, long in zip(few, many, strict=True):
        assert long.name == short.name
        assert long.trials[:4] == short.trials
        assert len({one.key for one in long.trials}) == 9


def test_arms_that_studies_share_are_trained_once(tmp_path: Path) -> None:
    planned, found = search_plan(choose(["norm", "neck"], "smoke", tmp_path), 3)
    keys = {(one.study.study, one.arm): [trial.key for trial in one.trials] for one in found}
    assert keys["norm", "ln"] == keys["neck", "flatten"]
    assert len(planned.runs) == len({key for own in keys.values() for key in own}) == 3 * (len(keys) - 1)


def test_a_trial_is_a_shorter_run_of_its_own_seed_judged_on_validation(everything: list[Search]) -> None:
    scratch = next(one for one in everything if one.arm == "scratch-x3")
    for search in (everything[0], scratch):
        config = tuning.trial_config(search.config, search.trials[2].values)
        assert config.optim.samples == round(0.4 * search.config.optim.samples)
        assert (config.seed, config.eval.judged, config.eval.shifted) == (TUNING_SEED, "validation", False)
        assert run_key(config) == search.trials[2].key


@pytest.mark.parametrize("judged", ["validation", "test"])
def test_tuning_never_touches_test_identities(judged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = choose(["norm"], "smoke", tmp_path, sets=TINY_SETS)
    planned, found = search_plan(chosen, 2)
    config = next(run.config for run in planned.runs if run.key == found[0].trials[0].key)
    test = corpus_of(config).test.fingerprint

    def guarded(held_out: Any, *rest: Any, **named: Any) -> Any:
        if held_out.fingerprint == test:
            raise AssertionError("test identities were touched")
        return captures(held_out, *rest, **named)

    monkeypatch.setattr(materials, "captures", guarded)
    monkeypatch.setattr(materials, "_arrays", {})
    if judged == "test":  # the guard is worth something
        with pytest.raises(AssertionError, match="touched"):
            trainer.train(config.with_overrides({"eval.judged": "test"}))
        return
    result = trainer.train(config)
    chosen.store.begin(result.key, config.to_yaml())
    chosen.store.finish(result.key, result.to_json(), result.scores)
    seen = tuning_store.judged(found[0].trials[0], chosen.store)
    assert (seen.value, seen.auroc) == (result.metrics["tpr@1e-3"], result.metrics["auroc"])
    assert seen.auroc > 0
    assert result.test["identities"] == config.eval.validation_identities != config.eval.identities


def done(store: Store, key: str, judged: str = "validation", value: float = 0.5) -> None:
    config = RunConfig().with_overrides({"eval.judged": judged})
    metrics = dict.fromkeys(("tpr@1e-4", "tpr@1e-3", "tpr@1e-2", "auroc", "top1"), value)
    store.begin(key, config.to_yaml())
    store.finish(key, {"config": config.model_dump(mode="json"), "metrics": metrics}, {})


def test_what_a_trial_came_to_is_read_from_its_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RunFailure, match="not finished"):
        tuning_store.judged(trial(1), store)
    store.fail(trial(2).key, "diverged", "the loss is nan")
    failed = tuning_store.judged(trial(2), store)
    assert (failed.value, failed.failure) == (tuning.WORST, "diverged: the loss is nan")
    done(store, trial(3).key)
    assert tuning_store.judged(trial(3), store).value == 0.5
    done(store, trial(4).key, judged="test")
    with pytest.raises(ValueError, match="judged on test identities"):
        tuning_store.judged(trial(4), store)
    store.path(trial(3).key, "result.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        tuning_store.judged(trial(3), store)


def test_the_choice_is_the_best_then_by_auroc_then_the_earliest() -> None:
    def best(*trials: Trial) -> int | None:
        found = tuning.choose(trials)
        return None if found is None else found.number

    assert best(trial(0, 0.5), trial(1, 0.6), trial(2, 0.4)) == 1
    assert best(trial(0, 0.6, 0.8), trial(1, 0.6, 0.9), trial(2, 0.5, 0.99)) == 1
    assert best(trial(0, 0.6, 0.9), trial(1, 0.6, 0.9)) == 0


def test_a_failed_trial_is_the_worst_and_is_not_lost() -> None:
    trials = [trial(0, failure="diverged: nan"), trial(1, 0.0), trial(2, failure="out_of_memory: x")]
    found = tuning.record(trials)
    assert (found["trial"], found["failed"], len(found["trials"])) == (1, 2, 3)
    assert [one["value"] for one in found["trials"]] == [tuning.WORST] * 3
    assert found["trials"][0]["failure"] == "diverged: nan"
    nothing = tuning.record(trials[::2])
    assert (nothing["values"], nothing["trial"], nothing["failed"]) == (None, None, 2)


@pytest.mark.parametrize(
    ("field", "value", "edge"),
    [
        ("optim.lr", 2e-5, True),
        ("optim.lr", 2.7e-5, True),
        ("optim.lr", 2.8e-5, False),
        ("optim.lr", 7.3e-3, False),
        ("optim.lr", 7.4e-3, True),
        ("optim.lr", 0.5, True),
        ("optim.centre_lr_ratio", 0.14, True),
        ("optim.centre_lr_ratio", 1.0, False),
        ("loss.margin", 0.12, True),
        ("loss.margin", 0.13, False),
        ("loss.margin", 0.58, True),
        ("loss.scale", 64.0, False),
        ("distill.weight", 0.4, True),
    ],
)
def test_the_edge_is_a_twentieth_of_the_range(field: str, value: float, edge: bool) -> None:
    assert tuning.at_edge({field: value, "loss.scale": 32.0}) == ([field] if edge else [])


@pytest.mark.parametrize("preset", preset_names())
def test_what_every_search_starts_from_is_inside_its_ranges(preset: str) -> None:
    own = tuning.values_of(RunConfig().with_overrides(load_preset(preset).set), list(SPACE))
    assert tuning.at_edge(own) == tuning.at_edge(PUBLISHED) == []


def test_positions_are_on_the_scale_that_is_searched() -> None:
    assert Range(1e-4, 1e-2, log=True).position(1e-3) == pytest.approx(0.5)
    assert Range(0.1, 0.6).position(0.35) == pytest.approx(0.5)


def test_trials_are_told_once_and_a_retried_one_again(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.log")
    config = RunConfig()
    first = [trial(0, 0.3), trial(1, failure="worker_died: killed")]
    for _ in range(2):
        tuning_store.tell(tuning_store.open_storage(path), "s/a-1", config, first)
    study = optuna.load_study(study_name="s/a-1", storage=tuning_store.open_storage(path))
    assert [one.state.name for one in study.trials] == ["COMPLETE", "FAIL"]
    assert study.trials[1].user_attrs["failure"] == "worker_died: killed"
    assert study.trials[0].distributions["optim.lr"] == SPACE["optim.lr"].distribution()
    retried = [first[0], replace(first[1], value=0.4, failure="")]
    for _ in range(2):
        tuning_store.tell(tuning_store.open_storage(path), "s/a-1", config, retried)
    study = optuna.load_study(study_name="s/a-1", storage=tuning_store.open_storage(path))
    assert [one.state.name for one in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.best_value == 0.4


def test_given_values_outside_the_space_are_recorded_too(tmp_path: Path) -> None:
    config = RunConfig().with_overrides({"optim.lr": 0.5, "loss.scale": 16.0, "loss.margin": 0.0})
    trials = tuning.trials_of(load_study("norm").study, config, 4)
    tuning_store.tell(tuning_store.open_storage(str(tmp_path / "j.log")), "s", config, trials)
    study = optuna.load_study(study_name="s", storage=tuning_store.open_storage(str(tmp_path / "j.log")))
    assert [one.params["loss.scale"] for one in study.trials[:2]] == [64.0, 16.0]
    assert study.trials[1].params["optim.lr"] == 0.5


def test_a_search_belongs_to_its_baseline_data_and_arms() -> None:
    study, config, prints = study_of({"a": {}, "b": {"model.norm": "bn"}}), RunConfig(), {"train": "x"}
    same = tuning.digest(study, config, prints)
    reworded = study_of({"a": {"about": "new words"}, "b": {"model.norm": "bn"}}, title="new")
    assert tuning.digest(reworded, config, prints) == same
    others = [
        (study_of({"a": {}, "b": {"model.norm": "none"}}), config, prints),
        (study, config.with_overrides({"optim.samples": 5}), prints),
        (study, config, {"train": "y"}),
    ]
    assert len({same, *(tuning.digest(*other) for other in others)}) == 4
    assert tuning.digest(study, config.with_overrides({"runtime.device": "cuda"}), prints) == same


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": 0, "arms": {}}', '{"schema": 1, "arms": {"a": {}}}', "", '{"schema": 2}']
)
def test_a_damaged_file_says_what_to_do(text: str, tmp_path: Path) -> None:
    store, study, config = Store(tmp_path), load_study("neck").study, RunConfig()
    path = tuning_store.save(store, study, tuning_store.search_digest(study, config), "quick", {})
    assert tuning_store.load(store, study, config) == {}
    assert json.loads(path.read_text())["study"] == "neck"
    path.write_text(text)
    with pytest.raises(UserError, match="tune neck"):
        tuning_store.load(store, study, config)


@pytest.mark.parametrize(
    "record",
    [*({"values": None, "trials": [], "failed": 0, "at_edge": []} | wrong for wrong in (
        {"values": {"data.source": "/etc"}}, {"values": {"optim.lr": "x"}}, {"values": {"optim.lr": True}},
        {"values": []}, {"values": 3}, {"trials": 3}, {"at_edge": ["x"]}, {"at_edge": [[]]},
    )), {"values": None, "trials": []}, [], None],
)  # fmt: skip
def test_choices_that_are_none_are_refused_by_name(tmp_path: Path, record: object) -> None:
    store, study, config = Store(tmp_path), load_study("norm").study, RunConfig()
    path = tuning_store.save(store, study, tuning_store.search_digest(study, config), "quick", {"ln": record})
    with pytest.raises(UserError, match="does not hold a search") as caught:
        tuning_store.load(store, study, config)
    assert path.name in str(caught.value)
    whole = {"values": {"optim.lr": 1e-3}, "trials": [], "failed": 0, "at_edge": ["optim.lr"]}
    tuning_store.save(store, study, tuning_store.search_digest(study, config), "quick", {"ln": whole})
    assert tuning_store.load(store, study, config) == {"ln": whole}


@pytest.mark.parametrize("where", ["nosuch://x", "sqlite:////proc/none/x.db", "/proc/none/journal.log", "."])
def test_a_storage_that_cannot_be_opened_is_one_line(where: str) -> None:
    with pytest.raises(UserError, match="--storage") as raised:
        tuning_store.open_storage(where)
    assert "\n" not in str(raised.value)
