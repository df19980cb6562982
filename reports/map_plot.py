"""The figure of a map: a panel for every contrast, in it a row for every condition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.canvas import differences, point, ratio_axis, short, stacked, two_lines
from reports.estimates import Estimate
from reports.figures_style import GRID, INK, MUTED, style
from reports.map_readings import COLORS, Conditions, part_reading
from reports.metrics import metric_name, told_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_ROW = 0.34  # inches
_LETTERS = 32  # of all ticks below a panel, and the spaces between


def map_figure(contrasts: Sequence[Conditions]) -> Drawing:
    """A panel for every contrast, of an interaction for each of its differences, in it a row for every condition."""
    drawn = [(index, rows) for rows in contrasts for index in range(len(rows[0][1].pairs))]
    with style():
        titles = [_title(rows[0][1], index) for index, rows in drawn]
        figure, panels = stacked(
            [0.68 + 0.17 * len(title.splitlines()) + _ROW * len(rows)
             for title, (_, rows) in zip(titles, drawn, strict=True)]
        )  # fmt: skip
        for axes, title, (index, rows) in zip(panels, titles, drawn, strict=True):
            _panel(axes, title, rows, index)
        return figure


def _title(one: Estimate, index: int) -> str:
    """What is compared, on two lines where one would not end within the page."""
    (told,) = differences([one.pairs[index]], one.is_ratio, 26)
    return two_lines(f"{told} on {metric_name(one.metric)}", 56)


def _panel(axes: Axes, title: str, rows: Conditions, index: int) -> None:
    first = rows[0][1]
    axes.set_title(title)
    if first.is_ratio:
        axes.set_xscale("log")  # before anything is drawn: its limits are found with it
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [short(name, 44) for name, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GRID)
    axes.axvline(1.0 if first.is_ratio else 0.0, color=MUTED, linewidth=1.1, zorder=1)
    mark = first.contrast.mark
    for row, (_, one) in enumerate(rows):
        axes.plot([mark, mark], [row - 0.28, row + 0.28], color=INK, linewidth=1.2, zorder=2)
        _draw(axes, row, one, index)
    if first.is_ratio:
        ratio_axis(axes, *axes.get_xlim())
    else:
        _few_ticks(axes)


def _few_ticks(axes: Axes) -> None:
    """No more than find room beside one another, in a panel as narrow as long names of conditions leave."""
    for count in (6, 4, 3, 2):
        axes.locator_params(axis="x", nbins=count)
        labels = axes.xaxis.get_major_formatter().format_ticks(list(axes.get_xticks()))
        if sum(len(label) + 1 for label in labels) <= _LETTERS:
            return


def _draw(axes: Axes, row: int, one: Estimate, index: int) -> None:
    text = two_lines(one.missing or "not run", 40)
    if one.interval is not None:
        _, found = one.shown[index]
        color = MUTED if one.gate else COLORS.get(part_reading(one.tests[index]), MUTED)
        text = told_interval(found, one.metric, ratio=one.is_ratio)
        if math.isfinite(found.low):
            axes.plot([found.low, found.high], [row, row], color=color, linewidth=1.6, zorder=3)
        point(axes, found.estimate, row, color, hollow=bool(one.gate), size=6)
    axes.annotate(text, (1.03, row), xycoords=("axes fraction", "data"), ha="left", va="center", color=INK, fontsize=8)
