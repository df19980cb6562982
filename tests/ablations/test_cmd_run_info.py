"""`run-info KEY`: one run, whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from core.checkpoint import Saver
from core.config import RunConfig
from core.store import CHECKPOINT, Store
from tests.ablations.conftest import CommandLine
from tests.core.stores import add_run

KEY = "a" * 16


def test_failed_run_with_its_reason(cli: CommandLine) -> None:
    Store("runs").fail(KEY, "diverged", "the loss is nan", "seed: 0\n")
    assert cli("run-info", KEY[:4], "--json") == 0
    facts = json.loads(cli.out)
    assert facts["failure"]["kind"] == "diverged"
    assert facts["repeat"] == f"python -m ablations run runs/{KEY}/config.yaml --store again"
    assert cli("run-info", KEY) == 0
    assert "kind: diverged" in cli.out


def test_a_run_of_a_gpu_is_repeated_on_one(cli: CommandLine) -> None:
    Store("runs").begin(KEY, RunConfig().with_overrides({"runtime.device": "cuda:1"}).to_yaml())
    assert cli("run-info", KEY, "--json") == 0
    assert json.loads(cli.out)["repeat"] == (
        f"python -m ablations run runs/{KEY}/config.yaml --store again --device cuda:1"
    )


def test_unfinished_run_says_how_far_it_is(cli: CommandLine) -> None:
    store = Store("runs")
    store.begin(KEY, "seed: 0\n")
    Saver(store.path(KEY, CHECKPOINT), "me").save({}, 12_800, 25_600)
    assert cli("run-info", KEY, "--json") == 0
    assert json.loads(cli.out)["checkpoint"] == {"samples": 12_800, "of": 25_600}


def test_unknown_key(cli: CommandLine) -> None:
    assert "no run" in cli.refuses("run-info", "ffff")


def test_the_command_that_repeats_a_run_can_be_copied(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither folded nor quoted, into a store that does not have the run, and drawn with the same fonts."""
    root = Path("a folder #1 with a name that is longer than any line of a page would be " * 2)
    Store(root).begin(KEY, RunConfig().to_yaml())
    monkeypatch.setenv("DOCABLATE_FONTS", "matplotlib")
    assert cli("run-info", KEY, "--store", str(root)) == 0
    command = f"DOCABLATE_FONTS=matplotlib python -m ablations run '{root}/{KEY}/config.yaml' --store again"
    assert cli.out.splitlines()[-1] == f"  {command}"
    assert yaml.safe_load(cli.out)["repeat"] == command
    shutil.copytree(root, "again")
    assert cli("run-info", KEY, "--store", "again", "--json") == 0
    assert json.loads(cli.out)["repeat"].endswith("--store again-2")


@pytest.mark.parametrize("content", ["seed: 99\n", None])
def test_a_configuration_that_is_not_the_runs_repeats_another_one(cli: CommandLine, content: str | None) -> None:
    """No number comes from it, so that the run is done; but the command reads it."""
    store = Store("runs")
    key = add_run(store)
    assert cli("run-info", key, "--json") == 0
    assert "config_yaml" not in json.loads(cli.out)
    path = store.path(key, "config.yaml")
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert cli("run-info", key, "--json") == 0
    told = json.loads(cli.out)["config_yaml"]
    assert told.startswith(f"{path} is damaged (")
    assert told.endswith("): `run` of its study makes it again")
    assert cli("run-info", key) == 0
    assert yaml.safe_load(cli.out)["config_yaml"] == told


def test_without_a_configuration_there_is_nothing_to_repeat(cli: CommandLine) -> None:
    store = Store("runs")
    assert store.fail(KEY, "hung", "no progress")
    assert cli("run-info", KEY, "--json") == 0
    assert json.loads(cli.out)["config_yaml"] == f"{store.path(KEY, 'config.yaml')} is not there"
