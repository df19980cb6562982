"""`status`: runs by state, with reasons."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from core.checkpoint import Saver
from core.config import METRICS
from core.lease import Leases
from core.process import Process
from core.store import CHECKPOINT, Store, leases_folder
from tests.ablations.conftest import TINY, CommandLine

KEYS = [f"{digit}" * 16 for digit in "abcdef"]


def test_empty_store(cli: CommandLine) -> None:
    assert cli("status") == 0
    assert "runs: no runs yet" in cli.out
    Path("notes.txt").write_text("")
    for verb in (["status"], ["plan", "neck", *TINY]):
        assert "--store: 'notes.txt' is not a folder" in cli.refuses(*verb, "--store", "notes.txt")


def test_every_state_is_told(cli: CommandLine) -> None:
    store = Store("runs")
    store.begin(KEYS[0], "")
    store.finish(KEYS[0], {"metrics": dict.fromkeys(METRICS, 0.5)}, {"x": np.zeros(1)})
    store.fail(KEYS[1], "diverged", "the loss is nan at step 3 of 9")
    store.begin(KEYS[2], "")
    Saver(store.path(KEYS[2], CHECKPOINT), "me").save({}, 12_800, 25_600)
    store.begin(KEYS[3], "")
    store.path(KEYS[3], "result.json").write_text("{")
    assert cli("status") == 0
    assert "1 damaged, 1 done, 1 failed, 1 unfinished" in cli.out
    assert f"{KEYS[2]}  unfinished  12,800 of 25,600 samples when last saved" in cli.out
    assert "diverged: the loss is nan at step 3 of 9" in cli.out
    assert cli("status", "--json") == 0
    facts = json.loads(cli.out)
    assert {row["key"]: row["state"] for row in facts["runs"]} == dict(
        zip(KEYS[:4], ["done", "failed", "unfinished", "damaged"], strict=True)
    )


def test_runs_in_work_are_told_apart_with_who_has_them(cli: CommandLine) -> None:
    store = Store("runs")
    own = Process.own()
    ended = Process(own.host, own.place, own.pid, own.started + 1)
    for key, process in zip(KEYS, [own, Process("other", "boot", 7, 1), own, own, ended, own], strict=True):
        Leases(leases_folder(store.root), beat=math.inf, process=process).acquire(key)
    store.fail(KEYS[2], "hung", "no progress", "")  # tried again
    store.begin(KEYS[3], "")
    store.finish(KEYS[3], {"metrics": dict.fromkeys(METRICS, 0.5)}, {"x": np.zeros(1)})  # its lease not yet given back
    store.begin(KEYS[4], "")  # whose process was killed
    Leases(leases_folder(store.root)).acquire("head-cost")
    (leases_folder(store.root) / f"{KEYS[5]}.1").write_text("torn")
    assert cli("status") == 0
    assert "1 done, 4 running, 1 unfinished" in cli.out
    assert f"{KEYS[0]}  running  in the hands of {own}\n" in cli.out
    assert f"{KEYS[1]}  running  in the hands of other:7\n" in cli.out
    assert f"{KEYS[5]}  running  in the hands of another process\n" in cli.out
    assert cli("status", "--json") == 0
    rows = {row["key"]: row for row in json.loads(cli.out)["runs"]}
    assert (rows[KEYS[2]]["state"], rows[KEYS[2]]["host"], rows[KEYS[2]]["pid"]) == ("running", own.host, own.pid)
