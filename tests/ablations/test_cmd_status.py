"""`status`: runs by state, with reasons."""

from __future__ import annotations

import json

import numpy as np

from core.config import METRICS
from core.store import Store
from tests.ablations.conftest import CommandLine

KEYS = [f"{digit}" * 16 for digit in "abcd"]


def test_empty_store(cli: CommandLine) -> None:
    assert cli("status") == 0
    assert "runs: no runs yet" in cli.out


def test_every_state_is_told(cli: CommandLine) -> None:
    store = Store("runs")
    store.begin(KEYS[0], "")
    store.finish(KEYS[0], {"metrics": dict.fromkeys(METRICS, 0.5)}, {"x": np.zeros(1)})
    store.fail(KEYS[1], "diverged", "the loss is nan at step 3 of 9")
    store.begin(KEYS[2], "")
    store.begin(KEYS[3], "")
    store.path(KEYS[3], "result.json").write_text("{")
    assert cli("status") == 0
    assert "1 damaged, 1 done, 1 failed, 1 unfinished" in cli.out
    assert "diverged: the loss is nan at step 3 of 9" in cli.out
    assert cli("status", "--json") == 0
    facts = json.loads(cli.out)
    assert {row["key"]: row["state"] for row in facts["runs"]} == dict(
        zip(KEYS, ["done", "failed", "unfinished", "damaged"], strict=True)
    )
