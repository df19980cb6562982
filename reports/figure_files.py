"""A drawn figure as the bytes of a PNG, and as SVG that is part of an HTML page."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from reports.figures_style import DPI, GRID, INK, MARK, MUTED, NO, NULL, PALETTE, PAPER, YES, style
from reports.markdown import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours of figures are variables of the page, which gives them a value in light and in dark mode.
VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", MARK: "mark", YES: "yes", NO: "no", NULL: "null",
    **{color: f"c{index}" for index, color in enumerate(PALETTE)},
}  # fmt: skip
_BY_COLOR = {color.lower(): f"var(--{name})" for color, name in VARIABLES.items()}
_COLOR = re.compile(r"#[0-9a-f]{6}\b")
_FAMILY = re.compile(r"\s*font-family:[^;]*;?")  # the page's own font instead
_DECIMALS = re.compile(r"(\.\d\d)\d+")  # hundredths of a point are enough
_NO_TURN = re.compile(r"rotate\(-?0 .*\)")


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG, on white; its layout is kept for later drawings."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=DPI)
    figure.set_layout_engine("none")
    return buffer.getvalue()


def svg(figure: Figure, prefix: str, label: str) -> str:
    """The figure as an ``<svg>`` element of a page that holds many.

    It has no background, its text is text, and its colours are the page's variables (`VARIABLES`). Nothing in it
    reaches beyond it: ids begin with `prefix`, and there are no global styles, links or metadata.

    Args:
        prefix: unique in the page, of letters, digits, ``-`` and ``.``.
        label: the accessible name.
    """
    import matplotlib

    buffer = io.StringIO()
    with style(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(buffer.getvalue())
    _drop_globals(root)
    used = {value.lstrip("#") for node in root.iter() for name, value in node.items() if name.endswith("href")}
    used |= {value[5:-1] for node in root.iter() if (value := node.get("clip-path", "")).startswith("url(#")}
    for node in root.iter():
        _embed(node, prefix, used)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": visible(label)}
    return ET.tostring(root, encoding="unicode")


def _drop_globals(root: ET.Element) -> None:
    """Take out metadata and the style sheet, which would hold for the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)


def _embed(node: ET.Element, prefix: str, used: set[str]) -> None:
    """Rewrite one element's name and attributes; its text, which may say anything, stays."""
    node.tag = node.tag.rpartition("}")[2]
    node.tail = None
    if node.tag != "text":
        node.text = None
    old = dict(node.attrib)
    node.attrib.clear()
    for name, value in old.items():
        name = name.rpartition("}")[2]
        if name == "id":
            if value not in used:
                continue
            value = f"{prefix}.{value}"
        elif name == "href":
            value = f"#{prefix}.{value.lstrip('#')}"
        elif name == "clip-path":
            value = value.replace("url(#", f"url(#{prefix}.")
        elif name == "style":
            value = _COLOR.sub(lambda found: _BY_COLOR.get(found[0], found[0]), _FAMILY.sub("", value))
        elif name == "d":
            value = _DECIMALS.sub(r"\1", " ".join(value.split()))
        elif name == "transform" and _NO_TURN.fullmatch(value):
            continue
        node.set(name, value)
