"""How a TPR varies with the identities that happen to be in a test set: a bootstrap over identities.

Both sides of a pair are resampled together (the vertex bootstrap of networks, the "two-sided" one of biometrics): with
multinomial weights w, a pair of identities i and j counts w_i w_j times, the positives of identity k w_k times, and
copies of one identity are never impostors of each other. All arms and seeds are reweighted by the same w, so that
differences between arms keep their pairing. A bootstrap over pairs, or over one side, would take pairs for
independent and give intervals that are far too short (Bolle et al. 2004; Li et al. 2009).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from reports.cells import SHIFTED_PREFIX

REPLICATES = 400  # the standard error of a standard error from them is 3.5 %
_ROWS = 256  # negatives summed at once before the threshold is looked for among them
_SLICE = 2**13  # negatives weighted at once


@lru_cache(maxsize=8)
def identity_weights(identities: int, replicates: int = REPLICATES) -> NDArray[np.uint8]:
    """Multinomial weights (K, B) of K identities in B replicates, the same whenever asked for."""
    rng = np.random.default_rng(identities)
    drawn = rng.multinomial(identities, np.full(identities, 1 / identities), size=replicates)
    return np.ascontiguousarray(drawn.T.astype(np.uint8))


def is_rate(metric: str) -> bool:
    """Whether a column of the frame is a TPR at an FPR, of which there are replicates."""
    return metric.removeprefix(SHIFTED_PREFIX).startswith("tpr@")


def tpr_replicates(
    scores: Mapping[str, np.ndarray], fpr: float, replicates: int = REPLICATES, prefix: str = ""
) -> NDArray[np.float64] | None:
    """TPR at `fpr` (B,) in every replicate, from what a run keeps of its scores.

    Args:
        scores: `positive_scores` (P,) with `positive_ids` (P,), the hardest negatives' `negative_scores` (L,), falling,
            with `negative_i`, `negative_j` (L,), and `captures` (K,) by identity.
        prefix: of the names, ``shifted_`` for shifted captures.

    Returns:
        None where the scores are not kept, or a replicate's threshold lies beyond the last negative that is.
    """
    names = ("positive_scores", "positive_ids", "negative_scores", "negative_i", "negative_j", "captures")
    if any(prefix + name not in scores for name in names):
        return None
    positives, owners, negatives, left, right, captures = (np.asarray(scores[prefix + name]) for name in names)
    weights = identity_weights(len(captures), replicates)
    allowed = np.floor(fpr * _negative_pairs(captures, weights) + 1e-9)
    cut = _nth_negative(allowed, left, right, weights)
    if cut is None:
        return None
    return _weighted_share(positives, owners, weights, negatives[cut])


def distinct_impostors(scores: Mapping[str, np.ndarray], fpr: float, prefix: str = "") -> int | None:
    """Pairs of identities among the false positives at `fpr`, the independent ones there are; None where unknown."""
    if any(prefix + name not in scores for name in ("negative_i", "negative_j", "captures")):
        return None
    captures = np.asarray(scores[prefix + "captures"])
    allowed = int(fpr * _negative_pairs(captures, np.ones((len(captures), 1), np.uint8))[0] + 1e-9)
    left, right = (scores[prefix + name][:allowed].astype(np.int64) for name in ("negative_i", "negative_j"))
    return len(np.unique((left << 32) | right))


def _negative_pairs(captures: np.ndarray, weights: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pairs (B,) of captures of different identities: copies of an identity make none with each other."""
    weighted = captures.astype(np.float64)[:, None] * weights
    return (weighted.sum(0) ** 2 - (weighted**2).sum(0)) / 2


def _nth_negative(
    allowed: NDArray[np.float64], left: np.ndarray, right: np.ndarray, weights: NDArray[np.uint8]
) -> NDArray[np.int64] | None:
    """Index (B,) of the first negative that is one too many, from the hardest; None if the list ends before."""
    found = np.full(len(allowed), -1, np.int64)
    before = np.zeros(len(allowed), np.int64)
    for start in range(0, len(left), _SLICE):
        part = slice(start, start + _SLICE)
        counts = weights[left[part]] * weights[right[part]]  # uint8: a weight above 15 does not occur
        blocks = np.add.reduceat(counts, np.arange(0, len(counts), _ROWS), axis=0, dtype=np.int64)
        upto = before + np.cumsum(blocks, axis=0)
        here = np.flatnonzero((found < 0) & (upto[-1] > allowed))
        found[here] = start + _within(allowed[here], counts[:, here], upto[:, here] - blocks[:, here], upto[:, here])
        if (found >= 0).all():
            return found
        before = upto[-1]
    return None


def _within(
    allowed: NDArray[np.float64], counts: NDArray[np.uint8], before: NDArray[np.int64], upto: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The row (R,) of `counts` (N, R) at which each replicate first exceeds what is allowed; blocks narrow it down."""
    replicates = np.arange(len(allowed))
    block = (upto > allowed).argmax(axis=0)
    rows = np.minimum(block * _ROWS + np.arange(_ROWS)[:, None], len(counts) - 1)  # beyond the last row: never reached
    reached = before[block, replicates] + np.cumsum(counts[rows, replicates], axis=0, dtype=np.int64)
    return np.asarray(block * _ROWS + (reached > allowed).argmax(axis=0))


def _weighted_share(
    positives: np.ndarray, owners: np.ndarray, weights: NDArray[np.uint8], cut: np.ndarray
) -> NDArray[np.float64]:
    """Share (B,) of positives above the cut of each replicate, each counted as often as its identity was drawn."""
    order = np.argsort(-positives, kind="stable")
    owners, above = owners[order], np.searchsorted(-positives[order], -cut, side="left")  # strictly above the cut
    low, high = int(above.min()), int(above.max())
    held = weights.astype(np.float64)
    # Cuts of replicates are near to one another: what is above all of them is counted by identity at once.
    passed = np.bincount(owners[:low], minlength=len(weights)) @ held
    between = np.cumsum(weights[owners[low:high]], axis=0, dtype=np.int64)
    some = np.flatnonzero(above > low)
    passed[some] += between[above[some] - low - 1, some]
    total = np.bincount(owners, minlength=len(weights)) @ held
    return np.asarray(passed / np.maximum(total, 1), np.float64)


class Replicates:
    """What runs' scores say of the identities behind their TPRs, by key and metric, each computed once.

    Args:
        load: the scores of a run by its key; an exception that it raises stands for scores that cannot be used.
    """

    def __init__(self, load: Callable[[str], Mapping[str, np.ndarray]]) -> None:
        self._load = load
        self._known: dict[tuple[str, str], tuple[NDArray[np.float64] | None, int | None]] = {}

    def of(self, key: str, metric: str) -> NDArray[np.float64] | None:
        """TPR (B,) of the run, or None where its scores do not allow it; `metric` is a column of the frame."""
        return self._read(key, metric)[0]

    def impostors(self, key: str, metric: str) -> int | None:
        """Pairs of identities among the run's false positives, or None where its scores do not tell."""
        return self._read(key, metric)[1]

    def _read(self, key: str, metric: str) -> tuple[NDArray[np.float64] | None, int | None]:
        if (key, metric) not in self._known:
            self._known[key, metric] = self._compute(key, metric)
        return self._known[key, metric]

    def _compute(self, key: str, metric: str) -> tuple[NDArray[np.float64] | None, int | None]:
        plain = metric.removeprefix(SHIFTED_PREFIX)
        if not is_rate(metric):
            return None, None
        try:
            scores, fpr = self._load(key), float(plain.removeprefix("tpr@"))
            prefix = "" if plain == metric else "shifted_"
            return tpr_replicates(scores, fpr, prefix=prefix), distinct_impostors(scores, fpr, prefix)
        except (UserError, OSError, ValueError, IndexError, TypeError):
            return None, None
