"""The class head's step at the record's number of classes, rates in turn, as `python -m ablations cost` kept it."""

from __future__ import annotations

from typing import Any

from core import record
from core.config_sections import device_kind
from core.errors import UserError
from core.store import HEAD_COST, HEAD_COST_SCHEMA, Store


def read_head_cost(store: Store) -> dict[str, Any]:
    """What `cost` kept; raises as `core.record.read`."""
    return record.read(store.root / HEAD_COST, HEAD_COST_SCHEMA, "measure again with `python -m ablations cost`")


def head_turns(store: Store, kind: str | None = None) -> dict[float, list[float]]:
    """Milliseconds of a documented step by sample rate, one a turn; empty where they were not, or badly, measured.

    Args:
        kind: of device, such as ``cuda``, that runs are trained on: of another a step says nothing of theirs. Default
            any.
    """
    try:
        found = read_head_cost(store)
        if kind is not None and device_kind(str(found["environment"]["device"])) != kind:
            return {}
        turns = {float(rate): [float(ms) for ms in seen] for rate, seen in found["turns"].items()}
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return turns if all(ms > 0 for seen in turns.values() for ms in seen) else {}
