"""Processes: known apart, known to be gone, and ended with their parent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.process import Process

ROOT = Path(__file__).parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@linux
def test_one_that_lives_is_not_gone_and_one_that_ended_is() -> None:
    own = Process.own()
    assert not own.gone
    assert own.started > 0
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = replace(own, pid=child.pid, started=0)
    assert not other.gone
    child.kill()
    deadline = time.monotonic() + 20
    while not other.gone and time.monotonic() < deadline:
        time.sleep(0.01)
    assert other.gone  # though nobody has waited for it yet
    child.wait()
    assert other.gone
    assert replace(own, started=own.started + 1).gone
    assert not replace(own, place="").gone
    assert not replace(own, place="another boot", pid=2**22 - 1).gone


@pytest.mark.parametrize(
    "change",
    [{"pid": -1}, {"pid": "1"}, {"pid": True}, {"pid": 1.5}, {"host": 3}, {"place": None}, {"started": None}],
)
def test_facts_that_are_no_process_are_none(change: dict[str, Any]) -> None:
    facts = Process.own().to_json()
    assert Process.of(facts) == Process.own()
    assert Process.of({**facts, **change}) is None


def test_numbers_that_no_process_has_are_asked_for_without_harm() -> None:
    own = Process.own()
    assert not replace(own, pid=0).gone  # the whole group, to the system
    if own.place:
        assert replace(own, pid=10**30).gone


@linux
def test_a_child_whose_parent_ended_before_it_could_tell_the_kernel_ends() -> None:
    code = "import os; from core.process import end_with_parent; end_with_parent({}); print('lives')"
    words = [sys.executable, "-c"]
    child = subprocess.run([*words, code.format("os.getppid()")], capture_output=True, text=True, cwd=ROOT)
    assert (child.returncode, child.stdout) == (0, "lives\n")
    orphan = subprocess.run([*words, code.format(os.getpid() + 1)], capture_output=True, text=True, cwd=ROOT)
    assert (orphan.returncode, orphan.stdout) == (1, "")
