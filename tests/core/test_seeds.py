"""Streams: named, independent, and blind to each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core import seeds
from core.loss.fast_partial_fc import FastPartialFC
from core.materials import load_materials
from core.seeds import STREAMS, global_stream, numpy_stream, stream_seed, torch_stream
from core.training_state import Trainer
from tests.core.test_trainer import tiny


def test_streams_differ_by_name_and_seed() -> None:
    seeds = {stream_seed(seed, name) for seed in range(20) for name in STREAMS}
    assert len(seeds) == 20 * len(STREAMS)


def test_a_stream_does_not_depend_on_the_use_of_others() -> None:
    alone = torch.rand(4, generator=torch_stream(5, "augment"))
    torch.rand(100, generator=torch_stream(5, "partial_fc"))
    numpy_stream(5, "subset").random(10)
    assert torch.equal(alone, torch.rand(4, generator=torch_stream(5, "augment")))
    assert np.array_equal(numpy_stream(5, "subset").random(3), numpy_stream(5, "subset").random(3))


def test_global_stream_is_put_back() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with global_stream(7, "init.head"):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with global_stream(7, "init.head"):
        assert torch.equal(torch.rand(3), inside)


def test_unknown_stream_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'augment'"):
        stream_seed(0, "augments")


def drawn(seed: int, update: str) -> dict[str, torch.Tensor]:
    """What the consumer of each stream makes of it, by the stream's name."""
    config = tiny(seed=seed, loss__centre_update=update, distill__kind="cosine", distill__teacher="random")
    materials = load_materials(config)
    trainer = Trainer(config, materials)
    head, order = trainer.head, trainer.batches.order.next()
    trainer.batches.pool = torch.full_like(materials.pool, 99)  # then images differ by their augmentation alone
    some = torch.arange(3)
    fast = isinstance(head, FastPartialFC)
    assert materials.teacher is not None
    assert trainer.projection is not None
    return {
        "subset": materials.pool,
        "order": order,
        "augment": trainer.batches.next().images,
        "partial_fc": head.class_ids(head.draw(some)) if fast else head.sampled_classes(some),
        "init.backbone": next(trainer.embedder.backbone.parameters()),
        "init.head": trainer.embedder.head[0].weight,
        "init.centres": head.centres() if fast else head.weight,
        "init.projection": trainer.projection.weight,
        "teacher.random": materials.teacher,
    }


def moved(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in one if not torch.equal(one[name], other[name])}


@pytest.mark.parametrize("update", ["dense", "rows"])
def test_each_stream_has_its_own_consumer_and_follows_the_seed(update: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base = drawn(0, update)
    assert set(base) == set(STREAMS) - {"augment.noise"}  # which is of pixels on a GPU
    assert moved(base, drawn(0, update)) == set()
    assert moved(base, drawn(1, update)) == set(base)
    for name in STREAMS:
        monkeypatch.setattr(seeds, "stream_seed", lambda seed, of, name=name: stream_seed(seed + (of == name), of))
        along = {"teacher.random"} if name == "subset" else set()  # a row is of an image
        assert moved(base, drawn(0, update)) == ({name} | along) & set(base)
