"""Seeds and settings as they are given on a command line."""

from __future__ import annotations

import pytest

from ablations import settable
from ablations.words import parse_seeds, parse_sets
from core.config import field_names
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
    ("field", "says"),
    [("data.source", "--data"), ("eval.source", "--eval"), ("runtime.device", "--device"), ("seed", "--seeds")],
)
def test_what_an_option_of_its_own_says_is_named(field: str, says: str) -> None:
    with pytest.raises(UserError, match=f"^--over {field}: {says} says it$"):
        parse_sets([f"{field}=3"], "--over")


def test_all_is_set_that_a_study_can_say_but_its_images() -> None:
    refused = set()
    for field in field_names():
        try:
            parse_sets([f"{field}=3"])
        except UserError:
            refused.add(field)
    allowed = {name for name in field_names() if settable.can_name(name) and not settable.arms_alone(name)}
    assert refused == set(field_names()) - allowed
    assert "data.strict" in allowed  # which a preset leaves to --strict


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
