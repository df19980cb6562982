"""Figures of a study's arms: every seed of every arm, and a metric against a number of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from reports.canvas import arm_label, legend, new_figure
from reports.claims import Study
from reports.figures_style import GRID, INK, MUTED, Look, looks, style
from reports.metrics import metric_name
from reports.tables import done_of, rows_of, seed_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def arms_figure(study: Study, frame: pd.DataFrame, metric: str = "tpr@1e-4") -> Figure:
    """One row an arm: a point for each seed, a bar at the mean, a line down from the baseline's mean.

    A thin line joins the points of one seed from arm to arm: with common random numbers the lines run side by side,
    and lines that cross show what pairing does not remove. A line is broken where its seed has no finished run, and
    passes over arms that have none at all.
    """
    with style():
        figure, axes = new_figure(0.9 + 0.36 * len(study.arms))
        values = {arm: done_of(frame, study, arm).set_index("seed")[metric].dropna() for arm in study.arms}
        offsets = _offsets(sorted({seed for of_arm in values.values() for seed in of_arm.index}))
        for seed, offset in offsets.items():
            joined = [(float(of_arm.get(seed, np.nan)), row + offset)
                      for row, of_arm in enumerate(values.values()) if len(of_arm)]  # fmt: skip
            # A muted line at half strength: the grid's colour alone would be lost on the grid.
            axes.plot(*zip(*joined, strict=True), color=MUTED, alpha=0.45, linewidth=0.8, zorder=2)
        for row, arm in enumerate(study.arms):
            _arm_row(axes, row, looks(study)[arm], values[arm], offsets, seed_count(rows_of(frame, study, arm)))
        if len(values[study.baseline]):
            axes.axvline(float(values[study.baseline].mean()), color=MUTED, linewidth=1, linestyle=":", zorder=1)
        _arm_axes(axes, study, pd.concat(list(values.values())), metric)
        return figure


def _offsets(seeds: list[int]) -> dict[int, float]:
    """A height for every seed, the same in all arms: seeds that fall on one another are told apart by it."""
    heights = np.linspace(-0.15, 0.15, len(seeds)) if len(seeds) > 1 else np.zeros(len(seeds))
    return dict(zip(seeds, heights.tolist(), strict=True))


def _arm_row(axes: Axes, row: int, look: Look, values: pd.Series, offsets: dict[int, float], seeds: str) -> None:
    told = f"{values.mean():.3f}, seeds: {seeds}" if len(values) else f"seeds: {seeds}"
    right = ("axes fraction", "data")
    axes.annotate(told, (1.01, row), xycoords=right, ha="left", va="center", color=INK if len(values) else MUTED)
    if not len(values):
        axes.annotate("no finished run", (0.01, row), xycoords=right, color=MUTED, style="italic", va="center")
        return
    height = [row + offsets[seed] for seed in values.index]
    axes.scatter(values, height, s=28, color=look.color, alpha=0.75, marker=look.marker, linewidths=0, zorder=3)
    mean = float(values.mean())
    axes.plot([mean, mean], [row - 0.3, row + 0.3], color=look.color, linewidth=2.6, zorder=4)


def _arm_axes(axes: Axes, study: Study, seen: pd.Series, metric: str) -> None:
    names = [arm_label(study, arm) for arm in study.arms]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    pad = max(0.06 * (high - low), 0.004)
    axes.set_xlim(low - pad, high + pad)
    axes.set_xlabel(f"{metric_name(metric)} on test identities")
    axes.grid(axis="x", color=GRID)
    axes.tick_params(axis="y", length=0)


def ladder_figure(study: Study, frame: pd.DataFrame, x: pd.Series, metric: str = "tpr@1e-4") -> Figure:
    """A metric against a number of the run, log x where it can be.

    No line joins the arms: they may differ in more than `x`.

    Args:
        x: the number of every row of `frame`, aligned with it; its name is the label of the axis.
    """
    with style():
        figure, axes = new_figure(4.0, entries=len(study.arms))
        rows = frame.assign(x=x)[(frame["study"] == study.study) & (frame["state"] == "done")]
        rows = rows.dropna(subset=["x", metric])
        means = rows.groupby("arm")[["x", metric]].mean()
        for arm, look in looks(study).items():
            if arm not in means.index:
                continue
            seeds = rows[rows["arm"] == arm]
            axes.scatter(
                seeds["x"], seeds[metric], s=22, color=look.color, marker=look.marker, alpha=0.5, linewidths=0, zorder=2
            )
            at, mean = means.loc[arm, "x"], means.loc[arm, metric]
            axes.scatter([at], [mean], s=420, color=look.color, marker="_", linewidths=2.6, zorder=3)
            axes.plot([], [], look.marker, color=look.color, label=arm_label(study, arm))
        if len(means) and (means["x"] > 0).all():
            axes.set_xscale("log")
            steps = _apart(sorted(set(means["x"])))
            axes.set_xticks(steps, [f"{value:,.0f}" if value >= 1000 else f"{value:.6g}" for value in steps])
            axes.minorticks_off()
            axes.margins(x=0.12)
        axes.set(xlabel=str(x.name), ylabel=f"{metric_name(metric)} on test identities")
        axes.grid(axis="y")
        legend(axes)
        return figure


def _apart(values: list[float], share: float = 0.12) -> list[float]:
    """Those of the ascending positive values whose labels do not run into one another on a log axis."""
    span = np.log(values[-1] / values[0])
    kept = values[:1]
    for value in values[1:]:
        if np.log(value / kept[-1]) >= share * span:
            kept.append(value)
    return kept
