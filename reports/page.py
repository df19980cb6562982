"""A page of a report as a list of blocks: one content, written as markdown and as HTML.

A page yields blocks and knows nothing of formats. `to_markdown` is here; `reports.html` and `reports.table_files` write
the same blocks as HTML, CSV and LaTeX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.markdown import escape, table


@dataclass(frozen=True)
class Text:
    """Markdown: headings, paragraphs, lists. Text from outside is escaped already (`reports.markdown`)."""

    markdown: str


@dataclass(frozen=True)
class Table:
    """A table of cells that are inline markdown.

    Args:
        slug: names its files, ``tables/<page>-<slug>.csv`` and ``.tex``.
        title: what it holds, as plain text; HTML and LaTeX show it.
        right: the columns aligned to the right.

    Raises:
        ValueError: a row whose length is not the header's.
    """

    slug: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if wrong := [row for row in self.rows if len(row) != len(self.header)]:
            raise ValueError(f"a row of {len(wrong[0])} cells in a table of {len(self.header)} columns")

    @classmethod
    def of(
        cls, slug: str, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
    ) -> Table:
        """A table of any sequences."""
        return cls(slug, title, tuple(header), tuple(tuple(row) for row in rows), tuple(right))

    @property
    def markdown(self) -> str:
        return table(self.header, self.rows, self.right)


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Args:
        name: of its file, ``figures/<name>.png``.
        caption: what it shows and what its marks mean, as plain text.
        alt: what it is, in one plain sentence, for who does not see it; empty takes the caption.
        svg: the drawing for HTML, from `reports.figure_files.svg`; empty where no HTML is written.
    """

    name: str
    caption: str
    alt: str = ""
    svg: str = ""

    @property
    def path(self) -> str:
        return f"figures/{self.name}.png"

    @property
    def markdown(self) -> str:
        return f"![{escape(self.alt or self.caption)}]({self.path})\n\n*{escape(self.caption)}*"


Block = Text | Table | Figure


@dataclass(frozen=True)
class Page:
    """`slug` names the file ``<slug>.md``; `title` is plain text."""

    slug: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def tables(self) -> list[Table]:
        return [block for block in self.blocks if isinstance(block, Table)]


def to_markdown(blocks: Sequence[Block]) -> str:
    """The blocks as one markdown text, with an empty line between them."""
    texts = (block.markdown.strip("\n") for block in blocks)
    return "\n\n".join(text for text in texts if text) + "\n"
