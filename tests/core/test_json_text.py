"""JSON from outside: plain data or one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core import json_text
from core.errors import UserError


def test_plain_data(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, 2.5, null, true, "é"], "b": {}}')
    assert json_text.read(tmp_path / "a.json") == {"a": [1, 2.5, None, True, "é"], "b": {}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 100_000, "nested deeper"), ("[" * 65 + "1" + "]" * 65, "nested deeper"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested"),
        ("9" * 5000, "a number of 5,000 digits"), ("-" + "1" * 50, "digits"), ("1e999", "beyond what a float holds"),
        ("NaN", "NaN is no JSON"), ("[-Infinity]", "no JSON"), ('{"a": 1, "a": 2}', "'a' is given twice"), ("",
        "not valid"),
        ("{", "not valid"), ("\x00", "not valid"), (b"\xff", "not UTF-8"), ('"\x1b"', "not valid"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str | bytes, expected: str) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        json_text.parse("x.json", text)
    assert str(caught.value).startswith("x.json: ")
    assert str(caught.value).isprintable()


def test_as_deep_as_may_be() -> None:
    assert json_text.parse("x", "[" * 64 + "]" * 64)
    assert sys.getrecursionlimit() >= 1000


def test_a_file_that_is_too_long_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as handle:
        handle.truncate(10**12)
    with pytest.raises(UserError, match="over 1,000 bytes"):
        json_text.read(tmp_path / "a.json", 1000)


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        json_text.read(tmp_path / "a.json")
