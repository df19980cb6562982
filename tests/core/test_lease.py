"""Leases: one winner, dead holders replaced, clocks that do no harm, and no writing by who lost its lease."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core import lease, lease_file
from core.errors import RunFailure
from core.lease import Lease, Leases
from core.lease_file import LeaseLost, Ticket
from core.process import Process

NAME = "0123456789abcdef"
ELSEWHERE = Process("elsewhere", "another boot", 77, 5)
ROOT = Path(__file__).parents[2]


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".leases"


def elsewhere(folder: Path, clock: Callable[[], float] = Clock()) -> Leases:  # noqa: B008
    """Another machine's view of the folder: whether its processes live cannot be asked."""
    return Leases(folder, lease=60, beat=math.inf, clock=clock, process=ELSEWHERE)


def here(folder: Path, clock: Callable[[], float]) -> Leases:
    return Leases(folder, lease=60, beat=math.inf, clock=clock)


def taken(leases: Leases, name: str = NAME) -> Lease:
    held = leases.acquire(name)
    assert held is not None
    return held


def test_one_has_it_until_it_is_released(folder: Path) -> None:
    leases, other = here(folder, Clock()), elsewhere(folder)
    held = taken(leases)
    assert leases.acquire(NAME) is None
    assert other.acquire(NAME) is None
    assert other.acquire("0123456789abcdee") is not None
    holder = other.holder(NAME)
    assert holder is not None
    assert holder.process == Process.own()
    assert [one.name for one in other.holders()] == ["0123456789abcdee", NAME]
    held.ticket.check()
    held.release()
    assert other.holder(NAME) is None
    assert taken(other).ticket.generation == 1
    assert not held.beat()


def looks(leases: Leases, clock: Clock, steps: list[float], live: Lease | None = None) -> Lease | None:
    """Ask for the lease after each of these steps of the clock; its holder gives a sign of life before each look."""
    for step in steps:
        clock.now += step
        if live is not None:
            live.beat()
        if (held := leases.acquire(NAME)) is not None:
            return held
    return None


def test_a_holder_of_another_machine_is_dead_after_a_lease_of_silence(folder: Path) -> None:
    clock = Clock()
    dead, watcher = taken(elsewhere(folder)), here(folder, clock)
    assert looks(watcher, clock, [0, *[1] * 59]) is None
    held = looks(watcher, clock, [1])
    assert held is not None
    assert held.ticket.generation == 2
    assert not dead.ticket.valid()
    held.release()
    assert os.listdir(folder) == []


def test_a_holder_that_lives_keeps_it_for_ever(folder: Path) -> None:
    clock = Clock()
    live = taken(elsewhere(folder))
    assert looks(here(folder, clock), clock, [5] * 200, live) is None


@pytest.mark.parametrize("now", [-1e9, 0.0, 1.7e9])
def test_what_time_it_is_elsewhere_does_not_matter(folder: Path, now: float) -> None:
    clock = Clock(now)
    live = taken(elsewhere(folder, Clock(-now)))
    os.utime(live.ticket.path, (1.0, 4e9))  # as a server whose clock is a century off stamps files
    assert looks(here(folder, clock), clock, [5] * 50, live) is None


@pytest.mark.parametrize("step", [1e6, -1e6])
def test_a_clock_that_jumps_makes_nobody_dead(folder: Path, step: float) -> None:
    """Nor does a watcher that was paused, or a file server that stood still, for however long."""
    clock = Clock()
    silent = taken(elsewhere(folder))
    watcher = here(folder, clock)
    assert looks(watcher, clock, [0, 1, step, step, step]) is None
    silent.beat()
    assert looks(watcher, clock, [0, *[step] * 4]) is None
    assert silent.ticket.valid()


def test_a_frozen_clock_takes_nothing_over(folder: Path) -> None:
    taken(elsewhere(folder))
    clock = Clock()
    assert looks(here(folder, clock), clock, [0.0] * 500) is None


def test_a_dead_process_of_this_machine_is_replaced_at_once(folder: Path) -> None:
    code = f"from core.lease import Leases; Leases(__import__('pathlib').Path({str(folder)!r})).acquire({NAME!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    holder = here(folder, Clock()).holder(NAME)
    assert holder is not None
    assert holder.gone
    assert taken(here(folder, Clock())).ticket.generation == 2


def test_a_number_given_to_another_process_does_not_keep_a_lease(folder: Path) -> None:
    own = Process.own()
    Leases(folder, beat=math.inf, process=replace(own, started=own.started + 1)).acquire(NAME)
    assert here(folder, Clock()).acquire(NAME) is not None


@pytest.mark.parametrize("place", ["", "the same name, another boot", "another container"])
def test_processes_of_another_place_are_not_asked_for(folder: Path, place: str) -> None:
    """A container of the same host name has its own process numbers: those here say nothing of it."""
    gone = replace(Process.own(), place=place, pid=2**22 - 1)
    Leases(folder, beat=math.inf, process=gone).acquire(NAME)
    assert here(folder, Clock()).acquire(NAME) is None


def test_who_was_paused_too_long_notices_and_does_not_write(folder: Path) -> None:
    clock = Clock()
    paused, watcher = taken(elsewhere(folder)), here(folder, clock)
    new = looks(watcher, clock, [0, *[10] * 6])
    assert new is not None
    with pytest.raises(LeaseLost, match="taken over"):
        paused.ticket.check()
    assert not paused.beat()
    assert paused.lost
    paused.release()  # which takes nothing away from the new holder
    new.ticket.check()
    new.release()
    assert os.listdir(folder) == []
    assert not paused.beat()
    assert os.listdir(folder) == []  # nothing that was removed comes back
    third = taken(watcher)
    assert third.ticket.path == paused.ticket.path
    assert not paused.beat()
    assert not paused.ticket.valid()
    assert third.ticket.valid()


@pytest.mark.parametrize("left", [[1, 2], [2]])
def test_a_list_that_was_remembered_makes_no_second_holder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, left: list[int]
) -> None:
    """A client of a network file system may not see for a minute what others did to a folder."""
    clock = Clock()
    dead, watcher = taken(elsewhere(folder)), here(folder, clock)
    holder = looks(watcher, clock, [0, *[10] * 6])
    assert holder is not None
    if left == [2]:  # as where the first is removed already by a holder that gives the lease back
        dead.ticket.path.unlink()
    real, remembered = lease_file.generations, [[]]
    monkeypatch.setattr(lease, "generations", lambda *args: remembered.pop() if remembered else real(*args))
    assert elsewhere(folder).acquire(NAME) is None
    assert remembered == []
    assert holder.ticket.valid()
    assert real(folder, NAME) == left


def test_a_holder_that_gave_a_sign_of_life_meanwhile_keeps_the_lease(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    silent, watcher = taken(elsewhere(folder)), here(folder, clock)
    assert looks(watcher, clock, [0, *[10] * 5]) is None
    make = lease_file.create

    def wakes(*args: object) -> bool:
        silent.beat()
        return make(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(lease_file, "create", wakes)
    assert looks(watcher, clock, [10]) is None
    assert silent.ticket.valid()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"token": 3}', b"\xff" * 512, b"[" * 100_000])
def test_a_file_that_says_nothing_is_held_for_a_lease(folder: Path, data: bytes) -> None:
    folder.mkdir()
    (folder / f"{NAME}.3").write_bytes(data)
    clock = Clock()
    assert str(here(folder, clock).holder(NAME)) == "another process"
    held = looks(here(folder, clock), clock, [0, *[10] * 6])
    assert held is not None
    assert held.ticket.generation == 4


def test_signs_of_life_are_given_by_themselves(folder: Path) -> None:
    held = taken(Leases(folder, beat=0.02))

    def beats() -> int:
        return int(json.loads(held.ticket.path.read_text())["beats"])

    deadline = time.monotonic() + 20
    while beats() < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert beats() >= 3
    assert held.ticket.path.stat().st_size == lease_file.SIZE
    held.release()


def test_holding_waits_and_says_for_whom(folder: Path) -> None:
    told: list[str] = []
    held = taken(here(folder, Clock()))

    def waiting(holder: lease_file.Holder) -> None:
        told.append(str(holder))
        if len(told) == 2:
            held.release()

    with here(folder, Clock()).hold(NAME, waiting, every=0.01) as mine:
        assert mine.ticket.valid()
    assert told == [str(Process.own())] * 2
    assert os.listdir(folder) == []


RACE = """
import os, sys
from pathlib import Path
from core.lease import Leases
go, start = os.pipe()
tried, told = os.pipe()
hold, end = os.pipe()
for _ in range(50):
    if os.fork() == 0:
        os.close(start), os.close(end)
        leases = Leases(Path(sys.argv[1]))
        os.read(go, 1)  # until nobody has the other end open: all at once
        held = leases.acquire(sys.argv[2])
        os.write(told, b"none " if held is None else b"%d " % held.ticket.generation)
        os.read(hold, 1)  # who won holds it until all have tried
        os._exit(0)
os.close(start), os.close(told)
said = b""
while said.count(b" ") < 50:
    said += os.read(tried, 1000)
print(said.decode())
"""


@pytest.mark.parametrize("left_by_a_dead_one", [False, True])
def test_of_fifty_processes_one_wins(folder: Path, left_by_a_dead_one: bool) -> None:
    if left_by_a_dead_one:
        own = Process.own()
        Leases(folder, beat=math.inf, process=replace(own, started=own.started + 1)).acquire(NAME)
    for race in range(2):
        words = [sys.executable, "-c", RACE, str(folder), f"{NAME}{race if race else ''}"]
        said = subprocess.run(words, check=True, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout.split()
        first = "2" if left_by_a_dead_one and not race else "1"
        assert sorted(said) == sorted([first, *["none"] * 49])


def test_a_process_that_stands_still_loses_its_lease(folder: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from core.lease import Leases\n"
        f"held = Leases(Path({str(folder)!r}), beat=0.05).acquire({NAME!r})\n"
        "print('held', flush=True); sys.stdin.readline(); print(held.ticket.valid(), flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    watcher = Leases(folder, lease=0.6, beat=math.inf)
    for _ in range(20):
        assert watcher.acquire(NAME) is None
        time.sleep(0.05)
    process.send_signal(signal.SIGSTOP)
    try:
        deadline, held = time.monotonic() + 20, None
        while held is None and time.monotonic() < deadline:
            held = watcher.acquire(NAME)
            time.sleep(0.02)
        assert held is not None
    finally:
        process.send_signal(signal.SIGCONT)
    out, _ = process.communicate("well?\n", timeout=30)
    assert out == "False\n"


def test_a_folder_that_cannot_be_written_is_a_typed_failure(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    with pytest.raises(RunFailure) as caught:
        here(folder, Clock()).acquire(NAME)
    assert caught.value.kind == "store_not_writable"


def test_a_ticket_can_be_sent(folder: Path) -> None:
    import pickle

    ticket: Ticket = pickle.loads(pickle.dumps(taken(here(folder, Clock())).ticket))
    ticket.check()
