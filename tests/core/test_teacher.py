"""Teacher features: unit rows for every class, from the embedded teacher or the user's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from core.config import RunConfig
from core.data.corpus_images import Captures
from core.data.expansion import take
from core.errors import RunFailure, UserError
from core.inputs import teacher_fingerprint
from core.materials import load_materials
from core.model.weights import EMBEDDED
from core.teacher import class_features, load_encoder
from core.teacher_training import gate
from tests.core.test_trainer import tiny

TEACHER = Path(str(EMBEDDED / "teacher"))


def config(**distill: object) -> RunConfig:
    fields = {f"distill.{name}": value for name, value in {"kind": "cosine", **distill}.items()}
    return RunConfig().with_overrides({**fields, "data.expansion": 8, "data.image_size": 32})


@pytest.fixture
def pool() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8)


def test_every_class_has_a_unit_row(pool: np.ndarray) -> None:
    features = class_features(config(), pool)
    assert features.shape == (24, 256)
    assert torch.allclose(features.norm(dim=1), torch.ones(24), atol=1e-5)
    assert torch.equal(features, class_features(config(), pool))
    assert not torch.allclose(features[0], features[1])


def test_rows_of_a_run_are_of_the_images_that_it_drew() -> None:
    materials = load_materials(tiny(distill__kind="cosine"))
    assert materials.teacher is not None
    some = torch.tensor([0, 30, 100, 191])
    expected = load_encoder("procedural")(take(materials.pool, some, 24))
    torch.testing.assert_close(materials.teacher[some], expected, rtol=1e-4, atol=1e-5)


def test_random_teacher_knows_nothing_of_the_images(pool: np.ndarray) -> None:
    a = class_features(config(teacher="random"), pool)
    b = class_features(config(teacher="random"), 255 - pool)
    assert torch.equal(a, b)
    assert not torch.equal(a, class_features(config(teacher="random").with_overrides({"seed": 1}), pool))


def test_fingerprints_follow_content(tmp_path: Path) -> None:
    assert teacher_fingerprint(RunConfig()) == "none"
    assert teacher_fingerprint(config(weight=0)) == "none"
    copied = shutil.copytree(TEACHER, tmp_path / "mine")
    embedded, own = (teacher_fingerprint(config(teacher=name)) for name in ("procedural", str(copied)))
    assert embedded.split(":")[1] == own.split(":")[1]
    assert (embedded.split(":")[0], own.split(":")[0]) == ("procedural", "file")
    settings = copied / "open_clip_config.json"
    settings.write_text(settings.read_text().replace("0.5", "0.25"))
    assert teacher_fingerprint(config(teacher=str(copied))) != own


def test_a_teacher_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="open_clip folder"):
        teacher_fingerprint(config(teacher=str(tmp_path)))
    (tmp_path / "broken.pt").write_bytes(b"not weights")
    with pytest.raises(RunFailure) as caught:
        load_encoder(str(tmp_path / "broken.pt"))
    assert caught.value.kind == "bad_weights"
    with pytest.raises(UserError, match=r"distill\.teacher=openai"):
        teacher_fingerprint(config(teacher="openai"))


def test_gate_of_identical_captures_is_perfect() -> None:
    images = np.random.default_rng(1).integers(0, 255, (4, 64, 64, 3), np.uint8).repeat(2, axis=0)
    assert gate(str(TEACHER), Captures(images, np.arange(4).repeat(2)))["auroc"] == 1
