"""The probe tells arithmetic that changed from a setting that was merely set."""

from __future__ import annotations

import pytest
import torch

from core.precision import autocast, matmul_precision, probe

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
def test_a_setting_that_does_nothing_is_found_out(mode: str) -> None:
    measured = probe(mode, CPU)
    assert measured.took_effect == (measured.linear_error >= 10 * measured.reference_error)


def test_precision_is_put_back_after_an_error() -> None:
    before = torch.get_float32_matmul_precision()
    with pytest.raises(RuntimeError), matmul_precision("medium"):
        raise RuntimeError
    assert torch.get_float32_matmul_precision() == before


def test_float32_modes_do_not_autocast() -> None:
    x = torch.rand(2, 2)
    with autocast("medium", CPU):
        assert (x @ x).dtype == torch.float32
    with autocast("bf16", CPU):
        assert (x @ x).dtype == torch.bfloat16
