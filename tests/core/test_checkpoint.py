"""Checkpoint files: whole or not there, of this training or of none, and seldom enough."""

from __future__ import annotations

import errno
import io
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core import checkpoint
from core.checkpoint import Saver, identity, progress
from core.errors import RunFailure

STATE = {"weights": torch.arange(5000.0), "step": 7, "loss": math.nan, "names": ["a", "b"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Saver(tmp_path / "checkpoint.pt", "me").save(STATE, 70, 100)
    return tmp_path / "checkpoint.pt"


def read(path: Path, identity: str = "me") -> dict[str, Any] | None:
    return Saver(path, identity).read()


def test_what_was_saved_is_read(path: Path) -> None:
    state = read(path)
    assert state is not None
    assert torch.equal(state["weights"], STATE["weights"])
    assert state["step"] == 7
    assert math.isnan(state["loss"])
    assert progress(path) == (70, 100)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_of_another_training_is_none(path: Path) -> None:
    assert read(path, "someone else") is None


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_every_cut_and_every_flip_is_none(path: Path) -> None:
    """Among the flips are many in the weights, which torch's own reader would take for values."""
    whole, places = path.read_bytes(), random.Random(0)
    size = len(whole)
    for length in (*range(0, 200, 7), *(places.randrange(size) for _ in range(100)), size - 1):
        path.write_bytes(whole[:length])
        assert read(path) is None, length
    accepted_by_torch = 0
    for place in (*range(0, 200, 7), *(places.randrange(size) for _ in range(200)), size - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << places.randrange(8)
        path.write_bytes(flipped)
        assert read(path) is None, place
        accepted_by_torch += _torch_reads(bytes(flipped))
    assert accepted_by_torch > 20  # so the checksum is what refuses them
    path.write_bytes(whole + b"\0")
    assert read(path) is None
    path.write_bytes(whole)
    assert read(path) is not None


def _torch_reads(data: bytes) -> bool:
    try:
        torch.load(io.BytesIO(data[data.index(b"PK\x03\x04") : -32]), weights_only=True)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("foreign", ["torch", "text", "zeros", "folder", "missing", "headless"])
def test_a_foreign_file_is_none(path: Path, foreign: str) -> None:
    whole = path.read_bytes()
    path.unlink()
    makers: dict[str, Callable[[], object]] = {
        "torch": lambda: torch.save(STATE, path),
        "text": lambda: path.write_text("seed: 0\n"),
        "zeros": lambda: path.write_bytes(bytes(len(whole))),
        "folder": path.mkdir,
        "missing": lambda: None,
        "headless": lambda: path.write_bytes(whole.partition(b"\n")[0] + b"\n[1]\n"),
    }
    makers[foreign]()
    assert read(path) is None
    assert progress(path) is None


def test_only_the_same_training_on_the_same_machine_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = identity("0123456789abcdef", "cpu")
    assert mine == identity("0123456789abcdef", "cpu")
    facts = checkpoint.environment("cpu", 1)
    others = {identity("fedcba9876543210", "cpu")}
    for name in ("code", "torch", "pillow", "hardware"):
        monkeypatch.setattr(checkpoint, "environment", lambda device, threads, name=name: {**facts, name: "other"})
        others.add(identity("0123456789abcdef", "cpu"))
    monkeypatch.setattr(checkpoint, "environment", lambda device, threads: {**facts, "git": "other", "threads": 7})
    assert identity("0123456789abcdef", "cpu") == mine
    others.add(identity("0123456789abcdef", "cuda:0"))
    assert len(others - {mine}) == 6
    assert identity("0123456789abcdef", "cuda:0") == identity("0123456789abcdef", "cuda:1")


@pytest.mark.parametrize(("writing", "most"), [(0.01, 0.02), (2.0, 0.03)])
def test_checkpoints_take_two_percent_at_most(
    writing: float, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, written = 0.0, 0

    def write(*arguments: object) -> None:
        nonlocal now, written
        now, written = now + writing, written + 1

    monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: now)
    monkeypatch.setattr(checkpoint, "_write", write)
    saver = Saver(tmp_path / "checkpoint.pt", "me")
    assert not saver.due()
    while now < 1000:
        now += 0.5  # a step
        if saver.due():
            saver.save({}, 0, 1)
    assert 0 < written * writing <= most * now
    assert written <= now / 10


def test_a_disk_that_fills_up_is_typed_and_leaves_the_last_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, left = checkpoint._Hashed.write, 5

    def fills_up(self: Any, data: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            self._handle = Full()
        return original(self, data)

    monkeypatch.setattr(checkpoint._Hashed, "write", fills_up)
    with pytest.raises(RunFailure) as caught:
        Saver(path, "me").save({"weights": [torch.zeros(9) for _ in range(20)]}, 80, 100)
    assert caught.value.kind == "no_space"
    assert progress(path) == (70, 100)
    assert read(path) is not None
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


class Full:
    def write(self, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        pass
