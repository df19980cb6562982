"""A store with something of all that a store may hold."""

from __future__ import annotations

from pathlib import Path

from ablations.registry import load_study
from ablations.tuning_store import save
from core import record
from core.store import HEAD_COST, HEAD_COST_SCHEMA, Store
from tests.core.stores import add_run

FAILED = "f" * 16


def filled(root: str) -> Store:
    """Three runs that are done, a failed one, a search and a timing."""
    store = Store(root)
    for seed in range(3):
        add_run(store, seed)
    store.fail(FAILED, "diverged", "the loss is nan", "seed: 0\n")
    arm = {"values": None, "trials": [], "failed": 0, "at_edge": []}
    save(store, load_study("neck").study, "0" * 12, "quick", {"flat": arm})
    (store.root / HEAD_COST).write_bytes(record.seal({"turns": {"0.3": [20.0]}}, HEAD_COST_SCHEMA))
    return store


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
