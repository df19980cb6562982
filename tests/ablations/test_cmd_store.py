"""`store check` and `store gc`, through the real command line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ablations.measured_steps import STEP_COST, STEP_COST_SCHEMA
from core import record
from core.integrity import examine, set_aside
from core.result import code_digest
from core.store import HEAD_COST, RESULT_SCHEMA, Store
from tests.ablations.conftest import CommandLine
from tests.ablations.filled_store import FAILED, contents, filled
from tests.core.stores import add_run, add_run_of_schema_1


@pytest.fixture
def store(cli: CommandLine) -> Store:
    return filled("runs")


def age(root: Path, seconds: float = 7200) -> None:
    """As if all of it had been written two hours ago."""
    then = time.time() - seconds
    for path in (*root.rglob("*"), root):
        os.utime(path, (then, then), follow_symlinks=False)


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
        assert cli("store", "check", "--json") == 1
        assert "`plan --classes`" in json.loads(cli.out)["problems"][0]["remedy"]

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
