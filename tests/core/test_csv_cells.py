from __future__ import annotations

import pytest

from core.csv_cells import inert


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_run_has_an_apostrophe(text: str) -> None:
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a", "1", "a=b", "'=1", " x"])
def test_other_text_is_itself(text: str) -> None:
    assert inert(text) == text
