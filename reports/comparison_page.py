"""A comparison of two reports, as one page with a figure and two tables."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reports.alone import Alone
from reports.canvas import FARTHEST, multiple, multiples, point, short, two_lines, within, worth_tick
from reports.comparison import Comparison, EstimatePair, FindingPair
from reports.comparison_told import reasons, told
from reports.control import CONTROL
from reports.figures_style import PALETTE, style
from reports.folders import check_page, make_folders
from reports.markdown import NONE, code, escape
from reports.metrics import metric_name, told_interval
from reports.page import Block, Figure, Page, Table, Text
from reports.pages import Files, write_page
from reports.summary import EstimateSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_MARK = "# Two reports compared"  # begins every such page
_LONGEST = 90  # bytes of a report's name: two of them, and what is beside them, are the name of a file
_ROW = 0.42  # inches
_MARKS = ((PALETTE[0], "o", -0.15), (PALETTE[3], "s", 0.15))  # of the first and the second report
CAPTION = (
    "Every contrast that decides and that both reports have, in multiples of the smallest effect worth having (of a "
    "claim that nothing is lost: the largest loss allowed), with 95 % intervals; ratios by their logarithms. To the "
    "right: in favour of the claim; the tick: what is worth having, or allowed. Circle: the first report, square: the "
    "second. Bold: the two differ by more than chance, at 95 % and each by itself. Hollow: a gate forbids to judge it. "
    "An arrow stands for an estimate, or the end of an interval, beyond the axis."
)
_HOW = (
    "Both are read at the lowest FPR at which both reports have an estimate. A difference is the second report's "
    "estimate minus the first's (of ratios the quotient), with its 95 % interval; **differ** where that leaves out "
    "zero (of ratios: one), each by itself, **opposite** where both intervals leave it out as well, on either side. "
    "Its variance is the sum of both reports' (Welch 1947). Where arms, settings and inputs are the same, the "
    "variation over test identities drops out, as both are judged on the same; elsewhere runs of one seed share "
    "random streams, and are taken for independent. Of an interaction each of its two differences is compared, "
    "or their sum where a report of an earlier version has no more."
)


def write_comparison(found: Comparison, out: Path, command: str) -> Path:
    """Write `<first>-and-<second>.md` with its figure and tables under `out`; returns the page's path.

    Raises:
        UserError: `out` cannot be made or is a store, or the page's place is taken by what is no comparison.
        RunFailure: a file cannot be written.
    """
    slug = "-and-".join(map(_slug, found.names))
    check_page(page := out / f"{slug}.md", _MARK)
    make_folders(out, out / "figures", out / "tables")
    shown = _shown(found)
    files = Files(out, "compared", html=False)
    drawn = [files.write(slug, _figure(shown, found), CAPTION, "both reports' estimates")] if shown else []
    write_page(Page(slug, "Two reports", tuple(_blocks(found, drawn, command))), out)
    return page


def _slug(name: str) -> str:
    """Of a report's folder: its letters and digits, of any script, as far as two find room in the name of a file."""
    words = re.sub(r"[\W_]+", "-", Path(name).resolve().name.lower()).strip("-")
    return words.encode()[:_LONGEST].decode(errors="ignore").strip("-") or "report"


def _blocks(found: Comparison, figures: Sequence[Figure], command: str) -> list[Block]:
    first, second = (code(name) for name in found.names)
    return [
        Text(f"{_MARK}\n\nFirst: {first}. Second: {second}.\n\n{' '.join(map(escape, told(found)))}"),
        finding_table(found),
        *([Text("\n".join(f"- {escape(one)}" for one in why))] if (why := reasons(found)) else []),
        *figures,
        estimate_table(found),
        Text(f"{_HOW}\n\nCommand: {code(command)}."),
    ]


def finding_table(found: Comparison) -> Table:
    """Both verdicts on every finding."""
    rows = [_finding_row(pair) for pair in found.findings]
    header = ["#", "claim", "first", "second", "moved"]
    return Table.of("verdicts", "Verdicts of both reports", header, rows, right=(0,))


def _finding_row(pair: FindingPair) -> list[str]:
    verdicts = [f"**{escape(one)}**" if one else NONE for one in pair.verdicts]
    moved = "**yes**" if pair.moved else "no" if pair.reached else NONE
    return [escape(pair.either.label), escape(pair.either.claim), *verdicts, moved]


def estimate_table(found: Comparison) -> Table:
    """Both estimates of every contrast of which there is one, and their difference; then those of one report alone."""
    rows = [_estimate_row(pair, _name(pair, found)) for pair in found.estimates if pair.there]
    rows += [_alone_row(one, found) for one in found.alone]
    header = ["finding", "contrast", "first", "second", "difference", "reading"]
    return Table.of("estimates", "Estimates of both reports", header, rows)


def _name(pair: EstimatePair, found: Comparison) -> str:
    """The finding's label, as plain text."""
    one = pair.first
    return "A/A" if one.study == CONTROL else found.labels.get(one.finding, one.finding)


def _estimate_row(pair: EstimatePair, label: str) -> list[str]:
    first = pair.first
    name = escape(label) + ("" if first.decides else " (beside)")
    difference = NONE if pair.difference is None else told_interval(pair.difference, first.metric, ratio=first.ratio)
    reading: str = f"**{pair.reading}**" if pair.reading in ("differ", "opposite") else pair.reading
    reading += f": {escape(pair.why)}" if pair.why else ""
    estimates = [_text(one) for one in (pair.first, pair.second)]
    if pair.second.metric != first.metric and pair.second.interval:  # the label says the first's
        estimates[1] += f", on {escape(metric_name(pair.second.metric))}"
    return [name, escape(first.label), *estimates, difference, reading]


def _alone_row(alone: Alone, found: Comparison) -> list[str]:
    one = alone.estimate
    name = escape(found.labels.get(one.finding, one.finding)) + ("" if one.decides else " (beside)")
    estimates = [NONE, NONE]
    estimates[alone.report] = _text(one)
    return [name, escape(one.label), *estimates, NONE, f"not told: {escape(alone.why)}"]


def _text(one: EstimateSummary) -> str:
    found = one.interval
    if found is None:
        return NONE
    return f"{told_interval(found, one.metric, ratio=one.ratio)}, {found.n} seed{'s' if found.n > 1 else ''}"


def _shown(found: Comparison) -> list[EstimatePair]:
    return [
        pair for pair in found.estimates
        if pair.first.decides and pair.first.estimate is not None and pair.second.estimate is not None
    ]  # fmt: skip


def _figure(pairs: Sequence[EstimatePair], found: Comparison) -> Drawing:
    """A row for every contrast, the two reports' estimates below one another."""
    with style():
        figure, axes = multiples(len(pairs), _ROW)
        labels = [two_lines(f"{_name(pair, found)}:  {pair.first.label}", 52) for pair in pairs]
        axes.set_yticks(range(len(pairs)), labels, fontsize=8)
        axes.tick_params(axis="y", length=0)
        for name, (color, marker, _) in zip(found.names, _MARKS, strict=True):
            axes.plot([], [], color=color, marker=marker, markersize=5, linewidth=1.4, label=short(Path(name).name, 40))
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
        for row, (pair, label) in enumerate(zip(pairs, axes.get_yticklabels(), strict=True)):
            if pair.first.study != CONTROL:  # of which no effect is worth having
                worth_tick(axes, row, pair.first.kind, 0.32)
            if pair.reading in ("differ", "opposite"):
                label.set_fontweight("bold")
            for one, (color, marker, shift) in zip((pair.first, pair.second), _MARKS, strict=True):
                _draw(axes, row + shift, one, color, marker)
        return figure


def _draw(axes: Axes, row: float, one: EstimateSummary, color: str, marker: str) -> None:
    found = one.interval
    assert found is not None
    low, middle, high = (multiple(end, one.unit, one.ratio) for end in (found.low, found.estimate, found.high))
    if abs(middle) > FARTHEST:
        marker, middle = (">" if middle > 0 else "<"), within(middle)
    if math.isfinite(low):
        axes.plot([within(low), within(high)], [row, row], color=color, linewidth=1.4, zorder=3)
        for end, beyond, arrow in ((-FARTHEST, low < -FARTHEST, "<"), (FARTHEST, high > FARTHEST, ">")):
            if beyond and abs(middle) < FARTHEST:
                axes.plot([end], [row], marker=arrow, markersize=4, color=color, zorder=3, linestyle="none")
    point(axes, middle, row, color, hollow=bool(one.gate), size=5, marker=marker)
