"""Arithmetic precision as an ablated factor, and the probe that shows whether it took effect.

`highest`, `high` and `medium` set `torch.set_float32_matmul_precision`, as the record does; `bf16` and
`fp16` are autocast of what that setting touches, the products of the head and of the class centres, with
convolutions left alone, so that all arms differ in the same place. The setting is of the whole process:
what it is not to touch, pictures and convolutions that are computed as products, goes by `full_product`
and `lowers_products`. On hardware without the lower-precision kernels the setting changes nothing, so a
run measures its own arithmetic instead of believing the setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_PROBE_SHAPE = (64, 512, 256)  # rows, inner, columns: a head-sized product
_TOOK_EFFECT = 10.0  # times the error of `highest`: bf16 and TF32 are off by hundreds of times
_FEW_TERMS = 4  # up to so many, sums of products are found term by term: less work than in double precision


@contextmanager
def matmul_precision(mode: str) -> Iterator[None]:
    """Float32 matmul precision of `mode` (autocast modes keep `highest` beneath), put back after."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest" if mode in _AUTOCAST else mode)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Float32 as it is, products and convolutions both, whatever was set before; put back after.

    Convolutions have a switch of their own, which lets cuDNN round to TF32 unless it is told not to. cuDNN's other
    flags, determinism among them, stay as they are: `torch.backends.cudnn.flags` would set them all.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    cudnn.allow_tf32 = False
    try:
        with matmul_precision("highest"), torch.autocast(device.type, enabled=False):
            yield
    finally:
        cudnn.allow_tf32 = before


def autocast(mode: str, device: torch.device) -> AbstractContextManager[Any]:
    """The autocast region of `mode`, disabled for the float32 modes."""
    return torch.autocast(device.type, dtype=_AUTOCAST.get(mode, torch.bfloat16), enabled=mode in _AUTOCAST)


def grad_scaler(mode: str, device: torch.device, *, shared: bool = False) -> torch.amp.GradScaler:
    """Loss scaling, for `fp16` alone; one that is `shared` skips a step on all ranks if it must on any."""
    if mode == "fp16" and shared:
        from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

        return ShardedGradScaler(device=device.type)
    return torch.amp.GradScaler(device.type, enabled=mode == "fp16")


@dataclass(frozen=True)
class Probe:
    """Relative error (Frobenius) of a linear layer against float64, in the mode and at `highest`."""

    mode: str
    device: str
    linear_error: float
    reference_error: float
    took_effect: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def probe(mode: str, device: torch.device) -> Probe:
    """Measure the arithmetic of `mode` on `device`; `took_effect` is true for a mode that needs none."""

    def error(of: str) -> float:
        with matmul_precision(of), autocast(of, device):
            return _linear_error(device)

    reference, measured = error("highest"), error(mode)
    took_effect = mode == "highest" or measured >= _TOOK_EFFECT * reference
    return Probe(mode, str(device), measured, reference, took_effect)


@torch.no_grad()
def _linear_error(device: torch.device) -> float:
    """Relative error (Frobenius) of a linear layer against float64, as products are now."""
    generator = torch.Generator().manual_seed(0)
    rows, inner, columns = _PROBE_SHAPE
    x = torch.randn(rows, inner, generator=generator).to(device)
    weight = torch.randn(columns, inner, generator=generator).to(device)
    exact = x.double() @ weight.double().T
    got = torch.nn.functional.linear(x, weight).double()
    return float((got - exact).norm() / exact.norm())


def lowers_products(device: torch.device) -> bool:
    """Whether the float32 products of a device may be lowered by the setting that stands.

    Of a CPU it is measured, once a setting: most have no such kernels, and compute the same whatever is set. Of an
    accelerator it is not, as it would be waited for.
    """
    setting = torch.get_float32_matmul_precision()
    return setting != "highest" and (device.type != "cpu" or _lowered_on_cpu(setting))


@cache
def _lowered_on_cpu(setting: str) -> bool:
    return _linear_error(torch.device("cpu")) >= _TOOK_EFFECT * torch.finfo(torch.float32).eps


def full_product(
    a: torch.Tensor, b: torch.Tensor, *, plus: torch.Tensor | None = None, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Float32 `a @ b`, three-dimensional with `plus` to be added, that no setting lowers."""
    if lowers_products(a.device):
        if a.shape[-1] <= _FEW_TERMS:
            return _term_by_term(a, b, plus, out)
        exact = a.double() @ b.double()
        exact = exact if plus is None else exact.add_(plus)
        return exact.float() if out is None else out.copy_(exact)
    return torch.matmul(a, b, out=out) if plus is None else torch.baddbmm(plus, a, b, out=out)


def _term_by_term(
    a: torch.Tensor, b: torch.Tensor, plus: torch.Tensor | None, out: torch.Tensor | None
) -> torch.Tensor:
    """`a @ b + plus` by multiplications and additions of single numbers, which are full float32 on any hardware."""
    terms = list(zip(a.split(1, dim=-1), b.split(1, dim=-2), strict=True))
    total = torch.mul(*terms[0], out=out) if plus is None else torch.addcmul(plus, *terms[0], out=out)
    for column, row in terms[1:]:
        total.addcmul_(column, row)
    return total
