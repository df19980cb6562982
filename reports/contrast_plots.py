"""The forest plot of a study's contrasts: every estimate with its interval, beside the effect that is worth having."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.canvas import compact, differences, point, ratio_axis, stacked, two_lines
from reports.cells import COSTS
from reports.estimates import Estimate
from reports.figures_style import GRID, INK, MARK, MUTED, PAPER, style
from reports.metrics import metric_name, told_interval
from reports.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = tuple[Estimate, tuple[tuple[str, str], ...], Interval | None]  # with its arms, and what there is of them
_ROW = 0.46  # inches
_SHORT = 10_000.0  # ticks from here on in thousands and millions
_REACH = 1.0  # an axis goes beyond points and marks by so many times their range, at most


def contrasts_figure(estimates: Sequence[Estimate]) -> Figure:
    """One row a contrast: its estimate and 95 % interval, the line of no difference, and the effect worth having.

    An interaction has one for each of its differences, as each must be there: their sum may be sure where neither is.
    That effect is minus the margin where the claim is "not worse". Ratios have a panel with a log axis, and so has
    every cost that is compared as a difference, in its own unit. Contrasts on which no verdict depends are hollow and
    grey, those that a gate forbids to judge hollow, as in the figure of all findings; those that could not be estimated
    say why. An interval that is far wider than the estimates ends in an arrow at the axis' edge: its numbers stand at
    the right.
    """
    panels = _panels(estimates)
    with style():
        figure, axes = stacked([0.62 + _ROW * len(rows) for _, rows in panels] or [1.0])
        for one, (scale, rows) in zip(axes, panels, strict=False):
            _panel(one, scale, rows)
        _key(axes[-1], estimates)
        return figure


def _panels(estimates: Sequence[Estimate]) -> list[tuple[str, list[Row]]]:
    """Rows that share a scale: all rates, each cost by itself, all ratios."""
    found: dict[str, list[Row]] = {"rate": []}
    for one in estimates:
        scale = "ratio" if one.is_ratio else one.metric if one.metric in COSTS else "rate"
        rows: list[Row] = [(one, (pair,), of_pair) for pair, of_pair in one.shown]
        found.setdefault(scale, []).extend(rows or [(one, one.pairs, None)])
    return [(scale, rows) for scale, rows in found.items() if rows]


def _panel(axes: Axes, scale: str, rows: list[Row]) -> None:
    ratio = scale == "ratio"
    low, high = _limits(rows, ratio)
    ratio_axis(axes, low, high) if ratio else axes.set_xlim(low, high)
    if not ratio and max(-low, high) >= _SHORT:
        axes.xaxis.set_major_formatter(lambda value, _: compact(value))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(axis="x", color=GRID)
    axes.spines["left"].set_visible(False)
    axes.axvline(1.0 if ratio else 0.0, color=MUTED, linewidth=1.1, zorder=1)
    for row, (one, pairs, found) in enumerate(rows):
        _label(axes, row, one, pairs)
        if found is None:
            note = axes.annotate(
                two_lines(one.missing or "not run", 66), (0.02, row), xycoords=("axes fraction", "data"),
                color=MUTED, style="italic", va="center", fontsize=8,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
            )  # fmt: skip
            note.set_in_layout(False)  # it may run on into the empty column of numbers
            continue
        mark = one.contrast.mark
        axes.plot([mark, mark], [row - 0.3, row + 0.3], color=MARK, linewidth=1.8, zorder=2)
        _estimate(axes, row, one, found, low, high)
    unit = "ratio, log scale" if ratio else "difference" if scale == "rate" else f"difference in {metric_name(scale)}"
    axes.set_xlabel(f"{unit} (to the right: in favour of the claim)")


def _label(axes: Axes, row: int, one: Estimate, pairs: Sequence[tuple[str, str]]) -> None:
    """The difference and, below it, its metric: a text a line, because SVG does not align the lines of one."""
    names = differences(pairs, one.is_ratio, 22)
    about = metric_name(one.metric) + ("" if one.contrast.decides else ", beside the verdict")
    large, small, pitch = (9.5, 8.0, 13.0) if len(names) == 1 else (8.0, 7.5, 9.5)  # points; a row has room for three
    shown = [*((name, INK, large) for name in names), (about, MUTED, small)]
    for line, (text, color, size) in enumerate(shown):
        rise = pitch * (0.5 * len(names) - line)
        axes.annotate(
            text, (0, row), xytext=(-8, rise), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", va="center", color=color, fontsize=size,
        )  # fmt: skip


def _estimate(axes: Axes, row: int, one: Estimate, found: Interval, low: float, high: float) -> None:
    color = INK if one.contrast.decides else MUTED
    if math.isfinite(found.low):
        ends = [max(found.low, low), min(found.high, high)]
        axes.plot(ends, [row, row], color=color, linewidth=1.6, zorder=3)
        for end, beyond, arrow in (
            (low, found.low < low, "<"),
            (high, found.high > high, ">"),
        ):
            if beyond:
                axes.plot([end], [row], marker=arrow, markersize=6, color=color, clip_on=False, zorder=3)
    hollow = bool(one.gate) or not one.contrast.decides
    point(axes, found.estimate, row, color, hollow=hollow, size=6.5)
    axes.annotate(
        told_interval(found, one.metric, ratio=one.is_ratio), (1.02, row), xycoords=("axes fraction", "data"),
        ha="left", va="center", color=INK if one.contrast.decides else MUTED, fontsize=8.5,
    )  # fmt: skip


def _limits(rows: Sequence[Row], ratio: bool) -> tuple[float, float]:
    """The axis' ends: all points and marks, and as much of the intervals as leaves the points readable."""
    shown = [(one.contrast.mark, found) for one, _, found in rows if found is not None]
    points = [1.0 if ratio else 0.0, *(point for mark, found in shown for point in (mark, found.estimate))]
    ends = [end for _, found in shown for end in (found.low, found.high) if math.isfinite(end)]
    scaled = [math.log(value) if ratio else value for value in points]
    span = max(max(scaled) - min(scaled), 1e-3)
    reach = [math.log(max(end, 1e-12)) if ratio else end for end in ends]
    low = max(min([*scaled, *reach]), min(scaled) - _REACH * span) - 0.06 * span
    high = min(max([*scaled, *reach]), max(scaled) + _REACH * span) + 0.06 * span
    return (math.exp(low), math.exp(high)) if ratio else (low, high)


def _key(axes: Axes, estimates: Sequence[Estimate]) -> None:
    """What the marks mean, below the last panel; only of those that are there."""
    from matplotlib.lines import Line2D

    shown = [one for one in estimates if one.interval is not None]
    kinds = {one.contrast.kind == "non_inferiority" for one in shown}
    worth = {True: "largest loss that is allowed", False: "smallest effect worth having"}
    handles = [Line2D([], [], color=INK, marker="o", markersize=6.5, linewidth=1.6, label="estimate, 95 % interval")]
    hollow = (
        (INK, "a gate forbids to judge it", any(one.contrast.decides and one.gate for one in shown)),
        (MUTED, "no verdict depends on it", any(not one.contrast.decides for one in shown)),
    )
    for color, told, there in hollow:
        if there:
            handles.append(
                Line2D([], [], color=color, marker="o", markersize=6.5, linewidth=1.6, markerfacecolor=PAPER,
                       markeredgewidth=1.5, label=told)
            )  # fmt: skip
    if kinds:
        text = " or ".join(worth[kind] for kind in sorted(kinds))
        handles.append(Line2D([], [], color=MARK, marker="|", markersize=11, markeredgewidth=1.8, linestyle="none",
                              label=text))  # fmt: skip
    columns = len(handles) if len(handles) < 4 else 2  # four are wider than the figure
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8.5)
