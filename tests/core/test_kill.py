"""kill -9 at any moment: a rerun goes on from the last checkpoint and ends with the same bits."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from core.store import CHECKPOINT, Store
from tests.core.forked import FORKSERVER
from tests.core.killing import Trap, attempt
from tests.core.stores import equal_part, logged

SMALL = {"model.backbone": "test_efficientnet"}
# Everything whose state has to survive: both heads with their samplers and updates, scaler, projection, statistics.
RUNS: dict[str, dict[str, Any]] = {
    "windows, row_scalar, fp16": {
        "loss.sampler": "windows", "loss.centre_update": "row_scalar", "precision.mode": "fp16",
    },
    "rows, bf16, overflowing": {
        "loss.centre_update": "rows", "precision.mode": "bf16", "loss.sample_rate": 0.1, "model.norm": "bn",
    },
    "dense windows, highest, clipped": {
        "loss.sampler": "windows", "precision.mode": "highest", "optim.clip": 0.05,
    },
    "distilled with a clean view, overflowing, fp16": {
        "distill.kind": "kld", "distill.clean_view": True, "distill.teacher": "random", "distill.weight": 5,
        "loss.sample_rate": 0.1, "precision.mode": "fp16",
    },
}  # fmt: skip

# One kill after another, each in the attempt that follows the last: from before the first step until all is written.
# A run has six steps and is validated after the third and the sixth; behind each kill, the steps that it leaves saved.
LIFE = (
    Trap("begin"),  # 0
    Trap("step", 3, after=True),  # 2
    Trap("write", 8),  # 2
    Trap("publish", file=CHECKPOINT),  # 2
    Trap("rename", file=CHECKPOINT),  # 2
    Trap("rename", after=True, file="metrics.jsonl"),  # 2
    Trap("rename", 2, after=True, file=CHECKPOINT),  # 4
    Trap("save"),  # 4
    Trap("judge", 2),  # 6
    Trap("rename", file="scores.npz"),
    Trap("rename", after=True, file="scores.npz"),
    Trap("rename", file="result.json"),
)
SHORT_LIFE = (Trap("step", 3, after=True), Trap("write", 8), Trap("rename", 2, after=True, file=CHECKPOINT), LIFE[8])
PIECES_GONE_ON_FROM = 3  # the checkpoints of 2, 4 and 6 steps


def start(root: Path, overrides: dict[str, Any], *rest: Any) -> Any:
    process = FORKSERVER.Process(target=attempt, args=(str(root), overrides, *rest))
    process.start()
    return process


def carry_out(root: Path, overrides: dict[str, Any], *rest: Any) -> int:
    """The exit code of an attempt: 0, or -9 for one that was killed."""
    process = start(root, overrides, *rest)
    process.join(60)
    return int(process.exitcode)


def assert_equal(root: Path, whole: Path) -> None:
    (key,) = Store(root).run_keys()
    assert Store(whole).run_keys() == [key]
    assert equal_part(Store(root), key) == equal_part(Store(whole), key)
    assert logged(Store(root), key) == logged(Store(whole), key)


def killed(root: Path, overrides: dict[str, Any], traps: tuple[Trap, ...]) -> None:
    """Attempts that each end in their trap; the run is not done after any of them."""
    for trap in traps:
        assert carry_out(root, overrides, trap) == -9, trap
        (key,) = Store(root).run_keys()
        assert Store(root).state(key) == "new", trap
        assert torn(root) <= 1, trap


def torn(root: Path) -> int:
    """Temporary files left in the store."""
    return len(list(root.glob("*/.*")))


def test_a_run_killed_at_every_place_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    assert carry_out(tmp_path / "whole", {}, None, None) == 0
    store = Store(tmp_path / "parts")
    killed(store.root, {}, LIFE)
    # Once the result is there the run is done, whatever is left over.
    assert carry_out(store.root, {}, Trap("unlink", file=CHECKPOINT)) == -9
    (key,) = store.run_keys()
    assert store.state(key) == "done"
    assert store.result(key)["cost"]["resumed"] == PIECES_GONE_ON_FROM
    assert torn(store.root) == 0
    assert_equal(store.root, tmp_path / "whole")


@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_state_survives(name: str, tmp_path: Path) -> None:
    overrides = SMALL | RUNS[name]
    assert carry_out(tmp_path / "whole", overrides, None, None) == 0
    store = Store(tmp_path / "parts")
    killed(store.root, overrides, SHORT_LIFE)
    assert carry_out(store.root, overrides) == 0
    (key,) = store.run_keys()
    assert store.result(key)["cost"]["resumed"] == PIECES_GONE_ON_FROM
    assert {path.name for path in store.path(key).iterdir()} == {
        "config.yaml", "metrics.jsonl", "scores.npz", "result.json",
    }  # fmt: skip
    assert_equal(store.root, tmp_path / "whole")
    cost = store.result(key)["cost"]
    assert ("overflowing" in name) == (cost["overflow_steps"] == 6)
    assert "clipped" not in name or cost["clipped_share"] == 1


def test_kills_at_random_moments(tmp_path: Path) -> None:
    assert carry_out(tmp_path / "whole", SMALL, None, None) == 0  # which starts what processes are forked from, too
    moments, longest, kills, lives = random.Random(0), 1.5, 0, 0
    while kills < 8 and longest > 0.01:
        process = start(tmp_path / f"parts-{lives}", SMALL)
        process.join(moments.uniform(0, longest))
        process.kill()
        process.join()
        if process.exitcode == 0:  # it was quicker: another life, of less time between kills
            assert_equal(tmp_path / f"parts-{lives}", tmp_path / "whole")
            longest, lives = longest / 2, lives + 1
        kills += process.exitcode == -9
    assert kills == 8
    assert carry_out(tmp_path / f"parts-{lives}", SMALL) == 0
    assert_equal(tmp_path / f"parts-{lives}", tmp_path / "whole")
