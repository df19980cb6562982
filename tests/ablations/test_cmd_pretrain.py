"""`pretrain`: weights that a run can use, with their card."""

from __future__ import annotations

from pathlib import Path

import yaml

from core.config_sections import ModelConfig
from core.model.embedder import Embedder
from tests.ablations.conftest import CommandLine


def test_pretrain_writes_weights_and_their_card(cli: CommandLine) -> None:
    words = ["--samples", "256", "--classes", "64", "--image-size", "32", "--out", "made"]
    assert cli("pretrain", *words) == 0
    card = yaml.safe_load(Path("made/lcnet_050.yaml").read_text())
    assert card["recipe"]["samples"] == 256
    assert set(card["unseen_procedural_documents"]) == {"untrained", "pretrained"}
    assert yaml.safe_load(cli.out) == card
    Embedder(ModelConfig(pretrained="made/lcnet_050.safetensors"), 32, 0)


def test_unknown_backbone(cli: CommandLine) -> None:
    assert cli("pretrain", "--backbone", "lcnet_777", "--classes", "64", "--image-size", "32") == 1
    assert cli.err.strip().splitlines()[-1].startswith("error: model.backbone: timm has no 'lcnet_777'")
