"""The options of a report's command: all that `run` has, with the values that it would see."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.run_options import run_options
from core.errors import UserError

START = "python -m ablations run norm mine.yaml"


def test_options_are_those_that_run_would_see() -> None:
    given = run_options(
        f"{START} --data 'my scans' --data more --set optim.lr=1e-3 --no-control --device cuda", "report"
    )
    assert given["studies"] == ["norm", "mine.yaml"]
    assert (given["data"], given["sets"], given["device"]) == (["my scans", "more"], ["optim.lr=1e-3"], "cuda")
    assert (given["control"], given["strict"], given["seeds"], given["out"]) == (
        False,
        False,
        None,
        Path("reports/generated"),
    )


def test_fonts_and_options_of_another_version_matter_only_where_the_command_is_given_again() -> None:
    command = f"DOCABLATE_FONTS=/nowhere {START} --then --seeds 3"
    given = run_options(command, "report", lenient=True)
    assert (given["studies"], given["seeds"]) == (["norm", "mine.yaml", "--then"], "3")
    with pytest.raises(UserError, match="report: its documents are drawn with DOCABLATE_FONTS=/nowhere"):
        run_options(command, "report")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{START} --nope", "is not one that `run` takes here .*No such option: --nope"),
        (f"{START} --help", "is not one that `run` takes here .*No such option: --help"),
        (f"{START} --jobs some", "is not one that `run` takes here .*--jobs"),
        ("python -m ablations run", "is not one that `run` takes here .*STUDY"),
        (f"{START} '", "cannot be read"),
    ],
)
def test_a_command_that_run_does_not_take_is_named(command: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^report: its command {message}"):
        run_options(command, "report")
