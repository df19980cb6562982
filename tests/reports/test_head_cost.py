from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from core.store import HEAD_COST, Store
from reports.figure_files import svg
from reports.head_cost import HeadCost, absent, head_cost_figure, read, section
from reports.page import Figure, Table, Text


def store_with(root: Path, **row: Any) -> Store:
    root.mkdir()
    rows = [
        {"head": head, "rate": 0.1, "classes": classes, "ms": classes / step, "step_mb": 1.0, "state_mb": 3.0} | row
        for classes in (1000, 8000)
        for head, step in (("documented", 100), ("fast", 200))
    ]
    environment = {"hardware": "AMD <EPYC>", "device": "cpu", "threads": 1}
    (root / HEAD_COST).write_text(json.dumps({"rows": rows, "environment": environment}))
    return Store(root)


def test_the_section_has_a_text_a_figure_and_a_table(tmp_path: Path) -> None:
    found = read(store_with(tmp_path / "runs"))
    assert isinstance(found, HeadCost)
    text, figure, table = section(found, Figure("x-steps", "c"))
    assert isinstance(text, Text)
    assert isinstance(table, Table)
    assert "AMD &lt;EPYC&gt;, cpu, 1 thread(s)" in text.markdown
    assert figure.markdown.startswith("![c](figures/x-steps.png)")
    assert table.rows[1][:5] == ("8,000", "0.1", "80.0", "40.0", "2.0")


def test_times_close_to_one_another_have_ticks(tmp_path: Path) -> None:
    found = read(store_with(tmp_path / "runs"))  # 5 to 80 ms
    assert isinstance(found, HeadCost)
    drawing = head_cost_figure(found)
    drawing.canvas.draw()
    assert {"10", "20", "50"} <= {label.get_text() for label in drawing.axes[0].get_yticklabels()}


def test_no_measurement_says_how_to_get_one(tmp_path: Path) -> None:
    found = read(Store(tmp_path))
    assert isinstance(found, str)
    (text,) = absent(found)
    assert "Not measured yet: `python -m ablations cost`" in text.markdown


def test_the_figure_survives_names_that_an_svg_may_not_hold(tmp_path: Path) -> None:
    found = read(store_with(tmp_path / "runs", head="nul\x00"))
    assert isinstance(found, HeadCost)
    words = [node.text for node in ET.fromstring(svg(head_cost_figure(found), "p", "l")).iter("text")]
    assert "rate 0.1, nul " in words
