"""Images drawn by processes: the same bytes however many, errors passed on, nothing half made left behind."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from core.data import cache, rendering
from core.data.sources import ProceduralDocuments
from core.errors import RunFailure, UserError
from core.lease import Lease, Leases
from core.process import Process


@dataclass(frozen=True)
class Documents:
    size: int

    def __call__(self, index: int) -> np.ndarray:
        return ProceduralDocuments("test", 40).clean(index, self.size)


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drawing processes import what they unpickle: give them this file under the name that is pickled."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    for drawn in (Documents, Refuses, Dies):
        monkeypatch.setattr(drawn, "__module__", "test_rendering")
    monkeypatch.setitem(sys.modules, "test_rendering", sys.modules[__name__])


@dataclass(frozen=True)
class Refuses:
    error: type[Exception]

    def __call__(self, index: int) -> np.ndarray:
        if index == 3:
            raise self.error("page 3 is torn")
        return np.zeros((8, 8, 3), np.uint8)


@dataclass(frozen=True)
class Dies:
    def __call__(self, index: int) -> np.ndarray:
        os._exit(7)


def drawn(folder: Path, draw: rendering.Draw, count: int, size: int, processes: int) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    path = folder / "rows.npy"
    np.save(path, np.zeros((count, size, size, 3), np.uint8))
    told: list[tuple[str, int, int]] = []
    rendering.draw_rows(path, draw, count, "pages", lambda *event: told.append(event), processes)
    assert told[-1] == ("pages", count, count)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    return np.load(path)


@pytest.mark.usefixtures("own_module")
def test_any_number_of_processes_draws_the_same_bytes(tmp_path: Path) -> None:
    alone = drawn(tmp_path / "1", Documents(32), 40, 32, processes=1)
    together = drawn(tmp_path / "3", Documents(32), 40, 32, processes=3)
    assert np.array_equal(alone, together)
    assert len(np.unique(alone.reshape(40, -1), axis=0)) == 40
    assert np.array_equal(alone[17], ProceduralDocuments("test", 40).clean(17, 32))


@pytest.mark.usefixtures("own_module")
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("error", [ValueError, UserError])
def test_what_a_drawing_raises_is_raised_here(tmp_path: Path, processes: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="page 3 is torn"):
        drawn(tmp_path, Refuses(error), 10, 8, processes)


@pytest.mark.usefixtures("own_module")
def test_a_process_that_dies_is_a_typed_failure(tmp_path: Path) -> None:
    with pytest.raises(RunFailure, match="code 7") as caught:
        drawn(tmp_path, Dies(), 4, 8, processes=2)
    assert caught.value.kind == "worker_died"


def test_small_sets_are_drawn_by_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert rendering.processes_for(10) == 1
    assert rendering.processes_for(1600) == 4
    assert rendering.processes_for(10**6) == 16


def test_cached_images_are_drawn_once_and_mapped(tmp_path: Path) -> None:
    calls = []

    def draw(index: int) -> np.ndarray:
        calls.append(index)
        return np.full((8, 8, 3), index, np.uint8)

    first = cache.cached_images(tmp_path, "pages", "five of them", (5, 8, 8, 3), draw)
    again = cache.cached_images(tmp_path, "pages", "five of them", (5, 8, 8, 3), draw)
    assert calls == [0, 1, 2, 3, 4]
    assert isinstance(again, np.memmap)
    assert np.array_equal(first, again)
    again[0] = 77  # a private copy: the file stays as it is
    assert cache.cached_images(tmp_path, "pages", "five of them", (5, 8, 8, 3), draw)[0].max() == 0
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npy", ".sha256"]


def test_what_another_pillow_drew_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text comes out a little differently with each version of it."""
    assert cache.cached_array(tmp_path, "rows", "some", lambda: np.zeros(3)).sum() == 0
    monkeypatch.setattr(cache, "_drawn_by", lambda: "Pillow 1.1.7 FreeType 2.1.3")
    assert cache.cached_array(tmp_path, "rows", "some", lambda: np.ones(3)).sum() == 3


def test_a_failed_drawing_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="torn"):
        cache.cached_images(tmp_path, "pages", "torn", (9, 8, 8, 3), Refuses(ValueError))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "checksum gone"])
def test_a_damaged_file_is_drawn_anew(tmp_path: Path, damage: str) -> None:
    def made() -> np.ndarray:
        return cache.cached_array(tmp_path, "rows", "some", lambda: np.arange(100))

    made()
    (path,) = tmp_path.glob("*.npy")
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-1] ^= 1
    path.write_bytes({"cut": data[:-9], "empty": b""}.get(damage, data))
    if damage == "checksum gone":
        path.with_suffix(".sha256").unlink()
    assert np.array_equal(made(), np.arange(100))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no way to reserve disk space here")
def test_no_space_is_found_before_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunFailure) as caught:
        cache.cached_images(tmp_path, "pages", "many", (9, 8, 8, 3), Refuses(ValueError))
    assert caught.value.kind == "no_space"
    assert list(tmp_path.iterdir()) == []


MAKER = """
import sys, time
from pathlib import Path
import numpy as np
from core.data import cache

def build():
    with open(sys.argv[2], "a") as starts:
        starts.write("x")
    if sys.argv[3] == "for ever":
        print("making", flush=True)
        time.sleep(600)
    time.sleep(1)
    return np.arange(100)

print(cache.cached_array(Path(sys.argv[1]), "rows", "some", build).sum())
"""


def makers(tmp_path: Path, count: int, how: str) -> list[subprocess.Popen[str]]:
    words = [sys.executable, "-c", MAKER, str(tmp_path / "cache"), str(tmp_path / "starts"), how]
    root = Path(__file__).parents[3]
    return [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(count)]


def test_of_processes_that_need_the_same_array_one_makes_it(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    said = [process.communicate(timeout=60)[0].strip() for process in makers(tmp_path, 4, "")]
    assert said == ["4950"] * 4
    assert (tmp_path / "starts").read_text() == "x"
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".npy", ".sha256"]


def test_what_a_killed_maker_left_is_removed_and_made_by_who_waited(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (maker,) = makers(tmp_path, 1, "for ever")
    assert maker.stdout
    assert maker.stdout.readline() == "making\n"
    told: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        told.append(what)
        maker.kill()
        maker.wait()

    assert cache.cached_array(folder, "rows", "some", lambda: np.arange(100), progress).sum() == 4950
    assert told == [f"rows, which {platform.node()}:{maker.pid} makes"]
    assert sorted(path.suffix for path in folder.iterdir()) == [".npy", ".sha256"]


def test_a_maker_that_lost_its_lease_leaves_the_array_to_the_other(tmp_path: Path) -> None:
    made = []

    def build() -> np.ndarray:
        made.append(len(made))
        if len(made) == 1:  # another process took this one for dead: it makes the array and gives the lease back
            (own,) = tmp_path.glob(".lease-*")
            own.rename(own.with_name("another's"))
            other = cache.cached_array(tmp_path, "rows", "some", lambda: np.arange(100))
            made.append(other.sum())
        return np.arange(7)

    assert cache.cached_array(tmp_path, "rows", "some", build).sum() == 4950
    assert made == [0, 4950]


def test_a_maker_that_lost_its_lease_writes_nothing(tmp_path: Path) -> None:
    others: list[Lease] = []
    made: list[int] = []

    def build() -> np.ndarray:
        made.append(len(others))
        if not others:
            (own,) = tmp_path.glob(".lease-*")
            name = own.stem
            own.unlink()
            held = Leases(tmp_path).acquire(name)
            assert held is not None
            others.append(held)
        return np.arange(7)

    def waiting(what: str, done: int, total: int) -> None:
        assert list(tmp_path.glob("rows-*")) == []
        others[0].release()

    assert cache.cached_array(tmp_path, "rows", "some", build, waiting).sum() == 21
    assert made == [0, 1]


PARENT = """
import os, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from core.data import rendering
from slow_drawing import draw

path = Path(sys.argv[1])
np.save(path, np.zeros((1000, 4, 4, 3), np.uint8))
rendering.draw_rows(path, draw, 1000, "pages", lambda *event: print("drawing", flush=True), 2)
"""
SLOW = """
import os, sys, time
import numpy as np

def draw(index):
    if index % 500 == 0:
        with open(os.path.join(os.path.dirname(__file__), str(os.getpid())), "w"):
            pass
    if index % 500 > 20:
        time.sleep(600)
    return np.zeros((4, 4, 3), np.uint8)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_drawing_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "slow_drawing.py").write_text(SLOW)
    words = [sys.executable, "-c", PARENT, str(tmp_path / "rows.npy"), str(tmp_path)]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
    assert parent.stdout
    assert parent.stdout.readline() == "drawing\n"

    def drawing() -> list[int]:
        numbers = [int(path.name) for path in tmp_path.iterdir() if path.name.isdecimal()]
        return [number for number in numbers if Path(f"/proc/{number}/cmdline").exists() and not ended(number)]

    deadline = time.monotonic() + 30
    while len(drawing()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(drawing()) == 2
    parent.kill()
    parent.wait()
    while drawing() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert drawing() == []


def ended(number: int) -> bool:
    """A process that nobody waits for, as in a container without an init, is there still."""
    return Process("", Process.own().place, number, 0).gone
