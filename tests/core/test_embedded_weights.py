"""Everything in core/weights is small, loads, and says how it was made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from core.config_sections import ModelConfig
from core.data.corpus_images import Captures, captures
from core.data.sources import ProceduralDocuments
from core.evaluation import evaluate
from core.model.embedder import Embedder
from core.model.weights import EMBEDDED, embedded_backbones

FOLDER = Path(str(EMBEDDED))
LIMIT_MB = {"lcnet_050": 2, "lcnet_100": 5}


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Captures:
    return captures(ProceduralDocuments("validation", 40), 3, 64, tmp_path_factory.mktemp("captures"))


@pytest.mark.parametrize("backbone", embedded_backbones())
def test_backbones_tell_unseen_documents_apart_before_any_training(backbone: str, unseen: Captures) -> None:
    def auroc(**pretrained: str) -> float:
        embedder = Embedder(ModelConfig(backbone=backbone, **pretrained), 64, 0)
        return evaluate(embedder, unseen, torch.device("cpu")).metrics["auroc"]

    assert auroc() > auroc(pretrained="none") + 0.03


@pytest.mark.parametrize("backbone", embedded_backbones())
def test_backbones_are_small_and_have_a_card(backbone: str) -> None:
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
