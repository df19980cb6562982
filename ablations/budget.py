"""A budget of wall-clock time: no run is started that is not expected to end within it."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping

from core.errors import UserError

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def parse_duration(text: str, option: str = "--budget") -> float:
    """Seconds of ``2h``, ``90m``, ``45s`` or ``1h30m``; `UserError` for anything else."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise UserError(f"{option}: expected a time such as 2h, 90m, 45s or 1h30m, got '{text}'")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


class Budget:
    """Time for starting runs, counted from when it is made. Runs in progress are let finish.

    What a run is expected to take is the plan's estimate times the ratio of measured to estimated seconds of the
    runs done so far: the estimates are rough before anything ran on a machine.

    Args:
        seconds: of wall-clock time; infinite where nothing limits it.
        clock: gives seconds, for tests.
    """

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._end = clock, clock() + seconds
        self._estimated: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._refused: set[str] = set()

    def expect(self, estimates: Mapping[str, float]) -> None:
        """Estimated seconds by key. A later plan's replace an earlier's, so that the ratio is always to the latest."""
        self._estimated.update(estimates)

    @property
    def ratio(self) -> float:
        """Measured over estimated seconds of the runs done so far; 1 before there is any."""
        estimated = sum(self._estimated[key] for key in self._took)
        return sum(self._took.values()) / estimated if estimated > 0 else 1.0

    def allows(self, key: str) -> bool:
        """Whether the run is expected to end in time if it starts now; remembers those that are not."""
        in_time = self._clock() + self._estimated[key] * self.ratio <= self._end
        if not in_time:
            self._refused.add(key)
        return in_time

    def start(self, key: str) -> None:
        self._refused.discard(key)
        self._began[key] = self._clock()

    def drop(self, key: str) -> None:
        """The run needs no time of this process any more."""
        self._refused.discard(key)

    def end(self, key: str, done: bool, whole: float = 0.0) -> None:
        """A run ended; one that failed may have ended early, so that it says nothing of how long others take.

        Args:
            whole: seconds of all its attempts, where they are known: a resumed run had a part of it left to do here.
        """
        if done:
            # By this clock it is longer where a process had to start for it.
            self._took[key] = max(whole, self._clock() - self._began[key])

    @property
    def remaining(self) -> float:
        """Seconds until nothing is started any more."""
        return max(0.0, self._end - self._clock())

    @property
    def left(self) -> int:
        """How many runs were refused and never started."""
        return len(self._refused)
