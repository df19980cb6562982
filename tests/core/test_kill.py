"""kill -9 at any moment: a rerun goes on from the last checkpoint and ends with the same bits."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.store import CHECKPOINT, Store
from tests.core.killing import Trap, attempt

# Everything whose state has to survive: both heads with their samplers and updates, scaler, projection, statistics.
RUNS: dict[str, dict[str, Any]] = {
    "documented": {},
    "windows, row_scalar, fp16": {
        "loss.sampler": "windows", "loss.centre_update": "row_scalar", "precision.mode": "fp16",
    },
    "rows, bf16, overflowing": {
        "loss.centre_update": "rows", "precision.mode": "bf16", "loss.sample_rate": 0.03, "model.norm": "bn",
    },
    "dense windows, highest, clipped": {
        "loss.sampler": "windows", "precision.mode": "highest", "optim.clip": 0.05,
    },
    "distilled with a clean view, fp16": {
        "distill.kind": "kld", "distill.clean_view": True, "distill.teacher": "random", "precision.mode": "fp16",
        "loss.sample_rate": 0.03,
    },
}  # fmt: skip

# One kill after another, each in the attempt that follows the last: from before the first step until all is written.
LIFE = (
    Trap("begin"),
    Trap("step", 3, after=True),
    Trap("write", 8),
    Trap("publish", file=CHECKPOINT),
    Trap("rename", 2, file=CHECKPOINT),
    Trap("rename", 2, after=True, file=CHECKPOINT),
    Trap("rename", after=True, file="metrics.jsonl"),
    Trap("save"),
    Trap("judge", 2),
    Trap("rename", file="scores.npz"),
    Trap("rename", after=True, file="scores.npz"),
    Trap("rename", file="result.json"),
)

_forkserver = multiprocessing.get_context("forkserver")
_forkserver.set_forkserver_preload(["tests.core.killing", "timm"])


def start(root: Path, overrides: dict[str, Any], *rest: Any) -> Any:
    process = _forkserver.Process(target=attempt, args=(str(root), overrides, *rest))
    process.start()
    return process


def carry_out(root: Path, overrides: dict[str, Any], *rest: Any) -> int:
    """The exit code of an attempt: 0, or -9 for one that was killed."""
    process = start(root, overrides, *rest)
    process.join(60)
    return int(process.exitcode)


def facts(root: Path) -> dict[str, Any]:
    """What must be equal to the bit: all of a result but its timings."""
    store = Store(root)
    (key,) = store.run_keys()
    result = store.result(key)
    for name in ("seconds", "train_seconds", "samples_per_second", "peak_memory_mb", "time_share", "resumed"):
        del result["cost"][name]
    for point in result["curve"]:
        del point["seconds"]
    rows = [json.loads(line) for line in store.path(key, "metrics.jsonl").read_text().splitlines()]
    result["metrics.jsonl"] = [{name: value for name, value in row.items() if name != "seconds"} for row in rows]
    return result


def assert_equal(root: Path, whole: Path) -> None:
    assert facts(root) == facts(whole)
    (key,) = Store(whole).run_keys()
    scores, expected = Store(root).scores(key), Store(whole).scores(key)
    assert scores.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(scores[name], values), name


@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_at_every_place_ends_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    overrides = RUNS[name]
    assert carry_out(tmp_path / "whole", overrides, None, None) == 0
    store = Store(tmp_path / "parts")
    for trap in LIFE:
        assert carry_out(store.root, overrides, trap) == -9, trap
        (key,) = store.run_keys()
        assert store.state(key) == "new", trap
    assert store.path(key, CHECKPOINT).exists()
    # Once the result is there the run is done, whatever is left over.
    assert carry_out(store.root, overrides, Trap("unlink", file=CHECKPOINT)) == -9
    assert store.state(key) == "done"
    assert store.result(key)["cost"]["resumed"] >= 5
    assert_equal(store.root, tmp_path / "whole")
