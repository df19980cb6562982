"""Words of a command line: seeds and settings as they are given, options as they are written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ablations import settable
from ablations.preset import MOST_SEEDS
from core import yaml_text
from core.config import SEEDS_BELOW
from core.errors import UserError

_LONGEST_SEED = 12  # characters


def refuse(given: Mapping[str, object], why: str) -> None:
    """Raises `UserError` for the first option that was given a value and would be ignored; `why` says why."""
    if named := [option for option, value in given.items() if value]:
        raise UserError(f"{why}: leave out {named[0]}")


def words_of(*options: tuple[str, object, object]) -> list[str]:
    """Options as words of a command, each given with its value and its default; a flag is True or False.

    One at its default is left out.
    """
    differ = [(name, value) for name, value, default in options if value != default]
    return [word for name, value in differ for word in ([name] if value is True else [name, str(value)])]


def words_of_each(option: str, values: Sequence[str] | None) -> list[str]:
    """An option that is given once for each of its values, as words of a command."""
    return [word for value in values or [] for word in (option, value)]


def parse_seeds(text: str | None, default: int) -> tuple[int, ...]:
    """`"3"` -> (0, 1, 2); `"4,9"` -> (4, 9); `"10-12"` -> (10, 11, 12). `UserError` for any other text."""
    if text is None:
        return tuple(range(default))
    parts = [part.split("-") for part in text.split(",")]
    if not all(word.strip().isdecimal() and len(word) <= _LONGEST_SEED for part in parts for word in part):
        raise UserError(f"--seeds: expected how many ('3') or which ('0,1,7', '10-19'), got '{text}'")
    ends = [[int(word) for word in part] for part in parts]
    if any(len(part) > 2 or part[-1] < part[0] for part in ends):
        raise UserError(f"--seeds: expected a range's first and last seed ('10-19'), got '{text}'")
    how_many = len(ends) == 1 and len(ends[0]) == 1
    spans = [range(ends[0][0])] if how_many else [range(part[0], part[-1] + 1) for part in ends]
    if not 1 <= (count := sum(map(len, spans))) <= MOST_SEEDS:
        raise UserError(f"--seeds: expected 1 to {MOST_SEEDS} seeds, got {count}")
    numbers = [seed for span in spans for seed in span]
    if max(numbers) >= SEEDS_BELOW:
        raise UserError(f"--seeds: seeds must be below {SEEDS_BELOW}, got {max(numbers)}")
    if len(set(numbers)) < len(numbers):
        raise UserError(f"--seeds: '{text}' names a seed twice")
    return tuple(numbers)


def parse_sets(pairs: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """`["optim.lr=3e-4"]` -> {"optim.lr": "3e-4"}; values are read as YAML scalars and checked by the field.

    `option` is what mistakes are told of, as `UserError`.
    """
    overrides: dict[str, Any] = {}
    for pair in pairs:
        field, equals, text = pair.partition("=")
        if not equals or not field:
            raise UserError(f"{option}: expected FIELD=VALUE, got '{pair}'")
        if field == "eval.judged":
            raise UserError(f"{option} {field}: it is for trials of `tune`; results are of test identities")
        if instead := settable.advice_for_set(field):
            raise UserError(f"{option} {field}{instead}")
        try:
            overrides[field], _ = yaml_text.parse(f"{option} {field}", text)
        except yaml_text.NotYaml:
            overrides[field] = text
    return overrides
