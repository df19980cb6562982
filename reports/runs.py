"""What a store says of runs: whether each can be read, and its result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import UserError
from core.integrity import examine
from core.store import Store
from reports.cells import LEFT_OUT, Cell


@dataclass(frozen=True)
class Read:
    """What the store says of one key; `result` is there for done runs only."""

    state: str
    reason: str = ""
    result: dict[str, Any] | None = None


def number_at(values: Any, path: str) -> float:
    """The finite number at a dotted path of nested mappings, e.g. ``cost.classes``; nan where there is none."""
    for name in path.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    if isinstance(values, bool) or not isinstance(values, int | float):
        return math.nan
    try:
        return float(values) if math.isfinite(values) else math.nan
    except OverflowError:  # a whole number of more digits than a float holds
        return math.nan


def read_run(key: str, store: Store) -> Read:
    """The state of a run, its files held to what was written.

    A run with a file that is not as it was is ``damaged``, one of a later version ``newer``; both count as not there.
    The reason names the file. Never an exception.
    """
    try:
        found = examine(store, key, digests=True)
    except UserError as error:
        return Read("damaged", str(error))
    if found.condition == "new":
        return Read("missing", "not run yet")
    return Read(found.condition, found.reason, found.result)


def read_runs(cells: Iterable[Cell], store: Store) -> dict[str, Read]:
    """Every key of the cells, each read once: cells of several studies may share a run.

    A run that is not there and that none of its cells asks for is ``left out``, not ``missing``.
    """
    asked: dict[str, bool] = {}
    for cell in cells:
        if cell.key is not None:
            asked[cell.key] = asked.get(cell.key, False) or cell.asked
    reads = {key: read_run(key, store) for key in asked}
    left_out = Read(LEFT_OUT, "no verdict rests on it, and it was not asked for")
    return {key: read if asked[key] or read.state != "missing" else left_out for key, read in reads.items()}


def results(cells: Iterable[Cell], store: Store) -> dict[str, dict[str, Any]]:
    """The results of the done runs, by key."""
    return {key: read.result for key, read in read_runs(cells, store).items() if read.result is not None}
