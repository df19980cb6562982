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
from core.errors import UserError
from core.seeds import global_stream
from core.teacher_pairs import Pairs, short_tokenizer
from core.teacher_training import TeacherRecipe, model_config, teacher_loss, train_teacher

SCALE = torch.tensor(20.0)
TINY = TeacherRecipe(
    templates=8, holders=2, patterns=4, image_size=32, width=16, embed_dim=32, samples=24, batch_size=4
)


def test_images_to_measure_on_are_looked_for_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Pairs, "drawn", lambda *_: pytest.fail("pictures were drawn"))
    with pytest.raises(UserError, match="is not a folder"):
        train_teacher(TINY, tmp_path, real=[str(tmp_path / "none")])


def rows(count: int = 6) -> list[torch.Tensor]:
    """First views, second views and captions: unit rows."""
    drawn = torch.randn(3, count, 8, generator=torch.Generator().manual_seed(0))
    return list(functional.normalize(drawn, dim=2).unbind())


def test_where_all_have_captions_it_is_open_clips_loss_of_captions_and_of_views() -> None:
    first, second, text = rows()
    criterion, every = open_clip.ClipLoss(), torch.ones(6, dtype=torch.bool)
    captions, views = criterion(first, text, SCALE), criterion(first, second, SCALE)
    assert torch.equal(teacher_loss(criterion, first, second, text, every, SCALE, 0.0), captions)
    assert torch.equal(teacher_loss(criterion, first, second, text, every, SCALE, 0.5), captions + 0.5 * views)


def test_pictures_without_captions_are_told_apart_by_views_alone() -> None:
    first, second, text = rows()
    criterion, some = open_clip.ClipLoss(), torch.arange(6) < 3
    views = criterion(first, second, SCALE)
    assert torch.equal(
        teacher_loss(criterion, first, second, None, torch.zeros(6, dtype=torch.bool), SCALE, 1.0), views
    )
    captions = criterion(first[:3], text[:3], SCALE)
    assert torch.equal(teacher_loss(criterion, first, second, text[:3], some, SCALE, 1.0), captions + views)


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
