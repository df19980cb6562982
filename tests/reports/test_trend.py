"""Tests of an order of levels."""

from __future__ import annotations

import numpy as np
import pytest

from reports.trend import ordered_p, page_p

RISING = [[0.1, 0.2, 0.3], [0.2, 0.25, 0.5], [0.0, 0.4, 0.6]]


def test_page_finds_an_order_and_its_opposite() -> None:
    up, down = page_p(RISING)
    assert up < 0.01
    assert down > 0.9
    assert page_p(np.asarray(RISING)[:, ::-1]) == (down, up)
    with pytest.raises(ValueError, match="levels >= 3"):
        page_p([[0.1, 0.2], [0.1, 0.2]])


def test_levels_that_go_up_and_down_again_rise_for_page_and_not_in_order() -> None:
    up_and_down = np.array([[0.0, 0.3, 0.2]] * 20)
    assert page_p(up_and_down)[0] < 0.001
    assert ordered_p(up_and_down) == (1.0, 1.0)
    assert ordered_p(RISING) == (page_p(RISING)[0], 1.0)
    assert ordered_p(np.asarray(RISING)[:, ::-1]) == (1.0, page_p(RISING)[0])
    assert ordered_p([[0.1, 0.1, 0.3]] * 9)[0] == 1.0  # a level that adds nothing is no rise
