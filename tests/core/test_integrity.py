"""Damage to a run is named, and the run set aside whole; logs are mended; old and newer versions are told apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import record
from core.config import RunConfig
from core.errors import RunFailure, UserError
from core.integrity import DAMAGED_FOLDER, examine, mend, set_aside
from core.record import Damaged, Newer
from core.store import RESULT_SCHEMA, Store
from tests.core.stores import INPUTS, add_run, add_run_of_schema_1


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def key(store: Store) -> str:
    return add_run(store)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1
    path.write_bytes(data)


def test_a_run_as_it_was_written_is_done(store: Store, key: str) -> None:
    found = examine(store, key, digests=True)
    assert (found.condition, found.reason) == ("done", "")
    assert found.result is not None
    assert found.result["metrics"] == store.result(key)["metrics"]
    assert set(found.result["files"]) == {"config.yaml", "metrics.jsonl", "scores.npz"}
    assert mend(store, key) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"files": 5}, {"files": [1]}, {"files": {"scores.npz": {}}}, {"files": {"scores.npz": {"bytes": "9"}}},
        {"files": {"scores.npz": {"bytes": 9, "sha256": 1}}}, {"curve": 5}, {"curve": [1]}, {"config": 5},
    ],
)  # fmt: skip
def test_a_checksum_makes_no_result_of_what_has_another_shape(store: Store, key: str, wrong: dict[str, Any]) -> None:
    facts = {**store.result(key), **wrong}
    store.path(key, "result.json").write_bytes(record.seal(facts, RESULT_SCHEMA))
    found = examine(store, key, digests=True)
    (name,) = wrong
    assert (found.condition, found.reason.split("(")[1]) == ("damaged", f"its {name} cannot be read)")
    with pytest.raises(Damaged):
        store.verify(key, digests=True)
    assert mend(store, key) == []


def test_a_run_that_ends_while_it_is_looked_at_is_done(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    key, failure = RunConfig().key(INPUTS), Store.failure
    store.fail(key, "hung", "no progress")

    def ended(self: Store, key: str) -> dict[str, Any]:
        if not store.path(key, "result.json").exists():
            add_run(store)
            store.path(key, "failure.json").unlink(missing_ok=True)
        return failure(self, key)

    monkeypatch.setattr(Store, "failure", ended)
    assert examine(store, key, digests=True).condition == "done"


@pytest.mark.parametrize("name", ["result.json", "scores.npz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "garbage", "a folder"])
def test_damage_is_named_and_the_run_is_set_aside_whole(store: Store, key: str, name: str, damage: str) -> None:
    path = store.path(key, name)
    names = {entry.name for entry in store.path(key).iterdir()}
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "flipped":
        flip(path, 700)
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))
    else:
        path.unlink()
        path.mkdir()
    found = examine(store, key, digests=True)
    assert found.condition == "damaged"
    assert f"{path} is damaged (" in found.reason
    with pytest.raises(UserError, match=name):
        store.scores(key)
    moved = set_aside(store, key)
    assert moved == (store.root / DAMAGED_FOLDER / f"{key}-1", found.reason)
    assert {entry.name for entry in moved[0].iterdir()} == names
    assert (store.root / DAMAGED_FOLDER / f"{key}-1.txt").read_text() == f"{found.reason}\n"
    assert examine(store, key, digests=True).condition == "new"
    assert store.run_keys() == []


def test_scores_of_the_right_size_are_seen_through_by_their_digest_only(store: Store, key: str) -> None:
    flip(store.path(key, "scores.npz"), 100)
    assert examine(store, key, digests=False).condition == "done"
    assert examine(store, key, digests=True).condition == "damaged"
    with pytest.raises(Damaged, match="its content is not what was written"):
        store.scores(key)


def test_a_file_is_read_again_once_it_is_another_one(store: Store, key: str) -> None:
    before = store.scores(key)
    data = store.path(key, "scores.npz").read_bytes()
    flip(store.path(key, "scores.npz"), 100)
    with pytest.raises(Damaged):
        store.scores(key)
    store.path(key, "scores.npz").write_bytes(data)
    assert np.array_equal(store.scores(key)["roc_tpr"], before["roc_tpr"])


def test_only_what_is_damaged_is_set_aside_and_nothing_is_overwritten(store: Store, key: str) -> None:
    assert set_aside(store, key) is None
    assert set_aside(store, "0" * 16) is None
    for number in (1, 2, 3):
        store.path(key, "result.json").write_text(f"damage {number}")
        assert set_aside(store, key) is not None
        assert add_run(store) == key
    for number in (1, 2, 3):
        assert (store.root / DAMAGED_FOLDER / f"{key}-{number}" / "result.json").read_text() == f"damage {number}"


def test_a_run_of_another_key_is_not_taken_for_this_one(store: Store, key: str) -> None:
    other = "f" * 16
    shutil.copytree(store.path(key), store.path(other))
    found = examine(store, other, digests=True)
    assert found.condition == "damaged"
    assert f"it is of the run '{key}'" in found.reason


def test_a_result_of_other_data_than_planned_is_never_filed(store: Store, key: str) -> None:
    store.begin("f" * 16, "")
    with pytest.raises(RunFailure, match="the data were others") as caught:
        store.finish("f" * 16, store.result(key), {})
    assert caught.value.kind == "data_changed"
    assert store.state("f" * 16) == "new"


def test_a_file_where_the_folder_should_be_and_a_damaged_failure(store: Store, key: str) -> None:
    store.path("e" * 16).write_text("x")
    store.fail("f" * 16, "diverged", "the loss is nan")
    assert examine(store, "f" * 16, digests=False).reason == "diverged: the loss is nan"
    store.path("f" * 16, "failure.json").write_bytes(b"")
    for other in ("e" * 16, "f" * 16):
        assert examine(store, other, digests=False).condition == "damaged"
        assert set_aside(store, other) is not None
    assert store.run_keys() == [key]


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl"])
@pytest.mark.parametrize("damage", ["cut", "gone", "a folder"])
def test_what_a_result_can_give_back_is_mended(store: Store, key: str, name: str, damage: str) -> None:
    path = store.path(key, name)
    before = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(before[:-5])
    elif damage == "a folder":
        path.mkdir()
    if damage != "a folder":  # no number comes from it: the run is as good as ever
        assert examine(store, key, digests=True).condition == "done"
    (line,) = mend(store, key)
    assert line.startswith(f"{path} is damaged (")
    assert line.endswith(": made anew from result.json")
    assert path.read_bytes() == before
    assert (store.root / DAMAGED_FOLDER / f"{name}-1").exists() == (damage != "gone")
    assert mend(store, key) == []


class TestOlder:
    def test_a_result_without_a_checksum_is_read(self, store: Store) -> None:
        key = add_run_of_schema_1(store.root)
        found = examine(store, key, digests=True)
        assert found.condition == "done"
        assert found.result is not None
        assert found.result["metrics"]["auroc"] == 0.53
        assert "checksum" not in found.result
        assert set(store.scores(key)) == {"roc_fpr", "roc_tpr"}
        assert mend(store, key) == []

    @pytest.mark.parametrize("field", ["metrics", "config", "curve", "environment"])
    def test_one_without_what_readers_need_is_refused(self, store: Store, field: str) -> None:
        key = add_run_of_schema_1(store.root)
        path = store.path(key, "result.json")
        result = json.loads(path.read_text())
        for change in ({name: value for name, value in result.items() if name != field}, {**result, field: 3}):
            path.write_text(json.dumps(change))
            with pytest.raises(Damaged, match=f"a result of schema 1 without {field}"):
                store.result(key)

    @pytest.mark.parametrize("value", [1.7, -0.1, True, "0.5", None])
    def test_a_metric_that_is_no_rate_is_refused(self, store: Store, value: Any) -> None:
        key = add_run_of_schema_1(store.root)
        path = store.path(key, "result.json")
        result = json.loads(path.read_text())
        result["metrics"]["auroc"] = value
        path.write_text(json.dumps(result))
        assert examine(store, key, digests=False).condition == "damaged"

    def test_its_scores_are_held_to_their_own_crc(self, store: Store) -> None:
        key = add_run_of_schema_1(store.root)
        flip(store.path(key, "scores.npz"), 100)
        assert examine(store, key, digests=False).condition == "done"
        assert examine(store, key, digests=True).condition == "damaged"

    def test_a_schema_that_never_was_is_damage(self, store: Store) -> None:
        key = add_run_of_schema_1(store.root)
        path = store.path(key, "result.json")
        path.write_text(path.read_text().replace('"schema": 1', '"schema": 0'))
        assert examine(store, key, digests=False).condition == "damaged"


class TestNewer:
    @pytest.mark.parametrize("name", ["result.json", "failure.json"])
    def test_it_is_named_and_never_touched(self, store: Store, name: str) -> None:
        key = "a" * 16
        store.begin(key, "")
        path = store.path(key, name)
        path.write_bytes(record.seal({"key": key, "something": "else"}, RESULT_SCHEMA + 1))
        before = path.read_bytes()
        found = examine(store, key, digests=True)
        assert found.condition == "newer"
        assert f"{path} was written by a newer version (schema 3" in found.reason
        with pytest.raises(Newer):
            store.result(key) if name == "result.json" else store.failure(key)
        assert set_aside(store, key) is None
        assert path.read_bytes() == before
