"""Sizes as published, norms as declared, pairs of arms in step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core.config_sections import ModelConfig
from core.errors import RunFailure
from core.model.embedder import Centring, Embedder, flops_g, head_norm, parameter_count, size_mb


def embedder(size: int = 128, seed: int = 0, **fields: object) -> Embedder:
    return Embedder(ModelConfig(pretrained="none", **fields), size, seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "size", "published_mb"),
    [({"neck": "flatten"}, 128, 5.54), ({"neck": "squeeze"}, 128, 2.46), ({"embed_dim": 128}, 96, 2.33),
     ({"backbone": "efficientnet_b0"}, 128, 19.89)],
)  # fmt: skip
def test_published_model_sizes(fields: dict[str, object], size: int, published_mb: float) -> None:
    assert round(size_mb(embedder(size, **fields)), 2) == published_mb


def test_parameter_counts_to_the_last() -> None:
    assert parameter_count(embedder(neck="flatten")) == 1_386_032
    assert parameter_count(embedder(neck="squeeze")) == 615_984


def products(model: nn.Module, size: int) -> float:
    """Twice the multiply-adds of convolutions and linear layers for one image, from their shapes."""
    counted: list[float] = []

    def count(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        counted.append(2 * out.numel() * layer.weight[0].numel())  # type: ignore[index, union-attr, operator]

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return sum(counted)


@pytest.mark.parametrize("fields", [{}, {"neck": "squeeze"}, {"backbone": "lcnet_100", "embed_dim": 64}])
def test_flops_are_those_of_convolutions_and_linear_layers(fields: dict[str, object]) -> None:
    model = embedder(64, **fields)
    kinds = [type(module) for module in model.modules()]
    assert flops_g(model, 64) == pytest.approx(products(model, 64) / 1e9, rel=1e-9)
    assert [type(module) for module in model.modules()] == kinds


@pytest.mark.parametrize(
    ("kind", "layers"),
    [("none", []), ("bn", [nn.BatchNorm1d]), ("ln", [nn.LayerNorm]), ("ln_bn", [nn.LayerNorm, nn.BatchNorm1d]),
     ("bn_ln", [nn.BatchNorm1d, nn.LayerNorm]), ("ln_centre", [nn.LayerNorm, Centring])],
)  # fmt: skip
def test_norm_layers(kind: str, layers: list[type]) -> None:
    assert [type(layer) for layer in head_norm(kind, 8)] == layers


def test_centring_is_batch_norm_without_the_division() -> None:
    centring, bn = Centring(8), nn.BatchNorm1d(8, affine=False, eps=1e-12)
    for _ in range(5):
        rows = 3 + 2 * torch.randn(32, 8, dtype=torch.float64).float()
        ours, theirs = centring(rows), bn(rows)
        torch.testing.assert_close(ours / rows.std(0, unbiased=False), theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(centring.running_mean, bn.running_mean)
    rows = torch.randn(4, 8)
    torch.testing.assert_close(centring.eval()(rows), rows - bn.running_mean)


@pytest.mark.parametrize("neck", ["flatten", "gap", "squeeze"])
@pytest.mark.parametrize("norm", ["none", "bn", "ln", "ln_bn", "bn_ln", "ln_centre"])
def test_every_head_embeds(neck: str, norm: str) -> None:
    model = embedder(64, neck=neck, norm=norm, embed_dim=16)
    assert model(torch.rand(3, 3, 64, 64)).shape == (3, 16)


def test_norm_arms_start_from_the_same_weights() -> None:
    ln, bn = embedder(64, seed=3, norm="ln"), embedder(64, seed=3, norm="bn")
    assert torch.equal(ln.head[0].weight, bn.head[0].weight)
    assert torch.equal(ln.head[2].weight, bn.head[2].weight)
    stems = [next(model.backbone.parameters()) for model in (ln, bn)]
    assert torch.equal(*stems)


def test_neck_arms_share_the_backbone_and_other_seeds_do_not() -> None:
    flat, gap, other = embedder(64), embedder(64, neck="gap"), embedder(64, seed=1)
    first = [next(model.backbone.parameters()) for model in (flat, gap, other)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


@pytest.mark.parametrize(
    ("name", "what_timm_says"), [("vit_tiny_patch16_224", r"Input height \(64\)"), ("levit_128s", "The size of tensor")]
)
def test_a_backbone_made_for_images_of_another_size_is_a_bad_configuration(name: str, what_timm_says: str) -> None:
    told = rf"model\.backbone: {name} cannot take images of 64 x 64 pixels \({what_timm_says}.*: give another"
    with pytest.raises(RunFailure, match=told) as caught:
        embedder(64, backbone=name)
    assert caught.value.kind == "bad_config"
