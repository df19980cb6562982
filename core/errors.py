"""The two ways in which things go wrong: the user's input, and a run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_LONGEST = 2000  # characters of a message: what a user gave may be much longer


def shown(text: str) -> str:
    """`text` on one line, with what a terminal would act on or cannot show written as an escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "replace").decode() for one in text)


class UserError(ValueError):
    """What the user gave is wrong; the message is one line that says where and what to do.

    Names of files and words of the user are part of it: they are made fit for a terminal here, once for all.
    """

    def __init__(self, message: str) -> None:
        line = shown(message)
        # What was given comes first and what is wrong with it last: the middle can be spared.
        super().__init__(line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[3 - _LONGEST // 2 :]}")


class RunFailure(RuntimeError):
    """One run cannot go on.

    Args:
        kind: the typed reason kept in `failure.json`, e.g. ``diverged`` or ``out_of_memory``.
        message: one line for the user.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        self.message = shown(message)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type[RunFailure], tuple[str, str]]:
        # Exceptions pickle by their args; without this one the two-argument form does not survive a worker.
        return (RunFailure, (self.kind, self.message))


def nearest(name: str, known: Iterable[str]) -> str:
    """`" (did you mean 'norm'?)"` for a near miss of a known name, else a list of the known ones."""
    names = list(known)
    return did_you_mean(name, names) or f" (known: {', '.join(names)})"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """As `nearest` for a near miss, else empty: for names that are too many to list."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def first_line(error: BaseException, most: int | None = None) -> str:
    """What an error of somebody else's code says first, of so many characters at most; its type where it is silent."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:most]
