"""Names from files are words on a terminal: no markup, no escape sequences, no crash."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from ablations.display import Display
from ablations.executors.worker import Event, Task
from ablations.terminal import PlainConsole, bars
from core.config import RunConfig

HOSTILE = ["[red]x[/]", "[/]", "[/nope]", "[link=http://evil.test]x[/link]", "\x1b[31mred", "\x1b]0;title\x07",
":smile:",
           "a\\", "\u202egpj.exe", "caf\udce9", "x\ry"]  # fmt: skip


def printed(*renderables: object, terminal: bool = False) -> str:
    file = io.StringIO()
    console = PlainConsole(file=file, width=200, force_terminal=terminal, color_system=None)
    console.print(*renderables)
    file.getvalue().encode()  # raises for half a surrogate pair
    return file.getvalue()


@pytest.mark.parametrize("words", HOSTILE)
def test_words_stay_words(words: str) -> None:
    table = Table("name", title=words)
    table.add_row(words)
    for renderable in (words, Text(words), Text.assemble(("bold", "bold"), words), table):
        said = printed(renderable)
        assert "\x1b" not in said
        assert "\r" not in said
        assert "\x07" not in said
        assert "\u202e" not in said
        if words.isprintable():
            assert words in said


@pytest.mark.parametrize("words", HOSTILE)
def test_a_sweep_shows_arms_and_failures_as_they_are(words: str) -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, width=200, force_terminal=True, color_system=None)
    display = Display(console, [])
    task = Task("run", "0" * 16, f"mine/{words} seed 0", RunConfig())
    with display.progress:
        display.start(0, task)
        display.event(0, task, Event("progress", task.key, words, 1, 2))
        display.event(0, task, Event("failed", task.key, failure="diverged", message=words))
        display.event(0, task, Event("done", task.key, payload={}))
        display.event(0, Task("prepare", "", words, RunConfig()), Event("failed", "", message=words))
    said = file.getvalue()
    said.encode()
    assert not {"\x1b[31m", "\x1b]0", "\x07", "\u202e"} & {said[i : i + n] for n in (1, 4, 5) for i in range(len(said))}
    if words.isprintable():
        assert f"mine/{words} seed 0: diverged: {words}" in said


@pytest.mark.parametrize(
    ("identities", "told"),
    [
        (1000, "TPR@1e-4 0.100, 9 s"),
        (300, "TPR@1e-3 0.200, 9 s"),
        (82, "TPR@1e-2 0.300, 9 s"),
        (24, "TPR@1e-2 0.300 (of too few documents to be judged), 9 s"),
    ],
)
def test_a_run_that_is_done_shows_the_rate_that_its_test_set_can_be_read_at(identities: int, told: str) -> None:
    file = io.StringIO()
    display = Display(PlainConsole(file=file, width=200), [])
    task = Task("run", "0" * 16, "norm/ln seed 0", RunConfig())
    payload = {"tpr@1e-4": 0.1, "tpr@1e-3": 0.2, "tpr@1e-2": 0.3, "seconds": 9.0, "identities": identities}
    display.event(0, task, Event("done", task.key, payload=payload))
    assert f"norm/ln seed 0: {told}" in file.getvalue()


def test_a_progress_bar_reads_no_markup() -> None:
    file = io.StringIO()
    with bars(PlainConsole(file=file, force_terminal=True, width=80)) as progress:
        progress("[/nope]", 1, 2)
    assert "[/nope]" in file.getvalue()


def test_nothing_is_drawn_where_nothing_is_done() -> None:
    file = io.StringIO()
    with bars(PlainConsole(file=file, force_terminal=True, width=80)):
        pass
    assert file.getvalue() == ""


def test_what_is_piped_is_not_squeezed_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    words = "word " * 24  # 119 letters
    assert printed_at_its_own_width(words).count("\n") == 1
    monkeypatch.setenv("COLUMNS", "80")
    assert printed_at_its_own_width(words).count("\n") == 2


def printed_at_its_own_width(words: str) -> str:
    file = io.StringIO()
    PlainConsole(file=file).print(words)
    return file.getvalue()
