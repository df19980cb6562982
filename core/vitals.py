"""What loss and gradient norm say of a run, followed where they are computed."""

from __future__ import annotations

import math

import torch

_LOSS_SMOOTHING = 0.05  # of the running mean of the loss that curves show


class Vitals:
    """The running mean of the loss, and how many steps were clipped or skipped: of all, however rarely anyone looks.

    They are tensors of the device that trains, so that following them waits for nothing. The arithmetic is in double
    precision, the same on every device.

    Args:
        clip: gradient norm over which a step is clipped; one whose norm is not finite is skipped by fp16's scaler.
    """

    def __init__(self, clip: float) -> None:
        self._clip = clip
        self._loss: float | torch.Tensor = math.nan
        self._clipped: int | torch.Tensor = 0
        self._skipped: int | torch.Tensor = 0
        self._begun = False

    def follow(self, loss: torch.Tensor, norm: torch.Tensor) -> None:
        """Count a step with its loss and gradient norm, scalars without a graph."""
        now = loss.double()
        self._loss = self._loss + _LOSS_SMOOTHING * (now - self._loss) if self._begun else now
        self._clipped = self._clipped + (norm.double() > self._clip)
        self._skipped = self._skipped + ~norm.isfinite()
        self._begun = True

    @property
    def loss_mean(self) -> float:
        """nan before the first step; waits for the device."""
        return float(self._loss)

    @property
    def clipped_steps(self) -> int:
        """Waits for the device."""
        return int(self._clipped)

    @property
    def skipped_steps(self) -> int:
        """Waits for the device."""
        return int(self._skipped)

    def state(self) -> dict[str, float]:
        """What `load` goes on from; waits for the device."""
        return {
            "loss_mean": self.loss_mean, "clipped_steps": self.clipped_steps, "skipped_steps": self.skipped_steps
        }  # fmt: skip

    def load(self, loss_mean: float, clipped_steps: int, skipped_steps: int) -> None:
        """Go on from what another run had come to."""
        self._loss, self._clipped, self._skipped = loss_mean, clipped_steps, skipped_steps
        self._begun = not math.isnan(loss_mean)
