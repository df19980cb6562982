"""`store` on files that cannot be read, lead nowhere, go meanwhile or hold what nobody wrote: named, and no more."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations import store_export
from core import record, stored_runs
from core.store import Store
from tests.ablations.conftest import CommandLine
from tests.ablations.filled_store import FAILED, filled


@pytest.fixture
def store(cli: CommandLine) -> Store:
    return filled("runs")


def done(store: Store) -> str:
    return next(key for key in store.run_keys() if key != FAILED)


def search_of(store: Store) -> Path:
    (path,) = (store.root / "tuning").glob("*.json")
    return path


def test_a_search_that_leads_nowhere_is_named(cli: CommandLine, store: Store) -> None:
    link = store.root / "tuning" / "norm-000000000000.json"
    link.symlink_to("nowhere")
    assert cli("store", "check") == 1
    assert f"{link} is damaged (a link that leads nowhere)" in cli.out
    assert cli("store", "export", "all.tgz") == 1
    assert f"left out: {link} is damaged (a link that leads nowhere)" in cli.out
    assert "3 runs, 2 other files" in cli.out


def test_a_search_that_goes_meanwhile_is_none(cli: CommandLine, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another command set it aside between the listing and the reading."""
    here, listed = search_of(store), [search_of(store)]
    here.unlink()
    monkeypatch.setattr(Path, "glob", lambda *_: listed)
    assert cli("store", "check") == 0
    assert cli("store", "export", "all.tgz") == 0


@pytest.mark.parametrize("trial", [3, {}, {"trial": "0", "values": {}}, None])
@pytest.mark.parametrize("schema", [1, 2])
def test_a_search_whose_trials_are_none_is_damaged(cli: CommandLine, store: Store, trial: Any, schema: int) -> None:
    """The earlier schema has no checksum that would tell."""
    path = search_of(store)
    arm = {"values": None, "trials": [trial], "failed": 0, "at_edge": [], "optuna": "neck/flat"}
    facts = {"arms": {"flat": arm}}
    path.write_bytes(record.seal(facts, 2) if schema == 2 else json.dumps({"schema": 1, **facts}).encode())
    (store.root / "tuning" / "journal.log").write_text('{"op_code": 0}\n')
    assert cli("store", "check") == 1
    assert f"{path} is damaged (it does not hold a search)" in cli.out


def refuse_to_read(name: str) -> Callable[[Path], str]:
    def digest(path: Path) -> str:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return record.file_digest(path)

    return digest


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl"])
def test_a_file_that_may_not_be_read_is_named(
    cli: CommandLine, store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_runs, "file_digest", refuse_to_read(name))
    path = store.path(done(store), name)
    assert cli("store", "check", "--json") == 1
    told = [problem["path"] for problem in json.loads(cli.out)["problems"]]
    assert str(path) in told
    assert "Permission denied" in cli.out
    assert cli("store", "export", "all.tgz") == 1
    assert f"left out: {done(store)}: " in cli.out
    assert "0 runs, 2 other files" in cli.out


def test_a_folder_that_may_not_be_read_is_not_left_out_unsaid(
    cli: CommandLine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's run, of a store that several share, looks as if it had no files."""
    key, access = done(store), os.access
    folder = store.path(key)
    hidden = folder.rename("elsewhere")
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and access(path, mode))
    assert cli("store", "check") == 1
    assert f"{folder} may not be read" in cli.out
    assert cli("store", "export", "all.tgz") == 1
    assert f"left out: {key}: {folder} may not be read" in cli.out
    assert hidden.is_dir()


def test_a_run_that_goes_while_it_is_exported(cli: CommandLine, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the archive that could not be written."""
    key, others = done(store), store_export._others

    def gone(*arguments: Any) -> Any:
        shutil.rmtree(store.path(key))
        return others(*arguments)

    monkeypatch.setattr(store_export, "_others", gone)
    said = cli.refuses("store", "export", "all.tgz")
    assert f"{store.path(key)}" in said
    assert "export again" in said
    assert not Path("all.tgz").exists()


def test_a_file_in_the_place_of_the_searches_is_named(cli: CommandLine, store: Store) -> None:
    shutil.rmtree(store.root / "tuning")
    (store.root / "tuning").write_text("x")
    assert cli("store", "check") == 1
    assert "runs/tuning cannot be read (Not a directory)" in cli.out
