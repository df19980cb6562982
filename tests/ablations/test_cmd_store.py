"""`store check | gc | export | import`, through the real command line."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations.registry import load_study
from ablations.scale_cli import STEP_COST, STEP_COST_SCHEMA
from ablations.tuning_store import save
from core import record
from core.integrity import examine, set_aside
from core.lease import Leases
from core.result import code_digest
from core.store import HEAD_COST, HEAD_COST_SCHEMA, RESULT_SCHEMA, Store, leases_folder
from tests.ablations.conftest import CommandLine
from tests.core.stores import add_run, add_run_of_schema_1

FAILED = "f" * 16


@pytest.fixture
def store(cli: CommandLine) -> Store:
    """Three runs that are done, a failed one, a search and a timing."""
    store = Store("runs")
    for seed in range(3):
        add_run(store, seed)
    store.fail(FAILED, "diverged", "the loss is nan", "seed: 0\n")
    arm = {"values": None, "trials": [], "failed": 0, "at_edge": []}
    save(store, load_study("neck").study, "0" * 12, "quick", {"flat": arm})
    (store.root / HEAD_COST).write_bytes(record.seal({"turns": {"0.3": [20.0]}}, HEAD_COST_SCHEMA))
    return store


def age(root: Path, seconds: float = 7200) -> None:
    """As if all of it had been written two hours ago."""
    then = time.time() - seconds
    for path in (*root.rglob("*"), root):
        os.utime(path, (then, then), follow_symlinks=False)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class TestCheck:
    def test_a_store_as_it_was_written(self, cli: CommandLine, store: Store) -> None:
        before = contents(store.root)
        assert cli("store", "check") == 0
        assert "runs: 3 done, 1 failed; 2 other files" in cli.out
        assert "3 of the runs done were made by other code than this" in cli.out
        assert "all files are as they were written" in cli.out
        assert contents(store.root) == before

    def test_measured_steps_are_looked_at(self, cli: CommandLine, store: Store) -> None:
        path = store.root / STEP_COST
        path.write_bytes(record.seal({"measured": {}}, STEP_COST_SCHEMA))
        assert cli("store", "check") == 0
        assert "3 other files" in cli.out
        path.write_text("garbage")
        assert cli("store", "check") == 1
        assert f"{path} is damaged (" in cli.out

    def test_every_kind_of_file_is_looked_at(self, cli: CommandLine, store: Store) -> None:
        done = [key for key in store.run_keys() if key != FAILED]
        (search,) = (store.root / "tuning").glob("*.json")
        damaged = [
            store.path(done[0], "result.json"), store.path(done[1], "scores.npz"), store.path(done[2], "config.yaml"),
            store.path(done[2], "metrics.jsonl"), store.path(FAILED, "failure.json"), search, store.root / HEAD_COST,
        ]  # fmt: skip
        for path in damaged:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 4
            path.write_bytes(data)
        (store.root / "tuning" / "journal.log").write_text('{"op_code": 0')
        assert cli("store", "check", "--json") == 1
        facts = json.loads(cli.out)
        told = " ".join(problem["reason"] for problem in facts["problems"])
        assert [str(path) for path in damaged if f"{path} is damaged (" not in told] == []
        assert "journal.log is damaged (line 1 ends before its time)" in told
        assert len(facts["problems"]) == len(damaged) + 1
        assert facts["runs"] == {"done": 1, "failed": 0, "unfinished": 0, "damaged": 3, "newer": 0}
        assert cli("store", "check") == 1
        assert "8 problems" in cli.out
        assert "python -m ablations cost" in cli.out.replace("\n", " ")

    def test_what_is_old_newer_unfinished_or_of_this_code(self, cli: CommandLine, tmp_path: Path) -> None:
        store = Store("runs")
        add_run_of_schema_1(store.root)
        key = add_run(store, 1)
        result = store.result(key)
        result["environment"]["code"] = code_digest()
        store.path(key, "result.json").write_bytes(record.seal(result, RESULT_SCHEMA))
        store.begin("a" * 16, "")
        store.begin("b" * 16, "")
        store.path("b" * 16, "result.json").write_bytes(record.seal({}, RESULT_SCHEMA + 1))
        assert cli("store", "check") == 1
        assert "runs: 2 done, 1 unfinished, 1 newer" in cli.out
        assert "1 of the runs done are of an older schema, without a checksum" in cli.out
        assert "1 of the runs done were made by other code" in cli.out
        assert "was written by a newer version (schema 3" in cli.out.replace("\n", " ")

    def test_no_store(self, cli: CommandLine) -> None:
        for verb in ("check", "gc"):
            assert "'nothing' is not a folder" in cli.refuses("store", verb, "--store", "nothing")
        assert not Path("nothing").exists()


class TestGc:
    @pytest.fixture
    def messy(self, store: Store) -> Store:
        done = [key for key in store.run_keys() if key != FAILED]
        store.path(done[0], "checkpoint.pt").write_bytes(b"x" * 1000)
        store.path(done[0], ".scores.npz.abcd_123").write_bytes(b"x" * 500)
        (store.root / ".head_cost.json.zzzzzzzz").write_bytes(b"x")
        (store.root / "notes.txt").write_text("the user's own")
        store.begin("a" * 16, "")
        store.begin("b" * 16, "")
        store.path("b" * 16, "checkpoint.pt").write_bytes(b"worth keeping")
        store.path(done[1], "scores.npz").write_bytes(b"")
        assert set_aside(store, done[1]) is not None
        (store.root / ".leases").mkdir()
        (store.root / ".leases" / f"{done[2]}.json").write_text("{}")
        age(store.root)
        return store

    def test_nothing_goes_without_being_asked(self, cli: CommandLine, messy: Store) -> None:
        before = contents(messy.root)
        assert cli("store", "gc") == 0
        for told in ("temporary file left behind: 2", "set aside as damaged: 2",
                     "unfinished run without a checkpoint: 1", "checkpoint of a run that is done: 1",
                     "nothing was removed: `--apply` does it"):  # fmt: skip
            assert told in cli.out
        assert contents(messy.root) == before

    def test_only_garbage_goes(self, cli: CommandLine, messy: Store) -> None:
        before = contents(messy.root)
        assert cli("store", "gc", "--apply", "--json") == 0
        facts = json.loads(cli.out)
        now = contents(messy.root)
        gone = {name for name in before if name not in now}
        assert {name.split("/")[-1] for name in gone} >= {"checkpoint.pt", ".scores.npz.abcd_123", "config.yaml"}
        assert {name.split("/")[0] for name in gone if not name.startswith(".")} <= {
            "a" * 16, *(Path(one["path"]).parent.name for one in facts["garbage"])
        }  # fmt: skip
        assert now == {name: before[name] for name in now}
        assert (messy.root / "notes.txt").exists()
        assert messy.path("b" * 16, "checkpoint.pt").exists()
        assert not (messy.root / ".damaged").exists()
        assert facts["bytes"] == sum(len(before[name]) for name in gone)
        conditions = [examine(messy, key, digests=True).condition for key in messy.run_keys()]
        assert sorted(conditions) == ["done", "done", "failed", "new"]
        assert cli("store", "gc") == 0
        assert "nothing to remove" in cli.out

    def test_what_goes_with_its_folder_is_counted_once(self, cli: CommandLine, store: Store) -> None:
        store.begin("a" * 16, "seed: 9\n")
        store.path("a" * 16, ".checkpoint.pt.abcdefgh").write_bytes(bytes(1000))
        age(store.root)
        assert cli("store", "gc", "--json") == 0
        facts = json.loads(cli.out)
        assert [one["reason"] for one in facts["garbage"]] == ["unfinished run without a checkpoint"]
        assert facts["bytes"] == 1000 + len("seed: 9\n")

    def test_what_was_written_of_late_stays(self, cli: CommandLine, messy: Store) -> None:
        os.utime(messy.path("a" * 16, "config.yaml"))
        os.utime(messy.root / ".head_cost.json.zzzzzzzz", (time.time() + 9e5,) * 2)  # by a clock that is ahead
        assert cli("store", "gc", "--apply") == 0
        assert "2 entries stay" in cli.out
        assert messy.path("a" * 16).exists()
        assert (messy.root / ".head_cost.json.zzzzzzzz").exists()

    def test_done_and_failed_runs_go_only_when_asked_for_and_never_with_a_lease(
        self, cli: CommandLine, messy: Store
    ) -> None:
        (lease,) = (messy.root / ".leases").iterdir()
        os.utime(lease)
        assert cli("store", "gc", "--apply", "--other-code", "--failed") == 0
        assert messy.run_keys() == sorted([lease.stem, "b" * 16])
        assert lease.exists()


def repack(archive: Path, change: Callable[[dict[str, bytes]], Any]) -> None:
    """The archive with its members changed."""
    with tarfile.open(archive) as tar:
        members = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    change(members)
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


class TestArchive:
    @pytest.fixture
    def archive(self, cli: CommandLine, store: Store) -> Path:
        assert cli("store", "export", "all.tar.gz") == 0
        assert "3 runs, 2 other files in all.tar.gz" in cli.out
        return Path("all.tar.gz")

    def test_there_and_back_again(self, cli: CommandLine, store: Store, archive: Path) -> None:
        assert cli("store", "import", archive, "--store", "other") == 0
        assert "3 runs imported into other, 0 were there already" in cli.out
        expected = contents(store.root)
        assert contents(Path("other")) == {name: expected[name] for name in expected if not name.startswith(FAILED)}
        assert cli("store", "check", "--store", "other") == 0
        time.sleep(0.01)
        assert cli("store", "export", "again.tgz", "--store", "other") == 0
        assert Path("again.tgz").read_bytes() == archive.read_bytes()

    def test_what_goes_in(self, cli: CommandLine, store: Store) -> None:
        key = store.run_keys()[0]
        assert cli("store", "export", "one.tgz", "--key", key[:8], "--json") == 0
        facts = json.loads(cli.out)
        assert (facts["runs"], facts["not_chosen"]) == (1, 2)
        assert cli("store", "export", "one.tgz", "--key", key[:8]) == 0
        assert "2 runs of the store that are done were not asked for (other studies, seeds" in cli.out
        assert cli("store", "export", "failed.tgz", "--failed") == 0
        assert "3 runs, 1 failed ones" in cli.out
        assert "not asked for" not in cli.out
        assert cli("store", "import", "failed.tgz", "--store", "other") == 0
        assert Store("other").failure(FAILED)["kind"] == "diverged"
        assert "no run that is done" in cli.refuses("store", "export", "x.tgz", "neck", "--preset", "smoke",
                                                           "--store", "runs/tuning")  # fmt: skip
        assert "ends in .tar.gz" in cli.refuses("store", "export", "x.zip")
        assert "not both" in cli.refuses("store", "export", "x.tgz", "norm", "--key", key)
        assert not Path("x.tgz").exists()

    def test_damage_is_left_out_and_said(self, cli: CommandLine, store: Store) -> None:
        key = next(key for key in store.run_keys() if key != FAILED)
        store.path(key, "scores.npz").write_bytes(b"")
        (store.root / HEAD_COST).write_bytes(b"")
        assert cli("store", "export", "all.tgz") == 1
        assert f"left out: {key}: " in cli.out
        assert f"left out: {store.root / HEAD_COST} is damaged" in cli.out
        assert cli("store", "import", "all.tgz", "--store", "other") == 0
        assert len(Store("other").run_keys()) == 2

    def test_what_is_there_stays_and_what_is_damaged_comes_back(
        self, cli: CommandLine, store: Store, archive: Path
    ) -> None:
        first, second, third = (key for key in store.run_keys() if key != FAILED)
        original = store.result(first)
        other = json.loads(json.dumps(original))
        other["metrics"]["auroc"] = 0.123
        store.path(first, "result.json").write_bytes(record.seal(other, RESULT_SCHEMA))
        store.path(second, "scores.npz").write_bytes(b"")
        shutil.rmtree(store.path(third))
        store.begin(third, "seed: 1\n")
        assert cli("store", "import", archive) == 0
        assert "1 runs imported into runs, 2 were there already" in cli.out
        assert f"{first} has other metrics here than in the archive" in cli.out
        assert f"{third} is unfinished here" in cli.out
        assert store.result(first)["metrics"]["auroc"] == 0.123
        assert examine(store, second, digests=True).condition == "done"
        assert (store.root / ".damaged" / f"{second}-1").is_dir()
        assert store.state(third) == "new"

    def test_a_run_that_somebody_is_at_work_on_is_left_to_them(
        self, cli: CommandLine, store: Store, archive: Path
    ) -> None:
        """They begin by removing what is there: an imported run would be damaged by it."""
        key = next(key for key in store.run_keys() if key != FAILED)
        other = Store("other")
        lease = Leases(leases_folder(other.root)).acquire(key)
        assert lease is not None
        assert cli("store", "import", archive, "--store", "other") == 0
        assert "2 runs imported into other, 1 were there already" in cli.out
        assert f"{key} is being trained here" in cli.out
        other.begin(key, "seed: 0\n")
        assert examine(other, key, digests=True).condition == "new"
        lease.release()
        shutil.rmtree(other.path(key))
        assert cli("store", "import", archive, "--store", "other") == 0
        assert examine(other, key, digests=True).condition == "done"
        assert not list(leases_folder(other.root).iterdir())

    def test_a_run_that_was_named_and_is_not_done_is_told_of(self, cli: CommandLine, store: Store) -> None:
        done = next(key for key in store.run_keys() if key != FAILED)
        store.begin("a" * 16, "seed: 9\n")
        words = ["--key", done, "--key", FAILED, "--key", "a" * 16]
        assert cli("store", "export", "some.tgz", *words) == 1
        assert f"left out: {FAILED}: it is failed: --failed takes it" in cli.out
        assert f"left out: {'a' * 16}: it is unfinished" in cli.out
        assert cli("store", "export", "some.tgz", *words[:4], "--failed") == 0
        assert cli("store", "export", "some.tgz") == 0  # of all that is done

    @pytest.mark.parametrize("length", [0, 1, 20, 1000, -1000, -9, -8, -1])
    def test_a_torn_archive_is_refused_whole(self, cli: CommandLine, archive: Path, length: int) -> None:
        archive.write_bytes(archive.read_bytes()[:length])
        assert "all.tar.gz" in cli.refuses("store", "import", archive, "--store", "other")
        assert list(Path("other").iterdir()) == []

    def test_a_flipped_bit_is_refused_whole(self, cli: CommandLine, archive: Path) -> None:
        data = archive.read_bytes()
        for place in range(10, len(data), len(data) // 40):  # beyond the header, which holds a time and a system
            archive.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
            assert "all.tar.gz" in cli.refuses("store", "import", archive, "--store", "other")
            assert list(Path("other").iterdir()) == []

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda files: files.pop("manifest.json"), "has no manifest.json"),
            (lambda files: files.update({"manifest.json": b"{}"}), "its manifest.json lists no files"),
            (lambda files: files.pop(HEAD_COST), f"'{HEAD_COST}' is missing"),
            (lambda files: files.update({HEAD_COST: files[HEAD_COST] + b" "}), "is not what was exported"),
            (lambda files: files.update({"runs/extra": b""}), "'runs/extra' is not in its manifest"),
            (lambda files: files.update({"../out": b""}), "leads out of the folder"),
            (lambda files: files.update({"/etc/x": b""}), "has an absolute path"),
            (lambda files: files.update({"manifest.json": record.seal({"files": {}}, 2)}), "newer version"),
        ],
    )
    def test_a_tampered_archive_is_refused_whole(
        self, cli: CommandLine, archive: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], Any], told: str
    ) -> None:
        repack(archive, change)
        assert told in cli.refuses("store", "import", archive, "--store", "other")
        assert list(Path("other").iterdir()) == []
        assert not (tmp_path.parent / "out").exists()

    def test_what_agrees_with_its_manifest_must_still_be_a_store(self, cli: CommandLine, archive: Path) -> None:
        def smuggle(files: dict[str, bytes], name: str, data: bytes) -> None:
            files[name] = data
            Path("member").write_bytes(data)
            manifest = json.loads(files["manifest.json"])
            manifest["files"][name] = {"bytes": len(data), "sha256": record.file_digest(Path("member"))}
            files["manifest.json"] = record.seal(manifest, 1)

        whole = archive.read_bytes()
        repack(archive, lambda files: smuggle(files, "runs/evil.sh", b"#!/bin/sh"))
        assert "'runs/evil.sh' is no file of a store" in cli.refuses("store", "import", archive, "--store", "other")
        archive.write_bytes(whole)
        repack(archive, lambda files: smuggle(files, f"runs/{'c' * 16}/result.json", b"{}"))
        assert f"run {'c' * 16} is damaged: runs/{'c' * 16}/result.json" in cli.refuses(
            "store", "import", archive, "--store", "other"
        )
        assert list(Path("other").iterdir()) == []

    def test_what_is_no_archive(self, cli: CommandLine) -> None:
        Path("text.tar.gz").write_text("no archive")
        Path("other.tar.gz").write_bytes(gzip.compress(b""))
        for name in ("text.tar.gz", "other.tar.gz", "gone.tar.gz", "x.zip"):
            assert name in cli.refuses("store", "import", name, "--store", "other")
