"""One line of the table of faults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A fault that was injected `tries` times, and survived so many times; `how` says what survival means there."""

    fault: str
    tries: int
    survived: int
    how: str
