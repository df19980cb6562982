"""Messages are one line that a terminal shows as it is."""

from __future__ import annotations

import pickle

import pytest

from core.errors import RunFailure, UserError, shown


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a\nb", r"a\nb"), ("\x1b[31m", r"\x1b[31m"), ("a\x00", r"a\x00"), ("\u202egpj", r"\u202egpj"),
        ("caf\udce9", r"caf\udce9"), ("é 日本", "é 日本"), ("[red]x[/]", "[red]x[/]"),
    ],
)  # fmt: skip
def test_what_a_terminal_would_act_on_is_written_out(given: str, expected: str) -> None:
    assert shown(given) == str(UserError(given)) == RunFailure("x", given).message == expected


def test_messages_are_bounded_and_survive_a_process() -> None:
    error = UserError("x" * 100_000)
    assert len(str(error)) == 2000
    assert str(UserError("x" * 3000 + " is no file")).endswith(" is no file")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    failure = pickle.loads(pickle.dumps(RunFailure("diverged", "a\nb")))
    assert (failure.kind, failure.message) == ("diverged", r"a\nb")
