"""Intervals over seeds: pure functions of arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided confidence interval; `low` and `high` are nan where one seed gives none.

    `se` and `df` are the standard error and the degrees of freedom that the interval was made with, `n` the
    number of seeds.
    """

    estimate: float
    low: float
    high: float
    se: float
    df: float
    n: int


def paired_interval(
    a: ArrayLike,
    b: ArrayLike,
    confidence: float = 0.95,
    identity_se: float = 0.0,
    identity_df: float | None = None,
) -> Interval:
    """Student's t interval for the mean of ``a - b`` over seeds, with the variance over identities added.

    ``SE^2 = s_d^2 / n + identity_se^2`` with s_d the standard deviation of the differences (ddof 1), and the
    degrees of freedom of Satterthwaite (1946, Biometrics Bulletin 2(6)) for that sum. The seed is the unit of
    replication: a percentile bootstrap over so few of them undercovers.

    Without `identity_se` the interval is exact for normal differences. With one that is known well and smaller than
    the seeds' own, Satterthwaite's df, which is itself estimated, makes nominal 95 % intervals cover 87-88 % at n = 2,
    92-93 % at n = 3, 94 % at n = 5 and 95 % from n = 8 (simulated, `identity_df` 40).

    Args:
        a, b: (n,) values of two arms for the same seeds in the same order.
        confidence: coverage, between 0 and 1.
        identity_se: standard error of the mean difference over test identities; 0 leaves identities fixed.
        identity_df: degrees of freedom of `identity_se`, as a rule identities - 1; None takes it as known.

    Raises:
        ValueError: shapes that differ or are not (n,) with n >= 1, values that are not finite, or a
            `confidence`, `identity_se` or `identity_df` out of range.
    """
    first, second = _values(a, "a"), _values(b, "b")
    if first.shape != second.shape:
        raise ValueError(f"a {first.shape} and b {second.shape} must hold the same seeds in the same order")
    return _interval(first - second, confidence, identity_se, identity_df)


def mean_interval(a: ArrayLike, confidence: float = 0.95) -> Interval:
    """Student's t interval for the mean of `a` (n,) over seeds; raises ValueError as `paired_interval`."""
    return _interval(_values(a, "a"), confidence, 0.0, None)


def _values(values: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be (n,) with n >= 1, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite: leave out the seeds without a result")
    return array


def _interval(values: np.ndarray, confidence: float, identity_se: float, identity_df: float | None) -> Interval:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    if not (math.isfinite(identity_se) and identity_se >= 0):
        raise ValueError(f"identity_se must be finite and not negative, got {identity_se}")
    if identity_df is not None and not identity_df > 0:
        raise ValueError(f"identity_df must be positive, got {identity_df}")
    n, estimate = len(values), float(values.mean())
    if n == 1:
        return Interval(estimate, math.nan, math.nan, math.nan, 0.0, 1)
    seeds, identities = float(values.var(ddof=1)) / n, identity_se**2
    variance = seeds + identities
    df = float(n - 1)
    if identities > 0:
        spread = seeds**2 / (n - 1) + (0.0 if identity_df is None else identities**2 / identity_df)
        df = float(variance**2 / spread) if spread > 0 else math.inf
    se = math.sqrt(variance)
    upper = 0.5 + confidence / 2
    half = float(ndtri(upper) if math.isinf(df) else stdtrit(df, upper)) * se
    return Interval(estimate, estimate - half, estimate + half, se, df, n)
