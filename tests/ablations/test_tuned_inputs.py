"""A search belongs to the files that its arms name, too: other content under the same name is another search."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from safetensors.numpy import load_file, save_file

from ablations import tuning, tuning_store
from ablations.registry import load_study
from ablations.tuning import Trial
from ablations.tuning_claims import Claims, Place
from core import inputs
from core.config import RunConfig
from core.model.weights import EMBEDDED
from core.store import Store
from tests.ablations.conftest import TINY, TWO_ARMS, CommandLine

OWN = TWO_ARMS.replace("bn: {model.norm: bn}", "own: {model.pretrained: own.safetensors}")


def other_weights(scale: float) -> None:
    weights = load_file(str(EMBEDDED / "lcnet_050.safetensors"))
    save_file({name: np.asarray(value * scale, value.dtype) for name, value in weights.items()}, "own.safetensors")


def test_other_weights_of_an_arm_are_another_search(cli: CommandLine) -> None:
    Path("mine.yaml").write_text(OWN)
    other_weights(1.0)
    words = ["mine.yaml", *TINY, "--trials", "2", "--jobs", "1", "--storage", "sqlite:///trials.db"]
    assert cli("tune", *words) == 0, cli.err
    assert cli("plan", "mine.yaml", *TINY, "--tuned") == 0
    other_weights(0.5)
    assert "nothing was tuned for this preset and data" in cli.refuses("plan", "mine.yaml", *TINY, "--tuned")
    assert cli("tune", *words, "--json") == 0, cli.err
    assert "4 different runs, 2 new" in cli.err
    (study,) = json.loads(cli.out)["studies"]
    assert {one["key"] for arm in study["arms"].values() for one in arm["trials"]} <= set(Store("runs").run_keys())
    assert cli("plan", "mine.yaml", *TINY, "--tuned") == 0


def test_searches_without_files_of_their_own_are_those_that_they_were(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that stand for weights of the hub say no more than the arm does, and the hub may be out of reach."""
    config = RunConfig()
    for name in ("neck", "pretrain", "margin"):
        study = load_study(name).study
        as_before = tuning.digest(study, config, inputs.fingerprints(config))
        for reachable in (True, False):
            monkeypatch.setattr("core.model.hub.is_reachable", lambda there=reachable: there)
            assert tuning_store.search_digest(study, config) == as_before


def test_what_another_run_came_to_is_not_a_trials(tmp_path: Path) -> None:
    storage = tuning_store.open_storage(f"sqlite:///{tmp_path}/trials.db")
    claims = Claims(storage)
    now = Place("mine/own-0", {"optim.lr": 1e-3}, Trial(0, "sobol", {"optim.lr": 2e-3}, "b" * 16))
    before = replace(now, trial=replace(now.trial, key="a" * 16))
    assert claims.take(before)
    claims.tell(replace(before.trial, value=0.5, auroc=0.5), before)
    assert claims.state(now) == "free"
    assert claims.result(now) is None
    assert claims.take(now)
    claims.tell(replace(now.trial, value=0.25, auroc=0.5), now)
    assert claims.result(now) == replace(now.trial, value=0.25, auroc=0.5)
    claims.close()


def test_a_trial_of_another_run_is_told_beside_the_one_before(tmp_path: Path) -> None:
    path, values = str(tmp_path / "journal.log"), {"optim.lr": 1e-3}
    for key in ("a" * 16, "b" * 16, "b" * 16):
        trial = Trial(0, "sobol", values, key, value=0.5, auroc=0.5)
        tuning_store.tell_values(tuning_store.open_storage(path), "mine/own-0", values, [trial])
    study = optuna.load_study(study_name="mine/own-0", storage=tuning_store.open_storage(path))
    assert [one.user_attrs["key"] for one in study.trials] == ["a" * 16, "b" * 16]
