"""That the sweeps of `make faults` would notice what they look for; a whole one takes minutes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import record
from core.store import Store
from core.stored_runs import RESULT_SCHEMA
from tests.core.stores import add_run
from tests.faults.kills import Place, descendants, facts, kill, problems


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    for seed in range(2):
        add_run(place.store, seed)
    return place


def change(store: Store, key: str, name: str) -> None:
    """Another value of a metric, in a result that is whole."""
    path = store.path(key, "result.json")
    result = json.loads(path.read_text())
    result["metrics"][name] += 2**-50
    path.write_bytes(record.seal(result, RESULT_SCHEMA))


def test_what_is_lost_doubled_or_changed_is_noticed(place: Place) -> None:
    expected = facts(place)
    first, second = place.store.run_keys()
    assert problems(place, expected) == []
    assert problems(place, {first: expected[first]}) == [f"run {second} is one too many"]
    change(place.store, second, "auroc")
    assert problems(place, expected) == [f"run {second} has other numbers"]
    place.store.path(first, "result.json").unlink()
    place.store.path(first, "scores.npz").unlink()
    add_run(place.store, 3)
    wrong = problems(place, expected)
    assert len(wrong) == 3
    assert f"run {first} is missing" in wrong


def test_damage_is_noticed(place: Place) -> None:
    expected = facts(place)
    place.store.path(place.store.run_keys()[0], "metrics.jsonl").write_text("{")
    (wrong,) = problems(place, expected)
    assert "`store check` says" in wrong
    assert "metrics.jsonl" in wrong


@pytest.mark.parametrize("victim", ["everything", "the command", "a worker"])
def test_victims_die(victim: str) -> None:
    sleep = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    sleep += "print('up', flush=True); time.sleep(60)"
    command = subprocess.Popen([sys.executable, "-c", sleep], stdout=subprocess.PIPE, start_new_session=True)
    assert command.stdout is not None
    command.stdout.readline()
    (child,) = descendants(command.pid)
    try:
        assert kill(command, victim, random.Random(0))
        if victim == "a worker":
            until = time.monotonic() + 10
            while Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
                assert time.monotonic() < until
            assert command.poll() is None
        else:
            assert command.wait(10) == -9
            assert not kill(command, victim, random.Random(0))
    finally:
        subprocess.run(["kill", "-9", "--", f"-{command.pid}"], check=False, stderr=subprocess.DEVNULL)
        command.wait()
