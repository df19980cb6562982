"""What is seen when: the order of the classes, and the learning rate of a step."""

from __future__ import annotations

import math

import torch


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at `step` (from 0): linear warm-up, then linear decay to zero.

    The record's PolynomialLRWarmup at its default power 1, with warm-up over the first tenth.
    """
    warm = math.ceil(steps * warmup)
    if step < warm:
        return (step + 1) / warm
    return (steps - step) / max(1, steps - warm)


class ClassOrder:
    """Class ids in batches, from one random permutation after another: every class once per pass."""

    def __init__(self, classes: int, batch_size: int, generator: torch.Generator) -> None:
        self._classes, self.batch_size, self._generator = classes, batch_size, generator
        self._queue = torch.empty(0, dtype=torch.int64)

    def next(self) -> torch.Tensor:
        """(batch_size,) int64."""
        while len(self._queue) < self.batch_size:
            fresh = torch.randperm(self._classes, generator=self._generator)
            self._queue = torch.cat([self._queue, fresh])
        batch, self._queue = self._queue[: self.batch_size], self._queue[self.batch_size :]
        return batch

    @property
    def rest(self) -> torch.Tensor:
        """Int64, the rest of the current permutation; it is never written to, and shares its memory."""
        return self._queue

    def state(self) -> torch.Tensor:
        """A copy of the rest; the generator's state is its owner's to keep."""
        return self._queue.clone()

    def load(self, state: torch.Tensor) -> None:
        """Go on from `state`."""
        self._queue = state
