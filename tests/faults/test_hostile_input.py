"""Every reader of something from outside takes or refuses what it is given: quickly, in a line, and does nothing else.

DOCABLATE_FAULTS=1 tries ten times as many inputs. What was found once is tried by name in the tests of its module.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import RunFailure, UserError
from tests.faults import hostile
from tests.faults.attack import attack
from tests.faults.sealed import Escaped, sealed
from tests.faults.seeds import seeds_of
from tests.faults.targets import TARGETS, Target

CASES = 700 if os.environ.get("DOCABLATE_FAULTS") else 70  # of each reader: 12,600 or 1,260 in all


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    """What libraries do while they are imported is not what is watched."""
    import open_clip
    import timm

    assert open_clip
    assert timm


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TARGETS)
def test_hostile_input_is_taken_or_refused(target: str, tmp_path: Path) -> None:
    tried, refused = attack(target, CASES, tmp_path / "room")
    assert tried >= CASES
    assert refused <= tried


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TARGETS)
def test_every_reader_takes_something(target: str, tmp_path: Path) -> None:
    """Else all of the above would be refused at the door."""
    assert any(TARGETS[target].survive(seed, tmp_path / "room") for seed in seeds_of(target))


def _connect(data: bytes, room: Path) -> None:
    import socket

    socket.create_connection(("127.0.0.1", 9), timeout=1)


def _elsewhere(data: bytes, room: Path) -> None:
    (room.parent / "elsewhere").write_text("x")


def _program(data: bytes, room: Path) -> None:
    try:
        subprocess.run([sys.executable, "-c", ""], check=True)
    except Exception:
        raise UserError("caught") from None


def _two_lines(data: bytes, room: Path) -> None:
    error = RunFailure("x", "")
    error.args = ("two\nlines",)
    raise error


@pytest.mark.parametrize("read", [_connect, _elsewhere, _program, _two_lines])
def test_what_is_watched_is_noticed(read: object, tmp_path: Path) -> None:
    assert callable(read)
    with pytest.raises(Escaped):
        Target("bad", read).survive(b"", tmp_path / "room")
    assert not (tmp_path / "elsewhere").exists()


def test_changes_are_watched_through_descriptors(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "mine").touch()
    above = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(Escaped), sealed(tmp_path / "room"):
        os.unlink("mine", dir_fd=above)
    os.close(above)
    assert (tmp_path / "mine").exists()


@pytest.mark.parametrize("early", [True, False])
def test_threads_that_the_input_started_are_watched_and_those_before_are_not(early: bool, tmp_path: Path) -> None:
    started = threading.Event()

    def elsewhere() -> None:
        started.wait(10)
        with contextlib.suppress(Escaped):
            (tmp_path / "elsewhere").write_text("x")

    def read() -> None:
        thread = before if early else threading.Thread(target=elsewhere)
        if not early:
            thread.start()
        started.set()
        thread.join()

    before = threading.Thread(target=elsewhere, daemon=True)
    if early:
        before.start()
    (tmp_path / "room").mkdir()
    with contextlib.nullcontext() if early else pytest.raises(Escaped, match="elsewhere"), sealed(tmp_path / "room"):
        read()
    assert (tmp_path / "elsewhere").exists() == early


def test_the_table_tells_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {name: TARGETS[name] for name in ("JSON", "times of --budget")}
    monkeypatch.setattr(hostile, "TARGETS", chosen | {"bad": Target("bad", _connect)})
    monkeypatch.setattr(
        hostile, "attack", lambda name, cases, room: attack(name, cases, room) if name in chosen else 1 / 0
    )
    monkeypatch.setattr(hostile, "MEMORY_MB", math.inf)  # of this process, in which other tests took what they needed
    (first, second, bad) = hostile.rows(30)
    assert first.fault == "hostile JSON"
    assert first.tries == first.survived >= 10
    assert re.fullmatch(r"\d+ refused in a line, \d+ read", second.how)
    assert (bad.survived, bad.how) == (0, "NOT survived: ZeroDivisionError: division by zero")


def test_without_atheris_the_fuzzer_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    monkeypatch.setattr(sys, "argv", ["fuzz_parsers"])
    assert hostile.fuzz_parsers.main() == 2
    assert "pip install atheris" in capsys.readouterr().err
    assert "not tried" in hostile.guided_rows(1, 1)[0].how
