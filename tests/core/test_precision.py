"""The probe tells arithmetic that changed from a setting that was merely set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from core.data.augment import Augment
from core.model.depthwise import use_small_depthwise
from core.precision import (
    _lowered_on_cpu,
    autocast,
    full_float32,
    full_product,
    lowers_products,
    matmul_precision,
    probe,
)

CPU = torch.device("cpu")


class _Dtypes(TorchDispatchMode):
    """The types that matrix products compute in, which settings may lower for float32."""

    def __init__(self) -> None:
        super().__init__()
        self.products: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in ("mm", "bmm", "addmm", "baddbmm"):
            self.products.add(args[0].dtype)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", ["bf16", "fp16"])
def test_autocast_lowers_precision_on_any_hardware(mode: str) -> None:
    measured = probe(mode, CPU)
    assert measured.took_effect
    assert 1e-5 < measured.linear_error < 1e-2


def test_highest_needs_no_effect() -> None:
    measured = probe("highest", CPU)
    assert measured.took_effect
    assert measured.linear_error == measured.reference_error < 1e-6


@pytest.mark.parametrize("mode", ["high", "medium"])
@pytest.mark.parametrize("off", [0.0, 1e-3])
def test_a_setting_that_does_nothing_is_found_out(off: float, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On pretended hardware, whose products are off by so much where the setting is that of the mode."""

    def product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        lowered = torch.get_float32_matmul_precision() == mode
        return (x.double() @ weight.double().T).float() * (1 + off * lowered)

    monkeypatch.setattr(functional, "linear", product)
    measured = probe(mode, CPU)
    assert measured.took_effect == (off > 0)
    assert measured.linear_error == pytest.approx(off, rel=0.01, abs=1e-7)
    assert measured.reference_error < 1e-7


@pytest.mark.parametrize("mode", ["highest", "high", "medium", "bf16", "fp16"])
def test_the_setting_is_that_of_the_mode_and_highest_beneath_autocast(mode: str) -> None:
    with matmul_precision("medium" if mode == "highest" else "highest"), matmul_precision(mode):
        assert torch.get_float32_matmul_precision() == ("highest" if mode in ("bf16", "fp16") else mode)


@pytest.mark.parametrize("off", [0.0, 1e-3])
def test_what_no_setting_is_to_touch_is_computed_in_full(off: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a pretended CPU, whose float32 products are off by so much where the setting is `medium`."""

    def lowered(product: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def made(*operands: torch.Tensor, **how: torch.Tensor) -> torch.Tensor:
            exact = product(*operands, **how)
            setting = torch.get_float32_matmul_precision()
            return exact.mul_(1 + off) if setting == "medium" and exact.dtype == torch.float32 else exact

        return made

    for place, name in ((functional, "linear"), (torch, "matmul"), (torch, "baddbmm"), (torch, "bmm")):
        monkeypatch.setattr(place, name, lowered(getattr(place, name)))
    _lowered_on_cpu.cache_clear()
    images = torch.randint(0, 256, (96, 3, 32, 32), dtype=torch.uint8)
    layer = use_small_depthwise(torch.nn.Conv2d(8, 8, 3, padding=1, groups=8))
    maps = torch.rand(2, 8, 4, 4)
    try:
        seen = []
        for setting in ("highest", "medium"):
            with matmul_precision(setting):
                assert lowers_products(CPU) == (setting == "medium" and off > 0)
                pictures = Augment("documented")(images, torch.Generator().manual_seed(0))
                seen.append((pictures, layer(maps)))
    finally:
        _lowered_on_cpu.cache_clear()
    (pictures, mapped), (again, mapped_again) = seen
    if off:  # by double precision, or another way: other roundings, of which quantisation may make a step
        assert float((again - pictures).abs().mean()) < 1e-6
        torch.testing.assert_close(mapped_again, mapped)
    else:
        assert torch.equal(again, pictures)
        assert torch.equal(mapped_again, mapped)


@pytest.mark.parametrize("given", ["plus", "out", "both", "neither"])
@pytest.mark.parametrize("inner", [1, 3, 32])
def test_a_full_product_is_what_it_is_where_nothing_is_lowered(
    inner: int, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, plus = torch.rand(2, 5, inner), torch.rand(2, inner, 7), torch.rand(2, 5, 1)
    options = {"plus": plus} if given in ("plus", "both") else {}
    exact = a @ b + (plus if options else 0)
    monkeypatch.setattr("core.precision.lowers_products", lambda device: True)
    with _Dtypes() as seen:
        if given in ("out", "both"):
            out = torch.full((2, 5, 7), torch.nan)
            assert full_product(a, b, out=out, **options) is out
        else:
            out = full_product(a, b, **options)
    torch.testing.assert_close(out, exact)
    assert out.dtype == torch.float32
    # A few terms are added up as they are: pictures in double precision take an accelerator several times as long.
    assert (torch.float64 in seen.products) == (inner > 4)
    assert torch.float32 not in seen.products


def test_precision_is_put_back_after_an_error() -> None:
    before = torch.get_float32_matmul_precision()
    with pytest.raises(RuntimeError), matmul_precision("medium"):
        raise RuntimeError
    assert torch.get_float32_matmul_precision() == before


def test_full_float32_leaves_other_flags_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "deterministic", True)
    monkeypatch.setattr(cudnn, "benchmark", True)
    with full_float32(CPU):
        assert (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, cudnn.enabled) == (False, True, True, True)
    assert cudnn.allow_tf32
    with pytest.raises(RuntimeError), full_float32(CPU):
        raise RuntimeError
    assert cudnn.allow_tf32


def test_float32_modes_do_not_autocast() -> None:
    x = torch.rand(2, 2)
    with autocast("medium", CPU):
        assert (x @ x).dtype == torch.float32
    with autocast("bf16", CPU):
        assert (x @ x).dtype == torch.bfloat16
