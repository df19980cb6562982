"""Whose failure it is: the leading rank's while the others wait, all ranks', or one's in the middle of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations.executors import together
from ablations.executors.choice import Where
from ablations.executors.fenced import FencedStore
from ablations.executors.gate import Gate
from ablations.executors.together import TogetherExecutor
from ablations.executors.worker import Event, Task
from ablations.retry import would_repeat
from core import materials, trainer
from core.config import RunConfig
from core.errors import RunFailure, UserError
from core.lease_file import LeaseLost
from core.ranks import Ranks
from core.store import Store

KEYS = [f"{digit}" * 16 for digit in "ab"]
TASKS = [Task("run", key, key[0], RunConfig()) for key in KEYS]
UNKNOWN = RunFailure("bad_config", "timm has no such model")
NO_MEMORY = RuntimeError("DefaultCPUAllocator: can't allocate memory")
GONE = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")


class TwoRanks(Ranks):
    """One of two, of which the other is not there: what is sent is kept, and what is received was laid down before."""

    def __init__(self, index: int = 0, *orders: object) -> None:
        super().__init__(index, 2)
        self.sent: list[Any] = []
        self.orders = list(orders)

    def send(self, value: Any = None) -> Any:
        if not self.leads:
            return self.orders.pop(0)
        self.sent.append(value)
        return value


def failing(error: BaseException) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def caused(by: Exception) -> RunFailure:
    """As of a model that could not be made."""
    made = RunFailure("bad_config", "it has no feature maps")
    made.__cause__ = by
    return made


class Sweep:
    """What the leading rank makes of tasks."""

    def __init__(self, folder: Path) -> None:
        self.store, self.ranks = Store(folder / "runs"), TwoRanks()
        self.ended: list[Event] = []

    def run(self, tasks: list[Task]) -> list[str]:
        """What became of each."""
        executor = TogetherExecutor(self.store, self.ranks)
        executor.run(tasks, lambda *_: None, self.hear, gate=Gate())
        return [event.failure or event.kind for event in self.ended]

    def hear(self, index: int, task: Task, event: Event) -> None:
        if event.kind != "progress":
            self.ended.append(event)
        assert len(self.ended) < 10, "the sweep goes round in circles"


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def test_data_that_cannot_be_made_are_the_leaders_failure_and_the_others_are_not_asked(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(materials, "prepare", failing(RunFailure("bad_weights", "no teacher")))
    assert sweep.run([Task("prepare", task.key, "data", task.config) for task in TASKS]) == ["bad_weights"] * 2
    assert not sweep.ranks.sent
    assert not sweep.ranks.broken


def test_a_store_that_cannot_begin_a_run_fails_it_before_the_others_know_of_it(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "train", failing(UNKNOWN))
    sweep.store.root.mkdir()
    sweep.store.path(KEYS[0]).write_text("a file where the folder should be")
    assert sweep.run(TASKS) == ["store_not_writable", "bad_config"]
    assert [key for _, _, key in sweep.ranks.sent] == [KEYS[1]]
    assert not sweep.ranks.broken


def test_a_result_that_cannot_be_written_fails_its_run_when_the_others_are_done_with_it(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Result:
        scores: dict[str, Any] = {}  # noqa: RUF012

        def to_json(self) -> dict[str, Any]:
            return {"key": "another"}

    monkeypatch.setattr(trainer, "train", lambda *_, **__: Result())
    assert sweep.run(TASKS) == ["data_changed"] * 2
    assert [key for _, _, key in sweep.ranks.sent] == KEYS


def test_a_configuration_that_cannot_be_trained_fails_on_all_ranks_and_the_next_run_follows(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig().with_overrides({"optim.batch_size": 2})
    monkeypatch.setattr(sweep.ranks, "count", 3)
    assert sweep.run([Task("run", task.key, task.label, config) for task in TASKS]) == ["bad_config"] * 2
    monkeypatch.setattr(trainer, "follow", failing(UNKNOWN))
    other = TwoRanks(1, *((task.config, str(sweep.store.root), task.key) for task in TASKS), None)
    assert together._follow(other) == 0
    assert not other.orders
    assert not other.broken


def test_what_is_too_small_for_so_many_ranks_is_tried_again_by_fewer(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig().with_overrides({"optim.batch_size": 2})
    monkeypatch.setattr(sweep.ranks, "count", 3)
    task = TASKS[0]
    assert sweep.run([Task("run", task.key, task.label, config)]) == ["bad_config"]
    assert would_repeat(task.key, sweep.store) == ""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert would_repeat(task.key, sweep.store) == "bad_config"


def test_a_run_that_was_taken_over_from_a_rank_that_failed_alone_leaves_the_others_in_it_all_the_same(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "train", failing(NO_MEMORY))
    monkeypatch.setattr(FencedStore, "fail", failing(LeaseLost("taken over")))
    with pytest.raises(RunFailure, match=r"on one rank alone \(out_of_memory\)"):
        sweep.run(TASKS)
    assert [event.kind for event in sweep.ended] == ["lost"]


def test_what_another_rank_recorded_of_its_end_is_the_runs_failure(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TwoRanks(1, (TASKS[0].config, str(sweep.store.root), KEYS[0]))

    def train(*_: object, **__: object) -> None:
        together._follow(other)
        raise GONE

    sweep.store.fail(KEYS[0], "worker_died", "an attempt before this one")
    monkeypatch.setattr(trainer, "train", train)
    monkeypatch.setattr(trainer, "follow", failing(NO_MEMORY))
    with pytest.raises(RunFailure, match=r"on one rank alone \(out_of_memory\)"):
        sweep.run(TASKS)
    assert [(event.failure, event.message[:9]) for event in sweep.ended] == [("out_of_memory", "on rank 1")]
    kept = sweep.store.failure(KEYS[0])
    assert (kept["kind"], kept["attempts"]) == ("out_of_memory", 2)


def test_a_rank_that_ended_without_a_word_is_told_by_the_leader(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep.store.fail(KEYS[0], "out_of_memory", "an attempt before this one")
    monkeypatch.setattr(trainer, "train", failing(GONE))
    with pytest.raises(RunFailure, match="on one rank alone"):
        sweep.run(TASKS)
    kept = sweep.store.failure(KEYS[0])
    assert (kept["kind"], kept["attempts"]) == ("worker_died", 2)


def test_a_leader_that_is_gone_ends_the_others_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    other = TwoRanks(1)
    monkeypatch.setattr(other, "send", failing(GONE))
    assert together._follow(other) == 0
    assert other.broken


def test_an_order_that_cannot_be_had_for_another_reason_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    other = TwoRanks(1)
    monkeypatch.setattr(other, "send", failing(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        together._follow(other)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": "ray"}, "without torchrun"),
        ({"jobs": 2}, "--jobs: under torchrun"),
        ({"stall": 60.0}, "--stall-timeout: under torchrun"),
    ],
)
def test_options_of_other_executors_are_refused_under_torchrun(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], told: str
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    Where()
    with pytest.raises(UserError, match=told):
        Where(**options)


def test_all_is_done_where_the_others_left_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together.torchrun, "join", TwoRanks)
    monkeypatch.setattr(together.torchrun, "leave", failing(RuntimeError("Connection reset by peer")))
    assert together.main(["list"], lambda words: 0) == 0


@pytest.mark.parametrize("error", [NO_MEMORY, caused(NO_MEMORY), OSError("a disk")])
def test_what_one_rank_alone_may_have_met_ends_the_sweep(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trainer, "train", failing(error))
    with pytest.raises(RunFailure, match="on one rank alone"):
        sweep.run(TASKS)
    assert len(sweep.ended) == len(sweep.ranks.sent) == 1
    assert sweep.ranks.broken
    monkeypatch.setattr(trainer, "follow", failing(error))
    other = TwoRanks(1, (TASKS[1].config, str(sweep.store.root), KEYS[1]))
    assert together._follow(other) == 1
    assert other.broken
    assert "on rank 1" in capsys.readouterr().err
    assert "on rank 1" in sweep.store.failure(KEYS[1])["message"]
