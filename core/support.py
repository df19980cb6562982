"""How small a false positive rate a test set can support: the rule of 30 over independent impostor pairs.

Pairs of captures of the same two identities rise and fall together, so identity pairs are counted, not
image pairs (Doddington's rule of 30; Bolle et al. 2004 on why the subjects are the unit).
"""

from __future__ import annotations

import math

from core.config import FPRS

ENOUGH_PAIRS = 30  # expected independent false positives below which a threshold rests on too few


def expected_pairs(identities: int, fpr: float) -> float:
    """Identity pairs expected beyond the threshold of `fpr`."""
    return fpr * identities * (identities - 1) / 2


def supported_fpr(identities: int) -> float | None:
    """The smallest of `FPRS` with at least 30 expected independent false positives, None where none has."""
    # A rounding error must not cost a test set that has exactly enough.
    enough = [fpr for fpr in FPRS if expected_pairs(identities, fpr) > ENOUGH_PAIRS - 1e-9]
    return min(enough, default=None)


def identities_needed(fpr: float) -> int:
    """The fewest identities that support `fpr`: 776 for 1e-4."""
    return math.ceil((1 + math.sqrt(1 + 8 * ENOUGH_PAIRS / fpr)) / 2 - 1e-9)


def support_note(identities: int) -> str:
    """E.g. ``supports FPR 1e-3; 1e-4 needs 776 identities``; the rates as metrics are named."""
    best = supported_fpr(identities)
    if best == FPRS[0]:
        return f"supports FPR {fpr_name(best)}"
    lacking = next(fpr for fpr in reversed(FPRS) if best is None or fpr < best)
    needed = f"{fpr_name(lacking)} needs {identities_needed(lacking)} identities"
    return f"supports FPR {fpr_name(best)}; {needed}" if best else f"too few for any FPR: {needed}"


def fpr_name(fpr: float) -> str:
    """1e-4 -> ``1e-4``, as metrics are named."""
    return f"{fpr:.0e}".replace("e-0", "e-")
