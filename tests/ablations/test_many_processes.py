"""Several commands on one store: nothing is trained twice, all of them finish, and dead ones are replaced."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ablations import sweep
from ablations.executors import turns
from core.lease import Leases
from core.process import Process
from core.store import Store, leases_folder
from tests.ablations.conftest import TINY, CommandLine

ROOT = Path(__file__).parents[2]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Start]:
    """Starts commands, in groups of their own, whose workers are killed with them at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        folders = ["--store", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
        process = subprocess.Popen(
            [sys.executable, "-m", "ablations", *words, *folders],
            stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(true: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def running(store: Store) -> list[str]:
    return [holder.name for holder in Leases(leases_folder(store.root)).holders()]


def workers_of(parent: int) -> set[int]:
    """The workers among a process's children, of which Python itself starts another."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and "spawn_main" in path.with_name("cmdline").read_text():
                found.add(int(path.parent.name))
    return found


def alive(number: int) -> bool:
    return not Process("", Process.own().place, number, 0).gone


def test_two_at_once_train_nothing_twice_and_both_finish(command: Start, tmp_path: Path) -> None:
    both = [command("run", "neck", *TINY, "--jobs", "1") for _ in range(2)]
    said = [process.communicate(timeout=240)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    store = Store(tmp_path / "runs")
    done = [line for text in said for line in text.splitlines() if line.startswith("done ")]
    own = [line for line in done if not line.startswith("done elsewhere")]
    assert len(own) == len(store.run_keys())
    assert len({line.split("] ")[1].split(":")[0] for line in own}) == len(own)
    for text in said:  # each knew of all of them, whoever trained them
        assert f"[{len(own)}/{len(own)}]" in text
    assert running(store) == []
    assert "Traceback" not in "".join(said)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_what_a_killed_command_had_in_work_is_taken_over_by_one_that_waits(command: Start, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    words = ["run", "neck", *TINY, "--set", "optim.samples=640", "--no-control", "--no-report"]
    first = command(*words, "--jobs", "2")
    until(lambda: len(list(store.root.glob("*/config.yaml"))) >= 2)
    workers = workers_of(first.pid)
    assert len(workers) == 2
    for worker in workers:  # so that what they have stays in work
        os.kill(worker, signal.SIGSTOP)
    second = command(*words, "--jobs", "1")
    assert second.stderr is not None
    lines = iter(second.stderr.readline, "")
    assert any(f"waiting for 2 runs in the hands of {platform.node()}:{first.pid}" in line for line in lines)
    assert sum(store.state(key) == "done" for key in store.run_keys()) == 1
    first.kill()
    first.wait()
    until(lambda: not any(map(alive, workers)), 10)  # no worker outlives the command that started it
    said = second.communicate(timeout=240)[1]
    assert second.returncode == 0, said
    assert [store.state(key) for key in store.run_keys()] == ["done"] * 3
    assert running(store) == []


def test_waiting_can_be_interrupted(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["neck", *TINY, "--no-control"]
    assert cli("plan", *words, "--json") == 0
    keys = [run["key"] for run in json.loads(cli.out)["runs"]]
    store = Store("runs")
    elsewhere = Leases(leases_folder(store.root), process=Process("far", "boot", 7, 1))
    assert None not in [elsewhere.acquire(key) for key in keys]
    looks = iter([None, None])

    def ctrl_c(seconds: float) -> None:
        if next(looks, "pressed") == "pressed":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(turns.time, "sleep", ctrl_c)
    monkeypatch.setattr(sweep, "_preparations", lambda _: [])
    assert cli("run", *words, "--no-report") == 130
    assert cli.err.count(f"waiting for {len(keys)} runs in the hands of far:7") == 1
    assert "To go on: python -m ablations run neck" in cli.err
    assert store.run_keys() == []
    assert running(store) == sorted(keys)
