"""The probe tells arithmetic that changed from a setting that was merely set."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from core.precision import autocast, full_float32, matmul_precision, probe

CPU = torch.device("cpu")


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
