"""Depthwise convolution of small feature maps as a product with dense matrices.

oneDNN's backward pass of a 5 x 5 depthwise convolution on a 2 x 2 or 4 x 4 map costs tens of times its
arithmetic on CPUs without AVX-512, and half of lcnet's training step goes there. On a map that small
the convolution is a matrix of (H W) x (H' W') entries for each channel, which batched products do well.
Same parameters, same names, same function to float tolerance: where the products would be lowered, and
those of convolutions would not (`core.precision`), it stays a convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

from core.precision import lowers_products

_MAX_POSITIONS = 16  # of the input map: 4 x 4; beyond it the dense matrices cost more than they save


@lru_cache(maxsize=64)
def _taps(height: int, width: int, kernel: int, stride: int) -> tuple[torch.Tensor, int, int]:
    """For every (input, output) position pair the kernel tap between them; `kernel**2` where there is none.

    Returns:
        Indices (H * W * H' * W',) int64, and the output's H' and W'.
    """
    pad = kernel // 2
    rows, columns = (height - 1) // stride + 1, (width - 1) // stride + 1
    in_y, in_x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    out_y, out_x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    dy = in_y.reshape(-1, 1) - out_y.reshape(1, -1) * stride + pad
    dx = in_x.reshape(-1, 1) - out_x.reshape(1, -1) * stride + pad
    inside = (dy >= 0) & (dy < kernel) & (dx >= 0) & (dx < kernel)
    return torch.where(inside, dy * kernel + dx, kernel * kernel).reshape(-1), rows, columns


class SmallDepthwiseConv2d(nn.Conv2d):
    """A depthwise `nn.Conv2d` that takes the dense way on the CPU when the map has at most 16 positions."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = input.shape
        if input.device.type != "cpu" or height * width > _MAX_POSITIONS or lowers_products(input.device):
            return super().forward(input)
        taps, rows, columns = _taps(height, width, self.kernel_size[0], self.stride[0])
        # One more tap that is always zero stands for pairs of positions without a kernel entry.
        kernel = functional.pad(self.weight.reshape(channels, -1), (0, 1))
        matrices = kernel.index_select(1, taps).view(channels, height * width, rows * columns)
        # A view of channels-last memory has no unit stride in its matrices, which a batched product copies one by one.
        positions = input.permute(1, 0, 2, 3).reshape(channels, batch, height * width).contiguous()
        product = torch.bmm(positions, matrices)
        if product.requires_grad:
            # Its gradient comes permuted, and a batched product of permuted matrices copies them one by one.
            product.register_hook(torch.Tensor.contiguous)
        output = product.view(channels, batch, rows, columns).permute(1, 0, 2, 3)
        output = output.contiguous(memory_format=torch.channels_last)
        return output if self.bias is None else output + self.bias.view(1, -1, 1, 1)


def _fits(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.groups == module.in_channels == module.out_channels
        and module.kernel_size[0] == module.kernel_size[1]
        and module.kernel_size[0] % 2 == 1  # an even one makes the map larger by one
        and module.stride[0] == module.stride[1]
        and module.dilation == (1, 1)
        and module.padding == (module.kernel_size[0] // 2,) * 2
        and module.padding_mode == "zeros"
    )


@contextmanager
def plain_depthwise(model: nn.Module) -> Iterator[None]:
    """All convolutions as they are written, e.g. to count what they compute; put back after."""
    dense: list[nn.Module] = [module for module in model.modules() if type(module) is SmallDepthwiseConv2d]
    try:
        for module in dense:
            module.__class__ = nn.Conv2d
        yield
    finally:
        for module in dense:
            module.__class__ = SmallDepthwiseConv2d


def use_small_depthwise(model: nn.Module) -> nn.Module:
    """Let the depthwise convolutions of a model take the dense way on small maps; returns the model.

    Layers keep their parameters, so state dictionaries and initial weights are as before.
    """
    for module in model.modules():
        if _fits(module):
            module.__class__ = SmallDepthwiseConv2d
    return model
