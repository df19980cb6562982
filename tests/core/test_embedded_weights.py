"""Everything in core/weights is small, loads, and says how it was made."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from core.config_sections import ModelConfig
from core.model.embedder import Embedder
from core.model.weights import EMBEDDED, embedded_backbones

FOLDER = Path(str(EMBEDDED))
LIMIT_MB = {"lcnet_050": 2, "lcnet_100": 5}


@pytest.mark.parametrize("backbone", embedded_backbones())
def test_backbones_load_and_have_a_card(backbone: str) -> None:
    Embedder(ModelConfig(backbone=backbone), 64, 0)
    assert (FOLDER / f"{backbone}.safetensors").stat().st_size < LIMIT_MB[backbone] * 1e6
    card = yaml.safe_load((FOLDER / f"{backbone}.yaml").read_text())
    assert card["recipe"]["backbone"] == backbone
    effect = card["unseen_procedural_documents"]
    assert effect["pretrained"]["auroc"] > effect["untrained"]["auroc"]


def test_the_backbones_were_pretrained_the_same_way() -> None:
    recipes = [yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["recipe"] for name in LIMIT_MB]
    for recipe in recipes:
        recipe.pop("backbone")
    assert recipes[0] == recipes[1]


def test_teacher_is_small_and_has_a_card() -> None:
    assert sum(path.stat().st_size for path in (FOLDER / "teacher").iterdir()) < 12e6
    card = yaml.safe_load((FOLDER / "teacher" / "card.yaml").read_text())
    assert card["unseen_procedural_documents"]["tpr@1e-3"] > 0.9


def test_nothing_is_called_imagenet_or_openai() -> None:
    names = [path.name.lower() for path in FOLDER.rglob("*")]
    assert not [name for name in names if "imagenet" in name or "openai" in name]
