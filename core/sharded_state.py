"""State of tables that ranks share out: written as one, so that a checkpoint does not know how many ranks wrote it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from core.ranks import Part, Ranks

_MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW, which are of the parameter's shape


def whole_rows(state: dict[str, Any], names: Collection[str], classes: int, ranks: Ranks) -> dict[str, Any]:
    """A module's `state_dict` with the tables `names` of all ranks together, each of `classes` rows, on the leader."""
    if ranks.alone:
        return state
    return {name: ranks.collect(value, classes) if name in names else value for name, value in state.items()}


def own_rows(state: dict[str, Any], names: Collection[str], part: Part) -> dict[str, Any]:
    """What `whole_rows` gave, with this rank's part of the tables."""
    return {name: value[part.rows] if name in names else value for name, value in state.items()}


def whole_moments(state: dict[str, Any], index: int, classes: int, ranks: Ranks) -> dict[str, Any]:
    """An optimiser's `state_dict` with the moments of parameter `index` of all ranks together, on the leader."""
    if ranks.alone or index not in state["state"]:
        return state
    return _with_moments(state, index, lambda moment: ranks.collect(moment, classes))


def own_moments(state: dict[str, Any], index: int, part: Part) -> dict[str, Any]:
    """What `whole_moments` gave, with this rank's part of them."""
    if index not in state["state"]:
        return state
    return _with_moments(state, index, lambda moment: moment[part.rows])


def _with_moments(state: dict[str, Any], index: int, change: Any) -> dict[str, Any]:
    entry: dict[str, torch.Tensor] = state["state"][index]
    changed = {name: change(value) if name in _MOMENTS else value for name, value in entry.items()}
    return {**state, "state": {**state["state"], index: changed}}
