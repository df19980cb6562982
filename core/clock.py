"""Where a run's seconds go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds spent in the parts of the loop; on an accelerator the parts overlap and only totals mean much."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def shares(self) -> dict[str, float]:
        total = sum(self.seconds.values()) or 1.0
        return {part: round(seconds / total, 4) for part, seconds in self.seconds.items()}


class Stopwatch:
    """Seconds since it was made, on top of those of `before`."""

    def __init__(self, before: float = 0.0) -> None:
        self._before, self._start = before, time.perf_counter()

    def add(self, seconds: float) -> None:
        self._before += seconds

    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._start
