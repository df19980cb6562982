"""What loss and gradient norm say of a run, followed where they are computed."""

from __future__ import annotations

import math

import torch

_LOSS_SMOOTHING = 0.05  # of the running mean of the loss that curves show


class Vitals:
    """The running mean of the loss, and how many steps were clipped: of every step, however rarely anyone looks.

    They are tensors of the device that trains, so that following them waits for nothing. The arithmetic is in double
    precision, the same on every device.

    Args:
        clip: gradient norm over which a step is clipped.
    """

    def __init__(self, clip: float) -> None:
        self._clip = clip
        self._loss: float | torch.Tensor = math.nan
        self._clipped: int | torch.Tensor = 0
        self._begun = False

    def follow(self, loss: torch.Tensor, norm: torch.Tensor) -> None:
        """Count a step with its loss and gradient norm, scalars without a graph."""
        now = loss.double()
        self._loss = self._loss + _LOSS_SMOOTHING * (now - self._loss) if self._begun else now
        self._clipped = self._clipped + (norm.double() > self._clip)
        self._begun = True

    @property
    def loss_mean(self) -> float:
        """nan before the first step; waits for the device."""
        return float(self._loss)

    @property
    def clipped_steps(self) -> int:
        """Waits for the device."""
        return int(self._clipped)

    def load(self, loss_mean: float, clipped_steps: int) -> None:
        """Go on from what another run had come to."""
        self._loss, self._clipped, self._begun = loss_mean, clipped_steps, not math.isnan(loss_mean)
