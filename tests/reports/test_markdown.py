"""Text from outside, escaped, is itself in every dialect that reads it."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from reports.inline import plain
from reports.markdown import declared, escape, interval
from reports.stats import paired_interval


@pytest.mark.parametrize(
    "words",
    ["- x", "+ x", "1. one", "12) x", "---", "===", "- - -", "-", "2.15.0", "-0.5", "--set a", "$x$", "www.evil.test x",
     "http://x", "# head", "a_b_c", "__x__"],
)  # fmt: skip
def test_a_paragraph_of_it_is_a_paragraph(words: str) -> None:
    html = MarkdownIt("commonmark", {"html": True}).render(escape(words))
    assert html.startswith("<p>")
    assert html.count("<") == 2
    assert plain(escape(words)) == words
    nested = MarkdownIt("commonmark").render(f"- {escape(words)}")
    assert nested.count("<li>") == nested.count("<ul>") == 1
    assert "<ol>" not in nested


@pytest.mark.parametrize("words", ["a\u202eb", "a\u2066b", "a\x1bb", "a\x85b", "a\u200fb", "a\x00b", "a\ufeffb"])
def test_what_turns_or_hides_text_is_a_space(words: str) -> None:
    assert escape(words) == "a b"


def test_plain_numbers_are_left_alone() -> None:
    assert [escape(text) for text in ("2.15.0", "-0.5", "--set a=b")] == ["2.15.0", "-0.5", "--set a=b"]


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(0.02, 3, "0.020"), (0.0004, 3, "0.0004"), (1.005, 2, "1.005"), (1.1, 2, "1.10"), (1e6, 0, "1,000,000"),
     (0.02, 0, "0.02"), (1.02, 2, "1.02"), (1 + 0.1, 2, "1.10"), (1 + 0.07, 2, "1.07")],
)  # fmt: skip
def test_what_was_declared_is_shown_whole(value: float, digits: int, shown: str) -> None:
    assert declared(value, digits) == shown


def test_an_interval_has_as_many_decimals_as_are_asked_for() -> None:
    found = paired_interval([0.99912, 0.99934], [0.99871, 0.99898])
    assert interval(found, 4) == "+0.0004 [+0.0001, +0.0007]"
    assert interval(found, 4, ratio=True) == "×0.00 [×0.00, ×0.00]"
