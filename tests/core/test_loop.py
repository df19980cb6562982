"""Checkpoints in the loop: they change nothing, they are left by what can go on and removed by what cannot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from core import checkpoint
from core.checkpoint import Saver, progress
from core.config import RunConfig
from core.errors import RunFailure
from core.inputs import run_key
from core.lease_file import LeaseLost
from core.loop import Log
from core.result import RunResult
from core.trainer import train
from core.training_state import Trainer
from tests.core.killing import TINY

CONFIG = RunConfig().with_overrides({**TINY, "model.backbone": "test_efficientnet"})


@pytest.fixture(scope="module")
def whole() -> RunResult:
    return train(CONFIG)


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SAVE_EVERY", 0.0)


def bits(result: RunResult) -> Any:
    """What has to be equal to the bit."""
    curve = [{name: value for name, value in point.items() if name != "seconds"} for point in result.curve]
    scores = {name: values.tolist() for name, values in result.scores.items()}
    cost = [result.cost[name] for name in ("clipped_share", "skipped_steps", "overflow_steps")]
    return result.key, result.metrics, result.validation, result.untrained, result.shifted, curve, scores, cost


def fail_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
    original = Trainer.step

    def failing(self: Trainer, index: int) -> None:
        if index == step:
            raise error
        original(self, index)

    monkeypatch.setattr(Trainer, "step", failing)


def stopped(
    path: Path, step: int, error: BaseException, config: RunConfig = CONFIG, log: Log | None = None
) -> None:  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        fail_at(patched, step, error)
        with pytest.raises(type(error)):
            train(config, checkpoint=path, log=log)


@pytest.mark.parametrize("due", ["always", "never", "every other"])
def test_checkpoints_change_nothing(
    due: str, whole: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def answer(self: Saver) -> bool:
        nonlocal asked
        asked += 1
        return due == "always" or (due == "every other" and asked % 2 == 0)

    monkeypatch.setattr(Saver, "due", answer)
    assert bits(train(CONFIG, checkpoint=tmp_path / "c.pt")) == bits(whole)
    assert asked == CONFIG.optim.steps
    assert progress(tmp_path / "c.pt") == (48, 48)  # after the last step at any rate: here, training took longer than 0


def test_a_short_training_leaves_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SAVE_EVERY", 60.0)
    result = train(CONFIG, checkpoint=tmp_path / "c.pt")
    assert list(tmp_path.iterdir()) == []
    assert result.cost["resumed"] == 0


def test_a_run_that_was_taken_over_writes_and_removes_no_checkpoint(tmp_path: Path) -> None:
    """The file is the other process's by now, which goes on from it."""
    path = tmp_path / "c.pt"

    def held() -> None:
        if path.exists():
            raise LeaseLost

    with pytest.raises(LeaseLost):
        train(CONFIG, checkpoint=path, held=held)
    assert progress(path) == (8, 48)
    with pytest.MonkeyPatch.context() as patched:
        fail_at(patched, 1, RunFailure("diverged", "the loss is nan"))
        with pytest.raises(LeaseLost):
            train(CONFIG, checkpoint=path, held=held)
    assert progress(path) == (8, 48)


def test_a_failure_from_outside_goes_on_from_the_checkpoint(whole: RunResult, tmp_path: Path) -> None:
    stopped(tmp_path / "c.pt", 4, MemoryError())
    assert progress(tmp_path / "c.pt") == (32, 48)
    steps: list[int] = []
    with pytest.MonkeyPatch.context() as patched:
        original = Trainer.step
        patched.setattr(Trainer, "step", lambda self, index: (steps.append(index), original(self, index)))
        result = train(CONFIG, checkpoint=tmp_path / "c.pt")
    assert steps == [4, 5]
    assert result.cost["resumed"] == 1
    assert bits(result) == bits(whole)


def test_a_diverged_run_starts_anew(whole: RunResult, tmp_path: Path) -> None:
    """Else a checkpoint from beyond the point of no return would make every further attempt diverge at once."""
    path = tmp_path / "c.pt"
    stopped(path, 3, KeyboardInterrupt())
    state = Saver(path, identity := _identity()).read()
    assert state is not None
    for tensor in state["trainer"]["modules"]["embedder"].values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)
    Saver(path, identity).save(state, 24, 48)
    with pytest.raises(RunFailure, match="loss is nan at step 4 of 6") as caught:
        train(CONFIG, checkpoint=path)
    assert caught.value.kind == "diverged"
    assert not path.exists()
    assert bits(train(CONFIG, checkpoint=path)) == bits(whole)


# All parts of a trainer's state, with a precision in which leaving them out shows within a few steps.
PARTS = {
    "modules/embedder": "medium", "modules/head": "medium", "modules/projection": "medium", "optimizer": "medium",
    "scaler": "fp16", "order": "medium", "streams/order": "medium", "streams/augment": "medium", "sampling": "medium",
    "vitals": "medium", "peak_memory_mb": "", "seconds": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[RunConfig, Any, bytes]]:
    """By precision: a run that uses every part of the state, its bits, and its checkpoint after three steps."""
    made: dict[str, tuple[RunConfig, Any, bytes]] = {}
    path = tmp_path_factory.mktemp("halves") / "c.pt"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoint, "SAVE_EVERY", 0.0)
        for mode in ("medium", "fp16"):
            config = CONFIG.with_overrides({
                "distill.kind": "kld", "distill.weight": 1000, "distill.teacher": "random", "precision.mode": mode,
                "loss.sampler": "windows", "optim.clip": 0.05, "optim.samples": 96,
            })  # fmt: skip
            stopped(path, 3, KeyboardInterrupt(), config)
            made[mode] = config, bits(train(config)), path.read_bytes()
    return made


@pytest.mark.parametrize("part", ["nothing", *(part for part, mode in PARTS.items() if mode)])
def test_no_part_of_the_state_could_be_left_out(
    part: str, halves: dict[str, tuple[RunConfig, Any, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the tests of equal bits would see it if one was."""
    config, expected, data = halves[PARTS.get(part, "fp16")]
    (tmp_path / "c.pt").write_bytes(data)
    original, seen = Trainer.load, set[str]()

    def load(self: Trainer, state: dict[str, Any]) -> None:
        fresh = self.state()
        seen.update(f"{name}/{inner}" for name in ("modules", "streams") for inner in state[name])
        seen.update(name for name in state if name not in ("modules", "streams"))
        if part != "nothing":
            *outer, name = part.split("/")
            (state[outer[0]] if outer else state)[name] = (fresh[outer[0]] if outer else fresh)[name]
        original(self, state)

    monkeypatch.setattr(Trainer, "load", load)
    result = train(config, checkpoint=tmp_path / "c.pt")
    assert result.cost["resumed"] == 1
    assert (bits(result) == expected) == (part == "nothing")
    assert seen == set(PARTS)


def _identity() -> str:
    return checkpoint.identity(run_key(CONFIG), "cpu")


def test_another_run_is_not_gone_on_from(whole: RunResult, tmp_path: Path) -> None:
    stopped(tmp_path / "c.pt", 3, KeyboardInterrupt(), CONFIG.model_copy(update={"seed": 1}))
    result = train(CONFIG, checkpoint=tmp_path / "c.pt")
    assert result.cost["resumed"] == 0
    assert bits(result) == bits(whole)


def test_a_run_goes_on_with_the_threads_that_it_began_with(
    whole: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads are told, not made: two that wait for each other on a busy core would take this test half a minute."""
    threads = [4]
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    stopped(tmp_path / "c.pt", 3, KeyboardInterrupt(), CONFIG.with_overrides({"runtime.threads": 2}))
    assert threads == [4, 2, 4]
    result = train(CONFIG, checkpoint=tmp_path / "c.pt")
    assert threads == [4, 2, 4, 2, 4]
    assert result.environment["threads"] == result.config.runtime.threads == 2
    assert result.cost["resumed"] == 1
    assert result.key == whole.key


def test_the_curve_is_logged_whole_at_each_point_and_again_when_a_run_goes_on(tmp_path: Path) -> None:
    logged: list[str] = []

    def log(curve: Sequence[dict[str, float]]) -> None:
        logged.append(json.dumps(list(curve)))

    stopped(tmp_path / "c.pt", 5, KeyboardInterrupt(), log=log)
    result = train(CONFIG, checkpoint=tmp_path / "c.pt", log=log)
    assert logged == [json.dumps(result.curve[:1])] * 2 + [json.dumps(result.curve)]


def test_seconds_are_of_the_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(tmp_path / "c.pt", 3, KeyboardInterrupt())
    saver = Saver(tmp_path / "c.pt", _identity())
    state = saver.read()
    assert state is not None
    state["course"] |= {"run_seconds": 1000.0, "loop_seconds": 500.0}
    state["trainer"]["seconds"]["data"] = 400.0
    saver.save(state, 24, 48)
    result = train(CONFIG, checkpoint=tmp_path / "c.pt")
    assert 1000 < result.cost["seconds"] < 1100
    assert 400 < result.cost["train_seconds"] < 500
    assert result.cost["time_share"]["data"] > 0.8
    assert sum(result.cost["time_share"].values()) == pytest.approx(1, abs=0.01)
    assert result.curve[0]["seconds"] < 100 < 500 < result.curve[1]["seconds"] < 600
