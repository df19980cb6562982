"""Checkpoints as training scripts save them, and what is said of those that cannot be taken."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core.config import ModelConfig
from core.errors import RunFailure
from core.model.backbone import build_backbone
from core.model.weight_files import read_state

State = dict[str, torch.Tensor]


def state(seed: int = 1, backbone: str = "lcnet_050") -> State:
    return build_backbone(ModelConfig(backbone=backbone, pretrained="none"), seed).features.state_dict()


def within(beginning: str, tensors: State) -> State:
    return {beginning + name: tensor for name, tensor in tensors.items()}


HEAD = {"classifier.weight": torch.zeros(3, 3), "loss.weight": torch.zeros(2)}


@pytest.mark.parametrize(
    "saved",
    [
        lambda wanted: {"model": wanted, "epoch": 3, "optimizer": {"state": {}}, "loss": torch.tensor(0.3)},
        lambda wanted: {"model_state_dict": wanted, "model": {"name": "lcnet"}, "epoch": 3},
        lambda wanted: {"state_dict": wanted, "model": {"other": torch.zeros(1)}},
        lambda wanted: {"model": wanted, "model_ema": state(5), "state_dict_ema": state(5)},
        lambda wanted: within("module.", wanted | HEAD),
        lambda wanted: within("backbone.", wanted) | HEAD,
        lambda wanted: {"state_dict": within("model.backbone.", wanted) | HEAD, "epoch": 3},
        lambda wanted: {"model": within("module.", wanted), "epoch": 3},
        lambda wanted: wanted | within("ema.", state(5)),  # names as the backbone has them are meant
        lambda wanted: within("head.", {"conv_stem.weight": torch.zeros(1)}) | within("model.", wanted),
    ],
)  # fmt: skip
def test_everyday_checkpoints_are_taken(tmp_path: Path, saved: Callable[[State], dict[str, Any]]) -> None:
    wanted = state()
    torch.save(saved(wanted), tmp_path / "w.pth")
    loaded = build_backbone(ModelConfig(pretrained=str(tmp_path / "w.pth")), 2).features.state_dict()
    assert all(torch.equal(loaded[name], wanted[name]) for name in loaded)


@pytest.mark.parametrize("stages", ["stages_0", "stages.0"])
def test_stages_are_found_under_a_beginning_by_both_of_their_names(tmp_path: Path, stages: str) -> None:
    wanted = state(backbone="convnext_atto")
    assert any(name.startswith("stages_0") for name in wanted)
    named = {name.replace("stages_", "stages." if "." in stages else "stages_"): wanted[name] for name in wanted}
    named = {name.replace("stem_", "stem." if "." in stages else "stem_"): tensor for name, tensor in named.items()}
    torch.save(within("model.backbone.", named), tmp_path / "w.pth")
    config = ModelConfig(backbone="convnext_atto", pretrained=str(tmp_path / "w.pth"))
    loaded = build_backbone(config, 2).features.state_dict()
    assert all(torch.equal(loaded[name], wanted[name]) for name in loaded)


@pytest.mark.parametrize(
    ("saved", "told"),
    [
        (lambda: {"model_ema": state()}, "no tensors by name but 'model_ema': save the model's state_dict"),
        (lambda: {"state_dict_ema": state(), "epoch": 3}, "no tensors by name but 'state_dict_ema', 'epoch': save"),
        (lambda: {"model": state(), "model_state_dict": state(5)}, "weights under 'model' and 'model_state_dict'"),
        (lambda: {"model": {"name": "x" * 10**6}}, "no tensors by name but 'model': save"),
        (lambda: {"x" * 10**6: 3}, f"no tensors by name but '{'x' * 99}: save"),
        (dict, "no tensors by name: save"),
        (
            lambda: within("teacher.", state(5)) | within("student.", state()),
            "has the backbone several times, as 'student.', 'teacher.': save the one that is meant alone",
        ),
        (
            lambda: {"layer1.weight": torch.zeros(2), "layer1.bias": torch.zeros(2), "a": torch.zeros(2)} | HEAD,
            "has no 'conv_stem.weight', but 'layer1.weight', 'layer1.bias', 'a', ...",
        ),
        (
            lambda: within("module.", {name: one for name, one in state().items() if name != "bn1.bias"}),
            "has no 'bn1.bias', but 'module.conv_stem.weight', ",
        ),
        (lambda: within("module.", state(backbone="lcnet_100")), "has 'conv_stem.weight' of another shape"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_told_with_what_is_there(
    tmp_path: Path, saved: Callable[[], dict[str, Any]], told: str
) -> None:
    path = tmp_path / "w.pth"
    torch.save(saved(), path)
    with pytest.raises(RunFailure) as caught:
        build_backbone(ModelConfig(pretrained=str(path)), 2)
    assert caught.value.kind == "bad_weights"
    assert str(path) in caught.value.message
    assert told in caught.value.message


def test_a_file_without_tensors_is_told_without_names(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({}, str(path))
    with pytest.raises(RunFailure, match=r"it has no 'conv_stem\.weight'$"):
        build_backbone(ModelConfig(pretrained=str(path)), 2)


@pytest.mark.parametrize(
    "content",
    [b"study: mine\n", b"hello world\n", b"", b"\x89PNG\r\n\x1a\n" + bytes(50), json.dumps({"a": 1}).encode(),
     pickle.dumps({"a": 1, "b": [1]})],
)  # fmt: skip
def test_a_file_of_another_kind_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(RunFailure, match=r"w\.pth cannot be read as weights: it is no checkpoint of PyTorch's"):
        read_state(tmp_path / "w.pth")
