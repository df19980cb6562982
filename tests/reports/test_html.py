from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reports.claims import Arm
from reports.html import BADGES, to_html
from reports.inline import parser
from reports.markdown import code, escape
from reports.page import Figure, Page, Table, Text
from reports.pages import write_report

RUN = {"preset": "quick", "command": "python -m ablations run norm", "data_note": "384 procedural documents"}
VOID = {"meta", "br", "hr", "img", "link", "input"}
LOADS = {"src", "srcset", "poster", "data", "action", "formaction", "background", "xlink:href"}
HOSTILE = [
    "<script>alert(1)</script>", "</table></main><h1>x</h1>", "[x](http://evil.test)", "![x](http://evil.test/y.png)",
    "<img src=x onerror=alert(1)>", "<br>", "`<b>`", "http://evil.test", "<http://evil.test>", "**not run**",
    "&lt;i&gt;", '" onmouseover="alert(1)', "# head", "javascript:alert(1)", "</style><b>",
]  # fmt: skip


class Document(HTMLParser):
    """Every element with its attributes, in order; raises where tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs in self.found if tag in tags]

    @property
    def text(self) -> str:
        return "".join(self.words)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, pristine: Any) -> Document:
    out = tmp_path_factory.mktemp("html")
    write_report(pristine.studies, pristine.cells, pristine.store, out, **RUN)
    return Document((out / "report.html").read_text())


def test_the_document_says_what_it_is(document: Document) -> None:
    assert document.all("html") == [{"lang": "en"}]
    (policy,) = [meta["content"] for meta in document.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert "Ablation report: preset quick" in document.words
    assert len(document.all("title")) == len(document.all("main")) == len(document.all("nav")) == 1


def test_headings_are_in_order_below_one_h1(document: Document) -> None:
    levels = [int(tag[1]) for tag, _ in document.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert levels.count(2) > 2


def test_ids_are_unique_and_every_link_has_its_target(document: Document) -> None:
    ids = [attrs["id"] for _, attrs in document.found if "id" in attrs]
    assert len(set(ids)) == len(ids)
    targets = [attrs["href"] for attrs in document.all("a", "use")]
    assert {"#index", "#norm", "#class-count", "#main_content"} <= set(targets)
    assert {target.lstrip("#") for target in targets} <= set(ids)
    assert all(target.startswith("#") for target in targets)
    clips = {
        one for _, attrs in document.found for value in attrs.values() for one in re.findall(r"url\(#(.+?)\)", value)
    }
    assert clips
    assert clips <= set(ids)


def test_nothing_is_loaded_and_nothing_runs(document: Document) -> None:
    assert not document.all("script", "link", "iframe", "object", "img", "form")
    for tag, attrs in document.found:
        assert not LOADS & set(attrs), tag
        assert not [name for name in attrs if name.startswith("on")], tag
    assert not re.search(r"@import|url\(", _css())


def test_figures_and_tables_can_be_read_without_seeing_them(document: Document) -> None:
    figures = document.all("svg")
    assert len(figures) == len(document.all("figure")) == len(document.all("figcaption")) == 12
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in figures)
    regions = [attrs for attrs in document.all("div") if attrs.get("class") == "scroll"]
    assert len(regions) == len(figures) + len(document.all("table"))
    assert all(one["role"] == "region" and one["tabindex"] == "0" and one["aria-label"] for one in regions)
    assert len(document.all("table")) == 16
    assert {attrs.get("scope") for attrs in document.all("th")} == {"col", "row"}


def test_verdicts_have_a_badge(document: Document) -> None:
    badges = [attrs["class"] for attrs in document.all("strong") if "class" in attrs]
    assert len(badges) == 3 + 3 + 5  # the findings, on their studies' pages again, and the words explained
    assert set(badges) == {f"badge {name}" for name in BADGES.values()}


def page_of(*blocks: Any) -> Page:
    return Page("index", "Findings", (Text("# Title"), *blocks))


@pytest.mark.parametrize("verdict", BADGES)
def test_every_verdict_word_has_a_sign_and_a_colour(verdict: str) -> None:
    html = to_html([page_of(Table.of("t", "T", ["verdict"], [[f"**{verdict}**"]]))])
    assert f'<strong class="badge {BADGES[verdict]}">{verdict}</strong>' in html
    assert re.search(rf'\.{BADGES[verdict]}::before {{ content: "\S";', _css())
    assert "badge" not in to_html([page_of(Text(f"**{verdict} it is** *{verdict}* {verdict}"))]).split("</style>")[1]


@pytest.mark.parametrize("make", [escape, code])
@pytest.mark.parametrize("words", HOSTILE)
def test_words_from_outside_stay_words(words: str, make: Any) -> None:
    table = Table.of("t", words, ["a", make(words)], [[make(words), f"x {make(words)}"]])
    plain = Document(to_html([page_of(Text("a"), Table.of("t", "T", ["a", "b"], [["c", "d"]]))]))
    hostile = Document(to_html([page_of(Text(f"a {make(words)}"), table)]))
    tags = [tag for tag, _ in hostile.found if tag not in ("code", "span")]
    assert tags == [tag for tag, _ in plain.found]
    assert hostile.text.count(words) == 4


@pytest.mark.parametrize("words", [one for one in HOSTILE if one.startswith("<") and one != "<br>"])
def test_html_that_nobody_escaped_is_text_too(words: str) -> None:
    document = Document(to_html([page_of(Text(f"a {words}\n\n{words}"), Table.of("t", "T", ["a"], [[words]]))]))
    tags = {tag for tag, _ in document.found}
    assert not tags & {"script", "img", "b"}


def test_links_lead_to_pages_of_the_report_and_nowhere_else() -> None:
    text = Text("[a](norm.md) [b](other.md) [c](https://evil.test) [d](javascript:x) <https://evil.test>")
    document = Document(to_html([page_of(text), Page("norm", "Norm", (Text("# Norm"),))]))
    assert [attrs["href"] for attrs in document.all("a")] == ["#main_content", "#index", "#norm", "#norm"]
    assert " b c " in document.text


def test_titles_and_captions_are_escaped() -> None:
    words = '<b>"x"</b>'
    html = to_html([page_of(Figure("f", words, words)), Page("norm", words, (Text("# Norm"),))])
    assert not Document(html).all("b")


def test_equal_headings_and_headings_without_a_letter_have_ids_of_their_own() -> None:
    html = to_html([page_of(Text("## Runs\n\n## Runs\n\n## Запуски"))])
    assert re.findall(r'<h2 id="([^"]+)"', html) == ["index.runs", "index.runs.2", "index.section"]


def test_powers_of_ten_are_not_broken_and_figures_before_tables_are_right_aligned() -> None:
    html = to_html([page_of(Table.of("t", "T", ["TPR@1e-4", "n"], [["a", "1"]], right=[1]))])
    assert '<span class="power">TPR@1e-4</span>' in html
    assert '<td class="num">1</td>' in html


def test_lines_of_a_cell_are_elements_of_their_own() -> None:
    html = to_html([page_of(Table.of("t", "T", ["a", "b"], [["**x**<br>`y`", "z"]]))])
    assert '<span class="line"><strong>x</strong></span><span class="line"><code>y</code></span>' in html
    assert '<td class="short">z</td>' in html


def test_hostile_arms_and_reasons_make_no_element(world: Any, tmp_path: Path) -> None:
    study, name = world.studies[0], '<img src=x onerror="alert(1)">|`'
    arms = {name if arm == "bn" else arm: value for arm, value in study.arms.items()}
    arms["ln"] = Arm(about="<script>x</script>", set={"model.backbone": "</td><b>"})
    contrasts = tuple(
        one.model_copy(update={"than": name, "about": "<i>"}) if one.than == "bn" else one for one in study.contrasts
    )
    hostile = study.model_copy(
        update={"arms": arms, "contrasts": contrasts, "title": "<u>t</u>", "question": "<u>", "confounds": ("<u>",)}
    )
    cells = [replace(cell, arm=name) if cell.arm == "bn" else cell for cell in world.cells if cell.study == "norm"]
    cells = [replace(cell, reason="<b>r</b>\n# x \ud800") if cell.key is None else cell for cell in cells]
    write_report([hostile], cells, world.store, tmp_path, **RUN)
    document = Document((tmp_path / "report.html").read_text())
    assert not document.all("img", "script", "b", "i", "u")
    assert len(document.all("h1")) == 1
    assert document.text.count(name) >= 6
    assert "<b>r</b>" in document.text


def test_a_report_of_nothing_is_a_page(tmp_path: Path, world: Any) -> None:
    write_report([], [], world.store, tmp_path, **RUN)
    assert len(Document((tmp_path / "report.html").read_text()).all("h1")) == 1


def test_a_hostile_title_stays_in_its_element() -> None:
    page = Page("index", "Findings", (Text(f"# Preset {code('</title><b>')}"),))
    document = Document(to_html([page]))
    assert not document.all("b")


def _css() -> str:
    return resources.files("reports").joinpath("report.css").read_text(encoding="utf-8")


def test_the_parser_is_made_once() -> None:
    assert parser() is parser()
