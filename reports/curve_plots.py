"""Figures of curves with bands over seeds: the ROC on test identities and learning curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.support import ENOUGH_PAIRS, expected_pairs
from reports.canvas import arm_label, compact, legend, new_figure
from reports.claims import Study
from reports.figures_style import GRID, MUTED, looks, style
from reports.metrics import metric_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST, _MOST = 1e-5, 0.1  # FPRs between which a ROC begins
_FPR_GRID = np.geomspace(_LEAST, 1, 201)
_BAND = 0.13  # opacity: a dozen bands may lie on one another


@dataclass(frozen=True)
class Rates:
    """The FPR at which a ROC starts, and the least at which a test set is large enough to read it."""

    start: float = _LEAST
    readable: float = _LEAST


def roc_rates(rows: pd.DataFrame) -> Rates:
    """Where one false positive is expected among the pairs of identities, and where as many as reading takes.

    Below the first a ROC has the steps of single pairs, and tells of them alone.
    """
    fewest = float(rows["identities"].min())
    if math.isnan(fewest):  # no result tells: the whole is drawn
        return Rates()
    pairs = max(expected_pairs(int(fewest), 1.0), 1.0)
    start = min(max(_LEAST, 1 / pairs), _MOST)
    return Rates(start, min(max(start, ENOUGH_PAIRS / pairs), 1.0))


def roc_figure(study: Study, rocs: pd.DataFrame, rates: Rates | None = None) -> Figure:
    """TPR against FPR, log x from where `rates` start: the mean over seeds, in a band from the lowest to the highest.

    Where the test set is too small to read it lies on grey.
    """
    rates = rates or Rates()
    grid = np.geomspace(rates.start, 1, len(_FPR_GRID))
    with style():
        figure, axes = new_figure(4.4, entries=len(study.arms))
        rows = rocs[rocs["study"] == study.study]
        for arm, look in looks(study).items():
            seeds = [_on_grid(one, grid) for _, one in rows[rows["arm"] == arm].groupby("seed")]
            if len(seeds) > 1:
                low, high = np.min(seeds, axis=0), np.max(seeds, axis=0)
                axes.fill_between(grid, low, high, color=look.color, alpha=_BAND, linewidth=0)
            if seeds:
                mean = np.mean(seeds, axis=0)
                axes.plot(grid, mean, color=look.color, linewidth=1.8, linestyle=look.line, label=arm_label(study, arm))
        for fpr in (1e-4, 1e-3, 1e-2):
            axes.axvline(fpr, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
        if rates.readable > rates.start:
            axes.axvspan(rates.start, rates.readable, color=GRID, alpha=0.6, linewidth=0, zorder=0)
        axes.set_xscale("log")
        ticks = {1e-5: "1e-5", 1e-4: "1e-4", 1e-3: "1e-3", 1e-2: "1e-2", 0.1: "0.1", 1.0: "1"}
        ticks = {fpr: name for fpr, name in ticks.items() if fpr >= rates.start}
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.minorticks_off()
        axes.set(xlim=(rates.start, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
        axes.grid(axis="y")
        legend(axes)
        return figure


def _on_grid(roc: pd.DataFrame, grid: np.ndarray = _FPR_GRID) -> np.ndarray:
    """TPR at the grid's rates, straight between recorded points in log FPR; nan below the first one."""
    fpr, tpr = roc["fpr"].to_numpy(float), roc["tpr"].to_numpy(float)
    known = fpr > 0
    if not known.any():
        return np.full(len(grid), np.nan)
    return np.interp(np.log(grid), np.log(fpr[known]), tpr[known], left=np.nan)


def curves_figure(study: Study, curves: pd.DataFrame, metric: str = "tpr@1e-3") -> Figure:
    """Loss, and a metric on validation identities, against samples seen: mean and range over seeds."""
    with style():
        figure, (left, right) = new_figure(3.4, columns=2, entries=len(study.arms))
        rows = curves[curves["study"] == study.study]
        for axes, column in ((left, "loss"), (right, metric)):
            for arm, look in looks(study).items():
                grouped = rows[rows["arm"] == arm].dropna(subset=[column]).groupby("samples")[column]
                spread = grouped.agg(["mean", "min", "max"])
                if spread.empty:
                    continue
                x = spread.index.to_numpy(float)
                axes.fill_between(x, spread["min"], spread["max"], color=look.color, alpha=_BAND, linewidth=0)
                axes.plot(
                    x, spread["mean"], look.line, color=look.color, linewidth=1.8, marker=look.marker, markersize=3.5,
                    label=arm_label(study, arm),
                )  # fmt: skip
            axes.xaxis.set_major_formatter(lambda value, _: compact(value))
            axes.set_xlabel("samples seen")
            axes.grid(axis="y")
        left.set_title("training loss (running mean)")
        right.set_title(f"{metric_name(metric)}, validation identities")
        legend(right)
        return figure
