"""What only a browser knows: whether the page fits a phone, and what its colours come to in light and dark mode."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from reports.pages import write_report

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in _NAMES if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")

_POLICY = re.compile(r"<meta http-equiv=.*?>")
_MEASURE = """<script>
const root = document.documentElement, style = (one) => getComputedStyle(one);
const inside = (one) => one.closest(".scroll") !== null;
const wide = [...document.querySelectorAll("body *")].filter(
  (one) => !inside(one) && !one.matches(".skip") && one.getBoundingClientRect().right > innerWidth + 1);
const told = {
  width: innerWidth, page: root.scrollWidth, wide: wide.map((one) => one.outerHTML.slice(0, 80)),
  scrolling: [...document.querySelectorAll(".scroll")].filter((one) => one.scrollWidth > one.clientWidth).length,
  paper: style(document.body).backgroundColor, ink: style(document.body).color,
  text: style(document.querySelector("svg text")).fill,
};
parent.document.documentElement.setAttribute("data-told", JSON.stringify(told));
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, pristine: Any) -> Path:
    """A measuring copy of a report with long words where a reader can put them."""
    out = tmp_path_factory.mktemp("browser")
    word = "unbroken" * 30
    cells = [replace(cell, reason=f"{word} {word}") if cell.key is None else cell for cell in pristine.cells]
    studies = (pristine.studies[0].model_copy(update={"question": word, "title": word, "confounds": (word,)}),
               pristine.studies[1])  # fmt: skip
    write_report(studies, cells, pristine.store, out, preset=word, command=f"run {word}", data_note=word)
    text = (out / "report.html").read_text()
    assert len(_POLICY.findall(text)) == 1
    copy = out / "measured.html"
    copy.write_text(_POLICY.sub("", text).replace("</body>", f"{_MEASURE}</body>"))
    return copy


def measured(page: Path, tmp_path: Path, width: int, dark: bool) -> dict[str, Any]:
    """What the page says of itself in a frame of that width: a window of chromium is never under 500 pixels wide."""
    assert CHROMIUM is not None
    frame = tmp_path / "frame.html"
    frame.write_text(
        '<!DOCTYPE html><html lang="en"><meta name="color-scheme" content="light dark"><title>frame</title>'
        f'<iframe style="border: 0; width: {width}px; height: 800px" srcdoc="{escape(page.read_text())}"></iframe>'
    )
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={tmp_path}/profile", "--window-size=1300,900",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom", frame.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    (told,) = re.findall(r'data-told="([^"]*)"', dom)
    found: dict[str, Any] = json.loads(unescape(told))
    return found


def _lightness(color: str) -> float:
    parts = [int(part) for part in re.findall(r"\d+", color)[:3]]
    return sum(parts) / (3 * 255)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_and_follows_the_mode(page: Path, tmp_path: Path, width: int, dark: bool) -> None:
    told = measured(page, tmp_path, width, dark)
    assert told["width"] == width
    assert told["wide"] == []
    assert told["page"] == width
    assert told["scrolling"] > 0  # tables are wider than a phone, and scroll by themselves
    assert _lightness(told["paper"]) < 0.2 if dark else _lightness(told["paper"]) > 0.9
    for text in (told["ink"], told["text"]):
        assert _lightness(text) > 0.6 if dark else _lightness(text) < 0.5
