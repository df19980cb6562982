"""Cells of CSV files that a spreadsheet must not take for formulas."""

from __future__ import annotations

_STARTS = ("=", "+", "-", "@", "\t", "\r")


def inert(text: str) -> str:
    """`text` with an apostrophe before it where a spreadsheet would run it (OWASP, "CSV Injection")."""
    return f"'{text}" if text.startswith(_STARTS) else text
