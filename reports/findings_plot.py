"""The figure of all findings: what decides each of them, on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.canvas import FARTHEST, differences, multiple, multiples, point, short, within, worth_tick
from reports.cells import PAIRS
from reports.estimates import Estimate
from reports.figures_style import GRID, INK, MUTED, NO, NULL, YES, style
from reports.metrics import metric_name, told_interval
from reports.stats import Interval
from reports.verdicts import Verdict, deciding

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's green, vermilion and orange; nothing is known of what is grey.
COLORS = {"reproduced": "#009E73", "contradicted": "#D55E00", "not reproduced": "#E69F00"}
_WORDS = {"reproduced": YES, "contradicted": NO, "not reproduced": NULL}
CAPTION = (
    "What decides each finding, in multiples of the smallest effect worth having (tick; of a claim that nothing is "
    "lost: the largest loss allowed), with 95 % intervals; ratios by their logarithms. To the right: in favour of the "
    "claim. Hollow: a gate forbids to judge it. An arrow goes on beyond the axis. At the right: the estimate in its "
    "own unit."
)
_ROW = 0.36  # inches
_BESIDE = 54  # letters of a verdict and of two arms that find room beside one another


def findings_figure(verdicts: Sequence[Verdict]) -> Figure:
    """A row for every difference that decides; rows of one finding stand together, under its verdict's colour."""
    rows = [(verdict, one, *row) for verdict in verdicts for one in deciding(verdict.estimates) for row in one.shown]
    with style():
        figure, axes = multiples(len(rows), _ROW)
        before = None
        for row, (verdict, one, tested, found) in enumerate(rows):
            if verdict is not before and before is not None:
                axes.axhline(row - 0.5, color=GRID, linewidth=0.8, zorder=0)
            _label(axes, row, verdict, one, tested, first=verdict is not before)
            _draw(axes, row, verdict, one, found)
            before = verdict
        return figure


def _label(axes: Axes, row: int, verdict: Verdict, one: Estimate, tested: tuple[str, str], first: bool) -> None:
    """The difference, its metric where that is not the usual one, and the verdict."""
    names = differences([tested], one.is_ratio, 18)
    metric = [] if one.metric in PAIRS else [metric_name(one.metric)]
    _write(axes, row, names + metric, [INK, MUTED], -8, "right", "normal")
    if first:
        label, color = short(verdict.finding.label, 12), _WORDS.get(verdict.verdict, MUTED)
        beside = len(label + verdict.verdict + names[0]) <= _BESIDE
        told = [f"{label}  {verdict.verdict}"] if beside else [label, verdict.verdict]
        _write(axes, row, told, [color, color], -282, "left", "bold")


def _write(
    axes: Axes, row: int, texts: Sequence[str], colors: Sequence[str], shift: float, align: str, weight: str
) -> None:
    """Texts below one another, so many points from the axis: a text a line, as SVG does not align the lines of one."""
    for line, (text, color) in enumerate(zip(texts, colors, strict=False)):
        axes.annotate(
            text, (0, row), xytext=(shift, 5.0 * (len(texts) - 1) - 10.0 * line), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha=align, va="center", color=color, fontsize=8.5, fontweight=weight,
        )  # fmt: skip


def _draw(axes: Axes, row: int, verdict: Verdict, one: Estimate, found: Interval) -> None:
    color = COLORS.get(verdict.verdict, MUTED)
    ends = (found.low, found.estimate, found.high)
    low, middle, high = (multiple(end, one.contrast.unit, one.is_ratio) for end in ends)
    if math.isnan(low):  # one seed
        low = high = middle
    worth_tick(axes, row, one.contrast.kind, 0.28)
    axes.plot([within(low), within(high)], [row, row], color=color, linewidth=1.6, zorder=3)
    for there, place, marker in (
        (low < -FARTHEST, -FARTHEST, "<"), (high > FARTHEST, FARTHEST, ">"), (abs(middle) <= FARTHEST, middle, "o"),
    ):  # fmt: skip
        if there:
            point(axes, place, row, color, hollow=bool(one.gate), size=6, marker=marker)
    axes.annotate(
        told_interval(found, one.metric, ratio=one.is_ratio), (1.03, row), xycoords=("axes fraction", "data"),
        ha="left", va="center", color=INK, fontsize=8,
    )  # fmt: skip
