"""The whole report as one HTML file, from the blocks of its pages: no script, nothing loaded, readable by keyboard.

Markdown is parsed by `reports.inline`, to which HTML in a text is text. Links between pages become anchors, and links
to anything else are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from html import escape
from importlib import resources

from markdown_it.token import Token

from reports.inline import parser, plain, tokens
from reports.markdown import visible
from reports.page import Block, Figure, Page, Table

# Every word that a verdict can be, and the class of its badge; the style sheet gives each a sign and a colour.
BADGES = {
    "reproduced": "yes",
    "contradicted": "no",
    "not reproduced": "null",
    "inconclusive": "open",
    "not run": "none",
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_POWER = re.compile(r"(?:[A-Z]+@)?\d(?:\.\d+)?e-\d+")
_MAIN = "main_content"  # an underscore: no study's name holds one
_SHORT, _LONG = 26, 36  # characters: a cell up to the first is not broken, one from the second asks for a line's width


def to_html(pages: Sequence[Page]) -> str:
    """One self-contained document of all pages; the first is the index, whose first heading is the title."""
    known = frozenset(page.slug for page in pages)
    sections = "\n".join(_Section(page, known, top=index == 0).html() for index, page in enumerate(pages))
    style = resources.files("reports").joinpath("report.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_words(_title(pages))}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#{_MAIN}">Skip to the report</a>
{_navigation(pages)}
<main id="{_MAIN}" tabindex="-1">
{sections}
</main>
</body>
</html>
"""


def _words(text: str) -> str:
    return escape(visible(text))


def _title(pages: Sequence[Page]) -> str:
    """The index's first heading as plain text."""
    texts = (block.markdown for block in pages[0].blocks if not isinstance(block, Table | Figure))
    heading = next((line for text in texts for line in text.splitlines() if line.startswith("# ")), "# Report")
    return plain(heading.removeprefix("# "))


def _navigation(pages: Sequence[Page]) -> str:
    links = "\n".join(f'<li><a href="#{page.slug}">{_words(page.title)}</a></li>' for page in pages)
    return f'<nav aria-label="Pages of the report">\n<ul>\n{links}\n</ul>\n</nav>'


class _Section:
    """One page as a section; headings of all but the top page are a level lower, so that there is one h1.

    Ids are the page's slug, and ``slug.words-of-the-heading``: slugs hold no dot, so that they never meet.
    """

    def __init__(self, page: Page, known: frozenset[str], top: bool) -> None:
        self.page, self.known, self.shift = page, known, 0 if top else 1
        self._headings: Counter[str] = Counter()

    def html(self) -> str:
        inside = "\n".join(self._block(block) for block in self.page.blocks)
        return f'<section id="{self.page.slug}" aria-label="{_words(self.page.title)}">\n{inside}\n</section>'

    def _block(self, block: Block) -> str:
        if isinstance(block, Table):
            return self._table(block)
        if isinstance(block, Figure):
            return self._figure(block)
        found = parser().parse(block.markdown)
        for index, token in enumerate(found):
            if token.type in ("heading_open", "heading_close"):
                token.tag = f"h{min(int(token.tag[1]) + self.shift, 6)}"
            if token.type == "heading_open":
                token.attrSet("id", self._heading_id(found[index + 1].content))
            if token.type == "inline":
                token.children = self._mended(token.children or [])
        return parser().renderer.render(found, parser().options, {}).strip()

    def _heading_id(self, heading: str) -> str:
        words = "-".join(re.findall(r"[a-z0-9]+", plain(heading).lower())) or "section"
        self._headings[words] += 1
        count = self._headings[words]
        return f"{self.page.slug}.{words}" + (f".{count}" if count > 1 else "")

    def _inline(self, cell: str) -> str:
        """A cell's markdown as HTML; its lines are told apart even where they are long themselves."""
        lines: list[list[Token]] = [[]]
        for token in tokens(cell):
            if token.type == "hardbreak":
                lines.append([])
            else:
                lines[-1].append(token)
        shown = [parser().renderer.render(self._mended(line), parser().options, {}) for line in lines]
        return shown[0] if len(shown) == 1 else "".join(f'<span class="line">{line}</span>' for line in shown)

    def _mended(self, found: list[Token]) -> list[Token]:
        """Links lead to anchors or are dropped; a verdict in bold gets its badge."""
        kept: list[Token] = []
        open_links: list[bool] = []
        for index, token in enumerate(found):
            if token.type == "link_open":
                target = str(token.attrGet("href")).removesuffix(".md")
                open_links.append(target in self.known)
                token.attrSet("href", f"#{target}")
            if token.type in ("link_open", "link_close"):
                keep = open_links[-1] if token.nesting > 0 else open_links.pop()
                kept += [token] if keep else []
                continue
            if token.type == "strong_open" and found[index + 1].content in BADGES:
                token.attrSet("class", f"badge {BADGES[found[index + 1].content]}")
            kept.append(_unbroken(token) if token.type == "text" else token)
        return kept

    def _table(self, table: Table) -> str:
        label = _words(f"{self.page.title}: {table.title}")
        head = "".join(
            f'<th scope="col"{self._align(table, index)}>{self._inline(cell)}</th>'
            for index, cell in enumerate(table.header)
        )
        rows = "\n".join(f"<tr>{self._row(table, row)}</tr>" for row in table.rows)
        return (
            f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">\n<table>\n'
            f"<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
        )

    def _row(self, table: Table, row: Sequence[str]) -> str:
        cells = []
        for index, cell in enumerate(row):
            tag, scope = ("th", ' scope="row"') if index == 0 else ("td", "")
            look = self._align(table, index) or _width(cell)
            cells.append(f"<{tag}{scope}{look}>{self._inline(cell)}</{tag}>")
        return "".join(cells)

    def _align(self, table: Table, index: int) -> str:
        return ' class="num"' if index in table.right else ""

    def _figure(self, figure: Figure) -> str:
        label = _words(figure.alt or figure.caption)
        return (
            f'<figure>\n<div class="scroll" role="region" tabindex="0" aria-label="{label}">\n{figure.svg}\n</div>\n'
            f"<figcaption>{_words(figure.caption)}</figcaption>\n</figure>"
        )


def _unbroken(text: Token) -> Token:
    """Powers of ten, which a browser would break after the hyphen, in one piece."""
    shown = _POWER.sub(lambda found: f'<span class="power">{found[0]}</span>', _words(text.content))
    return Token("html_inline", "", 0, content=shown)


def _width(cell: str) -> str:
    longest = max(map(len, plain(cell, "\n").split("\n")))
    return ' class="short"' if longest <= _SHORT else ' class="long"' if longest >= _LONG else ""
