"""`teacher`: an open_clip folder that a run can distil from, with its card."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from core import teacher_training
from core.config_sections import EvalConfig
from core.teacher import load_encoder
from tests.ablations.conftest import CommandLine


def test_teacher_writes_an_open_clip_folder(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_training, "EvalConfig", lambda: EvalConfig(validation_identities=20))
    monkeypatch.setattr(teacher_training, "TeacherRecipe", partial(teacher_training.TeacherRecipe, batch_size=16))
    assert cli("teacher", "--samples", "32", "--templates", "256", "--patterns", "64", "--out", "made") == 0
    assert {path.name for path in Path("made").iterdir()} == {
        "open_clip_config.json", "open_clip_model.safetensors", "card.yaml",
    }  # fmt: skip
    assert yaml.safe_load(cli.out)["recipe"]["samples"] == 32
    features = load_encoder("made")(torch.zeros(2, 3, 40, 40, dtype=torch.uint8))
    assert features.shape == (2, 256)


def test_few_samples_are_a_step(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_training, "EvalConfig", lambda: EvalConfig(validation_identities=20))
    monkeypatch.setattr(teacher_training, "TeacherRecipe", partial(teacher_training.TeacherRecipe, batch_size=16))
    assert cli("teacher", "--samples", "15", "--templates", "256", "--patterns", "64", "--out", "made") == 0
    assert yaml.safe_load(cli.out)["final_loss"] > 0
