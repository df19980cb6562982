from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from reports.canvas import new_figure, stacked, two_lines
from reports.figure_files import VARIABLES, png, svg
from reports.figures_style import INK, MUTED, PALETTE, style


def drawing(text: str = "a text") -> Figure:
    with style():
        figure, axes = new_figure(2.0)
        axes.plot([0, 1], [0, 1], color=PALETTE[0], marker="o")
        axes.text(0.5, 0.5, text, color=MUTED)
        axes.set_xlabel("an axis")
        return figure


def test_png_is_on_white_and_page_wide() -> None:
    pixels = np.asarray(Image.open(io.BytesIO(png(drawing()))).convert("RGBA"))
    assert pixels.shape[:2] == (300, 1200)
    assert tuple(pixels[0, 0]) == (255, 255, 255, 255)


def test_svg_reaches_for_nothing_outside_itself() -> None:
    text = svg(drawing(), "norm.arms", "What it is")
    assert not re.search(r"https?:|<style|<metadata|<script|<!--|<\?xml|<!DOCTYPE|xmlns|font-family", text)
    root = ET.fromstring(text)
    assert root.tag == "svg"
    assert (root.get("role"), root.get("aria-label"), root.get("width")) == ("img", "What it is", None)
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert ids
    assert len(set(ids)) == len(ids)
    assert all(one.startswith("norm.arms.") for one in ids)
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)
    assert used
    assert {a or b for a, b in used} == set(ids)


def test_ids_of_two_figures_never_meet() -> None:
    first, second = (re.findall(r'id="([^"]+)"', svg(drawing(), prefix, "l")) for prefix in ("a.b", "a-b"))
    assert first
    assert not set(first) & set(second)


def test_colours_are_the_page_s_and_text_is_text() -> None:
    text = svg(drawing(), "p", "l")
    assert not re.search(r"#[0-9a-f]{6}", text)
    assert {"var(--ink)", "var(--muted)", "var(--c0)"} <= set(re.findall(r"var\(--\w+\)", text))
    texts = {node.text for node in ET.fromstring(text).iter("text")}
    assert {"a text", "an axis"} <= texts


def test_there_is_no_background() -> None:
    assert "var(--paper)" not in svg(drawing(), "p", "l")


@pytest.mark.parametrize(
    "words", ['id="x"', 'href="#x" url(#x)', INK, "<script>alert(1)</script>", "]]>", "-->", "&lt;"]
)
def test_words_in_a_figure_stay_words(words: str) -> None:
    root = ET.fromstring(svg(drawing(words), "p", f'"{words}"'))
    assert words in [node.text for node in root.iter("text")]
    assert root.get("aria-label") == f'"{words}"'
    assert not list(root.iter("script"))


def test_both_forms_have_one_layout() -> None:
    figure = drawing()
    png(figure)
    first = figure.axes[0].get_position().bounds
    svg(figure, "p", "l")
    assert figure.axes[0].get_position().bounds == first
    alone = drawing()
    svg(alone, "p", "l")
    np.testing.assert_allclose(alone.axes[0].get_position().bounds, first, atol=0.01)


def test_every_colour_of_the_look_has_a_variable() -> None:
    assert len(set(VARIABLES.values())) == len(VARIABLES) == 5 + 3 + len(PALETTE)


def test_panels_below_one_another() -> None:
    figure, panels = stacked([1.0, 2.0])
    assert figure.get_figheight() == 3
    assert len(panels) == 2


def test_a_label_takes_a_second_line_before_it_is_cut() -> None:
    assert two_lines("4:  ln − bn on TPR@1e-4", 52) == "4:  ln − bn on TPR@1e-4"
    long = "5:  (cosface-pfc − arcface-st-pfc) + (arcface-st-full − cosface-full) on TPR@1e-3"
    first, second = two_lines(long, 52).split("\n")
    assert f"{first} {second}" == long
    assert max(len(first), len(second)) <= 52
    cut = two_lines("word " * 40, 52)
    assert cut.count("\n") == 1
    assert cut.endswith(" …")
    assert two_lines("a\x00b", 52) == "a b"


def test_letters_that_a_font_lacks_are_no_warnings() -> None:
    """There would be dozens, and text of a page is set in the reader's own fonts."""
    with warnings.catch_warnings(), style():
        warnings.simplefilter("error")
        figure = Figure()
        figure.text(0.5, 0.5, "日本 ☃")
        assert png(figure).startswith(b"\x89PNG")
        assert "日本 ☃</text>" in svg(figure, "p", "l")
