"""How small a FPR a test set supports: the rule of 30 over pairs of identities."""

from __future__ import annotations

import pytest

from core.support import ENOUGH_PAIRS, expected_pairs, identities_needed, support_note, supported_fpr


@pytest.mark.parametrize("fpr", [1e-4, 1e-3, 1e-2])
def test_the_fewest_identities_have_just_enough_pairs(fpr: float) -> None:
    needed = identities_needed(fpr)
    assert expected_pairs(needed, fpr) >= ENOUGH_PAIRS > expected_pairs(needed - 1, fpr)
    assert supported_fpr(needed) == fpr
    assert supported_fpr(needed - 1) != fpr


def test_the_record_of_seven_identities_supports_nothing() -> None:
    assert supported_fpr(7) is None
    assert support_note(7) == "too few for any FPR: 1e-2 needs 78 identities"


def test_notes_say_what_the_next_rate_would_take() -> None:
    assert support_note(1000) == "supports FPR 1e-4"
    assert support_note(300) == "supports FPR 1e-3; 1e-4 needs 776 identities"
    assert support_note(100) == "supports FPR 1e-2; 1e-3 needs 246 identities"
