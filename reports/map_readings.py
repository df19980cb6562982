"""What a contrast under conditions says of the claim in each, at 95 % and by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from reports.decision import Difference
from reports.estimates import Estimate
from reports.findings_plot import COLORS as VERDICT_COLORS

Reading = Literal["as claimed", "against", "too small", "open", "not judged", "not there"]
Conditions = Sequence[tuple[str, Estimate]]  # one contrast under every condition
COLORS: dict[Reading, str] = {  # those of the verdicts that are alike
    "as claimed": VERDICT_COLORS["reproduced"], "against": VERDICT_COLORS["contradicted"],
    "too small": VERDICT_COLORS["not reproduced"],
}  # fmt: skip
_SIDE = 0.025  # what an interval of 95 % leaves on one side


def reading(one: Estimate) -> Reading:
    """What the interval says of the claim, at 95 % and by itself; of several parts, each must be as claimed."""
    if one.interval is None:
        return "not there"
    if one.gate:
        return "not judged"
    seen = {part_reading(test) for test in one.tests}
    if len(seen) == 1:
        return seen.pop()
    return "too small" if seen & {"against", "too small"} else "open"


def part_reading(test: Difference) -> Reading:
    """Of one difference, on the scale that is tested."""
    seen = test.interval
    if math.isnan(seen.low):
        return "open"
    rising, falling = test.trend or (0.0, 0.0)
    if seen.high < test.null and falling <= _SIDE:
        return "against"
    if test.worth is not None and seen.high < test.worth:
        return "too small"
    sure = seen.low > test.null and rising <= _SIDE
    return "as claimed" if sure and test.large_enough else "open"
