"""What the figures of a report share: an empty figure of the page's width, legends, short names.

Figures are drawn on their own Agg canvas, never through pyplot: no display, no global state.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.claims import Study
from reports.figures_style import GRID, INK, MUTED, PAPER, WIDTH
from reports.markdown import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FARTHEST = 6.0  # multiples of what is worth having; beyond it the size of an effect is no question


def new_figure(height: float, columns: int = 1, *, entries: int = 0) -> tuple[Figure, Any]:
    """A figure of the page's width and so many inches height, with its axes in one row.

    Args:
        entries: of a legend beside the axes; the figure is as high as they take, if that is more.
    """
    figure = _empty(max(height, 0.75 + 0.2 * entries))
    return figure, figure.subplots(1, columns)


def stacked(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure of panels below one another, each so many inches high."""
    figure = _empty(sum(heights))
    panels = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": list(heights)})
    return figure, list(panels[:, 0])


def multiples(rows: int, row_height: float) -> tuple[Figure, Axes]:
    """A figure of so many rows of so many inches, from the first down, on the scale of effects worth having."""
    figure, axes = new_figure(0.9 + row_height * max(rows, 1))
    axes.set_xlim(-FARTHEST * 1.04, FARTHEST * 1.04)
    axes.set_ylim(max(rows, 1) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks([-6, -4, -2, 0, 2, 4, 6])
    axes.grid(axis="x", color=GRID)
    axes.spines["left"].set_visible(False)
    axes.axvline(0.0, color=MUTED, linewidth=1.1, zorder=1)
    axes.set_xlabel("in multiples of the effect worth having\n(to the right: in favour of the claim)")
    return figure, axes


def multiple(value: float, unit: float, ratio: bool) -> float:
    """An estimate in multiples of the effect worth having; a ratio by its logarithm."""
    return (math.log(value) if ratio else value) / unit


def worth_tick(axes: Axes, row: float, kind: str, half: float) -> None:
    """The tick of what is worth having or, by a contrast's `kind`, of the largest loss allowed; `half` is in rows."""
    place = -1.0 if kind == "non_inferiority" else 1.0
    axes.plot([place, place], [row - half, row + half], color=INK, linewidth=1.2, zorder=2)


def within(value: float) -> float:
    """A multiple, no farther than the axis goes."""
    return min(max(value, -FARTHEST), FARTHEST)


def point(axes: Axes, at: float, row: float, color: str, *, hollow: bool, size: float, marker: str = "o") -> None:
    """The mark of an estimate: hollow where no verdict rests on it, as a gate forbids or none was declared to."""
    axes.plot(
        [at], [row], marker=marker, markersize=size, color=color, zorder=4, linestyle="none",
        markerfacecolor=PAPER if hollow else color, markeredgewidth=1.5,
    )  # fmt: skip


def ratio_axis(axes: Axes, low: float, high: float) -> None:
    """A log axis of ratios from `low` to `high`, with few and round ones below it."""
    ticks = ratio_ticks(low, high)
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"×{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(low, high)


def ratio_ticks(low: float, high: float) -> list[float]:
    """Round ratios between the ends: evenly spaced over a narrow range, 1-2-5 steps over a wide one."""
    from matplotlib.ticker import MaxNLocator

    if high / low < 5:
        ticks = np.asarray(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high))
    else:
        decades = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < 100 else (1,)
        ticks = np.sort(np.concatenate([step * decades for step in steps]))
    return [float(f"{tick:.6g}") for tick in ticks if low <= tick <= high and tick > 0]


def _empty(height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def legend(axes: Axes) -> None:
    """Beside the axes, where it hides nothing, in the order in which arms were drawn."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    else:
        axes.text(0.5, 0.5, "no finished run", transform=axes.transAxes, ha="center", color=MUTED, style="italic")


def arm_label(study: Study, arm: str) -> str:
    """An arm's name, cut, and whether it is the baseline."""
    return f"{short(arm)} (baseline)" if arm == study.baseline else short(arm)


def short(text: str, longest: int = 28) -> str:
    """A name on one line, its middle left out where it is longer: names of a kind differ at their end as a rule."""
    line = visible(text)
    # Matplotlib leaves labels that begin with an underscore out of legends.
    line = f" {line}" if line.startswith("_") else line
    tail = (longest - 1) // 2
    return line if len(line) <= longest else f"{line[: longest - 1 - tail]}…{line[-tail:]}"


def two_lines(text: str, width: int) -> str:
    """`text` on one line or two of so many letters, cut with an ellipsis where it is longer."""
    whole = short(text, len(text) + 1)
    return "\n".join(textwrap.wrap(whole, width, max_lines=2, placeholder=" …", break_on_hyphens=False))


def differences(pairs: Sequence[tuple[str, str]], ratio: bool, longest: int) -> list[str]:
    """Two arms with what is done with them between, each name cut to so many letters; of an interaction, both pairs."""
    cut = [[short(arm, longest) for arm in pair] for pair in pairs]
    told = [f"{first} {'/' if ratio else '−'} {second}" for first, second in cut]
    return told if len(told) == 1 else [f"({told[0]})", *(f"+ ({one})" for one in told[1:])]


def compact(value: float) -> str:
    """A number as ticks show it, e.g. ``390k``."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
