"""Damaged, old and newer runs through the real command line, with runs that are really trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from core import record
from core.store import RESULT_SCHEMA, Store
from tests.ablations.conftest import TINY, CommandLine, with_two_arms
from tests.ablations.filled_store import contents

MINE = ["mine.yaml", *TINY, "--no-control"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of two arms and its store."""
    return with_two_arms(tmp_path_factory.mktemp("made"), "run", "--no-control", "--no-report")


@pytest.fixture
def here(made: Path, cli: CommandLine, tmp_path: Path) -> CommandLine:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return cli


def outcomes(store: Store) -> dict[str, Any]:
    return {key: (store.result(key)["metrics"], store.result(key)["shifted"]) for key in store.run_keys()}


def test_damaged_runs_are_named_by_readers_and_trained_again_to_the_same_bits(here: CommandLine) -> None:
    store = Store("runs")
    first, second = store.run_keys()
    before, scores = outcomes(store), store.scores(second)
    result = store.path(first, "result.json")
    result.write_text(result.read_text().replace('"auroc": 0.', '"auroc": 0.9', 1))
    store.path(second, "scores.npz").write_bytes(store.path(second, "scores.npz").read_bytes()[:-7])
    listing = contents(Path("runs"))
    told = [f"{result} is damaged (its checksum does not match its content)", f"{second}/scores.npz is damaged ("]

    assert here("plan", *MINE) == 0
    assert "2 runs: 0 new, 0 cached, 0 failed, 2 damaged; about" in here.out
    assert all(text in here.out for text in told)
    assert here("status") == 0
    assert "runs: 2 damaged" in here.out
    assert all(text in here.out for text in told)
    assert here("report", *MINE, "--out", "report") == 0
    assert "2 different runs: 2 damaged" in Path("report/index.md").read_text()
    assert told[0] in here.refuses("run-info", first)
    assert contents(Path("runs")) == listing

    assert here("run", *MINE, "--out", "report") == 0
    assert all(text in here.err for text in told)
    assert f"The run is set aside as runs/.damaged/{first}-1, and is trained again" in here.err
    assert outcomes(store) == before
    assert {name: array.tolist() for name, array in store.scores(second).items()} == {
        name: array.tolist() for name, array in scores.items()
    }
    for key in (first, second):
        aside = contents(Path("runs/.damaged") / f"{key}-1")
        assert aside == {name.partition("/")[2]: data for name, data in listing.items() if name.startswith(f"{key}/")}
    assert "2 different runs: 2 done" in Path("report/index.md").read_text()
    assert here("run", *MINE, "--no-report") == 0
    assert "2 cached" in here.err


def test_a_run_of_a_newer_version_is_left_alone_and_counts_as_not_done(here: CommandLine) -> None:
    store = Store("runs")
    key = store.run_keys()[0]
    path = store.path(key, "result.json")
    path.write_bytes(record.seal({**store.result(key), "new": "field"}, RESULT_SCHEMA + 1))
    listing = contents(Path("runs"))
    told = f"{path} was written by a newer version (schema {RESULT_SCHEMA + 1}"
    assert here("plan", *MINE) == 0
    assert "0 new, 1 cached, 0 failed, 1 newer" in here.out
    assert told in here.out
    assert here("run", *MINE, "--retry-failed", "--out", "report") == 1
    assert "left alone: mine/" in here.err
    assert told in here.err
    assert "1 of 2 runs are not done (0 failed)" in here.err
    assert "1 done, 1 newer" in Path("report/index.md").read_text()
    assert told in here.refuses("run-info", key)
    assert contents(Path("runs")) == listing


def test_runs_of_the_schema_before_checksums_are_taken_as_they_are(here: CommandLine) -> None:
    store = Store("runs")
    for key in store.run_keys():
        result = store.result(key)
        old = {name: value for name, value in result.items() if name not in ("schema", "checksum", "files")}
        store.path(key, "result.json").write_text(json.dumps({"schema": 1, **old}, indent=1))
    listing = contents(Path("runs"))
    assert here("run", *MINE, "--out", "report") == 0
    assert "2 cached" in here.err
    assert "2 different runs: 2 done" in Path("report/index.md").read_text()
    assert contents(Path("runs")) == listing
