"""Consoles to which words of files are words: no markup, no escape sequence that a terminal would act on.

And what commands say on them alike: bars, and times.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from core.errors import shown

_PIPED = 132  # columns where nothing says how wide: what goes to a file or a pager need not be squeezed into 80
_LINE_EVERY = 30.0  # seconds between lines where no bar can be drawn


class PlainConsole(Console):
    """A rich console that reads no markup and shows what is not printable as an escape.

    Names of arms, claims, folders and reasons of failures come from files. Nothing that prints one has to remember to
    escape it: markup is off, and styles are given as `style=` or `rich.text.Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **options)
        if not self.is_terminal and "width" not in options and not os.environ.get("COLUMNS", "").isdecimal():
            self.width = _PIPED

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_clean(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_clean(segment.text))


def _clean(text: str) -> str:
    if text.isprintable():
        return text
    return "\n".join(shown(line) for line in text.split("\n"))


def stdout() -> Console:
    return PlainConsole()


def stderr() -> Console:
    return PlainConsole(stderr=True)


def say(console: Console, text: str | Text) -> None:
    """A line as it is, however wide the terminal: paths and commands in it can be copied whole."""
    console.print(text, soft_wrap=True)


def clock(seconds: float) -> str:
    """1:05:09 h, 4:09 min or 9 s."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, last = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{last:02d} h" if hours else f"{minutes}:{last:02d} min"


@contextmanager
def bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A progress callback that draws one bar, or prints a line now and then where there is no terminal.

    Nothing is shown before it is called: what has been done before needs no bar.
    """
    drawn = Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    task = drawn.add_task("", total=None)
    last = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        drawn.start()
        drawn.update(task, description=what, completed=done, total=total)
        if not console.is_terminal and time.monotonic() - last > _LINE_EVERY:
            last = time.monotonic()
            console.print(f"{what}: {done}/{total}")

    try:
        yield progress
    finally:
        drawn.stop()
