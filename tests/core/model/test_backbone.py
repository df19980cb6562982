"""Backbones as they train: the function of timm's, without copies that timm's makes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.profiler import ProfilerActivity, profile

from core.config_sections import ModelConfig
from core.model.backbone import Backbone, build_backbone


def in_place(backbone: Backbone) -> Backbone:
    """The same, with activations as timm has them."""
    twin = copy.deepcopy(backbone)
    for module in twin.modules():
        if isinstance(module, nn.Hardswish | nn.SiLU):
            module.inplace = True
    return twin


def step(backbone: Backbone, images: torch.Tensor) -> list[torch.Tensor]:
    maps = backbone.train()(images)
    maps.square().mean().backward()
    return [maps, *(parameter.grad for parameter in backbone.parameters() if parameter.grad is not None)]


def copied(backbone: Backbone, images: torch.Tensor) -> int:
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as seen:
        step(backbone, images)
    return sum(event.count for event in seen.key_averages() if event.key == "aten::clone")


@pytest.mark.parametrize(("name", "activations"), [("lcnet_050", 27), ("efficientnet_b0", 48)])
def test_activations_keep_their_input_instead_of_a_copy(name: str, activations: int) -> None:
    ours = build_backbone(ModelConfig(backbone=name, pretrained="none"), 0).to(memory_format=torch.channels_last)
    stock = in_place(ours)
    images = torch.rand(2, 3, 96, 96).contiguous(memory_format=torch.channels_last)
    assert copied(copy.deepcopy(stock), images) - copied(copy.deepcopy(ours), images) >= activations
    for mine, its in zip(step(ours, images), step(stock, images), strict=True):
        assert torch.equal(mine, its)


def test_maps_have_their_channels_first_whatever_timm_gives() -> None:
    backbone = build_backbone(ModelConfig(backbone="mambaout_femto", pretrained="none"), 0).eval()
    images = torch.rand(1, 3, 64, 96)
    given = backbone.features(images)[-1]
    assert given.shape == (1, 2, 3, 288)
    assert torch.equal(backbone(images), given.permute(0, 3, 1, 2))


@pytest.mark.parametrize("name", ["convnext_atto", "lcnet_050"])
def test_a_file_of_the_whole_model_fits_however_timm_names_its_stages(name: str, tmp_path: Path) -> None:
    whole = timm.create_model(name).state_dict()
    save_file(whole, tmp_path / "whole.safetensors")
    backbone = build_backbone(ModelConfig(backbone=name, pretrained=str(tmp_path / "whole.safetensors")), 0)
    loaded = backbone.features.state_dict()
    assert len(loaded) > 50
    for key, tensor in loaded.items():
        assert torch.equal(tensor, whole[key] if key in whole else whole[key.replace("_", ".", 1)])


@pytest.mark.parametrize("name", ["fasternet_t1", "lcnet_050"])
def test_training_draws_nothing(name: str) -> None:
    """Masks from the stream that all of a process share would make a run depend on those before it."""
    backbone = build_backbone(ModelConfig(backbone=name, pretrained="none"), 0).train()
    images = torch.rand(2, 3, 64, 64)
    state = torch.get_rng_state()
    first = backbone(images)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(backbone(images), first)
