"""The two ways in which things go wrong: the user's input, and a run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """What the user gave is wrong; the message is one line that says where and what to do."""


class RunFailure(RuntimeError):
    """One run cannot go on.

    Args:
        kind: the typed reason kept in `failure.json`, e.g. ``diverged`` or ``out_of_memory``.
        message: one line for the user.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    def __reduce__(self) -> tuple[type[RunFailure], tuple[str, str]]:
        # Exceptions pickle by their args; without this one the two-argument form does not survive a worker.
        return (RunFailure, (self.kind, self.message))


def nearest(name: str, known: Iterable[str]) -> str:
    """`" (did you mean 'norm'?)"` for a near miss of a known name, else a list of the known ones."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else f" (known: {', '.join(names)})"
