"""The store: done means result.json, failures are typed, damage is named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from core.errors import RunFailure, UserError
from core.store import CHECKPOINT, Store, sync_folder, write_atomic

KEY = "0123456789abcdef"
SCORES = {"roc_fpr": np.arange(3, dtype=np.float32), "captures": np.array([2, 5], np.int32)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def test_life_of_a_run(store: Store) -> None:
    assert store.state(KEY) == "new"
    assert store.run_keys() == []
    store.begin(KEY, "seed: 0\n")
    store.log(KEY, [{"loss": 1.0}])
    assert store.state(KEY) == "new"
    store.finish(KEY, {"metrics": {"auroc": 0.9}}, SCORES)
    assert store.state(KEY) == "done"
    assert store.result(KEY)["metrics"] == {"auroc": 0.9}
    np.testing.assert_equal(store.scores(KEY), SCORES)
    np.testing.assert_equal(store.scores(KEY, ("captures", "none_such")), {"captures": SCORES["captures"]})
    assert [result["metrics"] for result in store.results()] == [{"auroc": 0.9}]
    assert {path.name for path in store.path(KEY).iterdir()} == {
        "config.yaml", "metrics.jsonl", "scores.npz", "result.json",
    }  # fmt: skip


def test_a_failure_is_kept_until_an_attempt_succeeds(store: Store) -> None:
    assert store.attempts(KEY) == 0
    assert store.fail(KEY, "worker_died", "killed", "seed: 0\n", {"core": "abc"})
    assert store.state(KEY) == "failed"
    assert (store.attempts(KEY), store.failure(KEY)["kind"]) == (1, "worker_died")
    assert store.failure(KEY)["code"] == {"core": "abc"}
    store.begin(KEY, "seed: 0\n")
    store.discard_unfinished(KEY)  # an attempt that was interrupted, or killed
    assert (store.state(KEY), store.failure(KEY)["kind"]) == ("failed", "worker_died")
    assert store.fail(KEY, "hung", "no progress")
    assert (store.attempts(KEY), store.failure(KEY)["kind"]) == (2, "hung")
    store.begin(KEY, "seed: 0\n")
    store.finish(KEY, {}, SCORES)
    assert (store.state(KEY), store.attempts(KEY)) == ("done", 0)
    assert not store.path(KEY, "failure.json").exists()


def test_attempts_of_a_damaged_or_old_record_are_one(store: Store) -> None:
    store.fail(KEY, "hung", "no progress")
    for text in ("{", '{"kind": "hung"}', '{"attempts": "many"}'):
        store.path(KEY, "failure.json").write_text(text)
        assert store.attempts(KEY) == 1
    assert store.fail(KEY, "hung", "no progress")
    assert store.attempts(KEY) == 2


def test_a_failure_that_cannot_be_written_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert not store.fail(KEY, "no_space", "no space left")


def test_an_attempt_clears_what_the_last_one_left_but_its_checkpoint(store: Store) -> None:
    store.begin(KEY, "seed: 0\n")
    for name in ("metrics.jsonl", "scores.npz", CHECKPOINT, f".{CHECKPOINT}.x1y2", ".result.json.abc", ".lease"):
        store.path(KEY, name).write_bytes(b"left")
    store.begin(KEY, "seed: 0\n")
    assert {path.name for path in store.path(KEY).iterdir()} == {"config.yaml", CHECKPOINT, ".lease"}
    store.finish(KEY, {}, SCORES)
    assert not store.path(KEY, CHECKPOINT).exists()


def test_metrics_are_written_whole(store: Store) -> None:
    store.begin(KEY, "seed: 0\n")
    store.log(KEY, [{"loss": 3.0}])
    store.log(KEY, [{"loss": 3.0}, {"loss": 2.0}])
    assert store.path(KEY, "metrics.jsonl").read_text() == '{"loss": 3.0}\n{"loss": 2.0}\n'


def test_discard_keeps_a_checkpoint(store: Store) -> None:
    store.begin(KEY, "seed: 0\n")
    store.path(KEY, CHECKPOINT).write_bytes(b"kept")
    store.discard_unfinished(KEY)
    assert store.path(KEY, CHECKPOINT).read_bytes() == b"kept"


def test_discard_keeps_what_is_done(store: Store) -> None:
    store.begin(KEY, "seed: 0\n")
    store.discard_unfinished(KEY)
    assert store.run_keys() == []
    store.begin(KEY, "seed: 0\n")
    store.finish(KEY, {}, SCORES)
    store.discard_unfinished(KEY)
    assert store.state(KEY) == "done"


def test_nan_is_never_written(store: Store) -> None:
    store.begin(KEY, "seed: 0\n")
    with pytest.raises(ValueError, match="JSON compliant"):
        store.finish(KEY, {"metrics": {"auroc": float("nan")}}, SCORES)
    assert store.state(KEY) == "new"


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"schema": 99}', b"\xff\xfe"])
def test_damaged_result_names_its_file(store: Store, damage: bytes) -> None:
    store.begin(KEY, "")
    store.path(KEY, "result.json").write_bytes(damage)
    with pytest.raises(UserError, match=r"result\.json"):
        store.result(KEY)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", b"not a zip"])
def test_damaged_scores_name_their_file(store: Store, damage: bytes) -> None:
    store.begin(KEY, "")
    store.finish(KEY, {}, SCORES)
    store.path(KEY, "scores.npz").write_bytes(damage)
    with pytest.raises(UserError, match=r"scores\.npz"):
        store.scores(KEY)


@pytest.mark.parametrize("key", ["../etc", "short", "0123456789ABCDEF", ""])
def test_keys_cannot_leave_the_store(store: Store, key: str) -> None:
    with pytest.raises(UserError, match="not a run key"):
        store.path(key)


def test_find_by_prefix(store: Store) -> None:
    store.begin(KEY, "")
    store.begin("0123456789abcdee", "")
    assert store.find(KEY) == KEY
    with pytest.raises(UserError, match="2 runs"):
        store.find("0123")
    with pytest.raises(UserError, match="no run"):
        store.find("ffff")


def test_full_disk_is_typed_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "result.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailure) as caught:
        write_atomic(path, b"new")
    assert caught.value.kind == "no_space"
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_a_rename_is_synced_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    original = os.fsync

    def watched(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").resolve().name if Path("/proc/self/fd").exists() else "")
        original(fd)

    monkeypatch.setattr(os, "fsync", watched)
    write_atomic(tmp_path / "result.json", b"new")
    assert len(synced) == 2
    assert synced[1] in (tmp_path.name, "")
    sync_folder(tmp_path / "missing")  # a platform that cannot is no failure


def test_unwritable_store_says_what_to_do(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="--store"):
        Store(blocked).check_writable()
