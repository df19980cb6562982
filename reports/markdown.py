"""Markdown from values: escaping, tables and the format of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.stats import Interval

NONE = "–"
_SPECIAL = re.compile(r"([\\`*_\[\]~#$])")
# Where a line begins with it: a numbered list, a list, a rule or the line under a heading.
_LEADING = re.compile(r"(\d+)(?=[.)](?:\s|$))|(?=[-+](?:\s|$)|[-=][-= ]*$)")
# Half a surrogate pair cannot be written; the others are shown as nothing, or turn the direction of what follows.
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]+"
)


def visible(text: object) -> str:
    """`text` with a space for what cannot be written or seen, or would turn the direction of what follows."""
    return _CONTROL.sub(" ", str(text))


def escape(text: object) -> str:
    """`text` on one line, as itself: no markdown, HTML or link in it is taken for one."""
    line = visible(text).strip()
    line = _SPECIAL.sub(r"\\\1", line)
    line = _LEADING.sub(r"\g<1>\\", line, count=1) if _LEADING.match(line) else line
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return line.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")  # GitHub makes links of both


def code(text: object) -> str:
    """`text` as a code span, whatever backticks it holds."""
    line = visible(text).strip()
    if not line:
        return NONE
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if len(fence) > 1 else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A markdown table of cells that are markdown already; `right` lists the columns aligned to the right.

    Raises:
        ValueError: a row whose length is not the header's.
    """
    if wrong := [row for row in rows if len(row) != len(header)]:
        raise ValueError(f"a row of {len(wrong[0])} cells in a table of {len(header)} columns")
    rule = ["---:" if index in right else ":---" for index in range(len(header))]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (header, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))


def number(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """`value` with `digits` decimals and thousands separators; a dash where it is unknown."""
    if math.isnan(value):
        return NONE
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    return text.replace("-", "−")


def declared(value: float, digits: int) -> str:
    """A number that somebody gave, with all of its decimals, and `digits` at least."""
    shown = f"{value:,.{digits}f}"
    whole = f"{value:,.10g}"
    return shown if float(shown.replace(",", "")) == float(whole.replace(",", "")) else whole


def brief(value: float) -> str:
    """One digit and the power of ten, e.g. ``3e-7``."""
    return NONE if math.isnan(value) else f"{value:.1g}".replace("e-0", "e-").replace("e+0", "e+")


def listed(words: Sequence[str]) -> str:
    """``a, b and c``, as plain text; of none an error."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean ± SD (ddof 1) of values over seeds; a single value as it is; a dash for none."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return NONE
    mean = sum(known) / len(known)
    if len(known) == 1:
        return number(mean, digits)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in known) / (len(known) - 1))
    return f"{number(mean, digits)} ± {number(deviation, digits)}"


def interval(one: Interval, digits: int = 3, *, ratio: bool = False) -> str:
    """An estimate with its 95 % interval, as a signed difference of so many decimals or as a ratio."""

    def show(value: float) -> str:
        return f"×{number(value, 2)}" if ratio else number(value, digits, sign=True)

    if math.isnan(one.low):
        return f"{show(one.estimate)} (one seed, no interval)"
    if one.se == 0:
        return f"{show(one.estimate)} (the same in all {one.n} seeds)"
    return f"{show(one.estimate)} [{show(one.low)}, {show(one.high)}]"
