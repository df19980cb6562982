"""Figures of one study; each returns the bytes of a PNG.

Figures are drawn on their own Agg canvas, never through pyplot: no display, no global state.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.claims import Study
from reports.figures_style import DPI, INK, MUTED, WIDTH, Look, looks, style
from reports.metrics import metric_name
from reports.tables import done_of, rows_of, seed_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FPR_GRID = np.logspace(-5, 0, 201)


def arms_figure(study: Study, frame: pd.DataFrame, metric: str = "tpr@1e-4") -> bytes:
    """One row an arm: a point for each seed, a bar at the mean, a line down from the baseline's mean."""
    with style():
        figure, axes = new_figure(0.9 + 0.42 * len(study.arms))
        names = list(study.arms)
        seen: list[float] = []
        for row, arm in enumerate(names):
            values = done_of(frame, study, arm)[metric].dropna().to_numpy(float)
            _arm_row(axes, row, looks(study)[arm], values)
            seen.extend(values)
            if arm == study.baseline and len(values):
                axes.axvline(float(values.mean()), color=MUTED, linewidth=1, linestyle=":", zorder=1)
        labels = [_arm_label(study, frame, arm) for arm in names]
        axes.set_yticks(range(len(names)), labels)
        axes.set_ylim(len(names) - 0.5, -0.5)
        low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
        pad = max(0.06 * (high - low), 0.004)
        axes.set_xlim(low - pad, high + pad)
        axes.set_xlabel(f"{metric_name(metric)} on test identities (point: one seed, bar: mean)")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        return png(figure)


def _arm_row(axes: Axes, row: int, look: Look, values: np.ndarray) -> None:
    if not len(values):
        axes.annotate(
            "no finished run", (0.01, row), xycoords=("axes fraction", "data"), color=MUTED, style="italic", va="center"
        )
        return
    # Seeds that fall on one another are told apart by their height.
    height = row + np.linspace(-0.13, 0.13, len(values)) if len(values) > 1 else [row]
    axes.scatter(values, height, s=30, color=look.color, alpha=0.65, marker=look.marker, linewidths=0, zorder=3)
    mean = float(values.mean())
    axes.plot([mean, mean], [row - 0.3, row + 0.3], color=look.color, linewidth=2.6, zorder=4, solid_capstyle="butt")
    axes.annotate(f"{mean:.3f}", (1.01, row), xycoords=("axes fraction", "data"), ha="left", va="center", color=INK)


def _arm_label(study: Study, frame: pd.DataFrame, arm: str) -> str:
    role = " (baseline)" if arm == study.baseline else ""
    return f"{_short(arm)}{role}\nseeds: {seed_count(rows_of(frame, study, arm))}"


def roc_figure(study: Study, rocs: pd.DataFrame) -> bytes:
    """TPR against FPR, log x from 1e-5: a thin line for each seed, a thick one for the mean over seeds."""
    with style():
        figure, axes = new_figure(4.4)
        rows = rocs[rocs["study"] == study.study]
        for arm, look in looks(study).items():
            seeds = [_on_grid(one) for _, one in rows[rows["arm"] == arm].groupby("seed")]
            for tpr in seeds if len(seeds) > 1 else ():
                axes.plot(_FPR_GRID, tpr, color=look.color, linewidth=0.6, alpha=0.35, linestyle=look.line)
            if seeds:
                mean = np.mean(seeds, axis=0)
                axes.plot(_FPR_GRID, mean, color=look.color, linewidth=2, linestyle=look.line, label=_short(arm))
        for fpr in (1e-4, 1e-3, 1e-2):
            axes.axvline(fpr, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
        axes.set_xscale("log")
        axes.set_xticks([10.0**power for power in range(-5, 1)], ["1e-5", "1e-4", "1e-3", "1e-2", "0.1", "1"])
        axes.minorticks_off()
        axes.set(xlim=(1e-5, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
        axes.grid(axis="y")
        _legend(axes, study)
        return png(figure)


def _on_grid(roc: pd.DataFrame) -> np.ndarray:
    """TPR at the grid's rates, straight between recorded points in log FPR; nan below the first one."""
    fpr, tpr = roc["fpr"].to_numpy(float), roc["tpr"].to_numpy(float)
    known = fpr > 0
    if not known.any():
        return np.full(len(_FPR_GRID), np.nan)
    return np.interp(np.log(_FPR_GRID), np.log(fpr[known]), tpr[known], left=np.nan)


def curves_figure(study: Study, curves: pd.DataFrame, metric: str = "tpr@1e-3") -> bytes:
    """Loss, and a metric on validation identities, against samples seen: mean and range over seeds."""
    with style():
        figure, (left, right) = new_figure(3.4, columns=2)
        rows = curves[curves["study"] == study.study]
        for axes, column in ((left, "loss"), (right, metric)):
            for arm, look in looks(study).items():
                grouped = rows[rows["arm"] == arm].dropna(subset=[column]).groupby("samples")[column]
                spread = grouped.agg(["mean", "min", "max"])
                if spread.empty:
                    continue
                x = spread.index.to_numpy(float)
                axes.fill_between(x, spread["min"], spread["max"], color=look.color, alpha=0.15, linewidth=0)
                axes.plot(
                    x, spread["mean"], look.line, color=look.color, linewidth=1.8, marker=look.marker, markersize=3.5,
                    label=_short(arm),
                )  # fmt: skip
            axes.xaxis.set_major_formatter(lambda value, _: compact(value))
            axes.set_xlabel("samples seen")
            axes.grid(axis="y")
        left.set_title("training loss (running mean)")
        right.set_title(f"{metric_name(metric)}, validation identities")
        _legend(right, study)
        return png(figure)


def ladder_figure(study: Study, frame: pd.DataFrame, x: pd.Series, metric: str = "tpr@1e-4") -> bytes:
    """A metric against a number of the run, log x where it can be.

    No line joins the arms: they may differ in more than `x`.

    Args:
        x: the number of every row of `frame`, aligned with it; its name is the label of the axis.
    """
    with style():
        figure, axes = new_figure(4.0)
        rows = frame.assign(x=x)[(frame["study"] == study.study) & (frame["state"] == "done")]
        rows = rows.dropna(subset=["x", metric])
        means = rows.groupby("arm")[["x", metric]].mean()
        for arm, look in looks(study).items():
            if arm not in means.index:
                continue
            seeds = rows[rows["arm"] == arm]
            axes.scatter(seeds["x"], seeds[metric], s=22, color=look.color, alpha=0.5, linewidths=0, zorder=2)
            at, mean = means.loc[arm, "x"], means.loc[arm, metric]
            axes.scatter([at], [mean], s=420, color=look.color, marker="_", linewidths=2.6, zorder=3)
            axes.plot([], [], look.marker, color=look.color, label=_short(arm))
        if len(means) and (means["x"] > 0).all():
            axes.set_xscale("log")
            axes.set_xticks(sorted(set(means["x"])), [f"{value:,.6g}" for value in sorted(set(means["x"]))])
            axes.minorticks_off()
            axes.margins(x=0.12)
        axes.set(xlabel=str(x.name), ylabel=f"{metric_name(metric)} on test identities")
        axes.set_title("point: one seed, bar: mean")
        axes.grid(axis="y")
        _legend(axes, study)
        return png(figure)


def new_figure(height: float, columns: int = 1) -> tuple[Figure, Any]:
    """A figure of the page's width and so many inches height, with its axes in one row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _legend(axes: Axes, study: Study) -> None:
    """Beside the axes, where it hides nothing, in the declared order of the arms."""
    handles, labels = axes.get_legend_handles_labels()
    order = {_short(arm): index for index, arm in enumerate(study.arms)}
    pairs = sorted(zip(labels, handles, strict=True), key=lambda pair: order.get(pair[0], 0))
    if not pairs:
        axes.text(0.5, 0.5, "no finished run", transform=axes.transAxes, ha="center", color=MUTED, style="italic")
        return
    shown = [f"{label} (baseline)" if label == _short(study.baseline) else label for label, _ in pairs]
    axes.legend([handle for _, handle in pairs], shown, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def _short(arm: str, longest: int = 28) -> str:
    return arm if len(arm) <= longest else arm[: longest - 1] + "…"


def compact(value: float) -> str:
    """A number as ticks show it, e.g. ``390k``."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
