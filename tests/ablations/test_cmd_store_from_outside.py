"""`store import` of archives that agree with their manifest; and `store export` writes none that it would refuse."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablations.store_export import MANIFEST
from core import record
from core.lease import Leases
from core.process import Process
from core.store import CHECKPOINT, HEAD_COST, RESULT_SCHEMA, Store, leases_folder
from tests.ablations.conftest import CommandLine
from tests.ablations.filled_store import FAILED, filled
from tests.ablations.test_cmd_store import age
from tests.ablations.test_cmd_store_archive import repack
from tests.core.stores import add_run_of_schema_1


@pytest.fixture
def store(cli: CommandLine) -> Store:
    return filled("runs")


@pytest.fixture
def archive(cli: CommandLine, store: Store) -> Path:
    assert cli("store", "export", "all.tgz") == 0
    return Path("all.tgz")


def done(store: Store) -> str:
    return next(key for key in store.run_keys() if key != FAILED)


def forge(archive: Path, change: Callable[[dict[str, bytes]], Any]) -> None:
    """The archive with its members changed, and a manifest that agrees with them."""

    def changed(members: dict[str, bytes]) -> None:
        change(members)
        files = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
            if name != MANIFEST
        }
        members[MANIFEST] = record.seal({"files": files}, 1)

    repack(archive, changed)


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl", HEAD_COST, "tuning/norm-0.json"])
def test_every_file_is_what_its_record_says(cli: CommandLine, store: Store, archive: Path, name: str) -> None:
    member = name if "." in name and ("/" in name or name == HEAD_COST) else f"runs/{done(store)}/{name}"
    forge(archive, lambda files: files.update({member: b"seed: 9\n"}))
    said = cli.refuses("store", "import", archive, "--store", "other")
    assert f"{member} is damaged (" in said
    assert "nothing was imported" in said
    assert not Path("other").exists()


def test_a_record_of_a_newer_version_is_refused(cli: CommandLine, archive: Path) -> None:
    forge(archive, lambda files: files.update({"tuning/norm-0.json": record.seal({"arms": {}}, 99)}))
    assert "newer version" in cli.refuses("store", "import", archive, "--store", "other")


@pytest.mark.parametrize("files", [5, [1], {"scores.npz": 5}, {"scores.npz": {}}, {"scores.npz": {"bytes": "x"}}])
def test_a_result_that_lists_no_files(cli: CommandLine, store: Store, archive: Path, files: Any) -> None:
    """Its own checksum is right: anybody can make one."""
    key = done(store)
    sealed = record.seal({**store.result(key), "files": files}, RESULT_SCHEMA)
    forge(archive, lambda members: members.update({f"runs/{key}/result.json": sealed}))
    assert "its files cannot be read" in cli.refuses("store", "import", archive, "--store", "other")


def test_scores_that_would_fill_the_memory(cli: CommandLine, store: Store, archive: Path) -> None:
    """Of the schema before checksums they are read to be verified, whatever they unpack to."""
    key = add_run_of_schema_1(Path("old"), 7)
    folder, size = Path("old") / key, 300_000_000
    with (
        zipfile.ZipFile("scores.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed,
        packed.open("roc_fpr.npy", "w") as member,
    ):
        np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (size,)})
        for _ in range(size // 1_000_000):
            member.write(bytes(1_000_000))
    shutil.move("scores.npz", folder / "scores.npz")
    added = {f"runs/{key}/{path.name}": path.read_bytes() for path in folder.iterdir()}
    forge(archive, lambda files: files.update(added))
    assert archive.stat().st_size < 1_000_000
    said = cli.refuses("store", "import", archive, "--store", "other")
    assert f"runs/{key}/scores.npz unpacks to 300,000,128 bytes" in said
    assert not Path("other").exists()


def test_names_that_no_import_takes_are_not_exported(cli: CommandLine, store: Store) -> None:
    """A file manager's copy of a search made an archive that was then refused whole."""
    (search,) = (store.root / "tuning").glob("*.json")
    copy = search.with_name(f"{search.stem} (copy).json")
    shutil.copy(search, copy)
    assert cli("store", "export", "all.tgz") == 1
    assert f"left out: {copy}: " in cli.out
    assert "3 runs, 2 other files" in cli.out
    assert cli("store", "import", "all.tgz", "--store", "other") == 0


def test_an_unfinished_run_with_a_checkpoint_is_told_for_what_it_is(
    cli: CommandLine, store: Store, archive: Path
) -> None:
    """`store gc` keeps it, and nobody is at work on it."""
    key = done(store)
    shutil.rmtree(store.path(key))
    store.begin(key, "seed: 0\n")
    store.path(key, CHECKPOINT).write_bytes(b"x")
    assert cli("store", "import", archive) == 0
    assert f"{key} is unfinished here, with a checkpoint that `run` goes on from" in cli.out
    assert "gc" not in cli.out


class TestLeasesOfAnotherMachine:
    """A store that was copied while it was in work has leases whose holders nobody here can look for."""

    @pytest.fixture
    def left(self, store: Store, archive: Path) -> str:
        key, other = done(store), Process("elsewhere", "boot", 7, 1)
        assert Leases(leases_folder(store.root), process=other, beat=math.inf).acquire(key) is not None
        return key

    def test_a_run_that_is_done_here_is_not_being_trained(
        self, cli: CommandLine, store: Store, archive: Path, left: str
    ) -> None:
        assert cli("store", "import", archive, "--json") == 0
        facts = json.loads(cli.out)
        assert left in facts["kept"]
        assert not [note for note in facts["notes"] if left in note]

    def test_the_holder_is_named(self, cli: CommandLine, store: Store, archive: Path, left: str) -> None:
        shutil.rmtree(store.path(left))
        assert cli("store", "import", archive) == 0
        assert f"{left} is being trained here, by elsewhere:7" in cli.out
        assert not store.path(left).exists()

    def test_one_that_was_silent_for_an_hour_keeps_nothing(
        self, cli: CommandLine, store: Store, archive: Path, left: str
    ) -> None:
        shutil.rmtree(store.path(left))
        age(store.root)
        assert cli("store", "import", archive) == 0
        assert store.state(left) == "done"

    def test_status_says_since_when_it_is_silent(self, cli: CommandLine, store: Store, left: str) -> None:
        shutil.rmtree(store.path(left))
        assert cli("status") == 0
        assert "in the hands of elsewhere:7\n" in cli.out
        for lease in leases_folder(store.root).iterdir():
            os.utime(lease, (time.time() - 7300,) * 2)
        assert cli("status") == 0
        assert "in the hands of elsewhere:7, without a sign of life for 2:01:40 h" in cli.out
