"""`store gc` beside other commands on the same store, and folders of it that are elsewhere or not to be read."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from ablations.store_gc import Found, find_garbage, remove
from core.integrity import examine, set_aside
from core.lease import Leases
from core.process import Process
from core.store import CHECKPOINT, Store, leases_folder
from tests.ablations.conftest import CommandLine
from tests.ablations.filled_store import FAILED, filled
from tests.ablations.test_cmd_store import age

LEFT = "a" * 16


@pytest.fixture
def store(cli: CommandLine) -> Store:
    opened = filled("runs")
    opened.begin(LEFT, "seed: 9\n")
    age(opened.root)
    return opened


def test_a_run_that_was_begun_since_it_was_found_stays(store: Store) -> None:
    """A sweep takes it up between the look and the removal."""
    found = find_garbage(store)
    lease = Leases(leases_folder(store.root)).acquire(LEFT)
    assert lease is not None
    store.begin(LEFT, "seed: 9\n")
    gone = remove(store, found)
    assert store.path(LEFT, "config.yaml").exists()
    assert gone == Found((), 1)
    lease.release()
    assert remove(store, found).garbage == ()  # written to since
    age(store.root)
    assert [one.path for one in remove(store, find_garbage(store)).garbage] == [store.path(LEFT)]
    assert not store.path(LEFT).exists()
    assert not list(leases_folder(store.root).iterdir())


def test_a_run_that_ended_since_it_was_found_stays(store: Store) -> None:
    """Tried again after its failure, it is done by the time that it would go."""
    found = find_garbage(store, failed=True)
    assert store.path(FAILED) in [one.path for one in found.garbage]
    store.log(FAILED, [{"loss": 1.0}])
    remove(store, found)
    assert store.path(FAILED, "metrics.jsonl").exists()


def test_a_lease_of_another_machine_that_was_silent_for_long_keeps_nothing(cli: CommandLine, store: Store) -> None:
    """As in a store that was copied from there while it was in work."""
    other = Process("other", "boot", 7, 1)
    assert Leases(leases_folder(store.root), process=other, beat=math.inf).acquire(LEFT) is not None
    age(store.root)
    assert cli("store", "gc", "--apply") == 0
    assert not store.path(LEFT).exists()


def test_what_was_set_aside_may_lie_behind_a_link(cli: CommandLine, store: Store) -> None:
    Path("elsewhere").mkdir()
    (store.root / ".damaged").symlink_to("../elsewhere")
    key = next(key for key in store.run_keys() if examine(store, key, digests=True).condition == "done")
    store.path(key, "scores.npz").write_bytes(b"")
    assert set_aside(store, key) is not None
    age(Path("elsewhere"))
    assert cli("store", "gc", "--apply") == 0
    assert not list(Path("elsewhere").iterdir())


def test_a_folder_that_may_not_be_read_is_no_garbage(
    cli: CommandLine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's run looks as if it had no files."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != store.path(LEFT) and access(path, mode))
    assert cli("store", "gc", "--apply") == 0
    assert store.path(LEFT).is_dir()
    assert "nothing to remove" in cli.out


def test_a_checkpoint_of_a_run_that_is_done_goes(cli: CommandLine, store: Store) -> None:
    key = next(key for key in store.run_keys() if examine(store, key, digests=True).condition == "done")
    store.path(key, CHECKPOINT).write_bytes(b"x")
    age(store.root)
    assert cli("store", "gc", "--apply") == 0
    assert not store.path(key, CHECKPOINT).exists()
    assert store.path(key, "result.json").exists()
