"""`store export` and `store import`: all or nothing, and never over what is there."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import record
from core.integrity import examine
from core.lease import Leases
from core.store import HEAD_COST, RESULT_SCHEMA, Store, leases_folder
from tests.ablations.conftest import CommandLine
from tests.ablations.filled_store import FAILED, contents, filled


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


@pytest.fixture
def store(cli: CommandLine) -> Store:
    return filled("runs")


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
        assert not Path("other").exists()

    def test_an_archive_that_is_missing_makes_no_store(self, cli: CommandLine) -> None:
        assert "no.tar.gz" in cli.refuses("store", "import", "no.tar.gz", "--store", "other")
        assert not Path("other").exists()

    def test_a_flipped_bit_is_refused_whole(self, cli: CommandLine, archive: Path) -> None:
        data = archive.read_bytes()
        for place in range(10, len(data), len(data) // 40):  # beyond the header, which holds a time and a system
            archive.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
            assert "all.tar.gz" in cli.refuses("store", "import", archive, "--store", "other")
            assert not Path("other").exists()

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
        assert not Path("other").exists()
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
        assert not Path("other").exists()

    def test_what_is_no_archive(self, cli: CommandLine) -> None:
        Path("text.tar.gz").write_text("no archive")
        Path("other.tar.gz").write_bytes(gzip.compress(b""))
        for name in ("text.tar.gz", "other.tar.gz", "gone.tar.gz", "x.zip"):
            assert name in cli.refuses("store", "import", name, "--store", "other")
