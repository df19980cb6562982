"""Trends over the levels of an arm: does a metric rise from one to the next?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def page_p(values: ArrayLike) -> tuple[float, float]:
    """Page's (1963) exact test for an order of levels: p of a rising trend and of a falling one.

    Args:
        values: (n, levels), seeds as blocks, levels in the order that the claim says rises.
    """
    from scipy.stats import page_trend_test

    table = np.asarray(values, float)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3:
        raise ValueError(f"a trend needs (n >= 2 seeds, levels >= 3), got {table.shape}")
    rising, falling = (page_trend_test(one) for one in (table, table[:, ::-1]))
    return float(rising.pvalue), float(falling.pvalue)


def ordered_p(values: ArrayLike) -> tuple[float, float]:
    """As `page_p`, but 1 for a direction in which the means of the levels do not go all the way.

    Page's test rejects that there is no order at all. Levels that go up, up further and down again have one, of which
    enough seeds make it as sure as can be: that it rises from each level to the next takes the means as well.
    """
    rising, falling = page_p(values)
    steps = np.diff(np.asarray(values, float).mean(0))
    return (rising if (steps > 0).all() else 1.0), (falling if (steps < 0).all() else 1.0)
