"""`tune` and `--tuned`, through the real command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from ablations import tune_cli, tuning_store
from ablations.options import choose
from ablations.preset import load_preset
from ablations.tune_cli import search_plan
from ablations.tuning import TUNING_SEED
from ablations.tuning_claims import Claims
from ablations.tuning_store import SCHEMA, open_storage
from core import record
from core.config import RunConfig
from core.store import Store
from tests.ablations.conftest import TINY, TINY_SETS, TWO_ARMS, CommandLine, with_two_arms


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of two arms and the store of its two trials each."""
    return with_two_arms(tmp_path_factory.mktemp("tuned"), "tune", "--trials", "2", "--jobs", "1")


@pytest.fixture
def here(tuned: Path, cli: CommandLine, tmp_path: Path) -> CommandLine:
    """The command line in a copy of that folder."""
    shutil.copytree(tuned, tmp_path, dirs_exist_ok=True)
    return cli


def choices(study: str = "mine") -> dict[str, Any]:
    (path,) = Path("runs/tuning").glob(f"{study}-*.json")
    return json.loads(path.read_text())


def optuna_studies(storage: Any) -> dict[str, list[optuna.trial.FrozenTrial]]:
    names = optuna.get_all_study_names(storage)
    return {name: optuna.load_study(study_name=name, storage=storage).trials for name in names}


def test_trials_are_runs_of_the_store_and_open_in_optuna(here: CommandLine) -> None:
    facts, store = choices(), Store("runs")
    assert set(facts["arms"]) == {"ln", "bn"}
    found = optuna_studies(open_storage("runs/tuning/journal.log"))
    assert set(found) == {f"mine/{arm}-{facts['digest']}" for arm in ("ln", "bn")}
    for arm, search in facts["arms"].items():
        told = found[f"mine/{arm}-{facts['digest']}"]
        assert [one.state.name for one in told] == ["COMPLETE", "COMPLETE"]
        for trial, one in zip(told, search["trials"], strict=True):
            result = store.result(one["key"])
            assert trial.value == one["value"] == result["metrics"]["tpr@1e-3"]
            assert trial.params == one["values"]
            assert set(trial.distributions) == {"optim.lr", "optim.centre_lr_ratio", "loss.margin", "loss.scale"}
            assert (result["seed"], result["config"]["eval"]["judged"]) == (TUNING_SEED, "validation")
            assert (result["test"]["identities"], result["shifted"]) == (6, None)
        best = max(search["trials"], key=lambda one: (one["value"], one["auroc"]))
        assert search["values"] == best["values"]
        assert search["preset_value"] == search["trials"][1]["value"]
    assert len(store.run_keys()) == 4


def test_a_second_call_trains_nothing_and_more_trials_only_add(here: CommandLine) -> None:
    store = Store("runs")
    before = {key: store.path(key, "result.json").stat().st_mtime_ns for key in store.run_keys()}
    assert here("tune", "mine.yaml", *TINY, "--trials", "2", "--json") == 0
    assert "4 different runs, 0 new" in here.err
    assert "trials failed" not in here.err
    first = json.loads(here.out)["studies"][0]["arms"]
    assert here("tune", "mine.yaml", *TINY, "--trials", "3", "--jobs", "1") == 0
    assert "6 different runs, 2 new" in here.err
    assert before.items() <= {k: store.path(k, "result.json").stat().st_mtime_ns for k in store.run_keys()}.items()
    assert len(store.run_keys()) == 6
    assert {len(told) for told in optuna_studies(open_storage("runs/tuning/journal.log")).values()} == {3}
    for arm, search in choices()["arms"].items():
        assert search["trials"][:2] == first[arm]["trials"]
    rows = [line.split() for line in here.out.splitlines()]
    assert {"bn", "3", "0"} <= set(next(row for row in rows if row[:1] == ["bn"]))
    assert "centre lr ratio" in here.out


def test_fewer_trials_than_before_are_not_chosen_from(here: CommandLine) -> None:
    assert here("tune", "mine.yaml", *TINY, "--trials", "4", "--jobs", "1") == 0
    before = choices()
    assert here("tune", "mine.yaml", *TINY, "--trials", "2", "--json") == 0
    assert "4 trials each of 2 arms, as they were searched with before: 8 different runs, 0 new" in here.err
    assert choices() == before
    assert json.loads(here.out)["studies"][0]["arms"] == before["arms"]
    assert here("store", "check") == 0
    assert not Path("runs/.damaged").exists()


def test_choices_of_more_trials_that_another_command_wrote_meanwhile_stay(
    here: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert here("tune", "mine.yaml", *TINY, "--trials", "3", "--jobs", "1") == 0
    before, seen, first = choices(), tuning_store.trials_known, iter([0])
    monkeypatch.setattr(tuning_store, "trials_known", lambda *given: 0 if next(first, None) == 0 else seen(*given))
    assert here("tune", "mine.yaml", *TINY, "--trials", "2") == 0
    assert choices() == before


def test_a_trial_that_was_told_before_a_stop_is_no_damage(here: CommandLine) -> None:
    """The journal is told first, and the choices are written then."""
    before = next(Path("runs/tuning").glob("mine-*.json")).read_bytes()
    assert here("tune", "mine.yaml", *TINY, "--trials", "3", "--jobs", "1") == 0
    next(Path("runs/tuning").glob("mine-*.json")).write_bytes(before)
    assert here("store", "check") == 0
    assert here("tune", "mine.yaml", *TINY, "--trials", "3") == 0
    assert "damaged" not in here.err


def test_tuned_runs_stand_beside_the_others(here: CommandLine) -> None:
    # As if the search had found other values than the preset's, whatever it found at this size.
    (path,) = Path("runs/tuning").glob("mine-*.json")
    facts = choices()
    for search in facts["arms"].values():
        search["values"]["optim.lr"] = 0.002
    path.write_bytes(record.seal(facts, SCHEMA))
    assert here("plan", "mine.yaml", *TINY, "--seeds", "2", "--tuned", "--json") == 0
    labels = [run["run"] for run in json.loads(here.out)["runs"]]
    assert [one for one in labels if "tuned" in one] == [
        f"mine/{arm} tuned seed {seed}" for arm in ("ln", "bn") for seed in (0, 1)
    ]
    assert len(labels) == 8 + 2  # and the control's
    assert here("run", "mine.yaml", *TINY, "--tuned", "--out", "report", "--jobs", "1") == 0
    assert "--tuned" in Path("report/index.md").read_text()
    assert Path("report/tables/mine.csv").read_text().count("done") == 2, "tuned rows are parted from the others"
    made = [run for run in Store("runs").results() if run["seed"] == 0]
    own = load_preset("smoke").set.get("optim.lr", RunConfig().optim.lr)
    assert sorted(run["config"]["optim"]["lr"] for run in made) == [own, own, 0.002, 0.002]
    for run in made:
        assert (run["config"]["optim"]["samples"], run["test"]["identities"]) == (64, 8)
    assert here("plan", "mine.yaml", *TINY, "--tuned", "--json") == 0
    assert json.loads(here.out)["counts"]["new"] == 0


def test_tuned_before_tuning_says_what_to_do(here: CommandLine) -> None:
    for verb in ("run", "plan", "report"):
        assert "run `python -m ablations tune norm --preset smoke` first" in here.refuses(
            verb, "norm", *TINY, "--tuned"
        )
    other = [*TINY, "--set", "optim.weight_decay=0.5"]
    assert "tune FILE --preset smoke" in here.refuses("run", "mine.yaml", *other, "--tuned")
    assert "tune all --preset smoke" in here.refuses("plan", "all", *other, "--tuned")
    assert here("plan", "mine.yaml", "neck", *TINY, "--tuned") == 0
    assert "not tuned for this preset and data: neck" in here.out
    assert str(TUNING_SEED) in here.refuses("plan", "mine.yaml", *TINY, "--tuned", "--seeds", f"0,{TUNING_SEED}")


def test_an_arm_whose_trials_all_fail_is_shown_and_has_no_tuned_runs(cli: CommandLine) -> None:
    failing = TWO_ARMS.replace("mine", "failing").replace("  bn: {model.norm: bn}\n", "")
    Path("failing.yaml").write_text(failing + "  unfit: {model.backbone: levit_128s, model.pretrained: none}\n")
    url = "sqlite:///trials.db"
    assert cli("tune", "failing.yaml", *TINY, "--trials", "2", "--storage", url, "--jobs", "1") == 1
    assert "all trials failed of failing/unfit-" in cli.err
    assert "2 of 4 trials failed: `status` says why" in cli.err
    assert "failed" in next(line for line in cli.out.splitlines() if line.startswith("unfit"))
    assert choices("failing")["arms"]["unfit"]["failed"] == 2
    assert not Path("runs/tuning/journal.log").exists()
    states = {name.split("-")[0]: [one.state.name for one in told] for name, told in optuna_studies(url).items()}
    assert states == {"failing/ln": ["COMPLETE"] * 2, "failing/unfit": ["FAIL"] * 2}
    assert cli("plan", "failing.yaml", *TINY, "--tuned") == 0
    assert "not here: failing/unfit: no tuned values: all 2 trials failed" in cli.out


@pytest.mark.parametrize("told", ["first", "last"])
def test_arms_that_share_a_trial_have_the_result_that_a_command_told_of_one_before_it_died(
    cli: CommandLine, told: str
) -> None:
    same = "study: mine\ntitle: t\nquestion: q\nbaseline: ln\narms:\n  ln: {}\n  same: {}\n"
    Path("mine.yaml").write_text(same)
    _, searches = search_plan(choose(["mine.yaml"], "smoke", Path("theirs"), sets=TINY_SETS), 2)
    died = Claims(open_storage("shared.log"))
    for place in searches[0 if told == "first" else -1].places:
        assert died.take(place)
        died.tell(replace(place.trial, value=0.25 * (1 + place.trial.number), auroc=0.5), place)
    died.close()
    for store in ("ours", "others"):
        words = ["--trials", "2", "--jobs", "1", "--storage", "shared.log", "--store", store]
        assert cli("tune", "mine.yaml", *TINY, *words, "--json") == 0, cli.err
        arms = json.loads(cli.out)["studies"][0]["arms"]
        assert [[one["value"] for one in arms[arm]["trials"]] for arm in ("ln", "same")] == [[0.25, 0.5]] * 2
        assert not Store(store).run_keys(), "what the storage knows was trained again"
    for told_of in optuna_studies(open_storage("shared.log")).values():
        assert sorted(one.value for one in told_of if one.state.name == "COMPLETE") == [0.25, 0.5]


def test_a_stop_says_how_to_go_on_in_the_same_store(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    Path("mine.yaml").write_text(TWO_ARMS)
    monkeypatch.setattr(tune_cli, "sweep", stopped)
    words = ["mine.yaml", *TINY, "--strict", "--store", "some runs", "--trials", "3", "--jobs", "1", "--retry-failed"]
    assert cli("tune", *words) == 130
    told = cli.err.split("To go on: python -m ablations ")[1].strip()
    assert told.startswith("tune mine.yaml --preset smoke --set optim.samples=64")
    assert told.endswith("--strict --store 'some runs' --trials 3 --jobs 1 --retry-failed")


def test_mistakes_are_one_line(cli: CommandLine, tmp_path: Path) -> None:
    assert "did you mean" in cli.refuses("tune", "nrm")
    assert "--trials" in cli.refuses("tune", "norm", "--trials", "1")
    assert "--storage" in cli.refuses("tune", "norm", *TINY, "--storage", "nosuch://x")
    (tmp_path / "config.yaml").write_text(RunConfig().to_yaml())
    assert "needs studies" in cli.refuses("tune", tmp_path / "config.yaml")
    assert "--tuned is for studies" in cli.refuses("run", tmp_path / "config.yaml", "--tuned")


@pytest.mark.parametrize("damage", ["torn", "flipped", "garbage", "emptied"])
def test_a_damaged_journal_is_set_aside_and_told_again_from_the_runs(here: CommandLine, damage: str) -> None:
    path = Path("runs/tuning/journal.log")
    before = {name: [one.params for one in told] for name, told in optuna_studies(open_storage(str(path))).items()}
    data = path.read_bytes()
    if damage == "torn":
        data = data[:-20]
    elif damage == "flipped":  # another value, and JSON as before
        place = data.index(b'"value":') + len('"value":')
        data = data[:place] + (b"1" if data[place : place + 1] == b"0" else b"0") + data[place + 1 :]
    else:
        data = b"\x00garbage" if damage == "garbage" else b""
    path.write_bytes(data)
    assert here("tune", "mine.yaml", *TINY, "--trials", "2") == 0
    assert "0 new" in here.err
    assert "runs/tuning/journal.log is damaged (" in here.err
    assert Path("runs/.damaged/journal.log-1").read_bytes() == data
    now = optuna_studies(open_storage(str(path)))
    assert {name: [one.params for one in told] for name, told in now.items()} == before
    assert here("tune", "mine.yaml", *TINY, "--trials", "2") == 0
    assert "damaged" not in here.err


def test_a_damaged_journal_of_the_users_own_is_named_and_left_to_them(here: CommandLine) -> None:
    Path("own.log").write_text('{"op_code": 0')
    assert "--storage own.log is damaged (line 1 ends before its time)" in here.refuses(
        "tune", "mine.yaml", *TINY, "--trials", "2", "--storage", "own.log"
    )
    assert Path("own.log").read_text() == '{"op_code": 0'


def test_a_damaged_search_is_refused_by_readers_and_made_again_by_tune(here: CommandLine) -> None:
    (path,) = Path("runs/tuning").glob("mine-*.json")
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"failed": 0', b'"failed": 1', 1))
    for verb in ("plan", "run", "report"):
        assert f"{path} is damaged (its checksum does not match" in here.refuses(verb, "mine.yaml", *TINY, "--tuned")
    assert here("tune", "mine.yaml", *TINY, "--trials", "2") == 0
    assert f"It is set aside as runs/.damaged/{path.name}-1" in here.err
    assert path.read_bytes() == before
    path.write_bytes(record.seal(json.loads(before), SCHEMA + 1))
    newer = path.read_bytes()
    assert "written by a newer version" in here.refuses("tune", "mine.yaml", *TINY, "--trials", "2")
    assert path.read_bytes() == newer


def test_arms_that_declare_all_that_is_tuned_are_refused(cli: CommandLine) -> None:
    all_of_it = "{optim.lr: 1e-3, optim.centre_lr_ratio: 3, loss.margin: 0.3, loss.scale: 32}"
    Path("mine.yaml").write_text(TWO_ARMS.replace("{model.norm: bn}", all_of_it))
    assert "nothing of 'ln' is left to tune" in cli.refuses("tune", "mine.yaml", *TINY)
