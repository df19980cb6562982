"""The class head's step at the record's number of classes, rates in turn, as `python -m ablations cost` kept it."""

from __future__ import annotations

from core import json_text
from core.store import HEAD_COST, Store


def head_turns(store: Store) -> dict[float, list[float]]:
    """Milliseconds of a documented step by sample rate, one a turn; empty where they were not, or badly, measured."""
    try:
        found = json_text.read(store.root / HEAD_COST)
        turns = {float(rate): [float(ms) for ms in seen] for rate, seen in found["turns"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return turns if all(ms > 0 for seen in turns.values() for ms in seen) else {}
