"""A figure of what quality costs: a metric against training time, and against size where that varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.canvas import arm_label, legend, new_figure, short
from reports.claims import Study
from reports.figures_style import INK, looks, style
from reports.metrics import metric_name
from reports.tables import machines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_COSTS = {"seconds": "seconds of a run, evaluation included", "size_mb": "size of the embedder (MB)"}
_LABELLED = 6  # arms that are named at their points; more are named in a legend
_PLACES: tuple[tuple[tuple[int, int], dict[str, Any]], ...] = (
    ((7, 5), {"ha": "left", "va": "bottom"}),
    ((-7, 5), {"ha": "right", "va": "bottom"}),
    ((7, -5), {"ha": "left", "va": "top"}),
    ((-7, -5), {"ha": "right", "va": "top"}),
    ((7, 20), {"ha": "left", "va": "bottom"}),
    ((7, -20), {"ha": "left", "va": "top"}),
)


def cost_figure(study: Study, frame: pd.DataFrame, metric: str = "tpr@1e-4") -> Figure:
    """One marker an arm at the mean of its cost and its metric, with bars of one standard deviation over seeds.

    Every arm is named beside its marker where all names find room, and in a legend otherwise.
    """
    done = frame[(frame["study"] == study.study) & (frame["state"] == "done")].dropna(subset=[metric])
    costs = ["seconds"]
    if done.groupby("arm")["size_mb"].mean().round(2).nunique() > 1:
        costs.append("size_mb")
    with style():
        figure, panels = new_figure(3.8, columns=len(costs), entries=len(study.arms))
        panels = np.atleast_1d(panels)
        for axes, cost in zip(panels, costs, strict=True):
            _panel(axes, study, done.dropna(subset=[cost]), cost, metric)
        panels[0].set_ylabel(f"{metric_name(metric)} on test identities")
        points = done.groupby("arm")[[*costs, metric]].mean()
        if not len(points) or len(points) > _LABELLED or not _name_points(figure, panels, costs, points, metric):
            legend(panels[-1])
        return figure


def _panel(axes: Axes, study: Study, rows: pd.DataFrame, cost: str, metric: str) -> None:
    for arm, look in looks(study).items():
        seeds = rows[rows["arm"] == arm]
        if seeds.empty:
            continue
        one = len(seeds) == 1  # has no standard deviation
        axes.errorbar(
            seeds[cost].mean(), seeds[metric].mean(),
            xerr=None if one else seeds[cost].std(ddof=1), yerr=None if one else seeds[metric].std(ddof=1),
            color=look.color, marker=look.marker, markersize=7, markeredgewidth=0, elinewidth=1.2, linestyle="none",
            label=arm_label(study, arm),
        )  # fmt: skip
    several = cost == "seconds" and len(machines(rows)) > 1
    axes.set_xlabel(_COSTS[cost] + (", different hardware: not comparable" if several else ""))
    axes.margins(0.12)
    axes.grid()


def _name_points(figure: Figure, panels: np.ndarray, costs: list[str], points: pd.DataFrame, metric: str) -> bool:
    """Name every arm beside its marker in all panels; False, with nothing drawn, where a name finds no room."""
    figure.draw_without_rendering()  # lays the axes out, so that points have their places
    drawn: list[Text] = []
    for axes, cost in zip(panels, costs, strict=True):
        known = points.dropna(subset=[cost])
        taken: list[Any] = []  # boxes of labels, in pixels
        for arm, point in zip(known.index, known[[cost, metric]].to_numpy(float), strict=True):
            label = _name_point(axes, short(str(arm)), point, taken, known[[cost, metric]].to_numpy(float))
            if label is None:
                for one in drawn:
                    one.remove()
                return False
            drawn.append(label)
    return True


def _name_point(axes: Axes, name: str, point: np.ndarray, taken: list[Any], points: np.ndarray) -> Text | None:
    """The name at the first place where it covers no other name and no marker, or None."""
    inside, markers = axes.get_window_extent(), axes.transData.transform(points)
    for offset, aligned in _PLACES:
        label = axes.annotate(
            name, tuple(point), xytext=offset, textcoords="offset points", fontsize=8.5, color=INK, **aligned
        )
        label.set_in_layout(False)
        box = label.get_window_extent()
        free = not any(box.overlaps(other) for other in taken) and not any(box.contains(*one) for one in markers)
        if free and inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1:
            taken.append(box.padded(2.0))
            return label
        label.remove()
    return None
