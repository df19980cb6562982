"""The one markdown dialect of reports, parsed: CommonMark and tables, and ``<br>`` as the only HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_BREAK = "<br>"


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """A parser to which HTML in a text is text: what a name or a reason holds cannot become an element.

    Images come from `reports.page.Figure` blocks alone, so their syntax is off; so are links in angle brackets.
    """
    found = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "autolink", "html_block"])
    found.inline.ruler.before("html_inline", "line_break", _line_break)
    return found


def _line_break(state: StateInline, silent: bool) -> bool:
    if not state.src.startswith(_BREAK, state.pos):
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos += len(_BREAK)
    return True


def tokens(cell: str) -> list[Token]:
    """The inline tokens of a cell of markdown."""
    return [child for token in parser().parseInline(cell) for child in token.children or ()]


def plain(cell: str, line_break: str = "; ") -> str:
    """A cell of markdown as plain text on one line."""
    return "".join(_plain(tokens(cell), line_break))


def _plain(found: Sequence[Token], line_break: str) -> Iterator[str]:
    for token in found:
        if token.type == "hardbreak":
            yield line_break
        elif token.type == "softbreak":
            yield " "
        else:
            yield token.content
