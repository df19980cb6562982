"""A small part of what `make faults` does at large: files of a store are damaged, and nothing comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.store import CHECKPOINT, HEAD_COST, Store
from tests.faults.store_damage import damage_every_file, make_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "home"
    make_home(folder)
    return folder


def one_of_each(store: Store) -> list[str]:
    """A file of every kind: of a run that is done, one that failed, one that is unfinished, a search, a timing."""
    states = {store.state(key): key for key in store.run_keys()}
    names = [f"{states['done']}/{name}" for name in ("result.json", "scores.npz", "metrics.jsonl", "config.yaml")]
    names += [f"{states['failed']}/failure.json", f"{states['new']}/{CHECKPOINT}", HEAD_COST]
    return names + [f"tuning/{path.name}" for path in sorted((store.root / "tuning").iterdir())]


def test_damage_is_named_and_made_good(home: Path) -> None:
    rows = damage_every_file(home, 1, 0, one_of_each(Store(home / "runs")))
    assert len(rows) == 9
    assert [row for row in rows if row.wrong] == []
    assert any("made again" in row.outcome for row in rows)
