"""The command in a report: another who gives it gets the same keys."""

from __future__ import annotations

import pytest

from ablations import written_command
from ablations.written_command import read_words, written
from core.config import RunConfig
from core.data.layouts.fonts import VARIABLE
from core.errors import UserError

DRAWN = RunConfig()
GIVEN = DRAWN.with_overrides({"data.source": ("scans",)})


def test_the_variable_is_the_one_that_fonts_are_chosen_by() -> None:
    assert written_command._VARIABLE == VARIABLE


@pytest.mark.parametrize("fonts", ["", "matplotlib", "/my fonts:/more"])
def test_what_is_written_is_read_again(fonts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCABLATE_FONTS", fonts)
    command = written("run", "norm --data 'my scans'", DRAWN)
    assert command.startswith("DOCABLATE_FONTS=") == bool(fonts)
    assert read_words(command, "run", "report") == ["norm", "--data", "my scans"]


def test_fonts_are_said_only_where_documents_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCABLATE_FONTS", "matplotlib")
    assert written("map", "norm", DRAWN) == "DOCABLATE_FONTS=matplotlib python -m ablations map norm"
    assert written("map", "norm", GIVEN) == "python -m ablations map norm"


def test_a_command_of_another_kind_is_refused() -> None:
    for command in ("rm -rf /", "python -m ablations map norm", "X=1 python -m ablations run norm"):
        with pytest.raises(UserError, match="report: its command is not a `python -m ablations run`"):
            read_words(command, "run", "report")
