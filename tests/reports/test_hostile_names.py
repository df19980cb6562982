"""Names that come from files stay names in everything that is written or printed of them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

from ablations.cli import run_cli
from ablations.registry import load_study
from core.config import RunConfig
from core.store import Store
from reports.cells import Cell
from reports.pages import write_report
from tests.reports.conftest import SEEDS, key_of, result_of
from tests.reports.test_html import Document

HOSTILE = [
    "<script>alert(1)</script>", "</td></tr></table><h1>x", "<img src=x onerror=alert(1)>", "a|b", "a\\|b", "`tick`",
    "``a`|",
    "](javascript:alert(1))", "[x](http://evil.test)", "![x](http://evil.test/y.png)", "two\n\n# lines", "$\\frac{$",
    "$x$",
    "\\input{/etc/passwd}", "\\", "a\\", "=cmd|' /C calc'!A0", "@SUM(1)", "-1+2", "+x", "[red]x[/]", "[/]",
    "\x1b[31mred\x1b[0m",
    "\u202egpj.exe", "<!--", "-->", "]]>", "</style><b>", "\" onmouseover=\"alert(1)", "' onclick='alert(1)",
    "&lt;i&gt;",
    "- item", "1. one", "---", "===", "    code", "www.evil.test", "http://evil.test", "<http://evil.test>",
    "**not run**",
    "~~gone~~", "<br>", "javascript:alert(1)", "x" * 900, "日本 é", "#", "\t", "\x85", "{{7*7}}", "%s %d", "_",
    "__init__",
]  # fmt: skip


PLACES = 12  # that words can come to a report from
# Every word in some place; with DOCABLATE_FAULTS=1 every word in every place.
STARTS = range(0, len(HOSTILE), 1 if os.environ.get("DOCABLATE_FAULTS") else PLACES)


def study_text(words: Sequence[str]) -> str:
    """A study with words wherever a study may have them, as YAML that any words can stand in."""
    claim, told, arm, other, title, question, about, confound = map(json.dumps, words[:8])
    return f"""\
study: mine
title: {title}
question: {question}
claims: {{{claim}: {told}}}
baseline: {arm}
arms:
  {arm}: {{about: {about}}}
  {other}: {{model.norm: bn, about: {about}}}
  third: {{model.norm: ln_bn}}
contrasts:
  - {{finding: {claim}, better: {other}, than: {arm}, about: {about}}}
  - {{finding: {claim}, better: third, than: {arm}, decides: false, metric: auroc}}
confounds: [{confound}]
x_axis: cost.classes
"""


def write(folder: Path, words: Sequence[str]) -> Path:
    """A whole report with such words, of a study with a failed run, a missing arm and tuned ones."""
    folder.mkdir()
    (folder / "mine.yaml").write_text(study_text(words), encoding="utf-8")
    study = load_study.__wrapped__(str(folder / "mine.yaml")).study
    why, message, machine, asked = words[8:12]
    store, rng, cells = Store(folder / "runs"), np.random.default_rng(0), []
    for index, (name, arm) in enumerate(study.arms.items()):
        for seed in SEEDS:
            if name == "third":
                cells.append(Cell("mine", name, seed, None, why))
                continue
            config = RunConfig().with_overrides({**arm.set, "seed": seed})
            key = key_of(config)
            cells.append(Cell("mine", name, seed, key))
            store.begin(key, config.to_yaml())
            if index == 1 and seed == 2:
                store.fail(key, "diverged", message)
                continue
            result, scores = result_of(config, key, 3.5 + index / 2 + 0.1 * seed, rng)
            result["environment"] |= {"hardware": machine, "torch": machine}
            store.finish(key, result, scores)
    record = {"values": {"optim.lr": 1e-3}, "trials": [{}], "at_edge": ["optim.lr"], "value": 0.5, "preset_value": 0.4}
    cells += [replace(cell, tuned=True) for cell in cells if cell.key]
    return write_report(
        [study], cells, store, folder / "out", preset="quick", command=asked, data_note=asked, looks={3: 1.0},
        tuning={"mine": dict.fromkeys(study.arms, record)},
    ).parent  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("plain") / "w", [f"name {number}" for number in range(PLACES)])


def test_nothing_turns_the_direction_of_what_follows(tmp_path: Path) -> None:
    out = write(tmp_path / "w", [f"\u202egpj.{number}\u2066" for number in range(PLACES)])
    for path in (*out.glob("*.md"), *out.glob("*.html")):
        assert not re.search("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", path.read_text()), path.name


def elements(text: str) -> Counter[str]:
    """How often each element is there, but for those that break or set off a word."""
    return Counter(tag for tag, _ in Document(text).found if tag not in ("code", "span", "br"))


def github(text: str) -> str:
    """Markdown as sites show it that let HTML through: nothing may need it to be switched off."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


@pytest.mark.parametrize("start", STARTS)
def test_a_report_of_hostile_names_has_the_elements_of_a_plain_one(start: int, plain: Path, tmp_path: Path) -> None:
    out = write(tmp_path / "w", (HOSTILE * 2)[start : start + PLACES])
    html = (out / "report.html").read_text()
    svg = {"path", "g", "use", "svg", "text", "defs", "clipPath", "rect"}  # drawings differ with the length of names
    ours, theirs = (elements(text) for text in (html, (plain / "report.html").read_text()))
    assert {tag: n for tag, n in ours.items() if tag not in svg} == {t: n for t, n in theirs.items() if t not in svg}
    document = Document(html)
    for tag, attributes in document.found:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset")], tag
        assert attributes.get("href", "#").startswith("#")
    for name in ("index.md", "mine.md"):
        shown = [elements(f"<div>{github((folder / name).read_text())}</div>") for folder in (out, plain)]
        assert shown[0] == shown[1], name
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", (out / name).read_text())
    for path in (out / "tables").glob("*.csv"):
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
        assert len({len(row) for row in rows}) == 1, path
        beside = list(csv.reader(io.StringIO((plain / "tables" / path.name).read_bytes().decode(), newline="")))
        assert len(rows) == len(beside), path
        for cell in (cell for row in rows for cell in row):
            assert not cell.startswith(("=", "@", "\t", "\r")), cell
            assert not (cell.startswith(("+", "-")) and re.search("[=|!]|[a-z]\\(", cell)), cell
    for path in (out / "tables").glob("*.tex"):
        beside = (plain / "tables" / path.name).read_text()
        assert latex_shape(path.read_text()) == latex_shape(beside), path


def latex_shape(text: str) -> list[int]:
    """The number of cells of every row: unescaped ampersands; no command but those that tables have."""
    known = {
        "begin", "end", "toprule", "midrule", "bottomrule", "raggedright", "arraybackslash", "linewidth", "textbf",
        "emph",
        "texttt", "newline", "pm", "rightarrow", "times", "leq", "geq", "cdot", "ldots", "textbackslash",
        "textasciitilde",
        "textasciicircum", "textless", "textgreater", "textbar", "textasciigrave", "textquotesingle", "textquotedbl",
        "usepackage",
    }  # fmt: skip
    commands = set(re.findall(r"\\([a-zA-Z]+)", re.sub(r"\\\\", "", text)))
    assert commands <= known, commands - known
    rows = re.findall(r"^(?!%|\\(?:begin|end|toprule|midrule|bottomrule)).*$", text, re.M)
    return [len(re.findall(r"(?<!\\)&", row)) for row in rows if row]


@pytest.mark.parametrize("words", HOSTILE)
def test_a_study_of_hostile_names_can_be_shown(words: str, tmp_path: Path, capsys: Any) -> None:
    heading = words if words.strip() else f"{words}words"  # no page is headed with a blank
    several = [words, words, words, f"{words} two", heading, heading, words, words]
    (tmp_path / "mine.yaml").write_text(study_text(several), encoding="utf-8")
    assert run_cli(["show", str(tmp_path / "mine.yaml")]) == 0
    said = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", said)
    assert "contrasts" in said
    load_study.cache_clear()
