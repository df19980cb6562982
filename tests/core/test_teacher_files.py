"""A teacher's folder may name architectures and sizes, and nothing to be fetched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import open_clip  # what it does when it is imported is not what is watched here
import pytest
import torch

from core.errors import RunFailure
from core.model import weights
from core.teacher import load_encoder
from core.teacher_files import check_config
from tests.faults.sealed import sealed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(str(weights.EMBEDDED / "teacher"), tmp_path / "teacher")
    return tmp_path / "teacher"


def change(folder: Path, section: str, **fields: Any) -> None:
    path = folder / "open_clip_config.json"
    content = json.loads(path.read_text())
    content["model_cfg"][section] |= fields
    path.write_text(json.dumps(content))


def refused(folder: Path) -> str:
    with sealed(folder), pytest.raises(RunFailure) as caught:
        load_encoder(str(folder))
    assert caught.value.kind == "bad_weights"
    assert "open_clip_config.json" in caught.value.message or "open_clip_model" in caught.value.message
    return caught.value.message


def test_the_embedded_teacher_passes(folder: Path) -> None:
    assert open_clip.__version__
    with sealed(folder):
        check_config(folder)
        load_encoder(str(folder))


@pytest.mark.parametrize(
    ("section", "fields", "expected"),
    [
        ("text_cfg", {"hf_model_name": "evil/model"}, "names a model of a hub"),
        ("vision_cfg", {"timm_model_name": "hf-hub:evil/model"}, "not the plain name"),
        ("vision_cfg", {"timm_model_name": "local-dir:/etc"}, "not the plain name"),
        ("vision_cfg", {"timm_model_name": ["a", {"b": "hf-hub:x/y"}]}, "not the plain name"),
        ("vision_cfg", {"width": 10**9}, "over 16,384"), ("text_cfg", {"layers": 100_000}, "over 256"),
        ("vision_cfg", {"layers": [1, 10**6]}, "over 256"), ("text_cfg", {"vocab_size": 10**12}, "over 2,000,000"),
    ],
)  # fmt: skip
def test_what_leads_out_of_the_folder(folder: Path, section: str, fields: dict[str, Any], expected: str) -> None:
    change(folder, section, **fields)
    assert expected in refused(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model_cfg": 3}', "[" * 5000, '{"a": 1, "a": 2}'])
def test_what_is_no_configuration(folder: Path, content: str) -> None:
    (folder / "open_clip_config.json").write_text(content)
    refused(folder)


def test_numbers_that_are_none(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = str(folder / "open_clip_model.safetensors")
    state = load_file(path)
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name] = torch.full_like(state[name], torch.nan)
    save_file(state, path)
    assert "not finite" in refused(folder)


def test_a_file_with_the_name_of_published_weights_is_that_file(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.ones(1)}, "laion400m_e32")  # a name that open_clip would fetch, whatever lies here
    given = []

    def create(name: str, pretrained: str) -> None:
        given.append(pretrained)
        raise OSError("seen")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    with pytest.raises(RunFailure, match="seen"):
        load_encoder("laion400m_e32")
    assert given == [str(tmp_path / "laion400m_e32")]
