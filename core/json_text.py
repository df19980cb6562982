"""JSON from outside as plain data: limits on size, depth and numbers; no doubled keys and nothing that is not JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from core.errors import UserError

MAX_BYTES = 64_000_000  # annotations of public sets are the largest
MAX_DEPTH = 64
_LONGEST_INTEGER = 40  # digits


def read(path: Path, most: int = MAX_BYTES) -> Any:
    """The content of a JSON file.

    Raises:
        OSError: the file cannot be read.
        UserError: it is not JSON in UTF-8, or beyond a limit; the file is named.
    """
    with path.open("rb") as handle:
        content = handle.read(most + 1)
    if len(content) > most:
        raise UserError(f"{path}: over {most:,} bytes")
    return parse(str(path), content)


def parse(source: str, content: bytes | str) -> Any:
    """The data of a JSON text.

    Raises:
        UserError: naming `source`.
    """
    try:
        return value_of(content)
    except ValueError as error:
        raise UserError(f"{source}: not valid JSON: {error}") from None


def value_of(content: bytes | str) -> Any:
    """As `parse`; raises `ValueError` with no more than what is wrong."""
    deep = f"nested deeper than {MAX_DEPTH} levels"
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        value = json.loads(
            text, parse_int=_integer, parse_float=_finite, parse_constant=_no_constant, object_pairs_hook=_distinct
        )
    except RecursionError:
        raise ValueError(deep) from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    if _deeper_than(value, MAX_DEPTH):
        raise ValueError(deep)
    return value


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:  # no float can hold some of them, and longer ones take long to read
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:_LONGEST_INTEGER]} is beyond what a float holds")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:60]!r} is given twice")
    return found


def _deeper_than(value: Any, most: int) -> bool:
    waiting = [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        inside = list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else []
        if inside and depth > most:
            return True
        waiting += [(each, depth + 1) for each in inside if isinstance(each, dict | list)]
    return False
