"""What a step of the class head takes against the number of classes: table and figure of what `cost` measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.errors import UserError
from core.store import HEAD_COST, Store
from reports.canvas import compact, new_figure, short
from reports.figures_style import MUTED, PALETTE, style
from reports.head_turns import read_head_cost
from reports.markdown import NONE, code, escape, number
from reports.page import Block, Figure, Table, Text
from reports.runs import number_at

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_HEADING = "## A step of the class head against the number of classes"
_FEW_TICKS = 100.0  # times from end to end of a log axis
_LINES = {"documented": "--", "fast": "-"}
_NUMBERS = ("classes", "rate", "ms", "step_mb", "state_mb")
_NOTE = (
    "Forward, backward and update of the centres alone, medians, on random embeddings. *documented*: the record's "
    "sampling and AdamW on all centres; *fast*: this project's (core/README.md, Two heads). The step's memory is "
    "beyond what is held between steps."
)

CAPTION = "Milliseconds and memory of a step against the number of classes, by head and sample rate"


@dataclass(frozen=True)
class HeadCost:
    """Rows with head, rate, classes, ms, step_mb, state_mb (nan where unknown) and reason; where it was measured."""

    rows: pd.DataFrame
    where: str


def read(store: Store) -> HeadCost | str:
    """The store's measurement, or why there is none."""
    try:
        found = read_head_cost(store)
        rows = [_row(one) for one in found["rows"]]
        environment = found["environment"]
        where = f"{environment['hardware']}, {environment['device']}, {environment['threads']} thread(s)"
    except FileNotFoundError:
        return "not measured yet: `python -m ablations cost` does, while nothing else runs"
    except UserError as error:
        return str(error)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{HEAD_COST} cannot be read ({type(error).__name__}): measure again with `python -m ablations cost`"
    batch = found["rows"][0].get("batch") if found["rows"] else None
    return HeadCost(pd.DataFrame(rows), f"{where}, batch {batch}")


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "head": str(one["head"]),
        "reason": str(one.get("reason", "")),
        **{name: number_at(one, name) for name in _NUMBERS},
    }


def absent(reason: str) -> list[Block]:
    """The section where there is no measurement."""
    return [Text(f"{_HEADING}\n\n{reason[:1].upper()}{reason[1:]}.")]


def section(found: HeadCost, figure: Figure) -> list[Block]:
    """The section of a study's page; `figure` is what `head_cost_figure` drew."""
    return [Text(f"{_HEADING}\n\n{_NOTE} Measured on {escape(found.where)}."), figure, _table(found.rows)]


def _table(rows: pd.DataFrame) -> Table:
    cells = []
    for (classes, rate), group in rows.groupby(["classes", "rate"], sort=False):
        by_head = {row["head"]: row for _, row in group.iterrows()}
        nothing: Mapping[str, Any] = {}
        documented, fast = (dict(by_head.get(head, nothing)) for head in ("documented", "fast"))
        reasons = [f"{code(head)}: {escape(row['reason'])}" for head, row in by_head.items() if row["reason"]]
        cells.append([
            f"{classes:,.0f}", f"{rate:g}", *(number(number_at(one, "ms"), 1) for one in (documented, fast)),
            number(number_at(documented, "ms") / number_at(fast, "ms"), 1),
            *(number(number_at(one, name), 0) for name in ("step_mb", "state_mb") for one in (documented, fast)),
            " ".join(reasons) or NONE,
        ])  # fmt: skip
    header = [
        "classes", "rate", "documented, ms", "fast, ms", "documented / fast", "step MB, documented", "step MB, fast",
        "held MB, documented", "held MB, fast", "not measured",
    ]  # fmt: skip
    return Table.of("steps", "A step of the class head", header, cells, right=range(len(header) - 1))


def head_cost_figure(found: HeadCost) -> Drawing:
    """Time and memory of a step against the number of classes, both axes logarithmic."""
    from matplotlib.ticker import LogLocator

    with style():
        figure, panels = new_figure(4.2, columns=2)
        rates = sorted(set(found.rows["rate"]), reverse=True)
        for axes, column, label in zip(panels, ("ms", "step_mb"), ("ms a step", "MB a step"), strict=True):
            for (rate, head), rows in found.rows.groupby(["rate", "head"], sort=False):
                drawn = rows[rows[column] > 0].sort_values("classes")
                name = "full" if rate == 1 else f"rate {rate:g}"
                axes.plot(
                    drawn["classes"], drawn[column], _LINES.get(str(head), ":"), marker="o", markersize=3.5,
                    color=PALETTE[rates.index(rate) % len(PALETTE)], label=short(f"{name}, {head}"),
                )  # fmt: skip
            axes.set(xlabel="classes", ylabel=label)
            axes.grid(which="major")
            if (found.rows[column] > 0).any():
                axes.set(xscale="log", yscale="log")
                low, high = axes.get_ylim()
                if high / low < _FEW_TICKS:  # powers of ten would be too few
                    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                for axis in (axes.xaxis, axes.yaxis):
                    axis.set_major_formatter(lambda value, _: compact(value))
                axes.minorticks_off()
            else:
                axes.text(0.5, 0.5, "not known", transform=axes.transAxes, ha="center", color=MUTED, style="italic")
        panels[0].set_title("time")
        panels[1].set_title("memory beyond what is held")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        return figure
