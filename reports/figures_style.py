"""One look for all figures: an arm keeps its colour and its line across the figures of a study."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reports.claims import Study

DPI = 150
WIDTH = 8.0  # inches: 1200 pixels, the width of a page
INK, MUTED, GRID, PAPER = "#222222", "#6b6b6b", "#e3e3e3", "#ffffff"
MARK = "#c2410c"  # an effect worth having: of no arm's colour
# Of words: those of the page's badges, as marks of such a hue are too light to be read.
YES, NO, NULL = "#17663a", "#a1201a", "#7a4a00"
# Okabe and Ito (2008), "Color Universal Design", without its black, kept for the baseline; yellow is darkened
# because the original cannot be seen as a thin line on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B5A900")
_LINES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D")
_RC: Any = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.solid_capstyle": "butt",
    "text.parse_math": False,  # a dollar sign in an arm's name is a dollar sign
}


@dataclass(frozen=True)
class Look:
    color: str
    line: str = "-"
    marker: str = "o"


def looks(study: Study) -> dict[str, Look]:
    """A look for every declared arm, in their order: the baseline near black, the others by their place."""
    others = [arm for arm in study.arms if arm != study.baseline]
    found = {arm: _look(index) for index, arm in enumerate(others)} | {study.baseline: Look(INK)}
    return {arm: found[arm] for arm in study.arms}


def _look(index: int) -> Look:
    turn = index // len(PALETTE) % len(_LINES)
    return Look(PALETTE[index % len(PALETTE)], _LINES[turn], _MARKERS[turn])


@contextmanager
def style() -> Iterator[None]:
    """A context in which figures are made with this look.

    A letter that the font lacks is a box in a PNG; of each matplotlib would warn several times. SVG has it as text.
    """
    import matplotlib

    with matplotlib.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        yield
