"""Seeds and settings as they are given on a command line."""

from __future__ import annotations

import pytest

from ablations.words import parse_seeds, parse_sets
from core.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, (0, 1)),
        ("3", (0, 1, 2)),
        ("4,9", (4, 9)),
        ("10-12", (10, 11, 12)),
        ("7,10-11", (7, 10, 11)),
        ("3-3", (3,)),
        ("12-10", None),
        ("1-2-3", None),
        ("-3", None),
        ("3-", None),
        ("0-1000", None),
        ("0-999999999999", None),
        ("1,0-2", None),
        ("4,", None),
        ("0", None),
        ("-1", None),
        ("x", None),
        ("2,2", None),
    ],
)
def test_seeds(text: str | None, expected: tuple[int, ...] | None) -> None:
    if expected is None:
        with pytest.raises(UserError, match="--seeds"):
            parse_seeds(text, 2)
    else:
        assert parse_seeds(text, 2) == expected


@pytest.mark.parametrize("text", ["9" * 5000, "1," + "9" * 5000, "", ",", "-1", "1e3", "x" * 5000])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--seeds"):
        parse_seeds(text, 3)


@pytest.mark.parametrize("pair", ["optim.lr", "=3", "data.source=x", "runtime.device=cuda", "seed=3"])
def test_sets_that_are_refused(pair: str) -> None:
    with pytest.raises(UserError, match="--set"):
        parse_sets([pair])


@pytest.mark.parametrize(
    ("text", "value"),
    [("3e-4", "3e-4"), ("bn", "bn"), ("a: b: c", "a: b: c"), ("[", "["), ("!!python/name:os.system", None), ("24", 24)],
)
def test_values_are_plain_data_or_words(text: str, value: object) -> None:
    assert parse_sets([f"model.norm={text}"]) == {"model.norm": text if value is None else value}


@pytest.mark.parametrize("text", [".nan", ".inf", "9" * 50, "x" * 300_000, "1" + ":0" * 60])
def test_values_beyond_the_limits_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--set optim\.lr"):
        parse_sets([f"optim.lr={text}"])
