from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from reports.page import Block, Figure, Page, Table, Text, to_markdown

TABLE = Table.of("sizes", "Sizes", ["arm", "MB"], [["`a`", "1.5"], ["`b`", "–"]], right=[1])


def test_blocks_are_parted_by_one_empty_line_and_empty_ones_leave_nothing() -> None:
    blocks: list[Block] = [Text("# One\n"), Text(""), Text("two"), TABLE, Figure("x-arms", "What it shows.")]
    assert to_markdown(blocks) == (
        "# One\n\ntwo\n\n| arm | MB |\n| :--- | ---: |\n| `a` | 1.5 |\n| `b` | – |\n\n"
        "![What it shows.](figures/x-arms.png)\n\n*What it shows.*\n"
    )


def test_a_figure_of_hostile_words_is_one_image_and_its_caption() -> None:
    figure = Figure("x-arms", "a*b* ](http://evil.test) <b>", alt="[x](y) `c`")
    html = MarkdownIt("commonmark", {"html": True}).render(figure.markdown)
    assert html.count("<img") == html.count("<em>") == 1
    assert 'alt="[x](y) `c`"' in html
    assert "<em>a*b* ](http://evil.test) &lt;b&gt;</em>" in html
    assert "<a" not in html


def test_a_table_refuses_a_short_row() -> None:
    with pytest.raises(ValueError, match="1 cells in a table of 2"):
        Table.of("s", "t", ["a", "b"], [["x"]])


def test_a_page_knows_its_tables() -> None:
    assert Page("p", "P", (Text("x"), TABLE)).tables == [TABLE]
