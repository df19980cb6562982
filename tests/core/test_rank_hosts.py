"""Ranks on hosts of their own: what one of them has otherwise, and what one process makes of what several left."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import distributed

from core import torchrun, trainer
from core.checkpoint import Saver
from core.config import RunConfig
from core.errors import RunFailure
from core.materials import load_materials
from core.ranks import ALONE, Ranks
from core.training_state import Trainer
from tests.core.killing import TINY
from tests.core.together import together


class Kept:
    """A checkpoint of one host alone."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def read(self) -> dict[str, Any] | None:
        return None if self.step is None else {"course": {"step": self.step}}


def on_hosts(ranks: Ranks) -> dict[str, Any]:
    """What comes of ranks on hosts that differ in their images, their code, or their checkpoints."""
    config, found = RunConfig().with_overrides(TINY), dict[str, Any]()
    for name in ("fingerprints", "code_versions"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer, name, lambda *_: {"of": str(ranks.index)})
            try:
                trainer.train(config, ranks=ranks) if ranks.leads else trainer.follow(config, ranks)
            except RunFailure as met:
                found[name] = met.kind, ranks.shares(met)
    steps = {"older": 4 + ranks.index, "of one": 4 if ranks.leads else None, "same": 4}
    return found | {name: trainer._kept(cast(Saver, Kept(step)), ranks) for name, step in steps.items()}


def test_hosts_that_are_not_alike_do_not_train_one_run() -> None:
    for rank in together(2, on_hosts):
        assert rank["fingerprints"] == ("data_changed", True)
        assert rank["code_versions"] == ("other_code", True)
        assert (rank["older"], rank["of one"], rank["same"]) == (None, None, {"course": {"step": 4}})


def a_step(ranks: Ranks, state: dict[str, Any] | None = None) -> dict[str, Any]:
    config = RunConfig().with_overrides({**TINY, "precision.mode": "fp16"})
    training = Trainer(config, load_materials(config), ranks)
    if state is not None:
        training.load(state)
    training.embedder.train()
    training.step(0 if state is None else 1)
    return training.state()


def test_what_several_ranks_left_in_half_precision_goes_on_alone_and_the_other_way() -> None:
    (of_two, _), of_one = together(2, a_step), a_step(ALONE)
    alone, together_again = a_step(ALONE, of_two), together(2, a_step, of_one)[0]
    assert alone["optimizer"]["param_groups"][0]["fused"]
    assert not together_again["optimizer"]["param_groups"][0]["fused"]


@pytest.mark.parametrize(("gpus", "set_to"), [(0, []), (1, []), (2, [1])])
def test_a_rank_without_a_gpu_of_its_own_is_met_all_the_same(
    gpus: int, set_to: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(distributed, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    torchrun.join.cache_clear()
    try:
        assert torchrun.join().index == 1
    finally:
        torchrun.join.cache_clear()
    assert chosen == set_to
