"""Batches made ahead by a thread are those made when asked for, and a state is of the next one given."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from core import batches
from core.batches import Batches
from core.config import RunConfig
from core.data.expansion import take
from core.ranks import ALONE, Part
from core.seeds import torch_stream

SIZES = {"data.pool": 12, "data.images": 12, "data.expansion": 8, "data.image_size": 32, "optim.batch_size": 10}
POOL = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def made(ahead: bool, part: Part | None = None, **changes: Any) -> Batches:
    config = RunConfig().with_overrides({**SIZES, **changes})
    return Batches(config, POOL, part or ALONE.part(config.optim.batch_size), ahead)


def same(one: Batches, other: Batches, count: int = 1) -> None:
    for _ in range(count):
        ours, theirs = one.next(), other.next()
        assert torch.equal(ours.classes, theirs.classes)
        assert torch.equal(ours.images, theirs.images)


@pytest.mark.parametrize("changes", [{}, {"data.augment": "documented"}, {"distill.clean_view": True}])
def test_ahead_or_not_they_are_the_same(changes: dict[str, Any]) -> None:
    same(made(True, **changes), made(False, **changes), 25)  # past the end of a pass over the classes


def test_no_two_draws_share_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def stream(seed: int, name: str, *device: torch.device) -> torch.Generator:
        asked.append(name)
        return torch_stream(seed, name, *device)

    monkeypatch.setattr(batches, "torch_stream", stream)
    made(False)
    assert sorted(asked) == ["augment", "order"]


def test_images_are_those_of_their_classes() -> None:
    plain, clean = made(False, **{"data.augment": "none"}), made(False, **{"distill.clean_view": True})
    for _ in range(3):
        batch, with_clean = plain.next(), clean.next()
        expected = take(POOL, batch.classes, 8).float() / 255
        assert torch.equal(batch.images, expected)
        assert torch.equal(with_clean.images[10:], expected)


def test_they_are_one_ahead_at_most_and_from_the_second_on() -> None:
    batches, drawn = made(True), []
    augment = batches.augment

    def watched(*given: Any) -> torch.Tensor:
        drawn.append(len(drawn))
        return augment(*given)

    batches.augment = watched
    batches.next()
    assert len(drawn) == 1
    for count in range(2, 6):
        batches.next()
        batches._next[1].result()
        assert len(drawn) == count + 1


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("given", [0, 1, 4, 13])
def test_a_state_is_of_the_next_one_given(ahead: bool, given: int) -> None:
    batches, other = made(ahead), made(not ahead)
    for _ in range(given):
        batches.next()
    state = batches.state()
    other.next()
    other.next()
    other.load(state)
    same(batches, other, 12)


def test_a_state_is_not_changed_by_what_comes_after() -> None:
    batches = made(True)
    for _ in range(3):
        batches.next()
    state = batches.state()
    kept = state["order"].clone(), {name: one.clone() for name, one in state["streams"].items()}
    for _ in range(10):
        batches.next()
    assert torch.equal(state["order"], kept[0])
    assert all(torch.equal(state["streams"][name], one) for name, one in kept[1].items())


def test_an_error_of_the_thread_is_the_callers() -> None:
    batches = made(True)
    batches.next()

    def broken(*given: Any) -> torch.Tensor:
        raise ValueError("no such thing")

    batches.augment = broken
    with pytest.raises(ValueError, match="no such thing"):
        batches.next()


def test_a_part_is_of_the_whole_batch() -> None:
    whole, part = made(False), made(True, Part(4, 7, 10))
    for _ in range(3):
        every, some = whole.next(), part.next()
        assert torch.equal(some.classes, every.classes)
        assert torch.equal(some.images, every.images[4:7])
