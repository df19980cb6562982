"""`pretrain`: weights that a run can use, with their card."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from core import pretrain as pretraining
from core.config_sections import ModelConfig
from core.model.embedder import Embedder
from tests.ablations.conftest import CommandLine
from tests.conftest import make_images


def test_pretrain_writes_weights_and_their_card(cli: CommandLine) -> None:
    words = ["--samples", "256", "--classes", "64", "--image-size", "32", "--out", "made"]
    assert cli("pretrain", *words) == 0
    card = yaml.safe_load(Path("made/lcnet_050.yaml").read_text())
    assert card["recipe"]["samples"] == 256
    assert set(card["unseen_procedural_documents"]) == {"untrained", "pretrained"}
    assert yaml.safe_load(cli.out) == card
    Embedder(ModelConfig(pretrained="made/lcnet_050.safetensors"), 32, 0)


def test_what_runs_judge_on_is_left_out(cli: CommandLine, tmp_path: Path) -> None:
    words = ["--samples", "128", "--classes", "64", "--image-size", "32", "--out", "made"]
    make_images(tmp_path / "scans", 70)
    for path in make_images(tmp_path / "judged", 6, seed=9):
        shutil.copy(path, tmp_path / "scans" / f"judged {path.name}")
    assert cli("pretrain", *words, "--data", "scans", "--eval", "judged") == 0
    assert "the 70 images of a folder that are not held out" in yaml.safe_load(cli.out)["made_by"]
    assert cli("pretrain", *words, "--eval", "judged") == 2
    assert "--eval: it leaves images out of --data, which is not given" in cli.err
    assert cli("pretrain", *words, "--data", "judged", "--eval", "judged") == 2
    assert "--data: all images of judged are judged on" in cli.err


def test_the_card_says_how_many_images_were_used(cli: CommandLine, tmp_path: Path) -> None:
    make_images(tmp_path / "scans", 160)
    assert cli("pretrain", "--samples", "128", "--classes", "64", "--image-size", "32", "--data", "scans") == 0
    told = re.search(r"64 of the (\d+) images of a folder that are not held out", yaml.safe_load(cli.out)["made_by"])
    assert told
    assert 64 < int(told[1]) < 160


def test_unknown_backbone(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "_images", lambda *_: pytest.fail("patterns were drawn for nothing"))
    assert cli("pretrain", "--backbone", "lcnet_777", "--classes", "64", "--image-size", "32") == 1
    assert cli.err.strip().splitlines()[-1].startswith("error: model.backbone: timm has no 'lcnet_777'")
