"""The dense way through a depthwise convolution is the same function."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from core.model.depthwise import SmallDepthwiseConv2d, use_small_depthwise


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (4, 4), (2, 5), (5, 5)])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_equals_conv2d_in_value_and_gradient(size: tuple[int, int], kernel: int, stride: int, bias: bool) -> None:
    torch.manual_seed(0)
    stock = nn.Conv2d(6, 6, kernel, stride, kernel // 2, groups=6, bias=bias).double()
    dense = copy.deepcopy(stock)
    use_small_depthwise(dense)
    assert isinstance(dense, SmallDepthwiseConv2d)
    images = torch.randn(3, 6, *size, dtype=torch.float64)
    a, b = images.clone().requires_grad_(), images.clone().requires_grad_()
    expected, got = stock(a), dense(b)
    assert torch.allclose(expected, got, atol=1e-12)
    direction = torch.randn_like(expected)
    expected.backward(direction)
    got.backward(direction)
    assert torch.allclose(a.grad, b.grad, atol=1e-12)  # type: ignore[arg-type]
    for left, right in zip(stock.parameters(), dense.parameters(), strict=True):
        assert torch.allclose(left.grad, right.grad, atol=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 8, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 3, padding=0, groups=4),
        nn.Conv2d(4, 4, 4, padding=2, groups=4),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, padding_mode="reflect"),
    ],
)
def test_other_convolutions_are_left_alone(layer: nn.Conv2d) -> None:
    use_small_depthwise(layer)
    assert type(layer) is nn.Conv2d


def test_a_whole_backbone_keeps_its_state_and_its_function() -> None:
    import timm

    stock = timm.create_model("lcnet_050", features_only=True, out_indices=(-1,)).eval()
    dense = copy.deepcopy(stock)
    use_small_depthwise(dense)
    assert sum(isinstance(module, SmallDepthwiseConv2d) for module in dense.modules()) == 13
    assert list(stock.state_dict()) == list(dense.state_dict())
    images = torch.rand(2, 3, 64, 64)
    assert torch.allclose(stock(images)[0], dense(images)[0], rtol=1e-4, atol=1e-9)
