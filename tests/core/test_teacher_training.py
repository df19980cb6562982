"""Training of the teacher: its terms have neutral points, its classes their pictures, a stopped training goes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from torch.nn import functional

from core import resumable, teacher_training
from core.data import documents
from core.data.sources import ProceduralDocuments
from core.loss.partial_fc import PartialFC
from core.seeds import global_stream
from core.teacher_loss import Weights, teacher_loss
from core.teacher_pairs import Pairs, short_tokenizer
from core.teacher_training import TeacherRecipe, model_config

SCALE = torch.tensor(20.0)
TINY = TeacherRecipe(
    templates=8, holders=2, patterns=4, image_size=32, width=16, embed_dim=32, samples=24, batch_size=4
)


def loss(
    weights: Weights, captioned: torch.Tensor | None = None, rows: int = 6, classified: Any = None
) -> torch.Tensor:
    first, second, text = torch.randn(3, rows, 8, generator=torch.Generator().manual_seed(0)).unbind()
    captioned = torch.ones(rows, dtype=torch.bool) if captioned is None else captioned
    return teacher_loss(
        weights, open_clip.ClipLoss(), first, second, captioned, lambda: text[captioned], SCALE,
        classified or (lambda both: both.sum()),
    )  # fmt: skip


def test_captions_alone_are_open_clips_loss() -> None:
    first, second, text = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0)).unbind()
    unit = partial(functional.normalize, dim=1)
    captions, views = (open_clip.ClipLoss()(unit(first), unit(other), SCALE) for other in (text, second))
    assert torch.equal(loss(Weights(1, 0, 0)), captions)
    assert torch.equal(loss(Weights(0, 1, 0)), views)
    assert torch.equal(loss(Weights(1, 0.5, 0)), captions + 0.5 * views)


def test_a_term_of_weight_zero_is_not_computed() -> None:
    def refused(both: torch.Tensor) -> torch.Tensor:
        raise AssertionError

    assert loss(Weights(1, 1, 0), classified=refused).isfinite()
    assert loss(Weights(0, 0, 0), classified=refused) == 0


def test_images_without_captions_are_left_to_the_other_terms() -> None:
    none = torch.zeros(6, dtype=torch.bool)
    assert torch.equal(loss(Weights(1, 1, 1), none), loss(Weights(0, 1, 1)))
    some = none.clone()
    some[:3] = True
    assert torch.equal(loss(Weights(1, 0, 0), some), loss(Weights(1, 0, 0), torch.arange(6) < 3))


def test_the_class_term_is_the_softmax_over_all_classes() -> None:
    head = PartialFC(8, 20, "softmax", 16.0, 0.0, 1.0)
    labels = torch.arange(6)
    first, second, _ = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0)).unbind()
    cosine = functional.linear(functional.normalize(torch.cat([first, second])), functional.normalize(head.weight))
    expected = 2 * functional.cross_entropy(16 * cosine, labels.repeat(2))
    got = loss(Weights(0, 0, 2), classified=lambda both: head(both, labels.repeat(2)))
    assert torch.allclose(got, expected)


def test_classes_are_templates_of_the_train_split_and_then_patterns() -> None:
    pairs = Pairs.drawn(4, 2, 3, 32)
    assert (len(pairs.pictures), pairs.classes) == (4 * 2 + 3, 7)
    train = ProceduralDocuments.train_seed()
    holders = [torch.from_numpy(np.stack([documents.render(train, k, 32, fields=h) for k in range(4)])) for h in (0, 1)]
    seen = pairs.seen(torch.arange(7), torch.Generator().manual_seed(0)).permute(0, 2, 3, 1)
    for k in range(4):
        assert any(torch.equal(seen[k], drawn[k]) for drawn in holders)
    again = pairs.seen(torch.arange(4, 7), torch.Generator().manual_seed(1)).permute(0, 2, 3, 1)
    assert torch.equal(seen[4:], again)
    assert len(pairs.captions(torch.tensor([1, 3]), torch.Generator().manual_seed(0))) == 2


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return Pairs.drawn(TINY.templates, TINY.holders, TINY.patterns, TINY.image_size)


def trained(recipe: TeacherRecipe, pairs: Pairs, checkpoint: Path) -> dict[str, torch.Tensor]:
    tokenizer = short_tokenizer()
    with global_stream(0, "init.backbone"):
        model = open_clip.CLIP(**model_config(recipe, tokenizer.vocab_size))
    teacher_training._train(recipe, model, tokenizer, pairs, checkpoint, None)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_a_stopped_training_goes_on_to_the_same_bytes(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(TINY, pairs, tmp_path / "whole")
    monkeypatch.setattr(teacher_training, "run", partial(resumable.run, save_every=0.0))
    with monkeypatch.context() as patched:
        calls = iter(range(3))

        def once_more(*arguments: Any, **named: Any) -> torch.Tensor:
            if next(calls, None) is None:
                raise Stopped
            return teacher_loss(*arguments, **named)

        patched.setattr(teacher_training, "teacher_loss", once_more)
        with pytest.raises(Stopped):
            trained(TINY, pairs, tmp_path / "parts")
    resumed = trained(TINY, pairs, tmp_path / "parts")
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
