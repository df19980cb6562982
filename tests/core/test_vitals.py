"""The running mean of the loss and the count of clipped steps."""

from __future__ import annotations

import math

import pytest
import torch

from core.vitals import Vitals


def test_every_step_counts() -> None:
    vitals, expected, clipped, skipped = Vitals(1.0), math.nan, 0, 0
    assert math.isnan(vitals.loss_mean)
    generator = torch.Generator().manual_seed(0)
    for index in range(60):
        loss, norm = torch.rand(2, generator=generator).mul(2)
        if index % 7 == 3:
            norm = torch.tensor((math.inf, math.nan)[index % 2])
        vitals.follow(loss, norm)
        expected = loss.item() if not index else expected + 0.05 * (loss.item() - expected)
        clipped += norm.item() > 1
        skipped += not math.isfinite(norm.item())
        if index == 30:  # and another goes on from there
            other = Vitals(1.0)
            other.load(**vitals.state())
            vitals = other
    assert (vitals.loss_mean, vitals.clipped_steps, vitals.skipped_steps) == (expected, clipped, skipped)
    assert 0 < skipped < clipped < 60


def test_a_run_that_has_not_begun_goes_on_as_one() -> None:
    vitals = Vitals(1.0)
    vitals.load(math.nan, 0, 0)
    vitals.follow(torch.tensor(3.0), torch.tensor(0.5))
    assert vitals.loss_mean == pytest.approx(3.0)
